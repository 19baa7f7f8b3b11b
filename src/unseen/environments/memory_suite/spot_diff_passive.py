"""Spot the difference, passive: the blocks stand where they are seen without looking around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unseen.environments.memory_suite import chambers
from unseen.environments.memory_suite.chambers import Difficulty, Start

DIFFICULTIES: Mapping[str, Difficulty] = chambers.DELAYS  # proposed


@dataclass(frozen=True)
class SpotDiffPassive:
    """The blocks of room 1 flank the entrance of the corridor and are ahead from the start.

    The right block pays 1, another 0; after a second a new trial begins with new blocks, until the time is up.

    Source: name released, everything else *proposed*: specification §3.5-3.8.
    """

    name: ClassVar[str] = "spot-diff-passive"
    difficulties: ClassVar[Mapping[str, Difficulty]] = DIFFICULTIES
    spots: ClassVar[tuple[tuple[int, int], ...]] = chambers.ENTRANCE_SPOTS
    most: ClassVar[int] = 2
    moving: ClassVar[bool] = False
    start: ClassVar[Start] = chambers.FACING
