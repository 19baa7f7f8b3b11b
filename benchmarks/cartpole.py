"""CartPole whose agent sees positions only: the package's dynamics with a reward of 1 a step, as gymnasium pays it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from unseen.environments.cards.cartpole import begin, move
from unseen.environments.contract import References, Step

TIME_LIMIT = 500


def seen(state: Float[Array, "4"]) -> Float[Array, "2"]:
    """Position and angle, without the velocities."""
    return state[::2]


class PositionCartPole:
    """The environment contract over `begin`, `move` and `seen`."""

    name = "cartpole-positions"
    levels: Mapping[str, tuple[tuple[float, Any], ...]] = {"train": ((1.0, ()),)}

    def observation_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def action_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Discrete(2)

    def signal_spaces(self, params: Any) -> Mapping[str, gymnasium.Space]:
        return {}

    def horizon(self, params: Any) -> int:
        return TIME_LIMIT

    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[Array, Array]:
        state = begin(key)
        return seen(state), state

    def step(self, key: PRNGKeyArray, state: Array, action: Array, params: Any) -> Step:
        state, lost = move(state, action)
        return Step(seen(state), state, jnp.ones((), jnp.float32), lost)

    def action_mask(self, state: Array, params: Any) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: Array, params: Any) -> Mapping[str, Array]:
        return {}

    def references(self, level: str) -> References:
        return References()

    def draw(self, state: Array, params: Any) -> np.ndarray:
        return np.zeros((8, 8, 3), np.uint8)


class Positions(gymnasium.ObservationWrapper):
    """gymnasium's own CartPole-v1 without the velocities, for the peers that step on the host."""

    def __init__(self) -> None:
        super().__init__(gymnasium.make("CartPole-v1", max_episode_steps=TIME_LIMIT))
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation[::2]
