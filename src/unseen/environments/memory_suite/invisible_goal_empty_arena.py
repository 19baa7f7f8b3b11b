"""Invisible goal in an empty arena: the place is to be remembered by the walls alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import PRNGKeyArray

from unseen.environments.memory_suite import arena
from unseen.environments.memory_suite.land import Extent, Land, LandParams

EXTENTS: Mapping[str, Extent] = arena.extents(with_buildings=False)  # proposed


@dataclass(frozen=True)
class InvisibleGoalEmptyArena:
    """The goal is never seen, only reached; four different walls and what is seen over them are the only landmarks.

    Each visit pays 10 and puts the agent somewhere else; the goal stays for the episode and moves between episodes.

    Source: name and idea released, all numbers *proposed*: specification §3.9-3.11.
    """

    name: ClassVar[str] = "invisible-goal-empty-arena"
    extents: ClassVar[Mapping[str, Extent]] = EXTENTS
    goal_visible: ClassVar[bool] = False

    def draw(self, key: PRNGKeyArray, params: LandParams) -> Land:
        return arena.draw(key, params, with_buildings=False)
