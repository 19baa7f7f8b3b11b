"""Logs of dosed tumours, and true values by rollouts that share their random numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, Float64, Int, Key

from unseen.data.table import as_frame, column, numbers
from unseen.environments.clinical import tumour
from unseen.environments.clinical.tumour import ACTIONS, TumourState
from unseen.experiments.logged_tables import action_numbers, laid_out

STATE = {
    "log_volume": "numeric",  # ln cm^3
    "concentration": "numeric",
    "alpha": "numeric",
    "rho": "numeric",
    "beta_c": "numeric",
    "type": "categorical",
}
CHUNK = 5_000  # rollouts at once
MOST_A_DAY = tumour.CAP + tumour.CHEMO_COST + tumour.RADIO_COST  # of |reward|, but for the end's


@dataclass(frozen=True)
class BySize:
    """Chemo and radio independently with p = sigmoid(coef (D - 6.5) / 13), mixed with uniform actions.

    pi_b(a|s) = (1 - epsilon) p^(chemo + radio) (1 - p)^(2 - chemo - radio) + epsilon / 4, D the diameter now in cm.

    Attributes:
        coef: strength of the confounding by size; 0 tosses coins.
        epsilon: between 0 and 1; no action is less probable than epsilon / 4.

    Source: Bica et al. 2020 (public code), with the current diameter instead of the mean of 15 days; epsilon is proposed.
    """

    coef: float
    epsilon: float

    def probabilities(self, states: Any) -> dict[str, Float64[np.ndarray, " n"]]:
        """(n,) of each action, from a table with the column log_volume."""
        return by_name(self.at(_column(states, "log_volume")))

    def at(self, log_volume: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 4"]:
        """(n, 4)."""
        slope = self.coef / tumour.MAX_DIAMETER
        p = 1 / (1 + np.exp(-slope * (tumour.diameter_of(np.exp(log_volume)) - tumour.MAX_DIAMETER / 2)))
        product = np.stack([(1 - p) ** 2, p * (1 - p), (1 - p) * p, p**2], axis=1)
        return (1 - self.epsilon) * product + self.epsilon / len(ACTIONS)


@dataclass(frozen=True)
class ThresholdRule:
    """Chemo for tumours above one diameter, radio above another; with probability epsilon any of the four actions instead.

    Attributes:
        chemo_above, radio_above: cm.
        epsilon: between 0 and 1.

    Source: proposed.
    """

    chemo_above: float = 2.0
    radio_above: float = 4.0
    epsilon: float = 0.3

    @property
    def limits(self) -> Float64[np.ndarray, "2"]:
        """ln cm^3 of both diameters."""
        return np.log(tumour.volume_of(np.array([self.chemo_above, self.radio_above])))

    def probabilities(self, states: Any) -> dict[str, Float64[np.ndarray, " n"]]:
        """(n,) of each action, from a table with the column log_volume."""
        return by_name(self.at(_column(states, "log_volume")))

    def at(self, log_volume: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 4"]:
        """(n, 4)."""
        best = np.eye(len(ACTIONS))[_doses(log_volume, self.limits)]
        return (1 - self.epsilon) * best + self.epsilon / len(ACTIONS)


def by_name(p: Float64[np.ndarray, "n 4"]) -> dict[str, Float64[np.ndarray, " n"]]:
    """Probabilities under the actions' names: a log read without naming its actions sorts them by the alphabet."""
    return {name: p[:, a] for a, name in enumerate(ACTIONS)}


def _doses(log_volume: Any, limits: Any) -> Any:
    """The rule's action without its epsilon, of NumPy and JAX arrays alike."""
    chemo, radio = ((log_volume > limit).astype(np.int32) for limit in limits)
    return chemo + 2 * radio


def walk(behaviour: BySize, trajectories: int, length: int, seed: int) -> pl.DataFrame:
    """A table of trajectories, each cut after `length` days; it holds parameters and type, whoever is to see them."""
    for_patients, for_days = jax.random.split(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    state = _arrivals(jax.random.split(for_patients, trajectories))

    alive, rows = np.arange(trajectories), []
    for t in range(length + 1):
        now = {name: values[alive] for name, values in _columns(state).items()}
        if t == length:
            nothing = np.zeros(len(alive), np.int64)
            rows.append({"id": alive, "time": nothing + t, **now, "action": nothing, "reward": 0.0 * nothing, "terminated": nothing == 1})
            break
        choices = behaviour.at(now["log_volume"]).cumsum(axis=1)
        a = np.minimum((rng.random(len(alive))[:, None] >= choices).sum(axis=1), len(ACTIONS) - 1)
        everyone = np.zeros(trajectories, np.int32)  # the dead are dosed along, so that one program serves all days
        everyone[alive] = a
        keys = jax.random.split(jax.random.fold_in(for_days, t), trajectories)
        state, reward, terminated = _a_day_later(keys, state, jnp.asarray(everyone))
        ended = np.asarray(terminated)[alive]
        reward = np.asarray(reward, np.float64)[alive]
        rows.append({"id": alive, "time": np.full(len(alive), t), **now, "action": a, "reward": reward, "terminated": ended})
        alive = alive[~ended]
    columns = {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}
    taken = columns["action"]
    columns["propensity"] = behaviour.at(columns["log_volume"])[np.arange(len(taken)), taken]
    columns["action"] = np.array(ACTIONS)[taken]
    return laid_out(columns, columns["time"] == length)


class _Numbers(NamedTuple):
    """The rule and the discount as arrays, so that other ones need no other program."""

    limits: Float[Array, "2"]
    epsilon: Float[Array, ""]
    discount: Float[Array, ""]


class _Draws(NamedTuple):
    """Everything that is left to chance in n rollouts, (days, n) each."""

    noise: Float[Array, "T n"]
    luck: Float[Array, "T n"]
    coin: Float[Array, "T n"]


@dataclass(frozen=True, eq=False)
class TumourTruth:
    """Values by rollouts; every state and action meets the same random numbers.

    Attributes:
        rule: to be judged.
        discount: gamma, below 1.
        rollouts: for each value.
        tolerance: greatest error from ending rollouts, in units of reward.
        seed: of the rollouts.
    """

    rule: ThresholdRule
    discount: float
    rollouts: int
    tolerance: float
    seed: int = 0

    @property
    def days(self) -> int:
        """T: the least with gamma^T (1.65 / (1 - gamma) + 10) <= tolerance, what could come after it at most."""
        most = MOST_A_DAY / (1 - self.discount) + tumour.PRIZE
        return max(1, math.ceil(math.log(self.tolerance / most) / math.log(self.discount)))

    def q(self, states: Any, actions: Any) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        """(m,) Q(s, a) and (m,) standard errors, from the columns log_volume, concentration, alpha, rho and beta_c.

        Raises:
            UserError: a missing column or number, an unknown action.
        """
        asked = {name: _column(states, name) for name in STATE if name != "type"}
        m = len(asked["log_volume"])
        a = action_numbers(actions, ACTIONS, m)
        total, squares = np.zeros(m), np.zeros(m)
        for size, draws in self._chunks():
            for i in range(m):
                state = _patients({name: values[i] for name, values in asked.items()}, size)
                returns = self._returns(state, jnp.full((size,), a[i], jnp.int32), draws)
                total[i] += returns.sum()
                squares[i] += (returns**2).sum()
        return self._summary(total, squares)

    def value(self) -> tuple[float, float]:
        """Mean of v over patients as they come, and its standard error."""
        total = squares = 0.0
        for chunk, (size, draws) in enumerate(self._chunks()):
            for_patients, for_coins = jax.random.split(jax.random.fold_in(jax.random.key(self.seed + 1), chunk))
            state = _arrivals(jax.random.split(for_patients, size))
            first = _act(self._numbers, state, jax.random.uniform(for_coins, (size,), jnp.float32))
            returns = self._returns(state, first, draws)
            total, squares = total + returns.sum(), squares + (returns**2).sum()
        mean, error = self._summary(np.array([total]), np.array([squares]))
        return float(mean[0]), float(error[0])

    def _summary(
        self, total: Float64[np.ndarray, " m"], squares: Float64[np.ndarray, " m"]
    ) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        mean = total / self.rollouts
        return mean, np.sqrt(np.maximum(squares / self.rollouts - mean**2, 0.0) / (self.rollouts - 1))

    def _chunks(self) -> Iterator[tuple[int, _Draws]]:
        """Sizes that add up to the rollouts, with the draws of each."""
        for chunk, done in enumerate(range(0, self.rollouts, CHUNK)):
            size = min(CHUNK, self.rollouts - done)
            for_days, for_coins = jax.random.split(jax.random.fold_in(jax.random.key(self.seed), chunk))
            noise, luck = _days_drawn(jax.random.split(for_days, (self.days, size)))
            yield size, _Draws(noise, luck, jax.random.uniform(for_coins, (self.days, size), jnp.float32))

    def _returns(self, state: TumourState, action: Int[Array, " n"], draws: _Draws) -> Float64[np.ndarray, " n"]:
        return np.asarray(_discounted_returns(self._numbers, state, action, draws), np.float64)

    @property
    def _numbers(self) -> _Numbers:
        return _Numbers(*(jnp.asarray(x, jnp.float32) for x in (self.rule.limits, self.rule.epsilon, self.discount)))


# ---- programs, compiled once for all logs ------------------------------------------------------------------------------


@jax.jit
def _arrivals(keys: Key[Array, "..."]) -> TumourState:
    return jax.vmap(tumour.patient)(keys)


@jax.jit
def _a_day_later(keys: Key[Array, "..."], state: TumourState, action: Array) -> tuple[TumourState, Array, Array]:
    return jax.vmap(lambda key, state, action: tumour.day(state, action, *tumour.draws(key)))(keys, state, action)


@jax.jit
def _days_drawn(keys: Key[Array, "..."]) -> tuple[Array, Array]:
    return jax.vmap(jax.vmap(tumour.draws))(keys)


@jax.jit
def _act(numbers: _Numbers, state: TumourState, coin: Float[Array, " n"]) -> Int[Array, " n"]:
    """Actions drawn from the rule with coins that are uniform on [0, 1)."""
    # Below epsilon a coin is uniform on [0, epsilon): its place there is the action.
    uniform = (coin / jnp.maximum(numbers.epsilon, 1e-30) * len(ACTIONS)).astype(jnp.int32)
    greedy = _doses(tumour.log_volume(state.volume), numbers.limits)
    return jnp.where(coin < numbers.epsilon, jnp.minimum(uniform, len(ACTIONS) - 1), greedy)


@jax.jit
def _discounted_returns(numbers: _Numbers, state: TumourState, action: Array, draws: _Draws) -> Array:
    """(n,) returns of n patients whose first action is given."""

    def advance(carry: Any, drawn: _Draws) -> tuple[Any, None]:
        state, action, weight, total = carry
        state, reward, _ = jax.vmap(tumour.day)(state, action, drawn.noise, drawn.luck)
        action = _act(numbers, state, drawn.coin)
        return (state, action, weight * numbers.discount, total + weight * reward), None

    begin = (state, action, jnp.float32(1.0), jnp.zeros_like(state.volume))
    return jax.lax.scan(advance, begin, draws)[0][3]


def _columns(state: TumourState) -> dict[str, Any]:
    """Patients as columns of the table."""
    volume = np.maximum(np.asarray(state.volume, np.float64), tumour.CELL)
    parameters = {name: np.asarray(getattr(state, name), np.float64) for name in ("concentration", "alpha", "rho", "beta_c")}
    return {"log_volume": np.log(volume), **parameters, "type": np.asarray(state.kind, np.int64) + 1}


def _patients(values: dict[str, Any], copies: int) -> TumourState:
    """The same living patient so many times."""
    names = ("concentration", "alpha", "rho", "beta_c")
    given = {name: jnp.full((copies,), values[name], jnp.float32) for name in names}
    zeros = jnp.zeros((copies,), jnp.int32)
    return TumourState(jnp.full((copies,), np.exp(values["log_volume"]), jnp.float32), **given, kind=zeros, status=zeros)


def _column(states: Any, name: str) -> Float64[np.ndarray, " n"]:
    return numbers(column(as_frame(states), name, "state"), name, "state")
