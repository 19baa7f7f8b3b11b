"""Position-only cart-pole: a pole on a cart is to be balanced by who sees where both are, but not how they move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments import measured, options
from unseen.environments.cards import deck
from unseen.environments.contract import Params, References, Step

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
    after = jnp.stack([x + TAU * v, v + TAU * v_dot, angle + TAU * w, w + TAU * w_dot])
    return after, (jnp.abs(after[0]) > MAX_POSITION) | (jnp.abs(after[2]) > MAX_ANGLE)


@dataclass(frozen=True)
class PositionCartPole:
    """Gymnasium's CartPole-v1 (Euler steps of 0.02 s) without the velocities.

    Observation: `Box(2)`: position in m, angle in rad. Actions: 0 push left, 1 push right, 10 N. Reward: 1/limit a step, the last
    included. Ends when |position| > 2.4 or |angle| > 12 degrees.

    Signals: "x_velocity" (1, m/s), "angle_velocity" (1, rad/s), "velocities" (2), "state" (4: position, its velocity, angle, its
    velocity).

    Args:
        time_limit: horizon in steps; POPGym's easy, medium and hard are 200, 400 and 600.

    Source: Morad et al. 2023, POPGym, `PositionOnlyCartPole`; Barto, Sutton & Anderson 1983.
    """

    time_limit: int = 200

    def __post_init__(self) -> None:
        options.require_integer("position-cartpole", "time_limit", self.time_limit, 1)

    @property
    def name(self) -> str:
        return options.with_difficulty("position-cartpole", {200: "easy", 400: "medium", 600: "hard"}, self.time_limit)

    @property
    def action_names(self) -> tuple[str, ...]:
        return "push left", "push right"

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        high = np.asarray([2.0 * MAX_POSITION, 2.0 * MAX_ANGLE], np.float32)
        return gymnasium.spaces.Box(-high, high, dtype=np.float32)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(2)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        sizes = {"x_velocity": 1, "angle_velocity": 1, "velocities": 2, "state": 4}
        return {name: gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32) for name, size in sizes.items()}

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Float[Array, "2"], Float[Array, "4"]]:
        state = begin(key)
        return state[::2], state

    def step(self, key: PRNGKeyArray, state: Float[Array, "4"], action: Int[Array, ""], params: Params = ()) -> Step:
        after, lost = move(state, action)
        return Step(after[::2], after, jnp.float32(1.0 / self.time_limit), lost)

    def action_mask(self, state: Float[Array, "4"], params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: Float[Array, "4"], params: Params = ()) -> Mapping[str, Array]:
        return {"x_velocity": state[1:2], "angle_velocity": state[3:4], "velocities": state[1::2], "state": state}

    def references(self, level: str) -> References:
        """random: measured. Both ceilings are the greatest reward there is: linear feedback on the state keeps the pole up."""
        options.require_train(self.name, level)
        limit = self.time_limit
        ceiling = deck.per_step(1.0 / limit, 0, limit, "exact: upright to the limit")
        exact = deck.references({"perfect_memory": ceiling, "oracle": ceiling})
        return measured.joined(exact, measured.references("cards", self.name, limit))

    def draw(self, state: Float[Array, "4"], params: Params = ()) -> np.ndarray:
        from unseen.environments.navigation import drawing

        x, _, angle, _ = (float(value) for value in state)
        picture = drawing.Board(4, 8)
        for column in range(8):
            picture.tile((3, column), drawing.FLOOR)
        size = picture.size
        middle, top = (4.0 + 3.5 * x / MAX_POSITION) * size, 2.75 * size
        picture.pen.rectangle((middle - 0.5 * size, top, middle + 0.5 * size, 3.15 * size), fill=drawing.AGENT)
        end = middle + 2.3 * size * math.sin(angle), top - 2.3 * size * math.cos(angle)
        picture.pen.line((middle, top, *end), fill=drawing.SECOND_AGENT, width=10)
        return picture.array()
