"""CartPole whose agent sees positions only: gymnasium's dynamics as pure functions, and as an Environment of this package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments.contract import References, Step

TIME_LIMIT = 500
GRAVITY, CART, POLE, HALF_LENGTH, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
MAX_POSITION, MAX_ANGLE = 2.4, 12.0 * 2.0 * math.pi / 360.0


def begin(key: PRNGKeyArray) -> Float[Array, "4"]:
    """(x, x', angle, angle'), each uniform within 0.05."""
    return jax.random.uniform(key, (4,), jnp.float32, -0.05, 0.05)


def move(state: Float[Array, "4"], action: Int[Array, ""]) -> tuple[Float[Array, "4"], Bool[Array, ""]]:
    """One Euler step of gymnasium's CartPole-v1, and whether the pole or the cart is lost."""
    x, v, angle, w = state
    force = jnp.where(action == 1, FORCE, -FORCE)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    pushed = (force + POLE * HALF_LENGTH * w**2 * sine) / (CART + POLE)
    w_dot = (GRAVITY * sine - cosine * pushed) / (HALF_LENGTH * (4.0 / 3.0 - POLE * cosine**2 / (CART + POLE)))
    v_dot = pushed - POLE * HALF_LENGTH * w_dot * cosine / (CART + POLE)
    state = jnp.stack([x + TAU * v, v + TAU * v_dot, angle + TAU * w, w + TAU * w_dot])
    return state, (jnp.abs(state[0]) > MAX_POSITION) | (jnp.abs(state[2]) > MAX_ANGLE)


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
