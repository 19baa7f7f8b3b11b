"""One writer per run directory: a lock that the operating system lets go of when its process dies, however it dies."""

from __future__ import annotations

import json
import os
import socket
import sys
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from unseen.errors import UserError
from unseen.runs.files import writing


def lock(path: Path) -> Callable[[], object]:
    """Take the lock file `path`, or say who has it.

    Returns:
        A function that lets go of it; it is also let go when that function is garbage or the process ends.

    Raises:
        UserError: names the process that trains into the directory.
    """
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock_without_waiting(descriptor)
    except OSError as error:
        owner = os.pread(descriptor, 1000, 0).decode(errors="replace") if hasattr(os, "pread") else ""
        os.close(descriptor)
        raise UserError(
            f"run directory {path.parent} is in use by {_describe(owner)}; wait until it ends, or choose another directory"
        ) from error
    release = _Release(descriptor)
    os.ftruncate(descriptor, 0)
    note = {"process": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    with writing(path):
        os.write(descriptor, json.dumps(note).encode())
    return release


class _Release:
    def __init__(self, descriptor: int) -> None:
        self._close = weakref.finalize(self, os.close, descriptor)

    def __call__(self) -> None:
        self._close()


def _lock_without_waiting(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 4096, os.SEEK_SET)  # beyond the note, which others may read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _describe(owner: str) -> str:
    try:
        note = json.loads(owner)
        return f"process {note['process']} on {note['host']} since {note['since']}"
    except (ValueError, TypeError, KeyError):  # it has the lock but has not written its name yet
        return "another process"
