"""Reference scores of the suite, measured by `benchmarks/memory_references.py` and kept as data."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from unseen.environments.contract import References, Score

FILE = "references.json"
PLAYERS = ("random", "memoryless", "perfect_memory", "oracle")


def references(name: str, level: str) -> References:
    """Scores of `memory/TASK` or `memory-fp/TASK` at a level, other players' under `others`; empty where nothing was measured."""
    scores = {player: Score(**score) for player, score in table().get(name, {}).get(level, {}).items()}
    others = {player: score for player, score in scores.items() if player not in PLAYERS}
    random, memoryless, perfect_memory, oracle = (scores.get(player) for player in PLAYERS)
    return References(random, memoryless, perfect_memory, oracle, others=others)


@lru_cache
def table() -> dict[str, Any]:
    """Name of the environment -> level -> player -> mean, standard error and source."""
    found = resources.files("unseen.environments.memory_suite").joinpath(FILE)
    return json.loads(found.read_text("utf-8")) if found.is_file() else {}
