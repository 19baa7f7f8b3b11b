"""gymnasium's Pendulum-v1 whose agent sees the angle only; its angular velocity is a sensor that a critic may be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from unseen.environments import References, Step


class HiddenVelocityPendulum:
    """Torque in [-2, 2]; reward -(angle^2 + 0.1 velocity^2 + 0.001 torque^2), angle 0 upright; cut after 200 steps, never ends."""

    name = "pendulum-hidden-velocity"
    levels: Mapping[str, Any] = {"train": ((1.0, ()),)}

    def observation_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def action_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32)

    def signal_spaces(self, params: Any) -> Mapping[str, gymnasium.Space]:
        return {"velocity": gymnasium.spaces.Box(-8.0, 8.0, (), np.float32)}

    def horizon(self, params: Any) -> int:
        return 200

    def reset(self, key: Any, params: Any) -> Any:
        high = jnp.array([jnp.pi, 1.0], jnp.float32)
        state = jax.random.uniform(key, (2,), jnp.float32, -high, high)
        return _seen(state), state

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        angle, velocity = state
        torque = jnp.clip(action[0], -2.0, 2.0)
        wrapped = (angle + jnp.pi) % (2.0 * jnp.pi) - jnp.pi
        cost = wrapped**2 + 0.1 * velocity**2 + 0.001 * torque**2
        velocity = jnp.clip(velocity + (15.0 * jnp.sin(angle) + 3.0 * torque) * 0.05, -8.0, 8.0)
        state = jnp.stack([angle + 0.05 * velocity, velocity])
        return Step(_seen(state), state, -cost, jnp.zeros((), bool))

    def action_mask(self, state: Any, params: Any) -> None:
        return None

    def signals(self, key: Any, state: Any, params: Any) -> Mapping[str, Any]:
        return {"velocity": state[1]}

    def references(self, level: str) -> References:
        return References()

    def draw(self, state: Any, params: Any) -> np.ndarray:
        return np.zeros((8, 8, 3), np.uint8)


def _seen(state: Any) -> Any:
    return jnp.stack([jnp.cos(state[0]), jnp.sin(state[0])])
