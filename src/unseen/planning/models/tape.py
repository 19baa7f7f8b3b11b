"""A tape: a file to which lines are added that survive a kill, by one process at a time, and which says where it is damaged."""

from __future__ import annotations

import os
import warnings
import weakref
from pathlib import Path

from unseen.errors import UserError
from unseen.planning.models.lines import BEGINNING, Header, Recorded, header_line, line, read_header, read_line
from unseen.runs.files import make_directory, sync_directory, writing


class TornTape(UserWarning):
    """The last line of a tape was not written to its end; it was left out."""


class Tape:
    """What a file holds, and its end to write on.

    Writing takes a lock on the file for as long as the tape is open, which the operating system lets go of when the process ends: a
    second writer is refused, so lines never mix (on Windows, where there is no such lock, nobody is refused). Every line is on the disk
    when `append` returns. Readers take no lock; they see whole lines, and perhaps the beginning of one.

    Args:
        path: of the file.
        write: whether lines will be added; the file need not exist then.

    Attributes:
        header: None where nothing is on the tape yet.
        recorded: what is on it, in the order of the file.

    Warns:
        TornTape: the last line is not whole. It is left out, and cut off where lines will be added.

    Raises:
        UserError: no such file, not a tape, in use by another writer, or damaged elsewhere than at its end, with the line.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path = path
        self._descriptor = _open(path) if write else None
        self._end = weakref.finalize(self, _close, self._descriptor)
        try:
            text = self._read()
            *whole, rest = text.split(b"\n")
            if text and not (text.startswith(BEGINNING) or BEGINNING.startswith(text)):
                raise UserError(f"{path} is not a cassette's tape, and is left as it is; choose another name")
            self.header: Header | None = self._line(1, whole[0]) if whole else None
            self.recorded: list[Recorded] = [_parse(path, number, each) for number, each in enumerate(whole[1:], start=2)]
            self._size = len(text) - len(rest)
            if rest:
                self._mend(rest)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others write; also done when the tape is garbage."""
        self._end()

    def begin(self, header: Header) -> None:
        """Write the header of a new tape."""
        self._append(header_line(header))
        with writing(self.path):
            sync_directory(self.path.parent)
        self.header = header

    def append(self, recorded: Recorded) -> None:
        """Write a line.

        Raises:
            DiskFull: there is no room; what was on the tape still is.
        """
        self._append(line(recorded))

    def _append(self, text: bytes) -> None:
        if self._descriptor is None or not self._end.alive:
            raise UserError(f"{self.path} is closed, or was opened only to be read; open it anew to record")
        with writing(self.path):
            try:
                written = 0
                while written < len(text):
                    written += os.write(self._descriptor, text[written:])
                os.fsync(self._descriptor)
            except BaseException:
                os.ftruncate(self._descriptor, self._size)  # or what comes next would stand on a torn line
                raise
        self._size += len(text)

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"there is no tape {self.path}; record one with mode='auto', or correct the name") from error
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}; choose another name") from error

    def _line(self, number: int, text: bytes) -> Header:
        try:
            return read_header(text)
        except ValueError as error:
            raise _damaged(self.path, number, error) from error

    def _mend(self, rest: bytes) -> None:
        """Deal with what stands behind the last line break: a line without its break is whole all the same."""
        if self.header is not None:
            try:
                self.recorded.append(read_line(rest))
            except ValueError:
                pass
            else:
                self._size += len(rest)
                if self._descriptor is not None:
                    self._append(b"\n")
                return
        warnings.warn(f"the last line of {self.path} was torn, and is left out: its {len(rest)} bytes", TornTape, stacklevel=4)
        if self._descriptor is not None:
            with writing(self.path):
                os.ftruncate(self._descriptor, self._size)


def _parse(path: Path, number: int, text: bytes) -> Recorded:
    try:
        return read_line(text)
    except ValueError as error:
        raise _damaged(path, number, error) from error


def _damaged(path: Path, number: int, error: ValueError) -> UserError:
    return UserError(f"line {number} of {path} is damaged: {error}; restore the file, or remove that line to have it asked again")


def _open(path: Path) -> int:
    make_directory(path.parent)
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    try:
        import fcntl
    except ModuleNotFoundError:
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError(f"{path} is being recorded on by another cassette; wait until it is closed, or choose another name") from error
    except OSError as error:
        os.close(descriptor)
        raise UserError(f"{path} cannot be locked: {error.strerror}; choose a name on a local disk") from error
    return descriptor


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
