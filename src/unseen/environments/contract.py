"""The environment contract: pure functions over arrays, what is seen apart from what is hidden."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np
from jaxtyping import Array, PRNGKeyArray

Observation = Any  # an array, or a dict of arrays, that lies in `observation_space`
State = Any  # a pytree of arrays: everything there is to know
Params = Any  # a pytree of arrays; all levels of one environment share its shapes


class Step(NamedTuple):
    """What one action led to. A time limit is not a step's business: the batch loop truncates at `horizon`."""

    observation: Observation
    state: State
    reward: Array
    terminated: Array


@dataclass(frozen=True)
class Score:
    """A reference score: mean undiscounted return of one player, with its standard error (0 where computed exactly)."""

    mean: float
    standard_error: float = 0.0
    source: str = ""


@dataclass(frozen=True)
class References:
    """What a level is worth: scores of reference players, undiscounted and cut at the horizon; None where not measured.

    Attributes:
        random: uniform random actions.
        memoryless: the best player known that sees only the current observation.
        perfect_memory: remembers what it observed and acts by a stated rule; a mark for agents, and their ceiling where that rule is best.
        oracle: sees the state.
        discounted: the same players under the discount named here, where tables allow it: player -> (discount, score).
        others: undiscounted scores of further players, by name, such as one with a shortcut that a task is meant to rule out.
    """

    random: Score | None = None
    memoryless: Score | None = None
    perfect_memory: Score | None = None
    oracle: Score | None = None
    discounted: Mapping[str, tuple[float, Score]] = field(default_factory=dict)
    others: Mapping[str, Score] = field(default_factory=dict)

    def normalised(self, score: float) -> float:
        """100 (score - random) / (perfect memory - random); NaN where one of the two is not known or they are equal."""
        if self.random is None or self.perfect_memory is None or self.perfect_memory.mean == self.random.mean:
            return math.nan
        return 100 * (score - self.random.mean) / (self.perfect_memory.mean - self.random.mean)


@runtime_checkable
class Environment(Protocol):
    """A partially observable environment as pure functions.

    `reset` and `step` are unbatched and never reset on their own; the caller vmaps, truncates at `horizon` and resets.
    """

    @property
    def name(self) -> str: ...

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        """Weighted mixture of parameters per level; "train" always exists."""
        ...

    def observation_space(self, params: Params) -> gymnasium.Space[Any]: ...

    def action_space(self, params: Params) -> gymnasium.Space[Any]: ...

    def signal_spaces(self, params: Params) -> Mapping[str, gymnasium.Space[Any]]:
        """What a critic may be told, by name; "state" where it makes sense."""
        ...

    def horizon(self, params: Params) -> int: ...

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[Observation, State]: ...

    def step(self, key: PRNGKeyArray, state: State, action: Array, params: Params) -> Step: ...

    def action_mask(self, state: State, params: Params) -> Array | None: ...

    def signals(self, key: PRNGKeyArray, state: State, params: Params) -> Mapping[str, Array]:
        """i ~ I(.|s) of the state in which an action is about to be chosen; never reaches the actor."""
        ...

    def references(self, level: str) -> References: ...

    def draw(self, state: State, params: Params) -> np.ndarray:
        """A picture for people: uint8 RGB, shape (height, width, 3)."""
        ...
