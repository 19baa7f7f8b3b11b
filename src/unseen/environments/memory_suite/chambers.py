"""Spot the difference, once for both embodiments: two rooms of blocks and a corridor that takes time (*proposed*, §3.5-3.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments.memory_suite import clock, colours

# Room 1 is columns 1 to 7, the corridor 9 to 11, room 2 columns 13 to 19; doors two cells wide stand in columns 8 and 12.
ROWS, COLUMNS = 9, 21
NEAR_DOOR, FAR_DOOR = 8, 12
DOOR_ROWS = (4, 5)
SECONDS = 120
PAUSE_FRAMES = clock.frames(1)
TRIALS = 32  # drawn for an episode, more than can be made in its time
PERIOD_FRAMES = clock.frames(2)  # of a moving block

ROOM, WAITING, OPEN, PAUSE = range(4)  # phases: before the corridor, in it, once the far door is open, after the answer
NORTH_SOUTH, EAST_WEST, CIRCLE, FIGURE_EIGHT, RISING, FALLING, SQUARE, SPIRAL = range(8)
MOTIONS = 4  # of a set: the first four are for training, the others held out


def _walls() -> np.ndarray:
    walls = np.ones((ROWS, COLUMNS), bool)
    walls[1:8, 1:8] = walls[1:8, 13:20] = False
    walls[DOOR_ROWS[0] : DOOR_ROWS[1] + 1, NEAR_DOOR : FAR_DOOR + 1] = False
    return walls


WALLS = _walls()
SPOTS = tuple((row, column) for column in (1, 3, 5) for row in (2, 4, 6))  # of blocks in room 1; room 2 mirrors them
WIDE_SPOTS = tuple((row, column) for column in (2, 5) for row in (2, 6))  # with a cell around each to move in
ENTRANCE_SPOTS = ((3, 7), (6, 7))  # on both sides of the corridor's entrance


class Start(NamedTuple):
    row: int
    column: int
    heading: int  # 0 north, 1 east, 2 south, 3 west


AWAY = Start(4, 7, 1)  # before the corridor, the blocks behind
FACING = Start(4, 1, 1)  # across the room, the blocks ahead
THRESHOLD = Start(4, FAR_DOOR - 1, 1)  # before the far door


class SpotParams(NamedTuple):
    """A level of a spot-the-difference task.

    Attributes:
        holdout: whether the holdout colours and motions are used.
        delay: frames between entering the corridor and the opening of its far door.
        fewest, most: blocks in a room.
    """

    holdout: Bool[Array, ""]
    delay: Int[Array, ""]
    fewest: Int[Array, ""]
    most: Int[Array, ""]


@dataclass(frozen=True)
class Difficulty:
    """A row of the level table: the delay in seconds, and how many blocks."""

    delay: int | float
    blocks: tuple[int, int] = (2, 2)

    def params(self, holdout: bool) -> SpotParams:
        numbers = (jnp.asarray(n, jnp.int32) for n in (clock.frames(self.delay), *self.blocks))
        return SpotParams(jnp.asarray(holdout), *numbers)


DELAYS: Mapping[str, Difficulty] = {
    "small": Difficulty(2),
    "large": Difficulty(8),
    "interpolate": Difficulty(5),
    "extrapolate": Difficulty(16),
}


class Blocks(NamedTuple):
    """Everything random of an episode, by trial; N blocks, of which `count` are there.

    Attributes:
        count: how many blocks.
        row, column: of each block's spot in room 1.
        colour: index in the level's set.
        motion: index in the level's set of motions.
        altered: which block differs in room 2.
        new_colour, new_motion: what it has there.
        holdout: which sets.
    """

    count: Int[Array, "32"]  # pyright: ignore[reportIncompatibleMethodOverride]
    row: Int[Array, "32 N"]
    column: Int[Array, "32 N"]
    colour: Int[Array, "32 N"]
    motion: Int[Array, "32 N"]
    altered: Int[Array, "32"]
    new_colour: Int[Array, "32"]
    new_motion: Int[Array, "32"]
    holdout: Bool[Array, ""]


class Progress(NamedTuple):
    """Attributes:

    trial: answered trials.
    phase: `ROOM`, `WAITING`, `OPEN` or `PAUSE`.
    timer: frames left of waiting or pause.
    clock: frames since the trial began.
    """

    trial: Int[Array, ""]
    phase: Int[Array, ""]
    timer: Int[Array, ""]
    clock: Int[Array, ""]


class Moment(NamedTuple):
    """When the body is put somewhere.

    Attributes:
        again: a new trial begins, at the task's start.
        opens: the far door opens. The body then stands at `THRESHOLD`: otherwise place and heading in the corridor would be a notepad
            that takes what was seen in room 1 to room 2, and no memory would be needed (measured: 65 % right with two blocks).
    """

    again: Bool[Array, ""]
    opens: Bool[Array, ""]


class Seen(NamedTuple):
    """The blocks of the room the agent is in or looks into.

    Attributes:
        present: which are there.
        row, column: where, in cells, moving ones between cells.
        colour: index in the level's set.
    """

    present: Bool[Array, "N"]
    row: Float[Array, "N"]
    column: Float[Array, "N"]
    colour: Int[Array, "N"]


@runtime_checkable
class SpotTask(Protocol):
    """What a spot-the-difference task decides.

    Attributes:
        name: as in `memory/NAME`.
        difficulties: the level table, by name of scale.
        spots: where blocks may stand in room 1 (row, column).
        most: blocks there can be at most.
        moving: whether the difference is a motion instead of a colour.
        start: where a trial begins.
    """

    name: str
    difficulties: Mapping[str, Difficulty]
    spots: tuple[tuple[int, int], ...]
    most: int
    moving: bool
    start: Start


def draw(task: SpotTask, key: PRNGKeyArray, params: SpotParams) -> Blocks:
    """Everything random of an episode."""
    trials = jax.vmap(lambda k: _trial(task, k, params))(jax.random.split(key, TRIALS))
    # Two bytes a number: pools keep thousands of these.
    count, row, column, colour, motion, altered, new_colour, new_motion = (x.astype(jnp.int16) for x in trials)
    return Blocks(count, row, column, colour, motion, altered, new_colour, new_motion, params.holdout)


def _trial(task: SpotTask, key: PRNGKeyArray, params: SpotParams) -> tuple[Array, ...]:
    k_count, k_spot, k_colour, k_motion, k_altered, k_new = jax.random.split(key, 6)
    count = jax.random.randint(k_count, (), params.fewest, params.most + 1, jnp.int32)
    spots = jax.random.permutation(k_spot, jnp.asarray(task.spots, jnp.int32))[: task.most]
    shift = jax.random.randint(k_new, (), 0, 1_000, jnp.int32)
    altered = jax.random.randint(k_altered, (), 0, count, jnp.int32)
    colour, new_colour = _kinds(k_colour, altered, shift, task.most, colours.SET)
    motion, new_motion = _kinds(k_motion, altered, shift, task.most, MOTIONS)
    if task.moving:
        new_colour = colour[altered]
    else:
        new_motion = motion[altered]
    return count, spots[:, 0], spots[:, 1], colour, motion, altered, new_colour, new_motion


def _kinds(key: PRNGKeyArray, altered: Array, shift: Array, count: int, kinds: int) -> tuple[Array, Array]:
    """A kind for each block and the altered one's new kind; two blocks and the new kind all differ, more draw independently."""
    if count <= 2:
        order = jax.random.permutation(key, jnp.arange(kinds, dtype=jnp.int32))
        return order[:count], order[2 + shift % (kinds - 2)]
    kind = jax.random.randint(key, (count,), 0, kinds, jnp.int32)
    return kind, (kind[altered] + 1 + shift % (kinds - 1)) % kinds


def begin() -> Progress:
    zero = jnp.zeros((), jnp.int32)
    return Progress(zero, zero + ROOM, zero, zero)


def advanced(
    blocks: Blocks, progress: Progress, params: SpotParams, column: Float[Array, ""] | Int[Array, ""], touched: Int[Array, ""], frames: int
) -> tuple[Progress, Float[Array, ""], Moment]:
    """What so many frames do.

    Args:
        column: the agent's, after its move.
        touched: block touched in room 2, -1 for none.
        frames: how much time passed.

    Returns:
        progress, reward, and whether a new trial begins or the far door opens.
    """
    phase, timer = progress.phase, progress.timer - frames
    enters = (phase == ROOM) & (column >= NEAR_DOOR + 1)
    opens = (phase == WAITING) & (timer <= 0)
    answers = (phase == OPEN) & (touched >= 0)
    again = (phase == PAUSE) & (timer <= 0)
    now = jnp.where(enters, WAITING, jnp.where(opens, OPEN, jnp.where(answers, PAUSE, jnp.where(again, ROOM, phase))))
    set_to = jnp.where(enters, params.delay, jnp.where(answers, PAUSE_FRAMES, timer))
    right = answers & (touched == of_trial(blocks.altered, progress))
    ticks = jnp.where(again, 0, progress.clock + frames)
    return (
        Progress(progress.trial + again.astype(jnp.int32), now.astype(jnp.int32), set_to, ticks),
        right.astype(jnp.float32),
        Moment(again, opens),
    )


def of_trial(by_trial: Int[Array, "32 *n"], progress: Progress) -> Int[Array, "*n"]:
    return by_trial.at[progress.trial % TRIALS].get(mode="clip").astype(jnp.int32)


def doors(progress: Progress) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
    """Whether the near and the far door are shut."""
    return progress.phase != ROOM, (progress.phase == ROOM) | (progress.phase == WAITING)


def seen(task: SpotTask, blocks: Blocks, progress: Progress, in_second: Bool[Array, ""], reach: float) -> Seen:
    """The blocks of room 1, or of room 2 where one is altered; none in the pause.

    Args:
        in_second: whether the agent has left room 1 behind.
        reach: how far a moving block goes from its spot, in cells.
    """
    count, altered = of_trial(blocks.count, progress), of_trial(blocks.altered, progress)
    index = jnp.arange(task.most, dtype=jnp.int32)
    differs = in_second & (index == altered)
    colour = jnp.where(differs, of_trial(blocks.new_colour, progress), of_trial(blocks.colour, progress))
    row, column = (of_trial(x, progress).astype(jnp.float32) for x in (blocks.row, blocks.column))
    column = jnp.where(in_second, COLUMNS - 1 - column, column)
    if task.moving:
        motion = jnp.where(differs, of_trial(blocks.new_motion, progress), of_trial(blocks.motion, progress))
        east, south = offset(motion + MOTIONS * blocks.holdout.astype(jnp.int32), progress.clock)
        row, column = row + reach * south, column + reach * east
    return Seen((index < count) & (progress.phase != PAUSE), row, column, colour)


def offset(motion: Int[Array, "N"], ticks: Int[Array, ""]) -> tuple[Float[Array, "N"], Float[Array, "N"]]:
    """How far to the east and to the south of its spot a moving block is, each from -1 to 1, the same in both rooms."""
    turn = (ticks % PERIOD_FRAMES).astype(jnp.float32) / PERIOD_FRAMES
    angle = 2 * jnp.pi * turn
    s, c, double = jnp.sin(angle), jnp.cos(angle), jnp.sin(2 * angle)
    wave = jnp.abs(jnp.stack([turn - 0.5, (turn + 0.25) % 1.0 - 0.5]))  # triangles, a quarter of a period apart
    side = jnp.clip(8 * wave - 2, -1.0, 1.0)  # along the edges of a square
    radius = 1.0 - jnp.abs(2 * turn - 1.0)  # out and in again while turning twice
    zero = jnp.zeros(())
    east = jnp.stack([zero, s, c, s, s, s, side[0], radius * jnp.cos(2 * angle)])
    south = jnp.stack([s, zero, s, double, -s, s, side[1], radius * double])
    return east.at[motion].get(mode="clip"), south.at[motion].get(mode="clip")
