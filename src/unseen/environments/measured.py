"""Reference scores measured once by `benchmarks/references.py` and `benchmarks/card_references.py`, a data file for each family."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from unseen.environments.contract import References, Score

FILE = "references.json"


def references(family: str, name: str, time_limit: int) -> References:
    """Scores of environment `name` of a family ("navigation"), or none where it was measured under another time limit."""
    entry = _table(family).get(name, {})
    if entry.get("time_limit") != time_limit:
        return References()
    players: dict[str, Any] = {player: Score(**score) for player, score in entry["undiscounted"].items()}
    discounted = {player: (entry["discount"], Score(**score)) for player, score in entry["discounted"].items()}
    return References(**players, discounted=discounted)


def joined(exact: References, found: References) -> References:
    """Exact scores, and measured ones of the players that have none."""
    players: dict[str, Any] = {
        name: getattr(exact, name) or getattr(found, name) for name in ("random", "memoryless", "perfect_memory", "oracle")
    }
    return References(**players, discounted={**found.discounted, **exact.discounted})


@lru_cache
def _table(family: str) -> dict[str, Any]:
    return json.loads(resources.files(f"unseen.environments.{family}").joinpath(FILE).read_text("utf-8"))
