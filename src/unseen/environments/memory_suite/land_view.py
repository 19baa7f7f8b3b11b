"""The first-person embodiment of goal navigation: walking through an arena or a maze, sixty frames a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from unseen.environments import options
from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import clock, land, levels, scenery, scores, screen, sight, walker
from unseen.environments.memory_suite.compact_land import CompactLand, LandState, told
from unseen.environments.memory_suite.land import PRIZE, SIZE, Land, LandParams, LandTask
from unseen.environments.memory_suite.walker import Pose


class LandViewState(NamedTuple):
    """Attributes:

    land: everything random of the episode.
    x, y: the agent's place in metres, to the east and to the south.
    heading: radians, 0 north, clockwise.
    visits: how often the goal was reached.
    """

    land: Land
    x: Any
    y: Any
    heading: Any
    visits: Int[Array, ""]

    @property
    def pose(self) -> Pose:
        return Pose(self.x, self.y, self.heading)


@dataclass(frozen=True)
class FirstPersonLand:
    """Goal navigation as it is seen: an arena with buildings under a sky with far landmarks, or a maze.

    Actions, each for 4 frames: 0 forward, 1 backward, 2 strafe left, 3 strafe right, 4 look left, 5 look right, 6 look left and
    forward, 7 look right and forward; 4 m a second, 180 degrees a second. An episode is 120 s, 1,800 actions. Coming within a metre of
    the goal pays 10 and puts the agent at the next start.

    Observation: RGB bytes.

    Signals: as in the compact embodiment, on its grid, and "place" (x and y as parts of 29 m, sine and cosine of the heading).

    Args:
        task: what is asked.
        width, height: of the picture in pixels; 96 by 72, or 64 by 64.

    Source: specification §1.5 and §3.9-3.12; speeds and scenery are proposed.
    """

    task: LandTask
    width: int = 96
    height: int = 72
    frames_per_second = clock.FRAMES_PER_SECOND // clock.ACTION_REPEAT
    reset_pool = levels.RESET_POOL

    def __post_init__(self) -> None:
        options.require_integer(self.name, "width", self.width, 16, 512)
        options.require_integer(self.name, "height", self.height, 16, 512)

    @property
    def name(self) -> str:
        return f"memory-fp/{self.task.name}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return walker.ACTION_NAMES

    @cached_property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return levels.mixtures(levels.TWO_SCALES, lambda holdout, scale: self.task.extents[scale].params(holdout))

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(0, 255, (self.height, self.width, 3), np.uint8)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(len(walker.ACTION_NAMES))

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {**CompactLand(self.task).signal_spaces(params), "place": gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)}

    def horizon(self, params: Params = ()) -> int:
        return clock.agent_steps(land.frames_of_episode())

    def reset(self, key: PRNGKeyArray, params: LandParams) -> tuple[UInt8[Array, "h w 3"], LandViewState]:
        drawn, zero = self.task.draw(key, params), jnp.zeros((), jnp.int32)
        state = LandViewState(drawn, *walker.at(*land.start(drawn, zero)), zero)
        return self.observe(state), state

    def respawn(self, key: PRNGKeyArray, state: LandViewState, params: Params = ()) -> tuple[UInt8[Array, "h w 3"], LandViewState]:
        """Another goal and other starts in the same surroundings, for surroundings that are used again."""
        drawn, zero = land.resettled(key, state.land), jnp.zeros((), jnp.int32)
        again = LandViewState(drawn, *walker.at(*land.start(drawn, zero)), zero)
        return self.observe(again), again

    def step(self, key: PRNGKeyArray, state: LandViewState, action: Int[Array, ""], params: Params = ()) -> Step:
        pose, arrived = state.pose, jnp.asarray(False)
        for _ in range(clock.ACTION_REPEAT):  # what is left of an action after arriving is lost
            pose = screen.either(arrived, pose, walker.moved(state.land.cells, pose, action))
            arrived = arrived | land.reached(state.land, pose.x, pose.y)
        visits = state.visits + arrived.astype(jnp.int32)
        pose = screen.either(arrived, walker.at(*land.start(state.land, visits)), pose)
        after = LandViewState(state.land, pose.x, pose.y, pose.heading, visits)
        return Step(self.observe(after), after, PRIZE * arrived.astype(jnp.float32), jnp.asarray(False))

    def action_mask(self, state: LandViewState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: LandViewState, params: Params = ()) -> Mapping[str, Array]:
        return {**told(state.land, *walker.on_grid(state.pose)), "place": walker.placed(state.pose, SIZE, SIZE)}

    def references(self, level: str) -> References:
        """Measured random, memoryless, perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: LandViewState, params: Params = ()) -> np.ndarray:
        from unseen.environments.memory_suite import cards

        row, column, heading = (int(part) for part in walker.on_grid(state.pose))
        return cards.land_map(state.land, row, column, heading)

    def observe(self, state: LandViewState) -> UInt8[Array, "h w 3"]:
        """The picture of a state."""
        goal = scenery.goal(state.land.goal, jnp.asarray(self.task.goal_visible))
        return scenery.picture(state.land.cells, goal, state.pose, self.width, self.height)

    def described(self, state: LandViewState) -> Int[Array, "32"]:
        """What is seen, in the compact embodiment's categories, from the nearest cell and heading."""
        rows, columns = sight.lines(_solid(state.land))
        return CompactLand(self.task).observe(LandState(state.land, rows, columns, *walker.on_grid(state.pose), state.visits))


def _solid(drawn: Land) -> Bool[Array, "29 29"]:
    return drawn.cells > 0
