"""Cleaner: two robots sweep a maze they only see one cell around them; what is left to clean must be remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments import measured, options
from unseen.environments.contract import Params, References, Step

MAZE = """\
#############
#.#.....#...#
#.###.###.###
#...#.......#
###.#####.#.#
#.........#.#
#.#######.#.#
#.......#.#.#
#####.#.#####
#.....#.....#
#.#####.###.#
#.#.......#.#
#############"""

SIDE = 13
CELLS = SIDE * SIDE
START = SIDE + 1  # row 1, column 1
WALL = np.array([mark == "#" for mark in MAZE if mark != "\n"])
# up, down, left, right; a cell is row * 13 + column
_ARRIVED = np.arange(CELLS)[:, None] + np.array([-SIDE, SIDE, -1, 1])
_BLOCKED = WALL[np.clip(_ARRIVED, 0, CELLS - 1)] | WALL[:, None]
NEXT_CELL = np.where(_BLOCKED, np.arange(CELLS)[:, None], _ARRIVED).astype(np.int32)
AROUND = np.array([SIDE * row + column for row in (-1, 0, 1) for column in (-1, 0, 1)], np.int32)
CENTRE = np.arange(9) == 4


class CleanerState(NamedTuple):
    """Attributes: robots, the two cells (13 row + column); dirty, one flag per cell, walls never dirty."""

    robots: Int[Array, "2"]
    dirty: Bool[Array, "169"]


@dataclass(frozen=True)
class Cleaner:
    """Two robots in a fixed maze of 71 dirty cells, +1 for each cell cleaned. Nothing is random and nothing terminates.

    Observation: `Box(54)` of zeros and ones: for each robot the 3 x 3 cells around it, row by row, three channels a cell:
    wall 000, clean 111, dirty 010, the other robot 001, its own centre 100. Actions: 4 a_0 + a_1 with a in {0 up, 1 down,
    2 left, 3 right}; robot 0 moves and cleans, then robot 1; walls block, staying cleans too.

    Signals: "robots" (their rows and columns, `MultiDiscrete([13] * 4)`), "dirty" (13 x 13 plane), "state" (13 x 13 x 5
    planes: clean, wall, dirty, robot 0, robot 1). All are functions of the history: a negative control for tests of signals.

    Args:
        time_limit: horizon in steps.

    Source: extra-cleaner-v0; maze by randomised Kruskal with seed 5.
    """

    time_limit: int = 100

    def __post_init__(self) -> None:
        options.require_integer("cleaner", "time_limit", self.time_limit, 1)

    @property
    def action_names(self) -> tuple[str, ...]:
        ways = ("up", "down", "left", "right")
        return tuple(f"{a} / {b}" for a in ways for b in ways)

    @property
    def name(self) -> str:
        return "cleaner"

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(0.0, 1.0, (54,), np.float32)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(16)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {
            "robots": gymnasium.spaces.MultiDiscrete([SIDE] * 4, dtype=np.int32),
            "dirty": gymnasium.spaces.Box(0.0, 1.0, (SIDE, SIDE), np.float32),
            "state": gymnasium.spaces.Box(0.0, 1.0, (SIDE, SIDE, 5), np.float32),
        }

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Float[Array, "54"], CleanerState]:
        state = CleanerState(jnp.full(2, START, jnp.int32), jnp.asarray(~WALL))
        return _observe(state), state

    def step(self, key: PRNGKeyArray, state: CleanerState, action: Int[Array, ""], params: Params = ()) -> Step:
        moves = jnp.stack([action // 4, action % 4]).astype(jnp.int32)
        table = jnp.asarray(NEXT_CELL.ravel())
        first, second = robots = table.at[4 * state.robots + moves].get(mode="promise_in_bounds")

        cleaned_first = state.dirty.at[first].get(mode="promise_in_bounds")
        cleaned_second = state.dirty.at[second].get(mode="promise_in_bounds") & (first != second)
        cells = jnp.arange(CELLS, dtype=jnp.int32)
        arrived = CleanerState(robots, state.dirty & (cells != first) & (cells != second))
        reward = cleaned_first.astype(jnp.float32) + cleaned_second.astype(jnp.float32)
        return Step(_observe(arrived), arrived, reward, jnp.bool_(False))

    def action_mask(self, state: CleanerState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: CleanerState, params: Params = ()) -> Mapping[str, Array]:
        cells, wall = jnp.arange(CELLS, dtype=jnp.int32), jnp.asarray(WALL)
        clean = ~state.dirty & ~wall
        planes = jnp.stack([clean, wall, state.dirty, cells == state.robots[0], cells == state.robots[1]], axis=-1)
        return {
            "robots": jnp.stack([state.robots // SIDE, state.robots % SIDE], axis=-1).reshape(4),
            "dirty": state.dirty.astype(jnp.float32).reshape(SIDE, SIDE),
            "state": planes.astype(jnp.float32).reshape(SIDE, SIDE, 5),
        }

    def references(self, level: str) -> References:
        """Measured; exact where the player is deterministic. Empty for other time limits than the measured one."""
        options.require_train(self.name, level)
        return measured.references("navigation", self.name, self.time_limit)

    def draw(self, state: CleanerState, params: Params = ()) -> np.ndarray:
        from unseen.environments.navigation import drawing

        picture, dirty = drawing.Board(SIDE, SIDE, size=32), np.asarray(state.dirty)
        for cell in np.flatnonzero(~WALL):
            place = divmod(int(cell), SIDE)
            picture.tile(place, drawing.FLOOR)
            if dirty[cell]:
                picture.dirt(place)
        for robot, colour, shift in ((0, drawing.AGENT, -0.18), (1, drawing.SECOND_AGENT, 0.18)):
            picture.agent(divmod(int(state.robots[robot]), SIDE), colour, shift, radius=0.3)
        return picture.array()


def _observe(state: CleanerState) -> Float[Array, "54"]:
    around = state.robots[:, None] + jnp.asarray(AROUND)[None, :]
    dirty = state.dirty.at[around].get(mode="promise_in_bounds")
    clean = ~dirty & ~jnp.asarray(WALL).at[around].get(mode="promise_in_bounds")
    centre = jnp.asarray(CENTRE)[None, :]
    mate = (around == state.robots[::-1, None]) & ~centre
    ground = ~mate & ~centre
    channels = jnp.stack([(clean & ground) | centre, (clean | dirty) & ground, (clean & ground) | mate], axis=-1)
    return channels.astype(jnp.float32).reshape(54)
