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
from unseen.environments.tabular.finite_horizon import optimal_mdp_value, random_value
from unseen.environments.tabular.outcomes import Outcomes, draw, outcomes_of
from unseen.environments.tabular.pomdp import TabularPOMDP
from unseen.environments.tabular.reader import read_pomdp
from unseen.environments.tabular.within import bounds_within
from unseen.errors import UserError, unknown

_SEARCH_SECONDS = 5.0  # for each of two optima


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
        """Random and oracle scores, exact; a perfect memory's, where the best without the state is known closely.

        All are within the time limit, and every player maximises what it is scored by: the perfect memory that is scored by
        undiscounted return is not the one scored by discounted return. Its score is the lower bound on the optimum, where the
        upper one is no more than 1 % of the way from random to oracle above it. `discounted` (absent for files without a
        discount below 1) adds "optimal lower bound" and "optimal upper bound".
        """
        if level != "train":
            raise unknown(f"level of {self.name}", level, self.levels)
        return self._references

    @cached_property
    def _references(self) -> References:
        pomdp, steps, gamma = self.pomdp, self.time_limit, self.pomdp.discount
        source = f"exact: dynamic programming over {steps} steps"
        chance = random_value(pomdp, steps)
        random, oracle = Score(chance.undiscounted, source=source), Score(optimal_mdp_value(pomdp, steps, 1.0).undiscounted, source=source)
        memory, _ = self._perfect_memory(1.0, random, oracle)
        if gamma >= 1.0:
            return References(random=random, perfect_memory=memory, oracle=oracle)

        players = {
            "random": Score(chance.discounted, source=source),
            "oracle": Score(optimal_mdp_value(pomdp, steps).discounted, source=source),
        }
        discounted_memory, bounds = self._perfect_memory(gamma, players["random"], players["oracle"])
        if discounted_memory is not None:
            players["perfect_memory"] = discounted_memory
        for side, bound in zip(("lower", "upper"), bounds):
            players[f"optimal {side} bound"] = Score(bound, source=f"within {steps} steps")
        discounted = {player: (gamma, score) for player, score in players.items()}
        return References(random=random, perfect_memory=memory, oracle=oracle, discounted=discounted)

    def _perfect_memory(self, discount: float, random: Score, oracle: Score) -> tuple[Score | None, tuple[float, float]]:
        """The score of the best player without the state, where it is known closely, and bounds on it."""
        span = oracle.mean - random.mean
        lower, upper = bounds_within(self.pomdp, self.time_limit, _SEARCH_SECONDS, gap=max(1e-4 * span, 1e-9), discount=discount)
        source = f"optimal plan over {self.time_limit} steps, at most {upper - lower:.2g} below the optimum"
        return Score(lower, source=source) if upper - lower <= max(0.01 * span, 1e-9) else None, (lower, upper)

    def draw(self, state: Int[Any, ""], params: Outcomes) -> np.ndarray:
        """Every state as a cell with the present one filled, its name, and what each action pays."""
        from unseen.environments.tabular.picture import picture

        return picture(self.pomdp, int(state))
