"""Visible goal with buildings: find a goal that buildings hide, and find it again from wherever one is put."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import PRNGKeyArray

from unseen.environments.memory_suite import arena
from unseen.environments.memory_suite.land import Extent, Land, LandParams

EXTENTS: Mapping[str, Extent] = arena.extents(with_buildings=True)  # proposed


@dataclass(frozen=True)
class VisibleGoalWithBuildings:
    """The goal is seen where no building stands before it; buildings are landmarks too.

    Each visit pays 10 and puts the agent somewhere else; the goal stays for the episode and moves between episodes.

    Source: name and idea released, all numbers *proposed*: specification §3.9-3.11.
    """

    name: ClassVar[str] = "visible-goal-with-buildings"
    extents: ClassVar[Mapping[str, Extent]] = EXTENTS
    goal_visible: ClassVar[bool] = True

    def draw(self, key: PRNGKeyArray, params: LandParams) -> Land:
        return arena.draw(key, params, with_buildings=True)
