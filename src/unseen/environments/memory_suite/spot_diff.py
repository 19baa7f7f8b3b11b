"""Spot the difference: two blocks in a room; in the next room one of them has another colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unseen.environments.memory_suite import chambers
from unseen.environments.memory_suite.chambers import Difficulty, Start

DIFFICULTIES: Mapping[str, Difficulty] = chambers.DELAYS  # proposed


@dataclass(frozen=True)
class SpotDiff:
    """Look around room 1, pass the corridor, touch the block of room 2 that has changed its colour.

    The right block pays 1, another 0; after a second a new trial begins with new blocks, until the time is up.

    Source: name released, everything else *proposed*: specification §3.5-3.8.
    """

    name: ClassVar[str] = "spot-diff"
    difficulties: ClassVar[Mapping[str, Difficulty]] = DIFFICULTIES
    spots: ClassVar[tuple[tuple[int, int], ...]] = chambers.SPOTS
    most: ClassVar[int] = 2
    moving: ClassVar[bool] = False
    start: ClassVar[Start] = chambers.AWAY
