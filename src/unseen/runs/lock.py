"""One writer per run directory: a lock that the operating system lets go of when its process dies, however it dies."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from unseen.errors import UserError
from unseen.runs.files import writing

_NOTE = b'{"process": '  # how the note begins that the process with the lock writes into it


def lock(path: Path) -> Callable[[], object]:
    """Take the lock file `path`, or say who has it.

    Returns:
        A function that lets go of it; it is also let go when that function is garbage or the process ends.

    Raises:
        UserError: names the process that trains into the directory, or says that `path` is somebody else's file.
    """
    descriptor = _open(path)
    try:
        _lock_without_waiting(descriptor)
    except OSError as error:
        owner = _beginning(descriptor).decode(errors="replace") if hasattr(os, "pread") else ""
        os.close(descriptor)
        raise UserError(
            f"run directory {path.parent} is in use by {_describe(owner)}; wait until it ends, or choose another directory"
        ) from error
    release = _Release(descriptor)
    if not _NOTE.startswith(_beginning(descriptor)[: len(_NOTE)]):  # a kill may have left half a note, or none
        release()
        raise UserError(f"{path} is not a lock that unseen wrote, and is left as it is; move it away, or choose another directory")
    os.ftruncate(descriptor, 0)
    note = {"process": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    with writing(path):
        os.write(descriptor, json.dumps(note).encode())
    return release


def _open(path: Path) -> int:
    """The lock file itself, made if need be: a link could lead to any file of whoever resumes a stranger's run."""
    with writing(path):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO):
                raise UserError(_not_ordinary(path)) from error
            raise
    status = os.fstat(descriptor)
    if path.is_symlink() or not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise UserError(_not_ordinary(path))
    return descriptor


def _not_ordinary(path: Path) -> str:
    return f"{path} is not an ordinary file but a link, directory or device; remove it, or choose another directory"


def _beginning(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    found = os.read(descriptor, 1000)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return found


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
