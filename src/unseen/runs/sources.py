"""The file that an environment is made of, kept with the run: it may be edited or moved later, and its path may be relative.

environment.pomdp   the file as it was when the run began
environment.json    what its path was, and its SHA-256
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from unseen.errors import UserError
from unseen.runs.files import local_path, read_regular, write_atomic

COPY = "environment.pomdp"
RECORD = "environment.json"
_MAX_COPY = 2**30
_MAX_RECORD = 2**16


@dataclass(frozen=True)
class Source:
    """A file and what it held when the environment was made of it."""

    path: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def is_file(environment: str) -> bool:
    """Whether an environment's name is the path of a file."""
    return environment.lower().endswith(".pomdp")


def read(directory: str | os.PathLike[str], environment: str) -> Source | None:
    """The file that the environment of this name is made of, to train on; None where there is none, or none that can be read.

    Raises:
        UserError: when it is not the file that the run in the directory began with.
    """
    if not is_file(environment):
        return None
    folder = local_path(directory)
    original = _original(environment)
    if original is not None:
        _refuse_changed(folder, original)
    return original or _copied(folder, environment)


def usable(directory: str | os.PathLike[str], environment: str) -> Path:
    """Where to read the environment of a run from: the file at its path, or the copy where that file is gone or has changed.

    Raises:
        UserError: when the copy is needed and is not what the run began with either.
    """
    folder = local_path(directory)
    wanted = _recorded(folder, environment)
    if wanted is None:  # a new run, or one begun before copies were kept
        return Path(environment)
    for path, found in ((Path(environment), _original(environment)), (folder / COPY, _copied(folder, environment))):
        if found is not None and found.sha256 == wanted:
            return path
    raise UserError(
        f"neither {environment} nor {folder / COPY} is the file that this run began with (SHA-256 {wanted[:8]}...); "
        "put it back in either place"
    )


def keep(folder: Path, source: Source) -> None:
    """Copy the file into the run directory when the run begins; afterwards, make sure that it is the same one.

    Raises:
        UserError: when it is another one.
    """
    if _recorded(folder, source.path) is None:
        write_atomic(folder / COPY, source.data)
        write_atomic(folder / RECORD, json.dumps({"path": source.path, "sha256": source.sha256}, indent=1).encode())
        return
    _refuse_changed(folder, source)
    if _copied(folder, source.path) != source:
        write_atomic(folder / COPY, source.data)


def _refuse_changed(folder: Path, source: Source) -> None:
    wanted = _recorded(folder, source.path)
    if wanted is not None and source.sha256 != wanted:
        raise UserError(
            f"{source.path} is not the file that the run in {folder} began with (SHA-256 {source.sha256[:8]}... here, {wanted[:8]}... "
            f"there); put {folder / COPY} back in its place to resume, or train into another directory"
        )


def _recorded(folder: Path, environment: str) -> str | None:
    """The SHA-256 of the file that the run on this environment began with."""
    if not (folder / RECORD).exists():
        return None
    try:
        record = json.loads(read_regular(folder / RECORD, _MAX_RECORD))
        path, sha256 = str(record["path"]), str(record["sha256"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{folder / RECORD} is damaged; put it back, or train into another directory") from error
    return sha256 if path == environment else None


def _original(environment: str) -> Source | None:
    try:
        return Source(environment, Path(environment).read_bytes()) if Path(environment).is_file() else None
    except OSError:
        return None  # whoever makes the environment says why it cannot be read


def _copied(folder: Path, environment: str) -> Source | None:
    try:
        return Source(environment, read_regular(folder / COPY, _MAX_COPY))
    except ValueError:
        return None
