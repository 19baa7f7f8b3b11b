"""Synthetic informed POMDPs: states with random features, of which an agent sees some, a critic is told others, and few matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from unseen.environments import options
from unseen.environments.contract import Params, References, Score, Step
from unseen.errors import UserError

WEIGHTS = (0.0001, 0.0001, -0.0001, -1.0, 1.0)  # of the features in the reward, as published
FEATURES = len(WEIGHTS)


@dataclass(frozen=True)
class InformedPOMDP:
    """A random MDP whose states carry 5 Gaussian features; rewards depend on the fourth and fifth.

    r_t = w . f(s_t) with w = (0.0001, 0.0001, -0.0001, -1, 1), f(s) ~ N(0, I) once for each state, T(.|s, a) ~ Dirichlet; the
    start is uniform. Observation: `Box`: the `observed` features plus Gaussian noise. Actions: numbers without meaning.

    Signals: one for each group of features in `told`, under its own name ("1245"), each feature ("feature_4"), and "state" (all
    five); all with Gaussian noise of deviation `signal_noise`, drawn once for a state and each signal.

    Without observation noise a single observed feature already identifies the state, so every signal is a function of the
    observation: it can help a network, but not an agent that could compute anything (derived).

    Args:
        observed: digits of the features that the agent sees.
        told: groups of features, parted by blanks; "12", "123" and "1245" are the published ones.
        observation_noise: deviation beta; 0, 0.1 and 0.5 are published.
        signal_noise: deviation of the noise on every signal (v1 of the paper: 0 to 0.9).
        states, actions: sizes; 20 and 4 are published.
        concentration: of the Dirichlet; smaller makes actions matter more.
        time_limit: horizon in steps; 25 as in the published data.
        seed: which POMDP.

    Source: IAAC (second hand): sizes, weights, masks. Distribution of features, transitions, start and the matrices W_i (here
    the identity) were not found: proposed.
    """

    observed: str = "12"
    told: str = "12 123 1245"
    observation_noise: float = 0.0
    signal_noise: float = 0.0
    states: int = 20
    actions: int = 4
    concentration: float = 1.0
    time_limit: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        for option, low, high in (("states", 2, 10_000), ("actions", 1, 1_000), ("time_limit", 1, None), ("seed", 0, 2**31 - 1)):
            options.require_integer("synthetic", option, getattr(self, option), low, high)
        for option in ("observation_noise", "signal_noise"):
            options.require_number("synthetic", option, getattr(self, option), 0.0)
        options.require_number("synthetic", "concentration", self.concentration, 1e-3)
        for option, groups in (("observed", [self.observed]), ("told", self.told.split())):
            for group in groups:
                if not group or not set(group) <= set("12345") or len(set(group)) < len(group):
                    raise UserError(
                        f"synthetic: {option}={getattr(self, option)!r} is not allowed; name features by different digits 1 to 5"
                    )
        if len(set(self.told.split())) < len(self.told.split()):
            raise UserError(f"synthetic: told={self.told!r} is not allowed; name every group once")

    @property
    def name(self) -> str:
        return "synthetic"

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return _reals(len(self.observed))

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(self.actions)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {name: _reals(len(columns)) for name, columns in self._groups().items()}

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Float[Array, "O"], Int[Array, ""]]:
        k_state, k_noise = jax.random.split(key)
        state = jax.random.randint(k_state, (), 0, self.states)
        return self._observe(k_noise, state), state

    def step(self, key: PRNGKeyArray, state: Int[Array, ""], action: Int[Array, ""], params: Params = ()) -> Step:
        features, transitions = tables(self.states, self.actions, self.concentration, self.seed)
        k_state, k_noise = jax.random.split(key)
        reward = jnp.asarray(features @ np.asarray(WEIGHTS), jnp.float32).at[state].get(mode="clip")
        below = jnp.asarray(np.cumsum(transitions, axis=-1), jnp.float32).at[state, action].get(mode="clip")
        following = jnp.sum((jax.random.uniform(k_state) >= below).astype(jnp.int32))
        following = jnp.minimum(following, self.states - 1)  # rounding may leave the last sum below one
        return Step(self._observe(k_noise, following), following, reward, jnp.bool_(False))

    def action_mask(self, state: Int[Array, ""], params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: Int[Array, ""], params: Params = ()) -> Mapping[str, Array]:
        features = self._features(state)
        told: dict[str, Array] = {}
        for k, (name, columns) in enumerate(self._groups().items()):
            noise = self.signal_noise * jax.random.normal(jax.random.fold_in(key, k), (len(columns),), jnp.float32)
            told[name] = features[jnp.asarray(columns)] + noise
        return told

    def references(self, level: str) -> References:
        """Exact, by backward induction over the steps; without observation noise a single observation tells the state."""
        options.require_train(self.name, level)
        features, transitions = tables(self.states, self.actions, self.concentration, self.seed)
        reward = features @ np.asarray(WEIGHTS)
        best, uniform = np.zeros(self.states), np.zeros(self.states)
        for _ in range(self.time_limit):
            best = reward + (transitions @ best).max(axis=1)
            uniform = reward + (transitions @ uniform).mean(axis=1)
        source = "exact: backward induction"
        oracle, random = Score(float(best.mean()), source=source), Score(float(uniform.mean()), source=source)
        clear = oracle if self.observation_noise == 0 else None
        # The best action depends on the steps left, too, which only a memory can count.
        return References(random=random, perfect_memory=clear, oracle=oracle)

    def draw(self, state: Int[Array, ""], params: Params = ()) -> np.ndarray:
        from unseen.environments.cards import drawing

        table = drawing.Table(2, 13)
        values = np.asarray(self._features(state))
        table.words(0, f"state {int(state)} of {self.states}")
        seen = " ".join(f"{k + 1}{'*' if str(k + 1) in self.observed else ''} {value:+.2f}" for k, value in enumerate(values))
        table.words(1, f"features (* seen): {seen}")
        return table.array()

    def _groups(self) -> dict[str, list[int]]:
        """Columns of the features that each signal tells."""
        groups = {group: [int(digit) - 1 for digit in group] for group in self.told.split()}
        return groups | {f"feature_{k + 1}": [k] for k in range(FEATURES)} | {"state": list(range(FEATURES))}

    def _features(self, state: Int[Array, ""]) -> Float[Array, "5"]:
        features, _ = tables(self.states, self.actions, self.concentration, self.seed)
        return jnp.asarray(features, jnp.float32).at[state].get(mode="clip")

    def _observe(self, key: PRNGKeyArray, state: Int[Array, ""]) -> Float[Array, "O"]:
        columns = jnp.asarray([int(digit) - 1 for digit in self.observed])
        return self._features(state)[columns] + self.observation_noise * jax.random.normal(key, (len(self.observed),), jnp.float32)


@lru_cache(maxsize=64)
def tables(states: int, actions: int, concentration: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of every state, (states, 5), and transition probabilities, (states, actions, states)."""
    draw = np.random.default_rng(seed)
    features = draw.standard_normal((states, FEATURES))
    return features, draw.dirichlet(np.full(states, concentration), size=(states, actions))


def _reals(size: int) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
