"""The compact embodiment of spot the difference: a cell or a quarter turn a step of 8 frames, blocks seen as a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import chambers, clock, colours, levels, scores, sight
from unseen.environments.memory_suite.chambers import COLUMNS, DOOR_ROWS, FAR_DOOR, NEAR_DOOR, ROWS, Blocks, Progress, SpotParams, SpotTask
from unseen.environments.memory_suite.sight import HEADINGS

STEPS = clock.frames(chambers.SECONDS) // clock.COMPACT_FRAMES
FORWARD, BACKWARD, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT = range(6)
AHEAD, ASIDE = 20, 6  # the furthest a block can be ahead and to a side
BLOCK = (AHEAD + 1, 2 * ASIDE + 2, *(colours.STEPS + 1,) * 3)
REACH = 0.99  # cells a moving block goes from its spot; not 1, so that half of it is rounded alike in both rooms


class ChamberState(NamedTuple):
    """Attributes:

    blocks: everything random of the episode.
    progress: how far it has come.
    row, column, heading: the agent's; heading 0 north, 1 east, 2 south, 3 west.
    """

    blocks: Blocks
    progress: Progress
    row: Int[Array, ""]
    column: Int[Array, ""]
    heading: Int[Array, ""]


@dataclass(frozen=True)
class CompactChambers:
    """Spot the difference on a grid; a step is 8 frames, so delays are 15 steps (2 s) to 120 (16 s) and an episode 900.

    Actions: 0 forward, 1 backward, 2 left, 3 right (seen from the agent; it keeps its heading), 4 turn left, 5 turn right.
    A step into a block of room 2 touches it; nobody walks through a block. When the far door opens the agent stands before it.

    Observation: `MultiDiscrete`: the heading (0 north, 1 east, 2 south, 3 west); steps to the first wall or door ahead, to the left and
    to the right and whether it is a door; then for each block steps ahead (0: not seen), 7 + steps to the right (less than 7: to the
    left), and 1 + the amounts of red, green and blue. A block is seen if it is in the same room, ahead, and no further to a side than
    ahead. The nearest ahead comes first, of equals the one further to the left, so that which block is which in the other room has to
    be told by their places.

    Signals: "answer" (the altered block), "blocks" (count, and row, column, colour, motion of each in room 1), "pose", "state" (all
    of these, the change, the phase and the timer in steps).

    Source: specification §1.3 and §3.5-3.8; all of it proposed.
    """

    task: SpotTask
    reset_pool = levels.RESET_POOL

    @property
    def name(self) -> str:
        return f"memory/{self.task.name}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return "forward", "backward", "left", "right", "turn left", "turn right"

    @cached_property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return levels.mixtures(levels.TWO_SCALES, lambda holdout, scale: self.task.difficulties[scale].params(holdout))

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([4, *[COLUMNS, 2] * 3, *BLOCK * self.task.most])

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(6)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return signal_spaces(self.task)

    def horizon(self, params: Params = ()) -> int:
        return STEPS

    def reset(self, key: PRNGKeyArray, params: SpotParams) -> tuple[Int[Array, "n"], ChamberState]:
        start = (jnp.asarray(n, jnp.int32) for n in self.task.start)
        state = ChamberState(chambers.draw(self.task, key, params), chambers.begin(), *start)
        return self.observe(state), state

    def step(self, key: PRNGKeyArray, state: ChamberState, action: Int[Array, ""], params: SpotParams) -> Step:
        turn = jnp.where(action == TURN_RIGHT, 1, jnp.where(action == TURN_LEFT, 3, 0))
        # Ahead, behind, left and right are 0, 2, 3 and 1 quarter turns from the heading.
        quarter = jnp.asarray([0, 2, 3, 1, 0, 0], jnp.int32).at[action].get(mode="clip")
        towards = jnp.asarray(HEADINGS).at[(state.heading + quarter) % 4].get(mode="clip")
        walks = action <= RIGHT
        row, column = state.row + towards[0], state.column + towards[1]
        block = self._block_at(state, row, column)
        moves = walks & ~solid(state.progress).at[row, column].get(mode="clip") & (block < 0)
        touched = jnp.where(walks & (column > FAR_DOOR), block, -1)
        row, column = jnp.where(moves, row, state.row), jnp.where(moves, column, state.column)
        heading = (state.heading + turn) % 4
        progress, reward, moment = chambers.advanced(state.blocks, state.progress, params, column, touched, clock.COMPACT_FRAMES)
        pose = (jnp.where(moment.opens, put, now) for put, now in zip(chambers.THRESHOLD, (row, column, heading), strict=True))
        pose = (jnp.where(moment.again, put, now) for put, now in zip(self.task.start, pose, strict=True))
        after = ChamberState(state.blocks, progress, *pose)
        return Step(self.observe(after), after, reward, jnp.asarray(False))

    def action_mask(self, state: ChamberState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: ChamberState, params: Params = ()) -> Mapping[str, Array]:
        return told(self.task, state.blocks, state.progress, state.row, state.column, state.heading)

    def references(self, level: str) -> References:
        """Measured random, memoryless, perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: ChamberState, params: Params = ()) -> np.ndarray:
        from unseen.environments.memory_suite import cards

        state = jax.tree.map(jnp.asarray, state)  # a recorded one is of NumPy arrays
        there = self._seen(state)
        return cards.chamber_map(
            there, np.asarray(solid(state.progress)), bool(state.blocks.holdout), state.row, state.column, state.heading
        )

    def picture(self, observation: Int[Array | np.ndarray, "n"], params: Params = ()) -> np.ndarray:
        """The observation for people."""
        from unseen.environments.memory_suite import cards

        return cards.chamber_card(np.asarray(observation))

    def observe(self, state: ChamberState) -> Int[Array, "n"]:
        lines = sight.lines(solid(state.progress))
        looks = [self._line(state, lines, turn) for turn in (0, 3, 1)]
        return jnp.concatenate([state.heading[None], *looks, self._list(state).reshape(-1)])

    def _line(self, state: ChamberState, lines: tuple[Array, Array], turn: int) -> Int[Array, "2"]:
        heading = (state.heading + turn) % 4
        steps = sight.steps_ahead(*lines, state.row, state.column, heading)
        towards = jnp.asarray(HEADINGS).at[heading].get(mode="clip")
        row, column = state.row + steps * towards[0], state.column + steps * towards[1]
        is_door = ((column == NEAR_DOOR) | (column == FAR_DOOR)) & ((row == DOOR_ROWS[0]) | (row == DOOR_ROWS[1]))
        return jnp.stack([steps, is_door.astype(jnp.int32)])

    def _list(self, state: ChamberState) -> Int[Array, "N 5"]:
        """The blocks as seen by the agent."""
        there = self._seen(state)
        down, right = (jnp.rint(at).astype(jnp.int32) - mine for at, mine in ((there.row, state.row), (there.column, state.column)))
        front = jnp.asarray(HEADINGS).at[state.heading].get(mode="clip")
        ahead, aside = down * front[0] + right * front[1], right * -front[0] + down * front[1]
        here = (state.column <= NEAR_DOOR) | (state.column >= FAR_DOOR)
        visible = there.present & here & (ahead >= 1) & (jnp.abs(aside) <= jnp.minimum(ahead, ASIDE))
        amounts = colours.amounts(there.colour, state.blocks.holdout) + 1
        rows = jnp.concatenate([ahead[:, None], 1 + ASIDE + aside[:, None], amounts], axis=-1)
        index = jnp.arange(len(rows), dtype=jnp.int32)
        place = len(rows) * jnp.where(visible, rows[:, 0] * BLOCK[1] + rows[:, 1], BLOCK[0] * BLOCK[1]) + index
        rank = jnp.sum((place[None] < place[:, None]).astype(jnp.int32), axis=1)  # of so few, cheaper than sorting
        here = (index[:, None] == rank[None]) & visible[None]
        return jnp.sum(jnp.where(here[:, :, None], rows[None], 0), axis=1)

    def _seen(self, state: ChamberState) -> chambers.Seen:
        return chambers.seen(self.task, state.blocks, state.progress, state.progress.phase != chambers.ROOM, REACH)

    def _block_at(self, state: ChamberState, row: Int[Array, ""], column: Int[Array, ""]) -> Int[Array, ""]:
        """Number of the block in a cell, -1 for none."""
        there = self._seen(state)
        here = there.present & (jnp.rint(there.row).astype(jnp.int32) == row) & (jnp.rint(there.column).astype(jnp.int32) == column)
        return jnp.where(jnp.any(here), jnp.argmax(here).astype(jnp.int32), -1)


def solid(progress: Progress) -> Bool[Array, "9 21"]:
    """Walls and shut doors."""
    near, far = (np.zeros((ROWS, COLUMNS), bool) for _ in range(2))
    near[DOOR_ROWS[0] : DOOR_ROWS[1] + 1, NEAR_DOOR] = far[DOOR_ROWS[0] : DOOR_ROWS[1] + 1, FAR_DOOR] = True
    near_shut, far_shut = chambers.doors(progress)
    return jnp.asarray(chambers.WALLS) | (jnp.asarray(near) & near_shut) | (jnp.asarray(far) & far_shut)


def signal_spaces(task: SpotTask) -> Mapping[str, gymnasium.Space[Any]]:
    """What `told` gives."""
    blocks = [task.most + 1, *[ROWS, COLUMNS, colours.SET, chambers.MOTIONS] * task.most]
    pose = [ROWS, COLUMNS, 4]
    change = [task.most, colours.SET, chambers.MOTIONS]
    return {
        "answer": gymnasium.spaces.Discrete(task.most),
        "blocks": gymnasium.spaces.MultiDiscrete(blocks),
        "pose": gymnasium.spaces.MultiDiscrete(pose),
        "state": gymnasium.spaces.MultiDiscrete([*blocks, *pose, *change, 4, MOST_TIMER + 1]),
    }


MOST_TIMER = clock.frames(16) // clock.COMPACT_FRAMES


def told(
    task: SpotTask, blocks: Blocks, progress: Progress, row: Int[Array, ""], column: Int[Array, ""], heading: Int[Array, ""]
) -> Mapping[str, Array]:
    """The signals of a trial and a pose on the grid."""
    one = [chambers.of_trial(x, progress) for x in blocks[:-1]]
    count, rows, columns, colour, motion, altered, new_colour, new_motion = one
    listed = jnp.concatenate([count[None], jnp.stack([rows, columns, colour, motion], axis=-1).reshape(-1)])
    pose = jnp.stack([row, column, heading])
    timer = jnp.clip((progress.timer + clock.COMPACT_FRAMES - 1) // clock.COMPACT_FRAMES, 0, MOST_TIMER)
    rest = jnp.stack([altered, new_colour, new_motion, progress.phase, timer])
    return {"answer": altered, "blocks": listed, "pose": pose, "state": jnp.concatenate([listed, pose, rest])}
