"""Reference players of goal navigation: who remembers where the goal is or may be, who knows, who only sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments.memory_suite import compact_land, sight
from unseen.environments.memory_suite.compact_land import FLOOR, GOAL, HIDDEN
from unseen.environments.memory_suite.land import HEADINGS, REACH, SIZE, LandParams
from unseen.environments.memory_suite.players import routes
from unseen.environments.memory_suite.players.player import Reads, Seen
from unseen.environments.memory_suite.walker import Pose, on_grid

Map = Bool[Array, "29 29"]
ROWS, COLUMNS = np.meshgrid(np.arange(SIZE, dtype=np.int32), np.arange(SIZE, dtype=np.int32), indexing="ij")


class Sighting(NamedTuple):
    """What is seen at a moment, on the map: cells seen to be free, seen to be solid, and where the goal is seen."""

    free: Map
    solid: Map
    goal: Map


def sighting(words: Int[Array, "32"], row: Int[Array, ""], column: Int[Array, ""]) -> Sighting:
    """The window and the three lines of sight, laid on the map."""
    heading, window = words[0], words[7:]
    at = sight.window(row, column, heading)
    empty = jnp.zeros((SIZE, SIZE), bool)
    free, solid, goal = (
        empty.at[at].max(mine, mode="drop") for mine in ((window == FLOOR) | (window == GOAL), window > GOAL, window == GOAL)
    )
    for k, turn in enumerate((0, 3, 1)):  # ahead, left, right
        steps, looks = words[1 + 2 * k], words[2 + 2 * k]
        down, right = jnp.asarray(HEADINGS).at[(heading + turn) % 4].get(mode="clip")
        ahead = (ROWS - row) * down + (COLUMNS - column) * right
        on_line = ((ROWS - row) * right == 0) & ((COLUMNS - column) * down == 0) & (ahead >= 0)
        end = on_line & (ahead == steps)
        free = free | (on_line & (ahead < steps)) | (end & (looks == GOAL))
        solid, goal = solid | (end & (looks > GOAL)), goal | (end & (looks == GOAL))
    return Sighting(free, solid, goal)


def within_reach(x: Float[Array, ""], y: Float[Array, ""], reach: float = REACH) -> Map:
    """Cells whose middle is within reach of a place."""
    across, down = COLUMNS.astype(np.float32) + 0.5 - x, ROWS.astype(np.float32) + 0.5 - y
    return across**2 + down**2 <= reach**2 + 1e-4


def inside(params: LandParams) -> Map:
    """Cells within the outer walls."""
    last = params.side - jnp.where(params.rooms > 0, 2, 0)
    return (ROWS >= 1) & (COLUMNS >= 1) & (last >= ROWS) & (last >= COLUMNS)


class Chart(NamedTuple):
    """What is remembered of a land.

    Attributes:
        solid: cells seen to be solid.
        possible: cells the goal may be in.
        x, y: where the last action was meant to lead.
        direction: of the last move: 0 north, 1 east, 2 south, 3 west.
        fresh: whether nothing has been done since the episode began.
    """

    solid: Map
    possible: Map
    x: Float[Array, ""]
    y: Float[Array, ""]
    direction: Int[Array, ""]
    fresh: Bool[Array, ""]


@dataclass(frozen=True)
class Explorer:
    environment: Any
    faces: bool = False
    greedy: bool = True
    reads: Reads = field(default="place", init=False)

    def begin(self) -> Chart:
        zero = jnp.zeros((), jnp.float32)
        everywhere = jnp.ones((SIZE, SIZE), bool)
        return Chart(~everywhere, everywhere, zero, zero, jnp.zeros((), jnp.int32), jnp.asarray(True))

    def act(self, key: PRNGKeyArray, memory: Chart, seen: Seen, params: LandParams) -> tuple[Chart, Int[Array, ""]]:
        place, reward = seen.place, seen.reward
        row, column, heading = on_grid(place)
        view = sighting(seen.words, row, column)
        solid = memory.solid | view.solid
        band = inside(params) & (ROWS >= params.first_row) & (ROWS <= params.last_row)
        paid = reward > 0
        possible = memory.possible & band & ~solid
        possible = possible & jnp.where(paid, within_reach(memory.x, memory.y), memory.fresh | ~within_reach(place.x, place.y))
        if self.environment.task.goal_visible:
            possible = jnp.where(jnp.any(view.goal), view.goal, possible & ~view.free)
        walls = solid | ~inside(params)
        ways = routes.ways(walls, routes.around(possible), row, column)
        known = jnp.sum(possible) <= 5
        directions = jnp.arange(4, dtype=jnp.int32)
        ahead = jnp.stack([row, column])[None] + jnp.asarray(HEADINGS)
        new = jax.vmap(lambda at: jnp.sum(possible & within_reach(at[1] + 0.5, at[0] + 0.5)))(ahead.astype(jnp.float32)).astype(jnp.int32)
        liking = 4 * (new if self.greedy and not self.environment.task.goal_visible else 0 * new) + jnp.where(directions == memory.direction, 2, 0) + jnp.where(directions == heading, 1, 0)
        direction = jnp.argmax(jnp.where(ways, 1 + liking, 0)).astype(jnp.int32)
        quarter = (direction - heading) % 4
        move = jnp.asarray([0, 3, 1, 2], jnp.int32)[quarter]
        turn = jnp.where(quarter == 3, compact_land.TURN_LEFT, compact_land.TURN_RIGHT)
        turns = ~jnp.any(ways) | (self.faces & ~known & (quarter != 0))
        action = jnp.where(turns, turn, move)
        towards = jnp.where(turns, 0, jnp.asarray(HEADINGS)[direction]).astype(jnp.float32)
        return Chart(solid, possible, place.x + towards[1], place.y + towards[0], jnp.where(turns, memory.direction, direction), jnp.asarray(False)), action


@dataclass(frozen=True)
class Oracle:
    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key, memory, seen, params):
        goal = (ROWS == seen.land.goal[0]) & (COLUMNS == seen.land.goal[1])
        ways = routes.ways(seen.land.cells > 0, routes.around(goal), seen.row, seen.column)
        quarter = (jnp.argmax(ways).astype(jnp.int32) - seen.heading) % 4
        return memory, jnp.asarray([0, 3, 1, 2], jnp.int32)[quarter]
