"""Goal navigation, once for both embodiments: a land of cells, a goal that stays for the episode, new starts after every visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8, UInt32

from unseen.environments.memory_suite import clock, paths

SIZE = 29  # cells of the padded square: the largest arena and its walls
STARTS = 128  # drawn for an episode; the visits after that begin again with the first
PRIZE = 10.0
REACH = 1.0  # metres between agent and goal at which it is reached
SECONDS = 120

# What stands in a cell: 0 is free; walls of an arena differ by side; buildings by colour; mazes have themes, with and without decals.
ARENA_WALLS = (1, 2, 3, 4)  # north, east, south, west
BUILDINGS = (5, 6, 7, 8, 9, 10, 11, 12)
MAZE_WALLS = (13, 14, 15)
MAZE_DECALS = (16, 17, 18)
MATERIALS = 19


class LandParams(NamedTuple):
    """A level of a navigation task.

    Attributes:
        holdout: whether the goal lies in the lower part of the land instead of the upper one.
        side: metres; of a maze including its outer walls, of an arena without them.
        first_row, last_row: rows the goal may be in, counted from 0 with the outer wall.
        buildings: how many, in an arena.
        rooms, room_side, goals: of a maze: most rooms, longest side of a room, most goal candidates in a room.
    """

    holdout: Bool[Array, ""]
    side: Int[Array, ""]
    first_row: Int[Array, ""]
    last_row: Int[Array, ""]
    buildings: Int[Array, ""]
    rooms: Int[Array, ""]
    room_side: Int[Array, ""]
    goals: Int[Array, ""]


@dataclass(frozen=True)
class Extent:
    """A row of a navigation task's level table; rows as (first, last), counted from 1 with the outer wall."""

    side: int
    train_rows: tuple[int, int]
    holdout_rows: tuple[int, int]
    buildings: int = 0
    rooms: int = 0
    room_side: int = 0
    goals: int = 0

    def params(self, holdout: bool) -> LandParams:
        first, last = self.holdout_rows if holdout else self.train_rows
        numbers = (self.side, first - 1, last - 1, self.buildings, self.rooms, self.room_side, self.goals)
        return LandParams(jnp.asarray(holdout), *(jnp.asarray(n, jnp.int32) for n in numbers))


class Land(NamedTuple):
    """Everything random of an episode.

    Attributes:
        cells: what stands in each cell, 0 where it is free.
        goal: its row and column.
        starts: row, column and heading (0 north, 1 east, 2 south, 3 west) of each start, in order.
        goal_cells, start_cells: where goal and starts may be in these surroundings, a row of cells in each word (`paths.pack`).
    """

    cells: UInt8[Array, "29 29"]
    goal: Int[Array, "2"]
    starts: UInt8[Array, "128 3"]
    goal_cells: UInt32[Array, "29"]
    start_cells: UInt32[Array, "29"]


@runtime_checkable
class LandTask(Protocol):
    """What a navigation task decides.

    Attributes:
        name: as in `memory/NAME`.
        extents: the level table, by name of scale.
        goal_visible: whether the goal is seen.
    """

    name: str
    extents: Mapping[str, Extent]
    goal_visible: bool

    def draw(self, key: PRNGKeyArray, params: LandParams) -> Land: ...


def settled(key: PRNGKeyArray, cells: UInt8[Array, "29 29"], goal_cells: UInt32[Array, "29"], start_cells: UInt32[Array, "29"]) -> Land:
    """Surroundings with a goal and starts drawn from the cells allowed for them; starts lie out of the goal's reach."""
    k_goal, k_starts = jax.random.split(key)
    goal = chosen_cells(k_goal, paths.unpack(goal_cells, SIZE), 1)[0]
    allowed = paths.unpack(start_cells, SIZE)
    apart = allowed & away_from(goal, REACH)
    return Land(cells, goal, starts(k_starts, jnp.where(jnp.any(apart), apart, allowed)), goal_cells, start_cells)


def resettled(key: PRNGKeyArray, land: Land) -> Land:
    """The same surroundings with another goal, and the starts beginning elsewhere in their list.

    Drawing starts costs more than many steps, so the old ones are turned round; one that the new goal is too near to becomes the
    first that it is not.
    """
    k_goal, k_turn = jax.random.split(key)
    goal = chosen_cells(k_goal, paths.unpack(land.goal_cells, SIZE), 1)[0]
    turned = jnp.roll(land.starts, jax.random.randint(k_turn, (), 0, STARTS), axis=0)
    apart = away_from(goal, REACH).at[turned[:, 0], turned[:, 1]].get(mode="clip")
    return land._replace(goal=goal, starts=jnp.where(apart[:, None], turned, turned[jnp.argmax(apart)][None]))


def frames_of_episode() -> int:
    return clock.frames(SECONDS)


def chosen_cells(key: PRNGKeyArray, allowed: Bool[Array, "h w"], count: int) -> Int[Array, "count 2"]:
    """Rows and columns of `count` cells, uniform over the allowed ones, independent of each other."""
    ranks = jnp.cumsum(allowed.reshape(-1).astype(jnp.int32))
    wanted = jnp.floor(jax.random.uniform(key, (count,)) * ranks[-1].astype(jnp.float32)).astype(jnp.int32) + 1
    index = jnp.searchsorted(ranks, jnp.minimum(wanted, ranks[-1]))
    return jnp.stack(jnp.divmod(index.astype(jnp.int32), allowed.shape[1]), axis=-1)


def starts(key: PRNGKeyArray, allowed: Bool[Array, "29 29"]) -> UInt8[Array, "128 3"]:
    """Starts, uniform over the allowed cells and the four headings."""
    k_cell, k_heading = jax.random.split(key)
    heading = jax.random.randint(k_heading, (STARTS, 1), 0, 4, jnp.int32)
    return jnp.concatenate([chosen_cells(k_cell, allowed, STARTS), heading], axis=-1).astype(jnp.uint8)


def away_from(goal: Int[Array, "2"], metres: float) -> Bool[Array, "29 29"]:
    """Cells whose middle is further from the goal's than so many metres."""
    across = jnp.arange(SIZE, dtype=jnp.int32)
    squared = (across[:, None] - goal[0]) ** 2 + (across[None, :] - goal[1]) ** 2
    return squared.astype(jnp.float32) > metres**2


def reached(land: Land, x: Float[Array, ""], y: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether a place in metres (x to the east, y to the south) is within reach of the goal's middle."""
    dx, dy = x - land.goal[1].astype(jnp.float32) - 0.5, y - land.goal[0].astype(jnp.float32) - 0.5
    return dx * dx + dy * dy <= REACH * REACH + 1e-5


def start(land: Land, visits: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""], Int[Array, ""]]:
    """Row, column and heading of the start after so many visits."""
    row, column, heading = land.starts.at[visits % STARTS].get(mode="clip").astype(jnp.int32)
    return row, column, heading
