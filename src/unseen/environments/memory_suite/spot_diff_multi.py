"""Spot the difference, multi-object: two to eight blocks; in the next room one has another colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unseen.environments.memory_suite import chambers
from unseen.environments.memory_suite.chambers import Difficulty, Start

DIFFICULTIES: Mapping[str, Difficulty] = {  # proposed
    "small": Difficulty(4, (2, 2)),
    "large": Difficulty(4, (5, 5)),
    "interpolate": Difficulty(4, (3, 4)),
    "extrapolate": Difficulty(4, (6, 8)),
}


@dataclass(frozen=True)
class SpotDiffMulti:
    """The number of blocks varies; the delay is always 4 s.

    The right block pays 1, another 0; after a second a new trial begins with new blocks, until the time is up.

    Source: name released, everything else *proposed*: specification §3.5-3.8.
    """

    name: ClassVar[str] = "spot-diff-multi"
    difficulties: ClassVar[Mapping[str, Difficulty]] = DIFFICULTIES
    spots: ClassVar[tuple[tuple[int, int], ...]] = chambers.SPOTS
    most: ClassVar[int] = 8
    moving: ClassVar[bool] = False
    start: ClassVar[Start] = chambers.AWAY
