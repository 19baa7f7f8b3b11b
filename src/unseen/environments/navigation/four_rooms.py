"""Memory-four-rooms: two exits, and the colour of a beacon somewhere else says which of them is the good one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from unseen.environments import measured, options
from unseen.environments.contract import Params, References, Step
from unseen.errors import UserError

HIDDEN, FLOOR, WALL, EXIT, BEACON = range(5)  # what a cell is
COLOURS = ("red", "green", "blue", "yellow")  # numbered from 1 in the observation; 0 is no colour
AHEAD, ASIDE = 6, 3  # cells the agent sees in front of it, and to each side
WINDOW = (AHEAD + 1, 2 * ASIDE + 1)
STEP_COST, PRIZE = -0.05, 5.0
FORWARD, BACKWARD, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT = range(6)
HEADINGS = np.asarray([(-1, 0), (0, 1), (1, 0), (0, -1)], np.int32)  # north, east, south, west: (down, right)


class FourRoomsState(NamedTuple):
    """Attributes:

    walls: which cells are walls.
    row, column, heading: the agent's; heading 0 north, 1 east, 2 south, 3 west.
    beacon, good, bad: cells (row * size + column) of the beacon and the two exits.
    good_colour, bad_colour: 0 to 3; the beacon has the colour of the good exit.
    """

    walls: Bool[Array, "H W"]
    row: Int[Array, ""]
    column: Int[Array, ""]
    heading: Int[Array, ""]
    beacon: Int[Array, ""]
    good: Int[Array, ""]
    bad: Int[Array, ""]
    good_colour: Int[Array, ""]
    bad_colour: Int[Array, ""]


@dataclass(frozen=True)
class MemoryFourRooms:
    """Four rooms with an opening between neighbours; leave by the exit that has the beacon's colour.

    Openings, the places of agent, beacon and exits, the heading and the two colours are drawn anew in every episode. Actions:
    0 forward, 1 backward, 2 left, 3 right (seen from the agent; it keeps its heading), 4 turn left, 5 turn right. Rewards: -0.05
    a step; on the good exit +5 more, on the other -5, and either ends the episode.

    Observation: `Box(7, 7, 2)` of bytes, the window in front of the agent, turned so that it looks up from the middle of the
    lowest row: what each cell is (0 hidden, 1 floor, 2 wall, 3 exit, 4 beacon) and its colour (0 none, 1 red, 2 green, 3 blue,
    4 yellow). A cell is seen if it can be reached from the agent by steps ahead, to the left and ahead-left, or by steps
    ahead, to the right and ahead-right, through cells that are not walls.

    Signals: "good_colour" (4), "good_exit" (its cell), "exits" (cells and colours of both, the smaller cell first: not
    which is good), "pose" (row, column, heading), "state" (bytes, size x size x 3: what, colour, and heading + 1 where the
    agent is).

    Args:
        size: 7 or 9 (any odd number from 7 to 31).
        time_limit: horizon in steps.

    Source: gym-gridverse, `gv_memory_four_rooms`; the planes that are constant there (item held, agent's place in its own
    window, states of cells) are left out. Which signals IAAC used: not found; these are proposed.
    """

    size: int = 7
    time_limit: int = 100

    def __post_init__(self) -> None:
        options.require_integer("memory-four-rooms", "size", self.size, 7, 31)
        if self.size % 2 == 0:
            raise UserError(f"memory-four-rooms: size={self.size} is not allowed; give an odd number, so that the rooms are equal")
        options.require_integer("memory-four-rooms", "time_limit", self.time_limit, 1)

    @property
    def name(self) -> str:
        return f"memory-four-rooms-{self.size}x{self.size}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return "forward", "backward", "left", "right", "turn left", "turn right"

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(0, len(COLOURS), (*WINDOW, 2), np.uint8)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(6)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        cells, colours = self.size**2, len(COLOURS)
        return {
            "good_colour": gymnasium.spaces.Discrete(colours),
            "good_exit": gymnasium.spaces.Discrete(cells),
            "exits": gymnasium.spaces.MultiDiscrete([cells, cells, colours, colours]),
            "pose": gymnasium.spaces.MultiDiscrete([self.size, self.size, 4]),
            "state": gymnasium.spaces.Box(0, len(COLOURS), (self.size, self.size, 3), np.uint8),
        }

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[UInt8[Array, "7 7 2"], FourRoomsState]:
        k_openings, k_places, k_heading, k_colours = jax.random.split(key, 4)
        walls = self._walls(jax.random.randint(k_openings, (4,), 1, self.size // 2))
        order = jnp.where(walls.reshape(-1), 2.0, jax.random.uniform(k_places, (self.size**2,)))
        agent, beacon, good, bad = jnp.argsort(order)[:4].astype(jnp.int32)
        colours = jax.random.permutation(k_colours, jnp.arange(len(COLOURS), dtype=jnp.int32))
        heading = jax.random.randint(k_heading, (), 0, 4)
        state = FourRoomsState(walls, agent // self.size, agent % self.size, heading, beacon, good, bad, colours[0], colours[1])
        return self._observe(state), state

    def step(self, key: PRNGKeyArray, state: FourRoomsState, action: Int[Array, ""], params: Params = ()) -> Step:
        turn = jnp.where(action == TURN_RIGHT, 1, jnp.where(action == TURN_LEFT, -1, 0))
        # Ahead, behind, left and right are 0, 2, 3 and 1 quarter turns from the heading.
        quarter = jnp.asarray([0, 2, 3, 1, 0, 0], jnp.int32).at[action].get(mode="clip")
        towards = jnp.asarray(HEADINGS).at[(state.heading + quarter) % 4].get(mode="clip")
        row, column = state.row + towards[0], state.column + towards[1]
        moves = (action <= RIGHT) & ~state.walls.at[row, column].get(mode="clip")  # the border is wall: never outside
        row, column = jnp.where(moves, row, state.row), jnp.where(moves, column, state.column)
        after = state._replace(row=row, column=column, heading=(state.heading + turn) % 4)
        cell = row * self.size + column
        reward = STEP_COST + PRIZE * ((cell == state.good).astype(jnp.float32) - (cell == state.bad).astype(jnp.float32))
        return Step(self._observe(after), after, reward, (cell == state.good) | (cell == state.bad))

    def action_mask(self, state: FourRoomsState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: FourRoomsState, params: Params = ()) -> Mapping[str, Array]:
        swap = state.good > state.bad
        cells = jnp.stack([state.good, state.bad])
        colours = jnp.stack([state.good_colour, state.bad_colour])
        ordered = jnp.where(swap, jnp.concatenate([cells[::-1], colours[::-1]]), jnp.concatenate([cells, colours]))
        agent = jnp.zeros((self.size, self.size), jnp.uint8).at[state.row, state.column].set((state.heading + 1).astype(jnp.uint8))
        return {
            "good_colour": state.good_colour,
            "good_exit": state.good,
            "exits": ordered,
            "pose": jnp.stack([state.row, state.column, state.heading]),
            "state": jnp.concatenate([self._grid(state), agent[..., None]], axis=-1),
        }

    def references(self, level: str) -> References:
        """random and oracle (the shortest way to the good exit around the other) are measured; empty for other time limits."""
        options.require_train(self.name, level)
        return measured.references("navigation", self.name, self.time_limit)

    def draw(self, state: FourRoomsState, params: Params = ()) -> np.ndarray:
        from unseen.environments.navigation import drawing

        picture = drawing.Board(self.size, self.size)
        for row, column in np.argwhere(~np.asarray(state.walls)):
            picture.tile((int(row), int(column)), drawing.FLOOR)
        for cell, colour, kind in (
            (state.good, state.good_colour, "exit"),
            (state.bad, state.bad_colour, "exit"),
            (state.beacon, state.good_colour, "beacon"),
        ):
            place = divmod(int(cell), self.size)
            shade = drawing.HINT if kind == "beacon" else drawing.GOOD if int(cell) == int(state.good) else drawing.BAD
            picture.tile(place, shade)
            picture.text((place[0] - 0.5, place[1]), COLOURS[int(colour)], drawing.LIGHT)
            picture.text(place, kind, drawing.LIGHT)
        place = int(state.row), int(state.column)
        picture.agent(place, radius=0.22)
        down, right = (0.34 * float(x) for x in HEADINGS[int(state.heading)])
        picture.disc((place[0] + down, place[1] + right), 0.09, drawing.AGENT)
        return picture.array()

    def _walls(self, openings: Int[Array, "4"]) -> Bool[Array, "H W"]:
        """The border and the cross in the middle, with an opening in each of its four arms: up, down, left, right."""
        middle = self.size // 2
        edge = np.isin(np.arange(self.size), (0, middle, self.size - 1))
        up, down, left, right = openings
        rows = jnp.stack([up, down + middle, jnp.int32(middle), jnp.int32(middle)])
        columns = jnp.stack([jnp.int32(middle), jnp.int32(middle), left, right + middle])
        return jnp.asarray(edge[:, None] | edge[None, :]).at[rows, columns].set(False)

    def _grid(self, state: FourRoomsState) -> UInt8[Array, "H W 2"]:
        """What each cell is, and its colour."""
        cells = jnp.stack([state.good, state.bad, state.beacon])
        kinds = jnp.where(state.walls, WALL, FLOOR).reshape(-1).at[cells].set(jnp.asarray([EXIT, EXIT, BEACON], jnp.int32))
        colours = jnp.stack([state.good_colour, state.bad_colour, state.good_colour]) + 1
        painted = jnp.zeros((self.size**2,), jnp.int32).at[cells].set(colours)
        return jnp.stack([kinds, painted], axis=-1).reshape(self.size, self.size, 2).astype(jnp.uint8)

    def _observe(self, state: FourRoomsState) -> UInt8[Array, "7 7 2"]:
        ahead, aside = AHEAD - np.arange(WINDOW[0], dtype=np.int32)[:, None], np.arange(WINDOW[1], dtype=np.int32)[None, :] - ASIDE
        headings = jnp.asarray(HEADINGS)
        front, right = headings.at[state.heading].get(mode="clip"), headings.at[(state.heading + 1) % 4].get(mode="clip")
        row = state.row + ahead * front[0] + aside * right[0]
        column = state.column + ahead * front[1] + aside * right[1]
        inside = (row >= 0) & (row < self.size) & (column >= 0) & (column < self.size)
        seen = self._grid(state).at[row, column].get(mode="clip")
        visible = reached(inside & (seen[..., 0] != WALL)) & inside
        return jnp.where(visible[..., None], seen, jnp.uint8(HIDDEN))


def reached(clear: Bool[Array, "7 7"]) -> Bool[Array, "7 7"]:
    """Cells of the window that are seen: two floods from the agent, one ahead and to the left, one ahead and to the right.

    A cell that is not clear is seen but nothing is seen through it.
    """
    agent = np.zeros(WINDOW, bool)
    agent[AHEAD, ASIDE] = True

    def flood(clear: Bool[Array, "7 7"]) -> Bool[Array, "7 7"]:
        """Ahead, left and ahead-left; every step goes at least one cell on, so AHEAD + ASIDE of them reach everything."""
        seen = jnp.asarray(agent)
        for _ in range(AHEAD + ASIDE):
            through = jnp.pad(seen & clear, ((0, 1), (0, 1)))
            seen = seen | through[1:, :-1] | through[:-1, 1:] | through[1:, 1:]
        return seen

    return flood(clear) | flood(clear[:, ::-1])[:, ::-1]
