"""A folder of played episodes: a file for each, written whole when it ends, and a note of every one that was begun."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unseen.data import Episodes
from unseen.errors import UserError
from unseen.runs.files import local_path, make_directory, writing


class Folder:
    """`begun-00000.json` when an episode begins, `episodes-00000.parquet` when it ends.

    A number is given once, also to several programs that play into the same folder: since it decides what happens in the episode,
    nobody meets the same one twice. A note without its recording is an episode somebody left, which a mean score should own up to.

    Args:
        path: of the folder; made where it does not exist.
        environment: whose episodes are to be recorded.

    Raises:
        UserError: the folder cannot be made or written to, or holds episodes of another environment.
    """

    def __init__(self, path: str | os.PathLike[str], environment: str):
        self.path, self.environment = local_path(path), environment
        make_directory(self.path)
        if not os.access(self.path, os.W_OK):
            raise UserError(f"cannot write into {self.path}; choose another folder with --out")
        for note in sorted(self.path.glob("begun-*.json")):
            other = _environment_of(note)
            if other not in (None, environment):
                raise UserError(f"{self.path} holds episodes of {other!r}; choose another folder for {environment!r} with --out")

    def claim(self, facts: Mapping[str, Any]) -> int:
        """The number of an episode that begins now; `facts` go into its note."""
        taken = [re.fullmatch(r"(?:begun-(\d+)\.json)|(?:episodes-(\d+)\.parquet)", entry.name) for entry in self.path.iterdir()]
        number = 1 + max((int(m[1] or m[2]) for m in taken if m), default=-1)
        while True:
            note = self.path / f"begun-{number:05d}.json"
            with writing(note):
                try:
                    with open(note, "x", encoding="utf-8") as file:  # "x": of several programs, one gets the number
                        json.dump({"environment": self.environment, **facts}, file)
                    return number
                except FileExistsError:
                    number += 1

    def save(self, number: int, episode: Episodes) -> None:
        """Write a finished episode, whole or not at all."""
        episode.write(self.path / f"episodes-{number:05d}.parquet")


def _environment_of(note: Path) -> str | None:
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # torn when its program was killed
    return facts.get("environment") if isinstance(facts, dict) else None
