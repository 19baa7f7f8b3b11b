"""Writing files so that a crash at any instant leaves the old contents or the new, never half of either."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unseen.errors import UserError

TEMPORARY = ".unfinished-"  # leftovers of killed writers start with this; readers never look at them

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_SUCH_PLACE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP}


class DiskFull(UserError):
    """No room left (or a quota or size limit reached); everything saved before is intact and readable."""


def local_path(path: str | os.PathLike[str]) -> Path:
    """`path` as a local path with `~` expanded.

    Raises:
        UserError: for an address such as `s3://bucket/run`: renaming is not atomic there, so a run cannot live in it.
    """
    text = os.fspath(path).removeprefix("file://")
    if "://" in text:
        raise UserError(f"{text!r} is not a local directory; train into a local directory and copy it there afterwards")
    return Path(text).expanduser()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below `path` into one-line errors."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise DiskFull(
                f"no space left while writing {path} ({error.strerror}); everything saved before is intact: "
                "free some space and run the same command again to resume"
            ) from error
        if error.errno in _NO_PERMISSION:
            raise UserError(f"cannot write {path}: {error.strerror}; choose a directory you may write to") from error
        if error.errno in _NO_SUCH_PLACE:
            raise UserError(f"cannot write {path}: {error.strerror}; choose another name") from error
        raise


def temporary_beside(path: Path) -> Path:
    """A fresh name in the same directory, hence on the same file system, for something to be renamed to `path`."""
    return path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory; without it a rename may be undone by a power cut."""
    if sys.platform == "win32":
        return  # directories cannot be opened there, and the file system journals names itself
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Create or replace the file `path` in one step that survives a power cut.

    Raises:
        DiskFull: when there is no room; what `path` held before is untouched.
    """
    temporary = temporary_beside(path)
    with writing(path):
        try:
            write_synced(temporary, data)
            os.replace(temporary, path)
            sync_directory(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def make_directory(path: Path) -> None:
    """Create a directory and its parents, durably; nothing happens where it exists.

    Raises:
        UserError: when something on the way is a file, or may not be written.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    with writing(path):
        try:
            path.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"cannot make the directory {path}: a file is in the way; choose another name") from error
        sync_directory(path.parent)


def remove_directory(path: Path) -> None:
    """Remove a directory so that, if interrupted, nobody takes the rest of it for whole."""
    doomed = temporary_beside(path)
    os.rename(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(directory: Path) -> None:
    """Remove what writers left in `directory` when they were killed; only the directory's one writer may call it."""
    for entry in directory.iterdir():
        if entry.name.startswith(TEMPORARY):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with suppress(OSError):
                    entry.unlink()


def read_regular(path: Path, limit: int) -> bytes:
    """The contents of an ordinary file of at most `limit` bytes.

    Raises:
        ValueError: when it is missing, too large, or a link, pipe or device, where reading might never end.
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path.name} is not an ordinary file")
        if status.st_size > limit:
            raise ValueError(f"{path.name} has {status.st_size} bytes, more than the {limit} allowed")
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError as error:
        raise ValueError(f"{path.name}: {error.strerror or error}") from error
