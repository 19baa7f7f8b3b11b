"""Players of goal navigation without memory: they go to a goal that they see, and otherwise where the view tells them to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import sight
from unseen.environments.memory_suite.compact_land import FORWARD, GOAL, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT
from unseen.environments.memory_suite.land import LandParams
from unseen.environments.memory_suite.players import walking
from unseen.environments.memory_suite.players.player import Reads, Seen

AHEAD, TO_LEFT, TO_RIGHT = range(3)  # the three lines of sight
STRAY = 0.05  # how often it goes any way at all on its way to a goal, so that no corner holds it for ever
UP = (sight.AHEAD - np.arange(sight.CELLS) // sight.WINDOW[1]).astype(np.int32)
ASIDE = (np.arange(sight.CELLS) % sight.WINDOW[1] - sight.ASIDE).astype(np.int32)


class View(NamedTuple):
    """The words of an observation: heading, steps and looks along the lines of sight, the window."""

    heading: Int[Array, ""]
    steps: Int[Array, "3"]
    looks: Int[Array, "3"]
    window: Int[Array, "25"]


@dataclass(frozen=True)
class Wanderer:
    """Goes to the goal when it sees it; else walks on until something stands `near`, then turns to where it can see further.

    Args:
        near: steps to what stands ahead at which it turns. 1 is best where there are walls close by, 2 where only reach counts.
    """

    environment: Any
    near: int = 1
    reads: Reads = field(default="observation", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Seen, params: LandParams) -> tuple[tuple[()], Int[Array, ""]]:
        k_turn, k_stray = jax.random.split(key)
        view = read(seen.words)
        either = jnp.where(jax.random.bernoulli(k_turn), TURN_LEFT, TURN_RIGHT)
        left, right = view.steps[TO_LEFT], view.steps[TO_RIGHT]
        turn = jnp.where(left > right, TURN_LEFT, jnp.where(left < right, TURN_RIGHT, either))
        wander = jnp.where(view.steps[AHEAD] > self.near, FORWARD, turn)
        found, there = _to_goal(k_stray, view)
        return memory, _bodily(jnp.where(found, there, wander), seen)


@dataclass(frozen=True)
class Tourist:
    """Follows a round tour through the rows that may hold the goal, every third of them. Where it is, the walls around an empty arena tell.

    The tour goes along its first row to the east, along the next one back, and so on; back to the first row along the western wall.
    """

    environment: Any
    apart: int = 3
    reads: Reads = field(default="observation", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Seen, params: LandParams) -> tuple[tuple[()], Int[Array, ""]]:
        view = read(seen.words)
        row, column = standing(view, params.side)
        return memory, _bodily(walking.step(tour(row, column, params, self.apart), view.heading), seen)


def read(words: Int[Array, "32"]) -> View:
    return View(words[0], words[1:7:2], words[2:7:2], words[7:])


def standing(view: View, side: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Row and column in an empty arena: from the wall to the north or the south, and from that to the west or the east."""
    directions = (view.heading + jnp.asarray([0, 3, 1], jnp.int32)) % 4
    to = lambda direction: jnp.sum(jnp.where(directions == direction, view.steps, 0))  # noqa: E731
    north, east, south, west = (to(k) for k in range(4))
    return jnp.where(north > 0, north, side + 1 - south), jnp.where(west > 0, west, side + 1 - east)


def tour(row: Int[Array, ""], column: Int[Array, ""], params: LandParams, apart: int) -> Int[Array, ""]:
    """Where the tour goes from a cell: 0 north, 1 east, 2 south, 3 west."""
    rows = params.last_row - params.first_row + 1
    lanes = 2 * ((rows + 2 * apart - 1) // (2 * apart))  # an even number, so that the last one ends in the west
    index = jnp.arange(8, dtype=jnp.int32)
    edge = apart // 3
    lane = params.first_row + edge + (rows - 1 - 2 * edge) * index // jnp.maximum(lanes - 1, 1)
    nearest = jnp.argmin(jnp.where(index < lanes, jnp.abs(lane - row), 99)).astype(jnp.int32)
    above = jnp.sum(jnp.where((index < lanes) & (lane <= row), 1, 0)) - 1  # the lane at or above it, -1 for none
    eastwards, off = nearest % 2 == 0, lane[nearest] - row
    to_lane = jnp.where(off > 0, 2, 0)
    along = jnp.where(eastwards, 1, 3)
    inner = jnp.where(off != 0, to_lane, along)
    between = (above >= 0) & (above < lanes - 1)
    down = between & (((above % 2 == 0) & (column == params.side)) | ((above % 2 == 1) & (column == 2)))
    start = row <= lane[0]
    home = jnp.where(row == lane[0], 1, jnp.where(start, 2, 0))
    return jnp.where(column == 1, home, jnp.where(down, 2, inner)).astype(jnp.int32)


def _to_goal(key: PRNGKeyArray, view: View) -> tuple[Bool[Array, ""], Int[Array, ""]]:
    """Whether the goal is seen, and the step towards it that is free."""
    k_stray, k_any = jax.random.split(key)
    inside, lines = view.window == GOAL, view.looks == GOAL
    ahead = jnp.where(jnp.any(inside), jnp.sum(jnp.where(inside, UP, 0)), jnp.where(lines[AHEAD], view.steps[AHEAD], 0))
    aside_on_line = jnp.where(lines[TO_RIGHT], view.steps[TO_RIGHT], jnp.where(lines[TO_LEFT], -view.steps[TO_LEFT], 0))
    aside = jnp.where(jnp.any(inside), jnp.sum(jnp.where(inside, ASIDE, 0)), aside_on_line)
    free = (view.steps > 1) | lines
    side = jnp.where(aside > 0, RIGHT, LEFT)
    side_free = (aside != 0) & jnp.where(aside > 0, free[TO_RIGHT], free[TO_LEFT])
    any_way = jax.random.randint(k_any, (), FORWARD, RIGHT + 1, jnp.int32)
    onward = jnp.where((ahead > 0) & free[AHEAD], FORWARD, jnp.where(side_free, side, any_way))
    step = jnp.where((jnp.abs(aside) > ahead) & side_free, side, onward)
    strays = jax.random.bernoulli(k_stray, STRAY)
    return jnp.any(inside) | jnp.any(lines), jnp.where(strays, any_way, step)


def _bodily(action: Int[Array, ""], seen: Seen) -> Int[Array, ""]:
    return action.astype(jnp.int32) if seen.gaze is None else walking.embodied(action, seen.words[0], seen.gaze)
