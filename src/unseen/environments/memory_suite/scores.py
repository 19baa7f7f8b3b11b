"""Reference scores of the suite, measured by `benchmarks/memory_references.py` and kept as data."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from unseen.environments.contract import References, Score

FILE = "references.json"


def references(name: str, level: str) -> References:
    """Scores of `memory/TASK` or `memory-fp/TASK` at a level; empty where nothing was measured."""
    players = {player: Score(**score) for player, score in table().get(name, {}).get(level, {}).items()}
    found = players.get
    return References(found("random"), found("memoryless"), found("perfect_memory"), found("oracle"))


@lru_cache
def table() -> dict[str, Any]:
    """Name of the environment -> level -> player -> score."""
    found = resources.files("unseen.environments.memory_suite").joinpath(FILE)
    return json.loads(found.read_text("utf-8")) if found.is_file() else {}
