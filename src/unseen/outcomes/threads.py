"""Folds beside each other: what they do is arithmetic of long arrays, which needs no processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from joblib import cpu_count
from threadpoolctl import threadpool_limits


def at_once(work: Callable[[Any], Any], items: Iterable[Any], jobs: int) -> list[Any]:
    """Work on every item, so many at a time; -1: one on each core."""
    jobs = jobs if jobs > 0 else cpu_count()
    if jobs == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(jobs) as pool, threadpool_limits(1, user_api="blas"):  # threads of threads would wait for each other
        return list(pool.map(work, items))
