"""Directories of `unseen plan`: whose they are, and what they may be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unseen.commands.planning.agents import TAUGHT
from unseen.commands.planning.settings import Model, World
from unseen.errors import UserError
from unseen.runs.files import make_directory, write_atomic

EPISODES = "episodes.parquet"


def usual_folder(world: World, model: Model, what: str) -> Path:
    name = Path(model.model).name if model.url is None else model.model.replace("/", "-")
    return Path("runs") / "plan" / f"{world.environment.replace('/', '-')}-{name}-{what}"


def directory(path: Path) -> Path:
    make_directory(path)
    return path


def free(out: Path | None, usual: Path, file: str) -> Path:
    """A directory without this file in it: the one that was asked for, or the usual one, numbered where need be.

    Raises:
        UserError: the one that was asked for has it.
    """
    if out is not None:
        if (out / file).exists():
            raise UserError(f"{out} holds {file} already; give another --out")
        return out
    tried, number = usual, 2
    while (tried / file).exists():
        tried, number = usual.with_name(f"{usual.name}-{number}"), number + 1
    return tried


def for_training(folder: Path) -> Path:
    """A directory for a training: new, empty, or a training's already.

    Raises:
        UserError: other things are in it.
    """
    ours = ("checkpoint", ".old", ".fresh", TAUGHT, "student.json", "base", "served")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in ours):
        raise UserError(f"{folder} holds other things than a training; give another --out")
    if folder.is_file():
        raise UserError(f"{folder} is a file; give another --out")
    return folder


def same(path: Path, asked: Mapping[str, Any], what: str) -> None:
    """Write down the settings of what a directory holds, or see that they are the same.

    Raises:
        UserError: they are not.
    """
    compare(path, asked, what)
    write_atomic(path, json.dumps(asked, indent=1, default=str).encode())


def compare(path: Path, asked: Mapping[str, Any], what: str) -> None:
    """Raises:
    UserError: what a directory holds has other settings, which are written there.
    """
    if not path.exists():
        return
    there, here = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(asked, default=str))
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            raise UserError(f"{path.parent} holds {what} with {name} = {there.get(name)!r}, not {here.get(name)!r}; give another --out")


def stem(word: str) -> str:
    """A schedule's word as a part of a file's name."""
    return word.replace(":", "-").replace(",", "+").replace(" ", "_").replace("/", "-").replace("\\", "-")
