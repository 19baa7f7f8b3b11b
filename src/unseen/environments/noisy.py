"""Noise on the signals of any environment: how much worse may a sensor get before telling it stops helping?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from unseen.environments.contract import Params, State
from unseen.errors import UserError, unknown

_OWN_KEY = 0x5EED  # folded into the environment's key, so that the noise is not the signal's own randomness


class NoisySignals:
    """An environment whose signals are told with noise; observations, rewards and states are its own.

    A signal of numbers gets Gaussian noise of the given deviation on every component. One of categories is replaced, with the given
    probability and component by component, by a category drawn uniformly. One draw for a state, as everywhere: what a critic sees
    as target at t - 1 is what it sees as input at t.

    Args:
        environment: any environment of this package.
        noise: one number for all signals, or signal -> number; signals left out stay exact.

    Raises:
        UserError: a signal that does not exist, a negative deviation, a probability above 1, or an external environment.
    """

    def __init__(self, environment: Any, noise: float | Mapping[str, float]) -> None:
        if not hasattr(environment, "levels"):
            raise UserError("noise on signals needs an environment of this package; of an external one, add it to info['signals']")
        spaces = environment.signal_spaces(environment.levels["train"][0][1])
        amounts: dict[str, float] = dict(noise) if isinstance(noise, Mapping) else dict.fromkeys(spaces, float(noise))
        for name, amount in amounts.items():
            if name not in spaces:
                raise unknown(f"signal of {environment.name}", name, spaces)
            categorical = not isinstance(spaces[name], gymnasium.spaces.Box)
            if isinstance(amount, bool) or not math.isfinite(amount) or amount < 0 or (categorical and amount > 1):
                allowed = "a probability from 0 to 1" if categorical else "a deviation, 0 or more"
                raise UserError(f"{environment.name}: noise of signal {name!r} is {amount!r}; give {allowed}")
        self.environment, self.noise = environment, amounts

    def __getattr__(self, name: str) -> Any:
        """Everything else is the environment's own."""
        if name.startswith("__") or name == "environment":
            raise AttributeError(name)
        return getattr(self.environment, name)

    def signal_spaces(self, params: Params) -> Mapping[str, gymnasium.Space[Any]]:
        """Numbers with noise on them know no bounds; categories stay what they are."""
        return {name: _unbounded(space, self.noise.get(name, 0.0)) for name, space in self.environment.signal_spaces(params).items()}

    def signals(self, key: PRNGKeyArray, state: State, params: Params) -> Mapping[str, Array]:
        told = self.environment.signals(key, state, params)
        spaces = self.environment.signal_spaces(params)
        own = jax.random.fold_in(key, _OWN_KEY)
        return {
            name: _noisy(jax.random.fold_in(own, k), told[name], spaces[name], self.noise.get(name, 0.0))
            for k, name in enumerate(sorted(told))
        }


def _unbounded(space: gymnasium.Space[Any], amount: float) -> gymnasium.Space[Any]:
    if amount > 0 and isinstance(space, gymnasium.spaces.Box):
        return gymnasium.spaces.Box(-np.inf, np.inf, space.shape, np.float32)
    return space


def _noisy(key: PRNGKeyArray, value: Array, space: gymnasium.Space[Any], amount: float) -> Array:
    if amount == 0:
        return value
    if isinstance(space, gymnasium.spaces.Box):
        return value.astype(jnp.float32) + amount * jax.random.normal(key, value.shape, jnp.float32)
    k_whether, k_what = jax.random.split(key)
    low, count = _categories(space)
    drawn = jnp.asarray(low, value.dtype) + jax.random.randint(k_what, value.shape, 0, jnp.asarray(count, jnp.int32)).astype(value.dtype)
    return jnp.where(jax.random.bernoulli(k_whether, amount, value.shape), drawn, value)


def _categories(space: gymnasium.Space[Any]) -> tuple[Any, Any]:
    """The first category and the number of categories of each component."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return int(space.start), int(space.n)
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return space.start, space.nvec
    return 0, 2
