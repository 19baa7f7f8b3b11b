"""Folds beside each other: what they do is arithmetic of long arrays, which needs no processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users = 0  # of the limit; whoever comes first sets it, and the last one takes it off
_limit: Any = None


def at_once(work: Callable[[Any], Any], items: Iterable[Any], jobs: int) -> list[Any]:
    """Work on every item, so many at a time; -1: one on each core."""
    jobs = jobs if jobs > 0 else _cores()
    if jobs == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(jobs) as pool, _one_thread_each():
        return list(pool.map(work, items))


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Matrix products on one thread: threads of threads would wait for each other. The limit is one for the whole process."""
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = threadpool_limits(1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
