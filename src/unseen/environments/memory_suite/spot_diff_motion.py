"""Spot the difference, motion: two moving blocks; in the next room one of them moves in another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unseen.environments.memory_suite import chambers
from unseen.environments.memory_suite.chambers import Difficulty, Start

DIFFICULTIES: Mapping[str, Difficulty] = chambers.DELAYS  # proposed


@dataclass(frozen=True)
class SpotDiffMotion:
    """Colours stay; the altered block moves along another trajectory in room 2.

    The right block pays 1, another 0; after a second a new trial begins with new blocks, until the time is up.

    Source: name released, everything else *proposed*: specification §3.5-3.8.
    """

    name: ClassVar[str] = "spot-diff-motion"
    difficulties: ClassVar[Mapping[str, Difficulty]] = DIFFICULTIES
    spots: ClassVar[tuple[tuple[int, int], ...]] = chambers.WIDE_SPOTS
    most: ClassVar[int] = 2
    moving: ClassVar[bool] = True
    start: ClassVar[Start] = chambers.AWAY
