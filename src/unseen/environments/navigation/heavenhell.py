"""Heaven-hell: which end of the T is heaven? A priest, far in the other direction, knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.environments import options
from unseen.environments.contract import Params, References, Score, Step

LEFT, RIGHT = 0, 1
NORTH, SOUTH, EAST, WEST = range(4)


class HeavenHellState(NamedTuple):
    """Where the agent is, and which end is heaven.

    Attributes:
        cell: 0 start, 1..n north to the junction n, n+1..2n the west arm, 2n+1..3n the east arm,
            3n+1 below the start, 3n+2..4n+1 east along the corridor to the priest.
        heaven: 0 the west end (cell 2n), 1 the east end (cell 3n).
    """

    cell: Int[Array, ""]
    heaven: Int[Array, ""]


@dataclass(frozen=True)
class HeavenHell:
    """A T-maze with arms of n cells; walking into heaven pays +1, into hell -1, and the two sides look the same.

    Observation: the symbol of the cell, `Discrete(4n + 4)`: cells 0..4n as they are, at the priest 4n+1 (heaven is left)
    or 4n+2 (right), and 4n+3 for the first observation of an episode. Actions: 0 north, 1 south, 2 east, 3 west; moves
    into walls stay. Reward and termination belong to the state the action is taken in: any action in an end cell ends it.

    Signals: "heaven" (2 values), "position" (4n+2 cells), "state" ((4n+2) * heaven + cell).

    Args:
        n: length of each arm, 1 to 10.
        time_limit: horizon in steps.

    Source: Geffner and Bonet, "Solving large POMDPs using real time dynamic programming" (1998); the public file
    heavenhell_3.pomdp of Baisero's gym-pomdps.
    """

    n: int = 3
    time_limit: int = 100

    def __post_init__(self) -> None:
        options.require_integer("heavenhell", "n", self.n, 1, 10)
        options.require_integer("heavenhell", "time_limit", self.time_limit, 1)

    @property
    def name(self) -> str:
        return f"heavenhell-{self.n}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return "north", "south", "east", "west"

    @property
    def cells(self) -> int:
        return 4 * self.n + 2

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(self.cells + 2)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(4)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        sizes = {"heaven": 2, "position": self.cells, "state": 2 * self.cells}
        return {name: gymnasium.spaces.Discrete(size) for name, size in sizes.items()}

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Int[Array, ""], HeavenHellState]:
        heaven = jax.random.bernoulli(key).astype(jnp.int32)
        return jnp.int32(self.cells + 1), HeavenHellState(jnp.int32(0), heaven)

    def step(self, key: PRNGKeyArray, state: HeavenHellState, action: Int[Array, ""], params: Params = ()) -> Step:
        cell, heaven = state
        west_end, east_end = cell == 2 * self.n, cell == 3 * self.n
        in_heaven = jnp.where(heaven == RIGHT, east_end, west_end)
        reward = jnp.where(in_heaven, 1.0, jnp.where(west_end | east_end, -1.0, 0.0)).astype(jnp.float32)

        table = jnp.asarray(next_cells(self.n).ravel())
        arrived = table.at[cell * 4 + action.astype(jnp.int32)].get(mode="promise_in_bounds")
        observation = jnp.where(arrived == self.cells - 1, arrived + heaven, arrived)
        return Step(observation, HeavenHellState(arrived, heaven), reward, west_end | east_end)

    def action_mask(self, state: HeavenHellState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: HeavenHellState, params: Params = ()) -> Mapping[str, Array]:
        return {"heaven": state.heaven, "position": state.cell, "state": self.cells * state.heaven + state.cell}

    def references(self, level: str) -> References:
        """Exact: heaven pays in the action after arriving, so the oracle needs 2n+1 actions, by way of the priest 4n+3."""
        options.require_train(self.name, level)
        oracle_steps, memory_steps = 2 * self.n + 1, 4 * self.n + 3
        source = "exact: shortest path"
        return References(
            random=Score(0.0, source="exact: heaven and hell are mirror images"),
            perfect_memory=Score(float(memory_steps <= self.time_limit), source=source),
            oracle=Score(float(oracle_steps <= self.time_limit), source=source),
            discounted={
                "random": (0.99, Score(0.0, source="exact: heaven and hell are mirror images")),
                "perfect_memory": (0.99, Score(_discounted(memory_steps, self.time_limit), source=source)),
                "oracle": (0.99, Score(_discounted(oracle_steps, self.time_limit), source=source)),
            },
        )

    def draw(self, state: HeavenHellState, params: Params = ()) -> np.ndarray:
        from unseen.environments.navigation import drawing

        picture = drawing.Board(self.n + 2, 2 * self.n + 1)
        places = [_place(cell, self.n) for cell in range(self.cells)]
        for place in places:
            picture.tile(place, drawing.FLOOR)
        west_is_heaven = int(state.heaven) == LEFT
        for end, is_heaven in ((2 * self.n, west_is_heaven), (3 * self.n, not west_is_heaven)):
            picture.tile(places[end], drawing.GOOD if is_heaven else drawing.BAD)
            picture.text(places[end], "heaven" if is_heaven else "hell", drawing.LIGHT)
        picture.tile(places[-1], drawing.HINT)
        picture.text(places[-1], "priest", drawing.LIGHT)
        picture.agent(places[int(state.cell)])
        return picture.array()


def _discounted(steps: int, limit: int) -> float:
    return 0.99 ** (steps - 1) if steps <= limit else 0.0


def _place(cell: int, n: int) -> tuple[int, int]:
    """Row and column of a cell in the picture: the arms on top, the stem below the junction, the priest bottom right."""
    if cell <= n:
        return n - cell, n
    if cell <= 2 * n:
        return 0, 2 * n - cell
    if cell <= 3 * n:
        return 0, cell - n
    return n + 1, cell - 2 * n - 1


@lru_cache
def next_cells(n: int) -> np.ndarray:
    """The cell each action leads to, int32 of shape (4n+2, 4): two cells are joined where they touch in the picture."""
    cell_at = {_place(cell, n): cell for cell in range(4 * n + 2)}
    directions = {NORTH: (-1, 0), SOUTH: (1, 0), EAST: (0, 1), WEST: (0, -1)}
    table = np.empty((4 * n + 2, 4), np.int32)
    for (row, column), cell in cell_at.items():
        for action, (down, right) in directions.items():
            blocked = cell in (2 * n, 3 * n)  # an action in an end cell ends the episode; it moves nothing
            table[cell, action] = cell if blocked else cell_at.get((row + down, column + right), cell)
    return table
