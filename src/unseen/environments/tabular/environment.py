"""Any tabular POMDP as an environment: one symbol is seen, the state is the signal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.environments.contract import References, Score, Step
from unseen.environments.tabular.bounds import solve
from unseen.environments.tabular.finite_horizon import optimal_mdp_value, random_value
from unseen.environments.tabular.outcomes import Outcomes, draw, outcomes_of
from unseen.environments.tabular.pomdp import TabularPOMDP
from unseen.environments.tabular.reader import read_pomdp
from unseen.errors import UserError, unknown

_SEARCH_SECONDS = 10.0
_EPISODES = 1_000  # played to measure the perfect memory


@dataclass(frozen=True)
class TabularEnvironment:
    """A `TabularPOMDP` played from its start distribution; the first observation is a symbol of its own (index O).

    Observation: `Discrete(O + 1)`. Actions: `Discrete(A)`. State: an index. Signal: "state". A step takes one draw, and
    none where nothing is left to chance.

    Args:
        pomdp: the tables.
        name: what to call it.
        time_limit: horizon in steps.
    """

    pomdp: TabularPOMDP = field(hash=False)
    name: str = "tabular"
    time_limit: int = 100

    def __post_init__(self) -> None:
        if isinstance(self.time_limit, bool) or not isinstance(self.time_limit, int) or self.time_limit < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"{self.name}: time_limit={self.time_limit!r} is not allowed; give a whole number, 1 or more")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], time_limit: int = 100) -> TabularEnvironment:
        """The environment of a `.pomdp` file, named after it.

        Raises:
            UserError: what is wrong with the file, with line and column.
        """
        return cls(read_pomdp(Path(path)), Path(path).stem, time_limit)

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.pomdp.action_names

    @cached_property
    def levels(self) -> Mapping[str, tuple[tuple[float, Outcomes], ...]]:
        return {"train": ((1.0, outcomes_of(self.pomdp)),)}

    def observation_space(self, params: Outcomes) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(self.pomdp.shape[2] + 1)

    def action_space(self, params: Outcomes) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(self.pomdp.shape[0])

    def signal_spaces(self, params: Outcomes) -> Mapping[str, gymnasium.Space[Any]]:
        return {"state": gymnasium.spaces.Discrete(self.pomdp.shape[1])}

    def horizon(self, params: Outcomes) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Outcomes) -> tuple[Int[Array, ""], Int[Array, ""]]:
        k = draw(key, params.start_below[None], jnp.int32(0))
        return jnp.int32(self.pomdp.shape[2]), jnp.asarray(params.start_state).at[k].get(mode="promise_in_bounds")

    def step(self, key: PRNGKeyArray, state: Int[Array, ""], action: Int[Array, ""], params: Outcomes) -> Step:
        row = action.astype(jnp.int32) * self.pomdp.shape[1] + state
        k = draw(key, params.below, row)
        observation, next_state, reward = (
            jnp.asarray(table).at[row, k].get(mode="promise_in_bounds") for table in (params.observation, params.next_state, params.reward)
        )
        return Step(observation, next_state, reward, jnp.asarray(params.terminal).at[row].get(mode="promise_in_bounds"))

    def action_mask(self, state: Int[Array, ""], params: Outcomes) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: Int[Array, ""], params: Outcomes) -> Mapping[str, Array]:
        return {"state": state}

    def references(self, level: str) -> References:
        """Random and oracle scores, exact; a perfect memory's, measured, where the search for the optimum came within 1 %.

        The oracle sees the state and maximises what it is scored by, within the time limit. `discounted` (absent for files
        without a discount below 1) adds "optimal lower bound" and "optimal upper bound": the best that any player without
        the state can get, without a time limit.
        """
        if level != "train":
            raise unknown(f"level of {self.name}", level, self.levels)
        return self._references

    @cached_property
    def _references(self) -> References:
        pomdp, steps, gamma = self.pomdp, self.time_limit, self.pomdp.discount
        source = f"exact: dynamic programming over {steps} steps"
        chance = random_value(pomdp, steps)
        random = Score(chance.undiscounted, source=source)
        oracle = Score(optimal_mdp_value(pomdp, steps, discount=1.0).undiscounted, source=source)
        if gamma >= 1.0:
            return References(random=random, oracle=oracle)

        oracle_discounted = optimal_mdp_value(pomdp, steps).discounted
        # Close enough for a reference, measured against what a player who sees the state gets; hard problems stop earlier.
        found = solve(pomdp, seconds=_SEARCH_SECONDS, gap=max(1e-4 * abs(oracle_discounted), 1e-6))
        discounted = {
            "random": (gamma, Score(chance.discounted, source=source)),
            "oracle": (gamma, Score(oracle_discounted, source=source)),
            "optimal lower bound": (gamma, Score(found.lower, source="heuristic search, no time limit")),
            "optimal upper bound": (gamma, Score(found.upper, source="heuristic search, no time limit")),
        }
        if found.upper - found.lower > 0.01 * max(abs(found.lower), abs(found.upper)):
            return References(random=random, oracle=oracle, discounted=discounted)
        played = found.policy.simulate(_EPISODES, horizon=steps)
        memory = f"{_EPISODES} episodes of the plan that is optimal for discount {gamma:g}"
        discounted["perfect_memory"] = (gamma, Score(*played.mean(), source=memory))
        return References(
            random=random, perfect_memory=Score(*played.mean(discounted=False), source=memory), oracle=oracle, discounted=discounted
        )

    def draw(self, state: Int[Any, ""], params: Outcomes) -> np.ndarray:
        """Every state as a cell with the present one filled, its name, and what each action pays."""
        from unseen.environments.tabular.picture import picture

        return picture(self.pomdp, int(state))
