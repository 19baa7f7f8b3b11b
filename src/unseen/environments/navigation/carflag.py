"""Car-flag: one end of the road pays, the other punishes, and a signpost off to the right says which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from unseen.environments import measured, options
from unseen.environments.contract import Params, References, Step

POSITION_LIMIT, SPEED_LIMIT, FLAG = 1.1, 0.07, 1.0
ACCELERATION = 0.0015  # per step at full force
START = 0.2  # |p| at reset is below this
SIGN_FROM, SIGN_TO = 0.3, 0.7  # where the signpost can be read


class CarFlagState(NamedTuple):
    """Attributes: position in [-1.1, 1.1]; velocity per step in [-0.07, 0.07]; heaven 0 left, 1 right."""

    position: Float[Array, ""]
    velocity: Float[Array, ""]
    heaven: Int[Array, ""]


@dataclass(frozen=True)
class CarFlag:
    """A car on a road with a flag at each end (|p| = 1); reaching heaven's pays +1, hell's -1, and either ends the episode.

    v <- clip(v + 0.0015 f, +-0.07), p <- clip(p + v, +-1.1), v <- 0 if p is at the left limit and v < 0.

    Observation: `Box(3)`: (p, v, d), or `Box(2)`: (p, d) without the velocity; d is +1 (heaven right) or -1 (left) while
    0.3 <= p <= 0.7, else 0. Actions: 7 forces f, evenly spaced from -1 to 1.

    Signals: "velocity" (Box 1), "heaven" (2 values), "velocity_heaven" (Box 2, heaven as +-1), "state" (Box 3: p, v, heaven).

    Args:
        observe_velocity: whether the actor sees v. It does in the public environment, where the signal "velocity" is
            then a function of the history.
        time_limit: horizon in steps.

    Source: extra-car-flag-v0, after Nguyen et al., "Belief-grounded networks for accelerated robot learning under partial
    observability" (2020).
    """

    observe_velocity: bool = True
    time_limit: int = 100

    def __post_init__(self) -> None:
        options.require_boolean("car-flag", "observe_velocity", self.observe_velocity)
        options.require_integer("car-flag", "time_limit", self.time_limit, 1)

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(f"force {f:+.2f}" for f in np.linspace(-1.0, 1.0, 7))

    @property
    def name(self) -> str:
        return "car-flag" if self.observe_velocity else "car-flag-no-velocity"

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return _box(POSITION_LIMIT, SPEED_LIMIT, 1.0) if self.observe_velocity else _box(POSITION_LIMIT, 1.0)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(7)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {
            "velocity": _box(SPEED_LIMIT),
            "heaven": gymnasium.spaces.Discrete(2),
            "velocity_heaven": _box(SPEED_LIMIT, 1.0),
            "state": _box(POSITION_LIMIT, SPEED_LIMIT, 1.0),
        }

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Float[Array, " O"], CarFlagState]:
        place, side = jax.random.split(key)
        position = jax.random.uniform(place, (), jnp.float32, -START, START)
        state = CarFlagState(position, jnp.float32(0.0), jax.random.bernoulli(side).astype(jnp.int32))
        return self._observe(state), state

    def step(self, key: PRNGKeyArray, state: CarFlagState, action: Int[Array, ""], params: Params = ()) -> Step:
        force = (action.astype(jnp.float32) - 3.0) / 3.0
        velocity = jnp.clip(state.velocity + ACCELERATION * force, -SPEED_LIMIT, SPEED_LIMIT)
        position = jnp.clip(state.position + velocity, -POSITION_LIMIT, POSITION_LIMIT)
        velocity = jnp.where((position <= -POSITION_LIMIT) & (velocity < 0.0), 0.0, velocity)

        arrived = CarFlagState(position, velocity, state.heaven)
        flag = (position >= FLAG).astype(jnp.float32) - (position <= -FLAG).astype(jnp.float32)
        return Step(self._observe(arrived), arrived, flag * _side(state.heaven), flag != 0.0)

    def action_mask(self, state: CarFlagState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: CarFlagState, params: Params = ()) -> Mapping[str, Array]:
        side = _side(state.heaven)
        return {
            "velocity": state.velocity[None],
            "heaven": state.heaven,
            "velocity_heaven": jnp.stack([state.velocity, side]),
            "state": jnp.stack([state.position, state.velocity, side]),
        }

    def references(self, level: str) -> References:
        """Measured with scripted players; empty for other time limits than the measured one."""
        options.require_train(self.name, level)
        return measured.references("navigation", self.name, self.time_limit)

    def draw(self, state: CarFlagState, params: Params = ()) -> np.ndarray:
        from unseen.environments.navigation import drawing

        picture = drawing.Board(2, 12)
        for column in range(12):
            picture.tile((1, column), drawing.FLOOR)
        for position, right in ((-FLAG, 0), (FLAG, 1)):
            is_heaven = int(state.heaven) == right
            place = (0, _column(position))
            picture.flag(place, drawing.GOOD if is_heaven else drawing.BAD)
            picture.text(place, "heaven" if is_heaven else "hell", drawing.LIGHT)
        for position in np.linspace(SIGN_FROM, SIGN_TO, 5):
            picture.disc((1, _column(position)), 0.12, drawing.HINT)
        picture.text((0, _column(0.5 * (SIGN_FROM + SIGN_TO))), "signpost", drawing.LIGHT)
        place = (1, _column(float(state.position)))
        picture.agent(place)
        picture.arrow(place, 2.0 * float(state.velocity) / SPEED_LIMIT, drawing.AGENT)
        return picture.array()

    def _observe(self, state: CarFlagState) -> Float[Array, " O"]:
        readable = (state.position >= SIGN_FROM) & (state.position <= SIGN_TO)
        sign = jnp.where(readable, _side(state.heaven), 0.0)
        seen = [state.position, state.velocity, sign] if self.observe_velocity else [state.position, sign]
        return jnp.stack(seen)


def _side(heaven: Int[Array, ""]) -> Float[Array, ""]:
    return 2.0 * heaven.astype(jnp.float32) - 1.0


def _box(*limits: float) -> gymnasium.spaces.Box:
    high = np.asarray(limits, np.float32)
    return gymnasium.spaces.Box(-high, high, dtype=np.float32)


def _column(position: float) -> float:
    """Where a position lies on a road twelve tiles long, with half a tile to spare at each end."""
    return 5.5 + 5.0 * position / POSITION_LIMIT
