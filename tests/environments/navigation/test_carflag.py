"""Car-flag against a slow car in plain Python, its rules at the boundaries, and what can be reached in 100 steps."""

from __future__ import annotations

import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.environments.navigation.carflag import CarFlag, CarFlagState

FORCES = np.linspace(-1.0, 1.0, 7)


def slow_step(p: float, v: float, heaven: int, action: int) -> tuple[float, float, float, float, bool]:
    """Position, velocity, sign, reward, terminated; in double precision."""
    v = v + 0.0015 * float(FORCES[action])
    v = max(-0.07, min(0.07, v))
    p = max(-1.1, min(1.1, p + v))
    if p <= -1.1 and v < 0:
        v = 0.0
    sign = float(heaven) if 0.3 <= p <= 0.7 else 0.0
    reward = 0.0
    if p >= 1.0:
        reward = 1.0 if heaven == 1 else -1.0
    if p <= -1.0:
        reward = 1.0 if heaven == -1 else -1.0
    return p, v, sign, reward, p >= 1.0 or p <= -1.0


def state_of(p: float, v: float, heaven: int) -> CarFlagState:
    return CarFlagState(jnp.float32(p), jnp.float32(v), jnp.int32(heaven > 0))


@pytest.mark.parametrize("observe_velocity", [True, False])
def test_walks_equal_the_slow_car(observe_velocity: bool) -> None:
    """15,000 steps of random bursts; the slow car takes each step from the fast one's state, so rounding cannot add up."""
    environment, draw, steps = CarFlag(observe_velocity), random.Random(5), 15_000
    actions: list[int] = []
    while len(actions) < steps:
        actions += [draw.randrange(7)] * draw.randrange(1, 60)
    actions = actions[:steps]
    starts = [(draw.uniform(-0.2, 0.2), draw.choice([-1, 1])) for _ in range(steps)]

    def advance(state: CarFlagState, inputs: Any) -> Any:
        action, p, heaven = inputs
        step = environment.step(jax.random.key(0), state, action)
        fresh = CarFlagState(p, jnp.float32(0), heaven)
        return jax.tree.map(lambda a, b: jnp.where(step.terminated, a, b), fresh, step.state), (state, step)

    positions, heavens = np.array(starts).T
    inputs = (jnp.asarray(actions, jnp.int32), jnp.asarray(positions, jnp.float32), jnp.asarray(heavens > 0, jnp.int32))
    _, (before, after) = jax.lax.scan(advance, state_of(*starts[0][:1], 0.0, starts[0][1]), inputs)
    before, after = jax.tree.map(lambda x: np.asarray(x, np.float64), (before, after))

    ended = signs = 0
    for t, action in enumerate(actions):
        heaven = 1 if before.heaven[t] else -1
        p, v, sign, reward, terminated = slow_step(before.position[t], before.velocity[t], heaven, action)
        assert after.state.position[t] == pytest.approx(p, abs=3e-7)
        assert after.state.velocity[t] == pytest.approx(v, abs=3e-8)
        near_an_edge = min(abs(p - edge) for edge in (-1.0, 0.3, 0.7, 1.0)) < 1e-6  # where rounding may decide
        if not near_an_edge:
            seen = [after.state.position[t], after.state.velocity[t], sign] if observe_velocity else [after.state.position[t], sign]
            assert after.observation[t].tolist() == seen
            assert (after.reward[t], after.terminated[t]) == (reward, terminated)
        ended, signs = ended + terminated, signs + (sign != 0)
    assert ended > 50
    assert signs > 500


@settings(max_examples=200, deadline=None)
@given(p=st.floats(-1.1, 1.1), v=st.floats(-0.07, 0.07), heaven=st.sampled_from([-1, 1]), action=st.integers(0, 6))
def test_any_step_stays_inside_the_limits(p: float, v: float, heaven: int, action: int) -> None:
    step = CarFlag().step(jax.random.key(0), state_of(p, v, heaven), jnp.int32(action))
    assert CarFlag().observation_space().contains(np.asarray(step.observation))
    expected = slow_step(p, v, heaven, action)
    assert float(step.state.position) == pytest.approx(expected[0], abs=1e-6)
    assert float(step.state.velocity) == pytest.approx(expected[1], abs=1e-6)


def test_only_the_left_limit_stops_the_car() -> None:
    left = CarFlag().step(jax.random.key(0), state_of(-1.09, -0.07, 1), jnp.int32(0))
    right = CarFlag().step(jax.random.key(0), state_of(1.09, 0.07, 1), jnp.int32(6))
    assert float(left.state.position) == pytest.approx(-1.1)
    assert float(left.state.velocity) == 0.0
    assert float(right.state.position) == pytest.approx(1.1)
    assert float(right.state.velocity) == pytest.approx(0.07)


@pytest.mark.parametrize(("position", "readable"), [(0.29, False), (0.31, True), (0.5, True), (0.69, True), (0.71, False), (-0.5, False)])
@pytest.mark.parametrize("heaven", [-1, 1])
def test_the_sign_is_read_between_three_and_seven_tenths(position: float, readable: bool, heaven: int) -> None:
    step = CarFlag().step(jax.random.key(0), state_of(position, 0.0, heaven), jnp.int32(3))  # no force
    assert float(step.observation[2]) == (heaven if readable else 0)


def test_reset() -> None:
    observations, states = jax.vmap(CarFlag().reset)(jax.random.split(jax.random.key(3), 4_000))
    positions = np.asarray(states.position, np.float64)
    assert positions.min() >= -0.2
    assert positions.max() <= 0.2
    assert abs(positions.mean()) < 5 * 0.4 / 12**0.5 / 4_000**0.5
    assert positions.std() == pytest.approx(0.4 / 12**0.5, rel=0.05)
    assert abs(float(states.heaven.mean()) - 0.5) < 5 * 0.5 / 4_000**0.5
    assert abs(np.corrcoef(positions, states.heaven)[0, 1]) < 5 / 4_000**0.5
    assert not np.any(observations[:, 1:])


def test_signals_tell_what_they_say() -> None:
    told = CarFlag().signals(jax.random.key(0), state_of(0.25, -0.0625, -1))
    assert told["velocity"].tolist() == [-0.0625]
    assert int(told["heaven"]) == 0
    assert told["velocity_heaven"].tolist() == [-0.0625, -1.0]
    assert told["state"].tolist() == [0.25, -0.0625, -1.0]


def drive(p: float, heaven: int, brake_towards: float | None = None, limit: int = 400) -> tuple[int, float]:
    """Steps and reward of a car that goes flat out to the sign, reads it, and then flat out to heaven.

    With `brake_towards` it brakes once full braking would turn it round beyond that position.
    """
    step = jax.jit(CarFlag().step)
    state, known = state_of(p, 0.0, heaven), 0.0
    for t in range(limit):
        position, velocity = float(state.position), float(state.velocity)
        carried_to = position + velocity * abs(velocity) / (2 * 0.0015)
        flat_out = brake_towards is None or carried_to < brake_towards
        action = 6 if (known > 0 or (known == 0 and flat_out)) else 0
        result = step(jax.random.key(0), state, jnp.int32(action))
        known = float(result.observation[2]) or known
        state = result.state
        if bool(result.terminated):
            return t + 1, float(result.reward)
    return limit, 0.0


def test_what_can_be_reached_in_a_hundred_steps() -> None:
    """The specification's figures, by simulation: 37 and 86 steps from the middle; from -0.2 the left needs braking."""
    assert drive(0.0, +1) == (37, 1.0)
    assert drive(0.0, -1) == (86, 1.0)
    naive_steps, naive_reward = drive(-0.2, -1)
    assert naive_steps > 100
    assert naive_reward == 1.0
    braking_steps, braking_reward = drive(-0.2, -1, brake_towards=0.31)
    assert braking_reward == 1.0
    assert abs(braking_steps - 78) <= 2


def test_pictures_differ_where_the_state_does() -> None:
    environment = CarFlag()
    states = [state_of(p, v, heaven) for p in (-1.0, 0.0, 0.5) for v in (-0.05, 0.05) for heaven in (-1, 1)]
    assert len({environment.draw(state).tobytes() for state in states}) == len(states)
