"""Reference scores measured once by `benchmarks/references.py`, read from the data file of each family of environments."""

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
    players = {player: Score(**score) for player, score in entry["undiscounted"].items()}
    discounted = {player: (entry["discount"], Score(**score)) for player, score in entry["discounted"].items()}
    return References(**players, discounted=discounted)


@lru_cache
def _table(family: str) -> dict[str, Any]:
    return json.loads(resources.files(f"unseen.environments.{family}").joinpath(FILE).read_text("utf-8"))
