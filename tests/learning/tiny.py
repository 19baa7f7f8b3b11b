"""Scripted environments with nothing hidden from the reader: a countdown, and a cue to remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import unseen
from unseen.environments import References, Step

TINY = unseen.Agent(memory=unseen.GRU(8), embedding=8, head=(16,))


class CountState(NamedTuple):
    left: Any
    noise: Any


@dataclass(frozen=True)
class Countdown:
    """Ends by itself after `length[k]` steps at level entry k; reward 1 a step; shows the steps left; a noisy signal."""

    lengths: tuple[int, ...] = (5,)
    time_limit: int = 16
    poisoned_at: int = -1
    name: str = "countdown"

    @property
    def levels(self) -> Mapping[str, Any]:
        return {"train": tuple((1.0, jnp.int32(n)) for n in self.lengths)}

    def observation_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Discrete(max(self.lengths) + 1)

    def action_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Discrete(2)

    def signal_spaces(self, params: Any) -> Mapping[str, gymnasium.Space]:
        return {"noisy": gymnasium.spaces.Box(-np.inf, np.inf, ()), "left": gymnasium.spaces.Discrete(max(self.lengths) + 1)}

    def horizon(self, params: Any) -> int:
        return self.time_limit

    def reset(self, key: Any, params: Any) -> Any:
        return params, params

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        reward = jnp.where(state == self.poisoned_at, jnp.nan, 1.0).astype(jnp.float32)
        return Step(state - 1, state - 1, reward, state <= 1)

    def action_mask(self, state: Any, params: Any) -> None:
        return None

    def signals(self, key: Any, state: Any, params: Any) -> Mapping[str, Any]:
        return {"noisy": state.astype(jnp.float32) + 0.1 * jax.random.normal(key), "left": state}

    def references(self, level: str) -> References:
        return References()

    def draw(self, state: Any, params: Any) -> np.ndarray:
        return np.zeros((8, 8, 3), np.uint8)


@dataclass(frozen=True)
class Cue(Countdown):
    """Shows a cue once, then nothing; after `delay` steps the action must name it: +1 or -1."""

    delay: int = 3
    masked: bool = False
    name: str = "cue"

    def observation_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Discrete(3)

    def signal_spaces(self, params: Any) -> Mapping[str, gymnasium.Space]:
        return {"cue": gymnasium.spaces.Discrete(2)}

    def reset(self, key: Any, params: Any) -> Any:
        cue = jax.random.bernoulli(key).astype(jnp.int32)
        return cue, CountState(jnp.int32(self.delay), cue)

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        last = state.left <= 0
        reward = jnp.where(last, jnp.where(action == state.noise, 1.0, -1.0), 0.0).astype(jnp.float32)
        return Step(jnp.int32(2), CountState(state.left - 1, state.noise), reward, last)

    def action_mask(self, state: Any, params: Any) -> Any:
        return jnp.array([True, False]) if self.masked else None

    def signals(self, key: Any, state: Any, params: Any) -> Mapping[str, Any]:
        return {"cue": state.noise}
