"""The first-person embodiment of transitive inference: two objects before alcoves; walking up to one is the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from unseen.environments import options
from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import clock, levels, scenery, scores, screen, walker
from unseen.environments.memory_suite import transitive_inference as logic
from unseen.environments.memory_suite.compact_ordering import described, signal_spaces, told
from unseen.environments.memory_suite.transitive_inference import ChainParams, Chains, Progress, TransitiveInference
from unseen.environments.memory_suite.walker import Pose

SIDE = 9  # cells of the room, walls included
PEDESTALS = ((3.0, 1.8), (6.0, 1.8))  # x, y of the left and the right one
ALCOVES = ((2, 3), (5, 6))  # columns of the wall behind each
START = (6, 4, 0)  # row, column, heading: both pedestals are in view
TOUCH = 0.8  # metres to a pedestal's middle


class OrderViewState(NamedTuple):
    """Attributes:

    chains: everything random of the episode.
    progress: how far it has come.
    x, y: the agent's place in metres, to the east and to the south.
    heading: radians, 0 north, clockwise.
    """

    chains: Chains
    progress: Progress
    x: Any
    y: Any
    heading: Any

    @property
    def pose(self) -> Pose:
        return Pose(self.x, self.y, self.heading)


@dataclass(frozen=True)
class FirstPersonOrdering:
    """Transitive inference as it is seen; 60 frames a second, 120 s an episode.

    Actions: as in the arenas. In a challenge, walking up to a pedestal chooses it, and the agent is put back to where it began; in a
    demonstration and in the blank nothing is chosen, and at its end the agent is put back too.

    Observation: RGB bytes.

    Signals: as in the compact embodiment, and "place" (x and y as parts of 9 m, sine and cosine of the heading).

    Args:
        task: what is asked.
        width, height: of the picture in pixels; 96 by 72, or 64 by 64.

    Source: specification §1.5 and §3.13; all of it proposed.
    """

    task: TransitiveInference
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
        return levels.mixtures(levels.TWO_SCALES, logic.params_of)

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(0, 255, (self.height, self.width, 3), np.uint8)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(len(walker.ACTION_NAMES))

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {**signal_spaces(), "place": gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)}

    def horizon(self, params: Params = ()) -> int:
        return clock.agent_steps(clock.frames(logic.SECONDS))

    def reset(self, key: PRNGKeyArray, params: ChainParams) -> tuple[UInt8[Array, "h w 3"], OrderViewState]:
        state = OrderViewState(self.task.draw(key, params), self.task.begin(), *_start())
        return self.observe(state), state

    def respawn(self, key: PRNGKeyArray, state: OrderViewState, params: Params = ()) -> tuple[UInt8[Array, "h w 3"], OrderViewState]:
        """The picture of a state from a pool, which keeps no pictures."""
        return self.observe(state), state

    def step(self, key: PRNGKeyArray, state: OrderViewState, action: Int[Array, ""], params: ChainParams) -> Step:
        reward, cells = jnp.zeros((), jnp.float32), jnp.asarray(scenery.room(SIDE))
        for _ in range(clock.ACTION_REPEAT):
            pose = walker.moved(cells, state.pose, action)
            progress, paid, answered = self.task.advanced(state.chains, state.progress, params, _touched(pose), 1)
            back = answered | ((progress.phase == logic.CHALLENGE) & (state.progress.phase == logic.BLANK))
            state = OrderViewState(state.chains, progress, *screen.either(back, _start(), pose))
            reward = reward + paid
        return Step(self.observe(state), state, reward, jnp.asarray(False))

    def action_mask(self, state: OrderViewState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: OrderViewState, params: ChainParams) -> Mapping[str, Array]:
        return {**told(self.task, state.chains, state.progress, params), "place": walker.placed(state.pose, SIDE, SIDE)}

    def references(self, level: str) -> References:
        """Measured random, memoryless (always left), perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: OrderViewState, params: Params = ()) -> np.ndarray:
        state = jax.tree.map(jnp.asarray, state)  # a recorded one is of NumPy arrays
        return np.asarray(self.observe(state)).repeat(4, axis=0).repeat(4, axis=1)

    def observe(self, state: OrderViewState) -> UInt8[Array, "h w 3"]:
        """The picture of a state."""
        pair = self.task.pair(state.chains, state.progress)
        things = [logic.thing(state.chains, state.progress, place) for place in (pair.left, pair.right)]
        objects = scenery.exhibits(PEDESTALS, things, pair, state.chains.holdout)
        return scenery.picture(scenery.alcoves(SIDE, ALCOVES, pair.lit), objects, state.pose, self.width, self.height)

    def described(self, state: OrderViewState) -> Int[Array, "10"]:
        """What stands on the pedestals, in the compact embodiment's categories, wherever the agent looks."""
        return described(self.task, state.chains, state.progress)


def _start() -> Pose:
    return walker.at(*(jnp.asarray(part, jnp.int32) for part in START))


def _touched(pose: Pose) -> Int[Array, ""]:
    """The pedestal the body is at, -1 for none."""
    left, right = (jnp.hypot(pose.x - x, pose.y - y) < TOUCH for x, y in PEDESTALS)
    return jnp.where(left, 0, jnp.where(right, 1, -1)).astype(jnp.int32)
