"""Reference players of spot the difference: who looks, remembers and compares, who knows, and who touches what is nearest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import chambers, chambers_view, clock, compact_chambers
from unseen.environments.memory_suite.chambers import AWAY, COLUMNS, FAR_DOOR, MOTIONS, NEAR_DOOR, ROWS, SpotParams, SpotTask
from unseen.environments.memory_suite.compact_chambers import ASIDE, FORWARD, LEFT, RIGHT, TURN_LEFT
from unseen.environments.memory_suite.players import travel, walking
from unseen.environments.memory_suite.players.player import Reads, Seen, given, place_of
from unseen.environments.memory_suite.sight import HEADINGS
from unseen.environments.memory_suite.walker import Pose, on_grid

NORTH, EAST, WEST = 0, 1, 3
UNKNOWN = -9
# Where it looks at room 1, waits, and looks at room 2, the last from both places if need be.
DOORWAY, BEFORE_DOOR, BEYOND_DOOR, BESIDE = (4, NEAR_DOOR), (4, FAR_DOOR - 1), (4, FAR_DOOR), (5, FAR_DOOR)
CORRIDOR = 3  # steps to the wall on the left and to the one on the right, together
PATIENCE = 120  # looks at blocks after which it goes on in any case
ROW, COLUMN = np.meshgrid(np.arange(ROWS, dtype=np.int32), np.arange(COLUMNS, dtype=np.int32), indexing="ij")


class Remembered(NamedTuple):
    """What is remembered of a trial, by spot on which a block may stand, S of them.

    Attributes:
        ticks: steps since the trial began.
        watched: how often it has looked around room 1.
        colours: of each block in room 1, 0 while none was seen.
        motions: which of the level's motions each block's can be, by all that was seen of it in room 1, and in room 2.
        found: cell of each block in room 2 where it was last seen, `UNKNOWN` before.
        altered: the spot of the block that is not as it was, -1 while none is known.
        column: where the agent was.
    """

    ticks: Int[Array, ""]
    watched: Int[Array, ""]
    colours: Int[Array, "S 3"]
    motions: Bool[Array, "2 S 4"]
    found: Int[Array, "S 2"]
    altered: Int[Array, ""]
    column: Int[Array, ""]


@dataclass(frozen=True)
class Comparer:
    """Looks at the blocks of room 1 from the corridor's entrance (in the passive task from where it starts), passes the corridor, looks at
    those of room 2 from its entrance, and touches the one that has another colour than the one on its spot had, or cannot move as that.

    Moving blocks it watches until it knows how they move. It is told where it is, which the known start and its own moves tell as
    well; it knows the rooms, how long it has been in the trial, and the level's set of motions.
    """

    environment: Any
    reads: Reads = field(default="place", init=False)

    def begin(self) -> Remembered:
        zero, spots = jnp.zeros((), jnp.int32), len(self.environment.task.spots)
        motions, nowhere = jnp.ones((2, spots, MOTIONS), bool), jnp.full((spots, 2), UNKNOWN, jnp.int32)
        return Remembered(zero, zero, jnp.zeros((spots, 3), jnp.int32), motions, nowhere, zero - 1, zero)

    def act(self, key: PRNGKeyArray, memory: Remembered, seen: Seen, params: SpotParams) -> tuple[Remembered, Int[Array, ""]]:
        place = given(seen.place)
        _, column, _ = on_grid(place)
        again = (column <= NEAR_DOOR) & (memory.column > NEAR_DOOR)
        memory = jax.tree.map(lambda new, old: jnp.where(again, new, old), self.begin(), memory)
        memory = self._compared(memory, seen.words, place, params)
        action = self._action(memory, place, params)
        return memory._replace(ticks=memory.ticks + 1, column=column), action

    def _compared(self, memory: Remembered, words: Int[Array, "n"], place: Pose, params: SpotParams) -> Remembered:
        """Room 1 written down, room 2 compared with it."""
        task, (_, column, heading) = self.environment.task, on_grid(place)
        blocks = on_spots(task, listed(words, place))
        first, second = blocks.visible & (column <= NEAR_DOOR), blocks.visible & (column >= FAR_DOOR)
        looks = (heading == WEST) & (column == NEAR_DOOR) if task.start == AWAY else column <= NEAR_DOOR
        is_there = (blocks.cells - spots_of(task, blocks.cells))[:, None, None] == self._expected(memory.ticks, params)[None]
        fits = jnp.any(jnp.all(is_there, axis=-1), axis=1)
        moves = ~jnp.any(memory.motions[0] & fits, axis=-1)
        recolours = jnp.any(memory.colours != blocks.colours, axis=-1) & jnp.any(memory.colours > 0, axis=-1)
        differs = second & (moves if task.moving else recolours)
        finds = (memory.altered < 0) & jnp.any(differs)
        return memory._replace(
            watched=memory.watched + looks.astype(jnp.int32),
            colours=jnp.where(first[:, None], blocks.colours, memory.colours),
            motions=memory.motions & (fits[None] | ~jnp.stack([first, second])[:, :, None]),
            found=jnp.where(second[:, None], blocks.cells, memory.found),
            altered=jnp.where(finds, jnp.argmax(differs).astype(jnp.int32), memory.altered),
        )

    def _expected(self, ticks: Int[Array, ""], params: SpotParams) -> Int[Array, "F 4 2"]:
        """How far from its spot each of the level's motions brings a block by now (rows, columns).

        In first person a trial can begin within an action, so that up to F - 1 frames may be gone by its first step.
        """
        frames, late = (clock.ACTION_REPEAT,) * 2 if _first_person(self.environment) else (clock.COMPACT_FRAMES, 1)
        kinds = jnp.arange(MOTIONS, dtype=jnp.int32) + MOTIONS * params.holdout.astype(jnp.int32)
        moments = frames * ticks + jnp.arange(late, dtype=jnp.int32)
        offsets = jax.vmap(lambda moment: jnp.stack(chambers.offset(kinds, moment)[::-1], axis=-1))(moments)
        return jnp.rint(compact_chambers.REACH * offsets).astype(jnp.int32)

    def _action(self, memory: Remembered, place: Pose, params: SpotParams) -> Int[Array, ""]:
        task, first_person, (row, column, heading) = self.environment.task, _first_person(self.environment), on_grid(place)
        first, waits, second = column <= NEAR_DOOR, column == FAR_DOOR - 1, column >= FAR_DOOR
        decided, altered = second & (memory.altered >= 0), jnp.maximum(memory.altered, 0)
        met = jnp.any(memory.colours > 0, axis=-1)
        told_apart = (jnp.sum(met) >= task.most) & jnp.all(~met | (jnp.sum(memory.motions[0], axis=-1) <= 1))
        told_apart = told_apart | (memory.watched * task.most >= PATIENCE)
        knows = (memory.watched > 0) & (told_apart if task.moving else True)
        looks_back = first & ~knows & (task.start == AWAY)
        looks_ahead = second & ~decided
        stands = (looks_back & (column == NEAR_DOOR)) | ((waits | looks_ahead) & (heading != EAST)) | (looks_ahead & task.moving)
        turn = _watch(first_person, place, jnp.where(first, WEST, EAST))

        beyond = jnp.where(looks_ahead, jnp.asarray(BESIDE), jnp.asarray(BEYOND_DOOR))  # beside: for what is not seen from there
        target = jnp.where(decided, self._now(memory, altered, params), beyond)
        target = jnp.where(looks_back, jnp.asarray(DOORWAY), jnp.where(column < FAR_DOOR - 1, jnp.asarray(BEFORE_DOOR), target))
        others = jnp.where((jnp.arange(len(task.spots)) == altered)[:, None], UNKNOWN, memory.found)
        solid = _near(spots_of(task, others), 1) if task.moving else _near(others, 0)
        walls = (jnp.asarray(chambers.WALLS) | (jnp.any(solid, axis=0) & decided)) & ~_near(jnp.stack([row, column]), 0)
        there = _near(target, 0)
        go, _ = travel.towards(first_person, place, walls, there, there, jnp.zeros((4,), jnp.int32))
        return jnp.where(stands, turn, go).astype(jnp.int32)

    def _now(self, memory: Remembered, altered: Int[Array, ""], params: SpotParams) -> Int[Array, "2"]:
        """The cell of the altered block now, seen or not."""
        cell = memory.found.at[altered].get(mode="clip")
        if not self.environment.task.moving:
            return cell
        motion = jnp.argmax(memory.motions[1].at[altered].get(mode="clip"))
        return spots_of(self.environment.task, cell[None])[0] + self._expected(memory.ticks, params)[0, motion]


@dataclass(frozen=True)
class ChamberOracle:
    """Knows which block is altered, and goes straight to it."""

    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: SpotParams) -> tuple[tuple[()], Int[Array, ""]]:
        task, first_person = self.environment.task, _first_person(self.environment)
        place = given(place_of(seen))
        row, column, _ = on_grid(place)
        reach = chambers_view.REACH if first_person else compact_chambers.REACH
        there = chambers.seen(task, seen.blocks, seen.progress, jnp.asarray(True), reach)
        cells = jnp.where(there.present[:, None], jnp.rint(jnp.stack([there.row, there.column], axis=-1)).astype(jnp.int32), UNKNOWN)
        altered = chambers.of_trial(seen.blocks.altered, seen.progress)
        others = jnp.where((jnp.arange(task.most) == altered)[:, None], UNKNOWN, cells)
        solid = _near(spots_of(task, others), 1) if task.moving else _near(others, 0)
        walls = (jnp.asarray(chambers.WALLS) | jnp.any(solid, axis=0)) & ~_near(jnp.stack([row, column]), 0)
        target = _near(jnp.where(column < FAR_DOOR, jnp.asarray(BEYOND_DOOR), cells.at[altered].get(mode="clip")), 0)
        action, _ = travel.towards(first_person, place, walls, target, target, jnp.zeros((4,), jnp.int32))
        return memory, action


@dataclass(frozen=True)
class Toucher:
    """Without memory: faces east, goes on through room 1 and the corridor, and touches the nearest of the blocks it sees in room 2.

    What it sees tells it where it is: in the corridor the walls to both sides are close, in room 1 a door is ahead. It turns only in
    room 2, to the left where no block is ahead.
    """

    environment: Any
    reads: Reads = field(default="observation", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Seen, params: SpotParams) -> tuple[tuple[()], Int[Array, ""]]:
        heading, left, right, door_ahead = seen.words[0], seen.words[3], seen.words[5], seen.words[2] == 1
        rows = seen.words[7:].reshape(-1, 5)
        nearest = jnp.argmin(jnp.where(rows[:, 0] > 0, rows[:, 0] + jnp.abs(rows[:, 1] - 1 - ASIDE), 99))
        ahead, aside = rows[nearest, 0], rows[nearest, 1] - 1 - ASIDE
        # Forward as long as it keeps the block in view, and next to a wall.
        near = jnp.abs(aside) >= ahead
        touch = jnp.where(near & (aside < 0) & (left > 1), LEFT, jnp.where(near & (aside > 0) & (right > 1), RIGHT, FORWARD))
        on_the_way = (heading == EAST) & (door_ahead | ((left + right == CORRIDOR) & (ahead == 0)))
        action = jnp.where(on_the_way, FORWARD, jnp.where(ahead > 0, touch, TURN_LEFT)).astype(jnp.int32)
        return memory, action if seen.gaze is None else walking.embodied(action, heading, seen.gaze)


class Listed(NamedTuple):
    """Blocks: which are seen, their cells (row, column), and their amounts of red, green and blue, counted from 1."""

    visible: Bool[Array, "N"]
    cells: Int[Array, "N 2"]
    colours: Int[Array, "N 3"]


def listed(words: Int[Array, "n"], place: Pose) -> Listed:
    """The blocks of an observation, laid on the map."""
    rows, (row, column, _) = words[7:].reshape(-1, 5), on_grid(place)
    ahead, aside = rows[:, :1], rows[:, 1:2] - 1 - ASIDE
    front, right = (jnp.asarray(HEADINGS).at[(words[0] + turn) % 4].get(mode="clip")[None] for turn in (0, 1))
    return Listed(rows[:, 0] > 0, jnp.stack([row, column])[None] + ahead * front + aside * right, rows[:, 2:])


def on_spots(task: SpotTask, blocks: Listed) -> Listed:
    """The same blocks by spot: a block is known by the place around which it stands or moves, room 2 mirroring room 1."""
    own = _nearest_spot(task, blocks.cells) % len(task.spots)
    is_here = blocks.visible[None] & (own[None] == jnp.arange(len(task.spots), dtype=jnp.int32)[:, None])
    which = jnp.argmax(is_here, axis=-1)
    return Listed(jnp.any(is_here, axis=-1), *(part.at[which].get(mode="clip") for part in (blocks.cells, blocks.colours)))


def spots_of(task: SpotTask, cells: Int[Array, "N 2"]) -> Int[Array, "N 2"]:
    """The spot, in either room, that is nearest to each cell."""
    nearest = jnp.asarray(_both_rooms(task)).at[_nearest_spot(task, cells)].get(mode="clip")
    return jnp.where(cells == UNKNOWN, UNKNOWN, nearest)


def _nearest_spot(task: SpotTask, cells: Int[Array, "N 2"]) -> Int[Array, "N"]:
    """Its number, in room 1 that of the task's own list, in room 2 as many more."""
    apart = jnp.max(jnp.abs(cells[:, None] - jnp.asarray(_both_rooms(task))[None]), axis=-1)
    return jnp.argmin(apart, axis=-1).astype(jnp.int32)


def _both_rooms(task: SpotTask) -> np.ndarray:
    first = np.asarray(task.spots, np.int32)
    return np.concatenate([first, first * (1, -1) + (0, COLUMNS - 1)]).astype(np.int32)


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
    return walking.faced(place, towards)


def _first_person(environment: Any) -> bool:
    return isinstance(environment, chambers_view.FirstPersonChambers)
