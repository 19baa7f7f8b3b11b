"""Shopping: the item's place can be asked for, at a price, and must then be remembered while walking to it."""

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
from unseen.environments.navigation import exact

QUERY, MOVE_LEFT, MOVE_RIGHT, MOVE_UP, MOVE_DOWN, BUY = range(6)
MOVE_COST, QUERY_COST, WRONG_COST, PRIZE = -1.0, -2.0, -5.0, 10.0


class ShoppingState(NamedTuple):
    """Coordinates in 0..n-1: x to the right, y up."""

    agent_x: Int[Array, ""]
    agent_y: Int[Array, ""]
    item_x: Int[Array, ""]
    item_y: Int[Array, ""]


@dataclass(frozen=True)
class Shopping:
    """An n by n shop; find the item and buy it.

    Observation: `Discrete(2 n^2 + 1)`: the agent's cell x n + y; after a query n^2 + the item's cell; 2 n^2 at the start.
    Actions: 0 query, 1 left, 2 right, 3 up, 4 down, 5 buy; moves clamp at the border. Rewards: a move -1, a query -2,
    buying -5, but +10 on the item's cell, which ends the episode. The agent starts at (0, 0), the item anywhere.

    Signals: "item" (n^2), "position" (the agent's cell, n^2), "state" (n^2 * agent + item, n^4 values).

    Args:
        n: side of the shop, 2 or more (at most 200, so that n^4 fits 32 bits).
        time_limit: horizon in steps.

    Source: shopping_5.v1.pomdp of Baisero's gym-pomdps.
    """

    n: int = 5
    time_limit: int = 100

    def __post_init__(self) -> None:
        options.require_integer("shopping", "n", self.n, 2, 200)
        options.require_integer("shopping", "time_limit", self.time_limit, 1)

    @property
    def action_names(self) -> tuple[str, ...]:
        return "query", "left", "right", "up", "down", "buy"

    @property
    def name(self) -> str:
        return f"shopping-{self.n}"

    @property
    def cells(self) -> int:
        return self.n * self.n

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(2 * self.cells + 1)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(6)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        sizes = {"item": self.cells, "position": self.cells, "state": self.cells**2}
        return {name: gymnasium.spaces.Discrete(size) for name, size in sizes.items()}

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Int[Array, ""], ShoppingState]:
        item = jax.random.randint(key, (), 0, self.cells, jnp.int32)
        nowhere = jnp.int32(0)
        return jnp.int32(2 * self.cells), ShoppingState(nowhere, nowhere, item // self.n, item % self.n)

    def step(self, key: PRNGKeyArray, state: ShoppingState, action: Int[Array, ""], params: Params = ()) -> Step:
        dx = (action == MOVE_RIGHT).astype(jnp.int32) - (action == MOVE_LEFT).astype(jnp.int32)
        dy = (action == MOVE_UP).astype(jnp.int32) - (action == MOVE_DOWN).astype(jnp.int32)
        x = jnp.clip(state.agent_x + dx, 0, self.n - 1)
        y = jnp.clip(state.agent_y + dy, 0, self.n - 1)
        arrived = state._replace(agent_x=x, agent_y=y)

        buying, querying = action == BUY, action == QUERY
        bought = buying & (state.agent_x == state.item_x) & (state.agent_y == state.item_y)
        price = jnp.where(buying, WRONG_COST, jnp.where(querying, QUERY_COST, MOVE_COST))
        reward = jnp.where(bought, PRIZE, price).astype(jnp.float32)

        observation = jnp.where(querying, self.cells + _item(arrived, self.n), _agent(arrived, self.n))
        return Step(observation, arrived, reward, bought)

    def action_mask(self, state: ShoppingState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: ShoppingState, params: Params = ()) -> Mapping[str, Array]:
        agent, item = _agent(state, self.n), _item(state, self.n)
        return {"item": item, "position": agent, "state": self.cells * agent + item}

    def references(self, level: str) -> References:
        """Exact, by dynamic programming, for n up to 12 (empty beyond: the tables have n^4 entries).

        The player with a memory is None where the limit is too short for a query, the longest walk and buying.
        """
        options.require_train(self.name, level)
        return _references(self.n, self.time_limit) if self.n <= 12 else References()

    def draw(self, state: ShoppingState, params: Params = ()) -> np.ndarray:
        from unseen.environments.navigation import drawing

        picture = drawing.Board(self.n, self.n)
        for row in range(self.n):
            for column in range(self.n):
                picture.tile((row, column), drawing.FLOOR)
        picture.star((self.n - 1 - int(state.item_y), int(state.item_x)), 0.46, drawing.SECOND_AGENT)
        picture.agent((self.n - 1 - int(state.agent_y), int(state.agent_x)))
        return picture.array()


def _agent(state: ShoppingState, n: int) -> Int[Array, ""]:
    return n * state.agent_x + state.agent_y


def _item(state: ShoppingState, n: int) -> Int[Array, ""]:
    return n * state.item_x + state.item_y


def tables(n: int, item: int) -> exact.Tables:
    """The n^2 agent cells and 6 actions, for an item known to lie in cell `item`."""
    x, y = np.divmod(np.arange(n * n), n)
    right, left, up, down = (np.clip(v, 0, n - 1) for v in (x + 1, x - 1, y + 1, y - 1))
    here = n * x + y
    arrive = np.stack([here, n * left + y, n * right + y, n * x + up, n * x + down, here], axis=1)
    reward = np.tile([QUERY_COST, MOVE_COST, MOVE_COST, MOVE_COST, MOVE_COST, WRONG_COST], (n * n, 1))
    terminated = np.zeros((n * n, 6), bool)
    reward[item, BUY], terminated[item, BUY] = PRIZE, True
    return exact.Tables(arrive, reward, terminated, (here == 0).astype(float))


@lru_cache
def _references(n: int, limit: int) -> References:
    def start_value(values: Any, steps: int, discount: float) -> Score:
        mean = np.mean([values(tables(n, item), steps, discount)[0] for item in range(n * n)])
        return Score(float(mean), source="exact: dynamic programming over positions, item uniform")

    players: dict[str, dict[float, Score]] = {}
    for discount in (1.0, 0.99):
        scores = {
            "random": start_value(exact.random_values, limit, discount),
            "oracle": start_value(exact.best_values, limit, discount),
        }
        # One question is cheaper than any guess (a wrong one costs 5, and at most 1 in 4 is right), and asking at once wastes
        # no step; so the player with a memory asks first and then is the oracle, one step later.
        if limit >= 2 * n:
            informed = start_value(exact.best_values, limit - 1, discount)
            scores["perfect_memory"] = Score(QUERY_COST + discount * informed.mean, source=informed.source)
        for player, score in scores.items():
            players.setdefault(player, {})[discount] = score
    return References(
        random=players["random"][1.0],
        perfect_memory=players.get("perfect_memory", {}).get(1.0),
        oracle=players["oracle"][1.0],
        discounted={player: (0.99, by_discount[0.99]) for player, by_discount in players.items()},
    )
