"""The first-person embodiment of spot the difference: two rooms, a corridor with doors, blocks that may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from unseen.environments import options
from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import chambers, clock, levels, scenery, scores, screen, walker
from unseen.environments.memory_suite.chambers import COLUMNS, FAR_DOOR, ROWS, Blocks, Progress, SpotParams, SpotTask
from unseen.environments.memory_suite.compact_chambers import ChamberState, CompactChambers, signal_spaces, solid, told
from unseen.environments.memory_suite.walker import Pose

REACH = 0.8  # metres a moving block goes from its spot
BLOCK_RADIUS = 0.35
KEEPS_OFF = BLOCK_RADIUS + walker.RADIUS  # metres between the middles of body and block
TOUCH = KEEPS_OFF + 0.1
PAST_DOOR = walker.RADIUS + 0.05  # so far into the corridor, a door can shut behind the body


class ChamberViewState(NamedTuple):
    """Attributes:

    blocks: everything random of the episode.
    progress: how far it has come.
    x, y: the agent's place in metres, to the east and to the south.
    heading: radians, 0 north, clockwise.
    """

    blocks: Blocks
    progress: Progress
    x: Any
    y: Any
    heading: Any

    @property
    def pose(self) -> Pose:
        return Pose(self.x, self.y, self.heading)


@dataclass(frozen=True)
class FirstPersonChambers:
    """Spot the difference as it is seen; 60 frames a second, 120 s an episode.

    Actions: forward, backward, strafe left and right, look left and right, and both at once with forward. A block of room 2 is touched
    by walking up to it; nobody walks through a block. When the far door opens the agent stands before it.

    Observation: RGB bytes.

    Signals: as in the compact embodiment, on its grid, and "place" (x and y as parts of the world's size, sine and cosine of the heading).

    Args:
        task: what is asked.
        width, height: of the picture in pixels; 96 by 72, or 64 by 64.

    Source: specification §1.5 and §3.5-3.8; all of it proposed.
    """

    task: SpotTask
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
        return levels.mixtures(levels.TWO_SCALES, lambda holdout, scale: self.task.difficulties[scale].params(holdout))

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(0, 255, (self.height, self.width, 3), np.uint8)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(len(walker.ACTION_NAMES))

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {**signal_spaces(self.task), "place": gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)}

    def horizon(self, params: Params = ()) -> int:
        return clock.agent_steps(clock.frames(chambers.SECONDS))

    def reset(self, key: PRNGKeyArray, params: SpotParams) -> tuple[UInt8[Array, "h w 3"], ChamberViewState]:
        state = ChamberViewState(chambers.draw(self.task, key, params), chambers.begin(), *_at(self.task.start))
        return self.observe(state), state

    def respawn(self, key: PRNGKeyArray, state: ChamberViewState, params: Params = ()) -> tuple[UInt8[Array, "h w 3"], ChamberViewState]:
        """The picture of a state from a pool, which keeps no pictures."""
        return self.observe(state), state

    def step(self, key: PRNGKeyArray, state: ChamberViewState, action: Int[Array, ""], params: SpotParams) -> Step:
        reward = jnp.zeros((), jnp.float32)
        for _ in range(clock.ACTION_REPEAT):
            pose, touched = self._walked(state, action)
            progress, paid, moment = chambers.advanced(state.blocks, state.progress, params, pose.x - PAST_DOOR, touched, 1)
            pose = screen.either(moment.opens, _at(chambers.THRESHOLD), pose)
            state = ChamberViewState(state.blocks, progress, *screen.either(moment.again, _at(self.task.start), pose))
            reward = reward + paid
        return Step(self.observe(state), state, reward, jnp.asarray(False))

    def action_mask(self, state: ChamberViewState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: ChamberViewState, params: Params = ()) -> Mapping[str, Array]:
        on_grid = told(self.task, state.blocks, state.progress, *walker.on_grid(state.pose))
        return {**on_grid, "place": walker.placed(state.pose, COLUMNS, ROWS)}

    def references(self, level: str) -> References:
        """Measured random, memoryless, perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: ChamberViewState, params: Params = ()) -> np.ndarray:
        from unseen.environments.memory_suite import cards

        state = jax.tree.map(jnp.asarray, state)  # a recorded one is of NumPy arrays
        row, column, heading = walker.on_grid(state.pose)
        return cards.chamber_map(self._seen(state), np.asarray(solid(state.progress)), bool(state.blocks.holdout), row, column, heading)

    def observe(self, state: ChamberViewState) -> UInt8[Array, "h w 3"]:
        """The picture of a state."""
        objects = scenery.blocks(self._seen(state), state.blocks.holdout, BLOCK_RADIUS)
        return scenery.picture(scenery.chamber_cells(state.progress), objects, state.pose, self.width, self.height)

    def described(self, state: ChamberViewState) -> Int[Array, "n"]:
        """What is seen, in the compact embodiment's categories, from the nearest cell and heading."""
        return CompactChambers(self.task).observe(ChamberState(state.blocks, state.progress, *walker.on_grid(state.pose)))

    def _seen(self, state: ChamberViewState) -> chambers.Seen:
        return chambers.seen(self.task, state.blocks, state.progress, state.progress.phase != chambers.ROOM, REACH)

    def _walked(self, state: ChamberViewState, action: Int[Array, ""]) -> tuple[Pose, Int[Array, ""]]:
        """The pose a frame later, and the block of room 2 that is touched (-1 for none)."""
        pose = walker.moved(solid(state.progress).astype(jnp.uint8), state.pose, action)
        there = self._seen(state)
        before, after = (jnp.hypot(there.column + 0.5 - at.x, there.row + 0.5 - at.y) for at in (state.pose, pose))
        collides: Bool[Array, ""] = jnp.any(there.present & (after < KEEPS_OFF) & (after < before))
        near = there.present & (after < TOUCH) & (after < before) & (pose.x > FAR_DOOR + 1)
        nearest = jnp.argmin(jnp.where(near, after, jnp.inf)).astype(jnp.int32)
        stays = Pose(state.x, state.y, pose.heading)
        return screen.either(collides, stays, pose), jnp.where(jnp.any(near), nearest, -1)


def _at(start: chambers.Start) -> Pose:
    return walker.at(*(jnp.asarray(part, jnp.int32) for part in start))
