"""The compact embodiment of goal navigation: a cell a step, a small window ahead, and distances along three lines of sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import land, levels, scores, sight
from unseen.environments.memory_suite.land import MATERIALS, PRIZE, SIZE, Land, LandParams, LandTask
from unseen.environments.memory_suite.sight import HEADINGS

STEPS = 225  # the episode's 120 s
FORWARD, BACKWARD, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT = range(6)
HIDDEN, FLOOR, GOAL = 0, 1, 2  # what a cell of the window looks like; material k is GOAL + k
LOOKS = GOAL + MATERIALS


class LandState(NamedTuple):
    """Attributes:

    land: everything random of the episode.
    rows, columns: where each row and column is solid, as bits.
    row, column, heading: the agent's; heading 0 north, 1 east, 2 south, 3 west.
    visits: how often the goal was reached.
    """

    land: Land
    rows: UInt32[Array, "29"]
    columns: UInt32[Array, "29"]
    row: Int[Array, ""]
    column: Int[Array, ""]
    heading: Int[Array, ""]
    visits: Int[Array, ""]


@dataclass(frozen=True)
class CompactLand:
    """Goal navigation on a grid of one-metre cells, one cell a step, 225 steps for the episode's 120 s.

    Actions: 0 forward, 1 backward, 2 left, 3 right (seen from the agent; it keeps its heading), 4 turn left, 5 turn right.
    A step that ends within a metre of the goal pays 10 and puts the agent at the next start.

    Observation: `MultiDiscrete`: the heading (as far landmarks tell it: 0 north, 1 east, 2 south, 3 west), the steps to the first thing
    ahead, to the left and to the right and what it looks like, and 5 by 5 cells in front of the agent, turned so that it looks up from
    the middle of the lowest row (0 hidden, 1 floor, 2 goal, then what stands there: four walls of an arena, eight colours of buildings,
    three themes of mazes without and with a decal).

    Signals: "goal" (row, column), "pose" (row, column, heading), "way" (rows and columns to the goal, each + 28), "state" (bytes,
    29 x 29 x 2: what stands there, and 1 at the goal, 2 + heading where the agent is).

    Source: specification §1.3 (compact embodiment, proposed) and §3.9-3.12.
    """

    task: LandTask
    reset_pool = levels.RESET_POOL

    @property
    def name(self) -> str:
        return f"memory/{self.task.name}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return "forward", "backward", "left", "right", "turn left", "turn right"

    @cached_property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return levels.mixtures(levels.TWO_SCALES, lambda holdout, scale: self.task.extents[scale].params(holdout))

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([4, *[SIZE, LOOKS] * 3, *[LOOKS] * sight.CELLS])

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(6)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {
            "goal": gymnasium.spaces.MultiDiscrete([SIZE, SIZE]),
            "pose": gymnasium.spaces.MultiDiscrete([SIZE, SIZE, 4]),
            "way": gymnasium.spaces.MultiDiscrete([2 * SIZE - 1] * 2),
            "state": gymnasium.spaces.Box(0, MATERIALS - 1, (SIZE, SIZE, 2), np.uint8),
        }

    def horizon(self, params: Params = ()) -> int:
        return STEPS

    def reset(self, key: PRNGKeyArray, params: LandParams) -> tuple[Int[Array, "32"], LandState]:
        drawn = self.task.draw(key, params)
        rows, columns = sight.lines(drawn.cells > 0)
        zero = jnp.zeros((), jnp.int32)
        state = LandState(drawn, rows, columns, *land.start(drawn, zero), zero)
        return self.observe(state), state

    def respawn(self, key: PRNGKeyArray, state: LandState, params: Params = ()) -> tuple[Int[Array, "32"], LandState]:
        """Another goal and other starts in the same surroundings, for surroundings that are used again."""
        drawn, zero = land.resettled(key, state.land), jnp.zeros((), jnp.int32)
        again = LandState(drawn, state.rows, state.columns, *land.start(drawn, zero), zero)
        return self.observe(again), again

    def step(self, key: PRNGKeyArray, state: LandState, action: Int[Array, ""], params: Params = ()) -> Step:
        moved = walked(state, action)
        arrived = land.reached(state.land, *middle(moved))
        visits = state.visits + arrived.astype(jnp.int32)
        row, column, heading = (
            jnp.where(arrived, new, old)
            for new, old in zip(land.start(state.land, visits), (moved.row, moved.column, moved.heading), strict=True)
        )
        after = state._replace(row=row, column=column, heading=heading, visits=visits)
        return Step(self.observe(after), after, PRIZE * arrived.astype(jnp.float32), jnp.asarray(False))

    def action_mask(self, state: LandState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: LandState, params: Params = ()) -> Mapping[str, Array]:
        return told(state.land, state.row, state.column, state.heading)

    def references(self, level: str) -> References:
        """Measured random, memoryless, perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: LandState, params: Params = ()) -> np.ndarray:
        from unseen.environments.memory_suite import cards

        return cards.land_map(state.land, int(state.row), int(state.column), int(state.heading))

    def picture(self, observation: Int[Array | np.ndarray, "32"], params: Params = ()) -> np.ndarray:
        """The observation for people."""
        from unseen.environments.memory_suite import cards

        return cards.land_card(np.asarray(observation))

    def observe(self, state: LandState) -> Int[Array, "32"]:
        row, column = sight.window(state.row, state.column, state.heading)
        inside = (row >= 0) & (row < SIZE) & (column >= 0) & (column < SIZE)
        cells = state.land.cells.at[row, column].get(mode="clip").astype(jnp.int32)
        solid = ~inside | (cells > 0)
        there = jnp.where(cells > 0, GOAL + cells, FLOOR)
        if self.task.goal_visible:
            there = jnp.where((row == state.land.goal[0]) & (column == state.land.goal[1]), GOAL, there)
        seen = jnp.where(sight.visible(solid) & inside, there, HIDDEN)
        return jnp.concatenate([state.heading[None], *(self._line(state, turn) for turn in (0, 3, 1)), seen])

    def _line(self, state: LandState, turn: int) -> Int[Array, "2"]:
        """Steps to the first thing in a direction, and its look."""
        heading = (state.heading + turn) % 4
        steps = sight.steps_ahead(state.rows, state.columns, state.row, state.column, heading)
        towards = jnp.asarray(HEADINGS).at[heading].get(mode="clip")
        row, column = state.row + steps * towards[0], state.column + steps * towards[1]
        look = GOAL + state.land.cells.at[row, column].get(mode="clip").astype(jnp.int32)
        if self.task.goal_visible:
            down, right = state.land.goal[0] - state.row, state.land.goal[1] - state.column
            ahead, aside = down * towards[0] + right * towards[1], down * towards[1] + right * towards[0]
            before = (aside == 0) & (ahead > 0) & (ahead < steps)
            steps, look = jnp.where(before, ahead, steps), jnp.where(before, GOAL, look)
        return jnp.stack([steps, look])


def walked(state: LandState, action: Int[Array, ""]) -> LandState:
    """One cell or one quarter turn on, if nothing stands there."""
    turn = jnp.where(action == TURN_RIGHT, 1, jnp.where(action == TURN_LEFT, 3, 0))
    # Ahead, behind, left and right are 0, 2, 3 and 1 quarter turns from the heading.
    quarter = jnp.asarray([0, 2, 3, 1, 0, 0], jnp.int32).at[action].get(mode="clip")
    towards = jnp.asarray(HEADINGS).at[(state.heading + quarter) % 4].get(mode="clip")
    row, column = state.row + towards[0], state.column + towards[1]
    moves = (action <= RIGHT) & (state.land.cells.at[row, column].get(mode="clip") == 0)  # the border is wall: never outside
    row, column = jnp.where(moves, row, state.row), jnp.where(moves, column, state.column)
    return state._replace(row=row, column=column, heading=(state.heading + turn) % 4)


def middle(state: LandState) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """x and y of the middle of the agent's cell, in metres."""
    return state.column.astype(jnp.float32) + 0.5, state.row.astype(jnp.float32) + 0.5


def told(drawn: Land, row: Int[Array, ""], column: Int[Array, ""], heading: Int[Array, ""]) -> Mapping[str, Array]:
    """The signals of a land and a pose on its grid."""
    marks = jnp.zeros((SIZE, SIZE), jnp.uint8).at[drawn.goal[0], drawn.goal[1]].set(1)
    marks = marks.at[row, column].set((heading + 2).astype(jnp.uint8))
    return {
        "goal": drawn.goal,
        "pose": jnp.stack([row, column, heading]),
        "way": drawn.goal - jnp.stack([row, column]) + SIZE - 1,
        "state": jnp.stack([drawn.cells, marks], axis=-1),
    }
