"""Reference players of spot the difference: who looks, remembers and compares, who knows, and who touches what is nearest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import chambers, chambers_view, clock, compact_chambers
from unseen.environments.memory_suite.chambers import AWAY, COLUMNS, FAR_DOOR, NEAR_DOOR, PERIOD_FRAMES, ROWS, SpotTask
from unseen.environments.memory_suite.compact_chambers import ASIDE, BACKWARD, FORWARD, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT
from unseen.environments.memory_suite.land import HEADINGS
from unseen.environments.memory_suite.players import travel, walking
from unseen.environments.memory_suite.players.player import Reads, Seen, place_of
from unseen.environments.memory_suite.walker import Pose, on_grid

NORTH, EAST, WEST = 0, 1, 3
UNKNOWN = -9
DOORWAY, BEFORE_DOOR, BEYOND_DOOR = (4, NEAR_DOOR), (4, FAR_DOOR - 1), (4, FAR_DOOR)  # where it looks, waits, and looks again
ROW, COLUMN = np.meshgrid(np.arange(ROWS, dtype=np.int32), np.arange(COLUMNS, dtype=np.int32), indexing="ij")


class Remembered(NamedTuple):
    """What is remembered of a trial; N blocks, P moments of a moving block's period.

    Attributes:
        ticks: steps since the trial began.
        watched: how often it has looked around room 1.
        colours: of each block in room 1, 0 while not seen.
        moves: by moment how far each block was from its spot in room 1 (rows, columns), `UNKNOWN` while not seen.
        found: cell of each block in room 2 where it was last seen, `UNKNOWN` before.
        altered: the block that is not as it was, -1 while none is known.
        column: where the agent was.
    """

    ticks: Int[Array, ""]
    watched: Int[Array, ""]
    colours: Int[Array, "N 3"]
    moves: Int[Array, "P N 2"]
    found: Int[Array, "N 2"]
    altered: Int[Array, ""]
    column: Int[Array, ""]


@dataclass(frozen=True)
class Comparer:
    """Looks at all blocks of room 1 from the corridor's entrance, in the passive task from where it starts, passes the corridor, looks
    at all blocks of room 2 from its entrance, and touches the one that has another colour, or that is elsewhere at the same moment
    of its period.

    It is told where it is, which the known start and its own moves tell as well, and knows the rooms.

    Args:
        watches: steps for which moving blocks are watched in room 1.
    """

    environment: Any
    watches: int
    reads: Reads = field(default="place", init=False)

    @property
    def period(self) -> int:
        """Steps after which moving blocks are where they were."""
        return PERIOD_FRAMES // (clock.ACTION_REPEAT if _first_person(self.environment) else clock.COMPACT_FRAMES)

    def begin(self) -> Remembered:
        zero, most = jnp.zeros((), jnp.int32), self.environment.task.most
        moves = jnp.full((self.period, most, 2), UNKNOWN, jnp.int32)
        return Remembered(zero, zero, jnp.zeros((most, 3), jnp.int32), moves, jnp.full((most, 2), UNKNOWN, jnp.int32), zero - 1, zero)

    def act(self, key: PRNGKeyArray, memory: Remembered, seen: Seen, params: Any = ()) -> tuple[Remembered, Int[Array, ""]]:
        place = _placed(seen)
        row, column, heading = on_grid(place)
        again = (column <= NEAR_DOOR) & (memory.column > NEAR_DOOR)
        memory = jax.tree.map(lambda new, old: jnp.where(again, new, old), self.begin(), memory)
        visible, cells, colours = blocks_of(seen.words, row, column)
        memory = self._compared(memory, visible, cells, colours, column, heading)
        after = memory._replace(ticks=memory.ticks + 1, column=column)
        return after, self._action(memory, place, visible)

    def _compared(
        self, memory: Remembered, visible: Bool[Array, "N"], cells: Int[Array, "N 2"], colours: Int[Array, "N 3"], column: Array, heading: Array
    ) -> Remembered:
        """Room 1 written down, room 2 compared with it."""
        task, first, second = self.environment.task, visible & (column <= NEAR_DOOR), visible & (column >= FAR_DOOR)
        looks_back = (heading == WEST) & (column == NEAR_DOOR) if task.start == AWAY else column <= NEAR_DOOR
        watched = memory.watched + looks_back.astype(jnp.int32)
        moment = memory.ticks % self.period
        before, moves = memory.moves.at[moment].get(mode="clip"), offsets(task, cells)
        known = jnp.all(memory.colours > 0, axis=-1) & jnp.all(colours > 0, axis=-1)
        differs = jnp.any(before != moves, axis=-1) & (before[:, 0] != UNKNOWN) if task.moving else jnp.any(memory.colours != colours, axis=-1)
        differs = differs & known & second
        altered = jnp.where((memory.altered < 0) & jnp.any(differs), jnp.argmax(differs).astype(jnp.int32), memory.altered)
        return memory._replace(
            watched=watched,
            colours=jnp.where(first[:, None], colours, memory.colours),
            moves=memory.moves.at[moment].set(jnp.where(first[:, None], moves, before)),
            found=jnp.where(second[:, None], cells, memory.found),
            altered=altered,
        )

    def _action(self, memory: Remembered, place: Pose, visible: Bool[Array, "N"]) -> Int[Array, ""]:
        task, first_person = self.environment.task, _first_person(self.environment)
        row, column, heading = on_grid(place)
        watches = memory.watched < (self.watches if task.moving else 1)
        back = jnp.asarray(task.start == AWAY)
        index = jnp.arange(task.most)
        altered = memory.found.at[jnp.maximum(memory.altered, 0)].get(mode="clip")
        others = jnp.where((index == memory.altered)[:, None], UNKNOWN, memory.found)
        walls = jnp.asarray(chambers.WALLS) | jnp.any(_near(spots_of(task, others) if task.moving else others, 1 if task.moving else 0), axis=0)
        walls = walls & ~_near(jnp.stack([row, column]), 0)
        decided = (memory.altered >= 0) & (column >= FAR_DOOR)

        looking = (column <= NEAR_DOOR) & watches & ((column == NEAR_DOOR) | ~back)  # where it can look at room 1
        going_to_look = (column <= NEAR_DOOR) & watches & back
        at_door, in_second = (column == FAR_DOOR - 1), column >= FAR_DOOR
        stands = looking | (at_door & (heading != EAST)) | (in_second & ~decided)
        target = jnp.where(decided, altered, jnp.asarray(BEYOND_DOOR))
        target = jnp.where(column < FAR_DOOR - 1, jnp.asarray(BEFORE_DOOR), target)
        target = jnp.where(going_to_look, jnp.asarray(DOORWAY), target)
        there = _near(target, 0)
        go, _ = travel.towards(first_person, place, walls, there, there, jnp.zeros((4,), jnp.int32))
        stand = _watch(first_person, place, jnp.where((column <= NEAR_DOOR) & back, WEST, EAST))
        lost = decided & ~visible.at[jnp.maximum(memory.altered, 0)].get(mode="clip") & jnp.asarray(task.moving)
        turn = walking.LOOK_RIGHT if first_person else TURN_RIGHT
        return jnp.where(stands, stand, jnp.where(lost, turn, go)).astype(jnp.int32)


@dataclass(frozen=True)
class ChamberOracle:
    """Knows which block is altered, and goes straight to it."""

    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: Any = ()) -> tuple[tuple[()], Int[Array, ""]]:
        task, first_person = self.environment.task, _first_person(self.environment)
        place = place_of(seen)
        row, column, _ = on_grid(place)
        reach = chambers_view.REACH if first_person else compact_chambers.REACH
        there = chambers.seen(task, seen.blocks, seen.progress, jnp.asarray(True), reach)
        cells = jnp.where(there.present[:, None], jnp.rint(jnp.stack([there.row, there.column], axis=-1)).astype(jnp.int32), UNKNOWN)
        altered = chambers.of_trial(seen.blocks.altered, seen.progress)
        others = jnp.where((jnp.arange(task.most) == altered)[:, None], UNKNOWN, cells)
        walls = (jnp.asarray(chambers.WALLS) | jnp.any(_near(others, 0), axis=0)) & ~_near(jnp.stack([row, column]), 0)
        target = _near(jnp.where(column < FAR_DOOR, jnp.asarray(BEYOND_DOOR), cells.at[altered].get(mode="clip")), 0)
        action, _ = travel.towards(first_person, place, walls, target, target, jnp.zeros((4,), jnp.int32))
        return memory, action


@dataclass(frozen=True)
class Toucher:
    """Without memory: faces east, goes on through room 1 and the corridor, and touches the nearest of the blocks it sees in room 2.

    What it sees tells it where it is: in the corridor the walls to both sides are close, in room 1 a door is ahead.
    """

    environment: Any
    reads: Reads = field(default="observation", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Seen, params: Any = ()) -> tuple[tuple[()], Int[Array, ""]]:
        words = seen.words
        heading, (ahead, left, right), door_ahead = words[0], words[1:7:2], words[2] == 1
        listed = words[7:].reshape(-1, 5)
        up, aside = listed[:, 0], listed[:, 1] - 1 - ASIDE
        nearest = jnp.argmin(jnp.where(up > 0, up + jnp.abs(aside), 99))
        up, aside = up[nearest], aside[nearest]
        touch = jnp.where(aside == 0, FORWARD, jnp.where(aside > 0, RIGHT, LEFT))
        search = jnp.where(jax.random.bernoulli(key) & (ahead > 1), FORWARD, BACKWARD)  # moving blocks can be out of view
        in_second = (left + right > 3) & ~door_ahead
        action = jnp.where(in_second, jnp.where(up > 0, touch, search), FORWARD)
        action = jnp.where(heading == EAST, action, TURN_LEFT).astype(jnp.int32)
        return memory, action if seen.gaze is None else walking.embodied(action, heading, seen.gaze)


def blocks_of(words: Int[Array, "n"], row: Array, column: Array) -> tuple[Bool[Array, "N"], Int[Array, "N 2"], Int[Array, "N 3"]]:
    """Which blocks are seen, their cells (row, column) and their amounts of red, green and blue, counted from 1."""
    listed = words[7:].reshape(-1, 5)
    ahead, aside = listed[:, :1], listed[:, 1:2] - 1 - ASIDE
    front, right = (jnp.asarray(HEADINGS).at[(words[0] + turn) % 4].get(mode="clip")[None] for turn in (0, 1))
    return listed[:, 0] > 0, jnp.stack([row, column])[None] + ahead * front + aside * right, listed[:, 2:]


def spots_of(task: SpotTask, cells: Int[Array, "N 2"]) -> Int[Array, "N 2"]:
    """The spot, in either room, that is nearest to each cell."""
    first = np.asarray(task.spots, np.int32)
    spots = jnp.asarray(np.concatenate([first, first * (1, -1) + (0, COLUMNS - 1)]).astype(np.int32))
    apart = jnp.max(jnp.abs(cells[:, None] - spots[None]), axis=-1)
    nearest = spots.at[jnp.argmin(apart, axis=-1)].get(mode="clip")
    return jnp.where(cells == UNKNOWN, UNKNOWN, nearest)


def offsets(task: SpotTask, cells: Int[Array, "N 2"]) -> Int[Array, "N 2"]:
    """How far each block is from its spot."""
    return cells - spots_of(task, cells)


def _near(cells: Int[Array, "*n 2"], steps: int) -> Bool[Array, "*n 9 21"]:
    """The cells of the map within so many rows and columns of each of these."""
    down, right = (cells[..., k][..., None, None] for k in range(2))
    rows, columns = (grid.reshape((1,) * (cells.ndim - 1) + grid.shape) for grid in (ROW, COLUMN))
    return (jnp.abs(rows - down) <= steps) & (jnp.abs(columns - right) <= steps)


def _watch(first_person: bool, place: Pose, towards: Int[Array, ""]) -> Int[Array, ""]:
    """Turns to a direction and stays: in the compact embodiment by walking against the wall to the north, in first person by turning
    to and fro."""
    heading = on_grid(place)[2]
    if not first_person:
        return jnp.where(heading == towards, walking.step(jnp.asarray(NORTH), heading), TURN_LEFT)
    off = (towards.astype(jnp.float32) * (jnp.pi / 2) - place.heading + jnp.pi) % (2 * jnp.pi) - jnp.pi
    return jnp.where(off > 0, walking.LOOK_RIGHT, walking.LOOK_LEFT)


def _first_person(environment: Any) -> bool:
    return isinstance(environment, chambers_view.FirstPersonChambers)


def _placed(seen: Seen) -> Pose:
    assert seen.place is not None, "a player that reads its place is given it"
    return seen.place
