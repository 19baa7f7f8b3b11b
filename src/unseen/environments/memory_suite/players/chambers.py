"""Reference players of spot the difference: who remembers the blocks of room 1, who knows the answer, who only sees room 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments.contract import Params
from unseen.environments.memory_suite import chambers, chambers_view, clock, colours, compact_chambers
from unseen.environments.memory_suite.chambers import COLUMNS, FAR_DOOR, NEAR_DOOR, ROWS, WALLS, Start
from unseen.environments.memory_suite.compact_chambers import ASIDE
from unseen.environments.memory_suite.land import HEADINGS
from unseen.environments.memory_suite.players import routes, walking
from unseen.environments.memory_suite.players.player import Reads, Seen, place_of
from unseen.environments.memory_suite.walker import Pose, on_grid

# In either door all blocks of the room are in view, but for one corner of where the nearest ones move.
FIRST_LOOKOUT, SECOND_LOOKOUT = Start(4, NEAR_DOOR, 3), Start(4, FAR_DOOR, 1)
STEADY = 0.6 * walking.SWING  # radians off a heading that count as facing it
LOST = 3  # steps after which a moving block is no longer looked for where it was last seen
LOOKAHEAD = 8  # cells of its way that a body looks along for one that it can go straight to
FARTHEST = 20.0  # metres to a place that it can go straight to
MARGIN = 0.27  # metres a body wants on all sides; with half a block's cell more than what it is touched at


class Blocks(NamedTuple):
    """Blocks in view, by number in the list of words; row and column are the room's, colour is 1 + a number of its amounts."""

    there: Bool[Array, "N"]
    row: Int[Array, "N"]
    column: Int[Array, "N"]
    colour: Int[Array, "N"]


class Trial(NamedTuple):
    """What is remembered of a trial; S spots, P moments of a period (one where blocks stand still).

    Attributes:
        first: what was seen at each spot of room 1, 0 for nothing: 1 + a number of the colour, or of where around its spot it was.
        differing, alike: how often the mirrored spot of room 2 was seen with something else and with the same.
        last: row and column in which the block of each spot was last seen in room 2; before, the spot's.
        unseen: steps since.
        watched: steps at the lookout of room 1.
        steps: since the trial began.
        x: of its own place at the last step, metres.
    """

    first: Int[Array, "P S"]
    differing: Int[Array, "S"]
    alike: Int[Array, "S"]
    last: Int[Array, "S 2"]
    unseen: Int[Array, "S"]
    watched: Int[Array, ""]
    steps: Int[Array, ""]
    x: Float[Array, ""]


@dataclass(frozen=True)
class Spotter:
    """Looks at room 1 until it has seen every block, moving ones for a whole period, and touches what differs in room 2.

    It is told where it is. It remembers what was at every spot, and, of moving blocks, when in their period.
    """

    environment: Any
    reads: Reads = field(default="place", init=False)

    @property
    def period(self) -> int:
        """Moments at which something is remembered."""
        frames = clock.ACTION_REPEAT if _first_person(self.environment) else clock.COMPACT_FRAMES
        return chambers.PERIOD_FRAMES // frames if self.environment.task.moving else 1

    def begin(self) -> Trial:
        spots = len(self.environment.task.spots)
        none, zero = jnp.zeros((spots,), jnp.int32), jnp.zeros((), jnp.int32)
        first = jnp.zeros((self.period, spots), jnp.int8)
        return Trial(first, none, none, jnp.asarray(_mirrored(self.environment.task)), none, zero, zero, jnp.zeros(()))

    def act(self, key: PRNGKeyArray, memory: Trial, seen: Seen, params: Params = ()) -> tuple[Trial, Int[Array, ""]]:
        place = _given(seen.place)
        row, column, heading = on_grid(place)
        again = (memory.x > FAR_DOOR) & (place.x < NEAR_DOOR + 1)  # nothing but a new trial leads back
        memory = jax.tree.map(lambda new, old: jnp.where(again, new, old), self.begin(), memory)
        lookout = chambers.FACING if self.environment.task.start == chambers.FACING else FIRST_LOOKOUT
        watches = (row == lookout.row) & (column == lookout.column) & (jnp.abs(_off(place, lookout.heading)) < 2 * STEADY)
        memory = self._seen(memory, blocks_in(seen.words, row, column), (row, column, heading))
        memory = memory._replace(watched=memory.watched + watches.astype(jnp.int32), steps=memory.steps + 1, x=place.x)

        known, target = self._odd(memory)
        done = (memory.watched >= self.period) | (column > NEAR_DOOR)
        after = [jnp.where(done, second, first) for first, second in zip(lookout, SECOND_LOOKOUT, strict=True)]
        looks = stood(self.environment, place, *after)
        return memory, jnp.where(known & (column >= FAR_DOOR), self._chased(memory, target, place), looks)

    def _seen(self, memory: Trial, blocks: Blocks, pose: tuple[Array, Array, Array]) -> Trial:
        """The memory after blocks were seen from a pose."""
        task, second = self.environment.task, pose[1] >= FAR_DOOR
        mirrored = jnp.asarray(_mirrored(task))
        spots = jnp.where(second, mirrored, jnp.asarray(task.spots, jnp.int32))
        down, right = (at[:, None] - spots[None, :, k] for k, at in enumerate((blocks.row, blocks.column)))
        reach = 1 if task.moving else 0
        mine = blocks.there[:, None] & (jnp.abs(down) <= reach) & (jnp.abs(right) <= reach)
        kinds = jnp.max(jnp.where(mine, _number(down, right) if task.moving else blocks.colour[:, None], 0), axis=0)
        cells = jnp.max(jnp.where(mine[..., None], jnp.stack([blocks.row, blocks.column], axis=-1)[:, None], 0), axis=0)

        moment = memory.steps % self.period
        before = memory.first.at[moment].get(mode="clip").astype(jnp.int32)
        before = jnp.where(~second & (kinds > 0), kinds, before)
        first = memory.first.at[moment].set(before.astype(jnp.int8))
        # A moving block that is not seen from a lookout is in the corner out of view.
        at_lookout = jnp.all(jnp.stack(pose) == jnp.asarray(SECOND_LOOKOUT))
        before = jnp.where(before == 0, jnp.asarray(_hidden(task, 1)), before)
        now = jnp.where((kinds == 0) & at_lookout, jnp.asarray(_hidden(task, -1)), kinds)
        compared = second & jnp.any(first > 0, axis=0) & (now > 0)
        return memory._replace(
            first=first,
            differing=memory.differing + (compared & (now != before)).astype(jnp.int32),
            alike=memory.alike + (compared & (now == before)).astype(jnp.int32),
            last=jnp.where((second & (kinds > 0))[:, None], cells, memory.last),
            unseen=jnp.where(kinds > 0, 0, memory.unseen + 1),
        )

    def _odd(self, memory: Trial) -> tuple[Bool[Array, ""], Int[Array, ""]]:
        """Whether it is known which spot's block differs, and which: one seen to, or the only one not seen to be the same."""
        suspects = jnp.any(memory.first > 0, axis=0) & (memory.alike < self.period)
        differs = jnp.any(memory.differing > 0)
        target = jnp.where(differs, jnp.argmax(memory.differing), jnp.argmax(suspects)).astype(jnp.int32)
        return differs | (jnp.sum(suspects) == 1), target

    def _chased(self, memory: Trial, target: Int[Array, ""], place: Pose) -> Int[Array, ""]:
        """The action that leads to the target's block, around all others."""
        task, spots = self.environment.task, jnp.asarray(_mirrored(self.environment.task))
        others = jnp.any(memory.first > 0, axis=0) & (jnp.arange(len(spots)) != target)
        spot = spots.at[target].get(mode="clip")
        lost = memory.unseen.at[target].get(mode="clip") > LOST
        cell = jnp.where(lost, spot, memory.last.at[target].get(mode="clip"))
        scale = chambers_view.REACH / compact_chambers.REACH if _first_person(self.environment) else 1.0
        at = spot.astype(jnp.float32) + scale * (cell - spot).astype(jnp.float32) + 0.5
        walls = WALLS | around(spots, others, 1 if task.moving else 0)
        row, column, _ = on_grid(place)
        searches = jnp.asarray(task.moving) & lost & (row == spot[0]) & (column == spot[1])
        return jnp.where(searches, walking.LOOK_RIGHT, gone(self.environment, place, at[::-1], walls)).astype(jnp.int32)


@dataclass(frozen=True)
class NearestBlock:
    """Without memory: passes room 1 and touches the nearest of the blocks that it sees in room 2, which is the altered one by chance."""

    environment: Any
    reads: Reads = field(default="place", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Seen, params: Params = ()) -> tuple[tuple[()], Int[Array, ""]]:
        place = _given(seen.place)
        row, column, _ = on_grid(place)
        blocks = blocks_in(seen.words, row, column)
        distance = jnp.where(blocks.there, jnp.abs(blocks.row - row) + jnp.abs(blocks.column - column), ROWS + COLUMNS)
        nearest = jnp.argmin(distance)
        cells = jnp.stack([blocks.row, blocks.column], axis=-1)
        walls = WALLS | around(cells, blocks.there & (jnp.arange(len(cells)) != nearest), 0)
        to = cells.at[nearest].get(mode="clip")[::-1].astype(jnp.float32) + 0.5
        touches = (column >= FAR_DOOR) & jnp.any(blocks.there)
        onward = stood(self.environment, place, *(jnp.asarray(part, jnp.int32) for part in SECOND_LOOKOUT))
        return memory, jnp.where(touches, gone(self.environment, place, to, walls), onward)


@dataclass(frozen=True)
class SpotOracle:
    """Knows the altered block and where it is, and takes the shortest way to it."""

    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: Params = ()) -> tuple[tuple[()], Int[Array, ""]]:
        task, blocks, progress = self.environment.task, seen.blocks, seen.progress
        reach = chambers_view.REACH if _first_person(self.environment) else compact_chambers.REACH
        there = chambers.seen(task, blocks, progress, jnp.asarray(True), reach)
        altered, count = (chambers.of_trial(part, progress) for part in (blocks.altered, blocks.count))
        index = jnp.arange(task.most)
        spots = jnp.stack([chambers.of_trial(blocks.row, progress), COLUMNS - 1 - chambers.of_trial(blocks.column, progress)], axis=-1)
        walls = WALLS | around(spots, (index < count) & (index != altered), 1 if task.moving else 0)
        at = jnp.stack([there.column, there.row], axis=-1).at[altered].get(mode="clip")
        at = (at if _first_person(self.environment) else jnp.rint(at)) + 0.5
        return memory, gone(self.environment, place_of(seen), at, walls)


def blocks_in(words: Int[Array, "n"], row: Int[Array, ""], column: Int[Array, ""]) -> Blocks:
    """The blocks that an observation tells of.

    Args:
        words: of the compact embodiment.
        row, column: where it was made.
    """
    heading, listed = words[0], words[7:].reshape(-1, 5)
    front, side = (jnp.asarray(HEADINGS).at[(heading + turn) % 4].get(mode="clip") for turn in (0, 1))
    ahead, aside = listed[:, 0], listed[:, 1] - 1 - ASIDE
    rows, columns = (at + ahead * front[k] + aside * side[k] for k, at in enumerate((row, column)))
    base = colours.STEPS + 1
    return Blocks(ahead > 0, rows, columns, (listed[:, 2] * base + listed[:, 3]) * base + listed[:, 4])


def around(cells: Int[Array, "n 2"], which: Bool[Array, "n"], reach: int) -> Bool[Array, "9 21"]:
    """These of some cells (row, column), and all that are no further from one."""
    rows, columns = (np.arange(size, dtype=np.int32) for size in (ROWS, COLUMNS))
    near = [jnp.abs(at[None] - cells[:, k, None]) <= reach for k, at in enumerate((rows, columns))]
    return jnp.any(which[:, None, None] & near[0][:, :, None] & near[1][:, None, :], axis=0)


def stood(environment: Any, place: Pose, row: Int[Array, ""], column: Int[Array, ""], heading: Int[Array, ""]) -> Int[Array, ""]:
    """The action that leads to a lookout and stays there, looking one way; in the corridor there is time to turn first."""
    own_row, own_column, own_heading = on_grid(place)
    there = (own_row == row) & (own_column == column)
    waits = (place.x >= NEAR_DOOR + 1 + chambers_view.PAST_DOOR) & (place.x < FAR_DOOR)
    off = _off(place, heading)
    turn = jnp.where(off > 0, walking.LOOK_RIGHT, walking.LOOK_LEFT)
    # Nothing does nothing: in a door's northern cell the wall to the north holds up, in first person it looks to and fro.
    idle = walking.LOOK_LEFT if _first_person(environment) else walking.step(jnp.zeros((), jnp.int32), own_heading)
    to = jnp.stack([column, row]).astype(jnp.float32) + 0.5
    walk = jnp.where(there, idle, gone(environment, place, to, jnp.asarray(WALLS)))
    return jnp.where((there | waits) & (jnp.abs(off) > STEADY), turn, walk).astype(jnp.int32)


def gone(environment: Any, place: Pose, to: Float[Array, "2"], walls: Bool[Array, "9 21"]) -> Int[Array, ""]:
    """The action that leads to a place (x, y), as if doors were open; a turn in the compact embodiment where it is there."""
    row, column, heading = on_grid(place)
    walls = walls & ~around(jnp.stack([row, column])[None], jnp.ones((1,), bool), 0)
    goal = around(jnp.floor(to[::-1]).astype(jnp.int32)[None], jnp.ones((1,), bool), 0)
    first_person = _first_person(environment)
    east_first = jnp.asarray([0, 1, 0, 0], jnp.int32)
    cells, goes = routes.route(walls, goal, row, column, east_first, LOOKAHEAD if first_person else 1)
    if not first_person:
        direction = jnp.argmax(jnp.asarray(HEADINGS) @ (cells[0] - jnp.stack([row, column]))).astype(jnp.int32)
        return jnp.where(goes, walking.step(direction, heading), walking.LOOK_RIGHT).astype(jnp.int32)
    here = jnp.stack([place.x, place.y])
    stations = jnp.concatenate([jnp.floor(here)[None] + 0.5, cells[:, ::-1].astype(jnp.float32) + 0.5, to[None]])
    straight = jax.vmap(lambda station: routes.clear(walls, here, station, MARGIN, FARTHEST))(stations)
    furthest = jnp.max(jnp.where(straight, jnp.arange(len(stations)), 0))
    return walking.steer(place, jnp.where(goes, stations[furthest], to), walls)


def _off(place: Pose, heading: int | Int[Array, ""]) -> Float[Array, ""]:
    """Radians to the right that it has to turn to look in one of the four directions."""
    wanted = jnp.asarray(heading, jnp.int32).astype(jnp.float32) * (np.pi / 2)
    return (wanted - place.heading + jnp.pi) % (2 * jnp.pi) - jnp.pi


def _number(down: Any, right: Any) -> Any:
    """1 to 9: where around its spot a block is."""
    return 1 + 3 * (down + 1) + right + 1


def _mirrored(task: Any) -> Int[np.ndarray, "S 2"]:
    """The spots of room 2."""
    return np.asarray([(row, COLUMNS - 1 - column) for row, column in task.spots], np.int32)


def _hidden(task: Any, right: int) -> Int[np.ndarray, "S"]:
    """Which corner around each spot is out of view from a lookout that is to its right (1) or left (-1), 0 for none."""
    corners = np.zeros(len(task.spots), np.int32)
    for k, (row, column) in enumerate(task.spots):
        down = int(np.sign(row - FIRST_LOOKOUT.row))
        out_of_view = abs(row + down - FIRST_LOOKOUT.row) > FIRST_LOOKOUT.column - column - 1
        corners[k] = _number(down, right) if task.moving and out_of_view else 0
    return corners


def _first_person(environment: Any) -> bool:
    return isinstance(environment, chambers_view.FirstPersonChambers)


def _given(value: Any) -> Any:
    assert value is not None, "a player that reads its place is given it"
    return value
