"""What the published experiments' directories have in common: one scale for each, and a time after which nothing new is begun."""

from __future__ import annotations

import time
from pathlib import Path

from unseen.errors import UserError
from unseen.runs.files import make_directory, write_atomic


class Clock:
    """A time limit that has begun.

    Args:
        minutes: from now; None: no limit.

    Raises:
        UserError: minutes that are not positive.
    """

    def __init__(self, minutes: float | None) -> None:
        if minutes is not None and not minutes > 0:
            raise UserError(f"minutes = {minutes}; give a positive number")
        self.until = None if minutes is None else time.monotonic() + 60 * minutes

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return self.until is not None and time.monotonic() > self.until


def claim(folder: Path, scale: str) -> None:
    """Make the directory, and write down which scale is kept there.

    Raises:
        UserError: it holds another scale.
    """
    note = folder / "scale.txt"
    if note.exists() and (found := note.read_text(encoding="utf-8").strip()) != scale:
        raise UserError(f"{folder} holds scale {found!r}, not {scale!r}; choose another directory")
    make_directory(folder)
    write_atomic(note, f"{scale}\n".encode())
