"""Walks through an environment with random legal actions: what `check_environment` looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from unseen.environments.contract import Environment, Params, State, Step


class Moment(NamedTuple):
    """What a walk did in one state: `step` and `signals` were given their keys, `key` is the one both were split from."""

    key: PRNGKeyArray
    step_key: PRNGKeyArray
    signals_key: PRNGKeyArray
    state: State
    mask: Any
    signals: Any
    action: Array
    step: Step


def advance(environment: Environment, key: PRNGKeyArray, state: State, params: Params) -> Moment:
    """Choose a random legal action in `state` and take it."""
    for_action, for_signals, for_step = jax.random.split(key, 3)
    mask = environment.action_mask(state, params)
    action = random_action(for_action, environment.action_space(params), mask)
    signals = environment.signals(for_signals, state, params)
    return Moment(key, for_step, for_signals, state, mask, signals, action, environment.step(for_step, state, action, params))


class Walk(NamedTuple):
    """A walk at one set of parameters: its steps, and the observations that resets gave."""

    params: Params
    moments: list[Moment]
    first_observations: list[Any]


Reset = Callable[[PRNGKeyArray, Params], tuple[Any, State]]
Advance = Callable[[PRNGKeyArray, State, Params], Moment]


def walk(reset: Reset, advance: Advance, params: Params, horizon: int, steps: int, seed: int) -> Walk:
    """Random legal actions, with a reset after every termination and at the horizon."""
    keys = iter(jax.random.split(jax.random.key(seed), 2 * steps))
    moments: list[Moment] = []
    firsts: list[Any] = []
    age, state = horizon, None
    for _ in range(steps):
        if age >= horizon:
            (first, state), age = reset(next(keys), params), 0
            firsts.append(first)
        moments.append(moment := advance(next(keys), state, params))
        state, age = moment.step.state, age + 1
        if np.any(moment.step.terminated):
            age = horizon
    return Walk(params, moments, firsts)


def random_action(key: PRNGKeyArray, space: gymnasium.Space[Any], mask: Array | None, preferred: Array | None = None) -> Array:
    """A legal action: uniform, or the one that `preferred` scores highest, flat over all choices of the space."""
    if isinstance(space, gymnasium.spaces.Box):
        low, high = np.maximum(space.low, -1e3), np.minimum(space.high, 1e3)
        return jax.random.uniform(key, space.shape, space.dtype, low, high)
    sizes = sizes_of(space)
    score = jax.random.gumbel(key, (sum(sizes),), jnp.float32) + (0.0 if preferred is None else preferred)
    score = score if mask is None else jnp.where(mask, score, -jnp.inf)
    choices = [jnp.argmax(part).astype(jnp.int32) for part in jnp.split(score, np.cumsum(sizes)[:-1].tolist())]
    return choices[0] if isinstance(space, gymnasium.spaces.Discrete) else jnp.stack(choices).reshape(space.shape or ())


def sizes_of(space: Any) -> list[int]:
    return [int(space.n)] if isinstance(space, gymnasium.spaces.Discrete) else [int(n) for n in np.ravel(space.nvec)]


def running(environment: Environment, params: Params, steps: int, seed: int) -> np.ndarray:
    """How many copies have not terminated after 0..steps steps; some repeat one action, the others act at random."""
    space = environment.action_space(params)
    constant = 0 if isinstance(space, gymnasium.spaces.Box) else min(sum(sizes_of(space)), 64)
    copies = constant + 16
    preferred = None if constant == 0 else 1e6 * jnp.eye(copies, sum(sizes_of(space)), dtype=jnp.float32)

    def act(key: PRNGKeyArray, state: State, bias: Array | None) -> Array:
        return random_action(key, space, environment.action_mask(state, params), bias)

    def advance(carry: Any, key: PRNGKeyArray) -> tuple[Any, Array]:
        state, running = carry
        for_action, for_step = jax.random.split(key)
        action = jax.vmap(act)(jax.random.split(for_action, copies), state, preferred)
        result = jax.vmap(environment.step, (0, 0, 0, None))(jax.random.split(for_step, copies), state, action, params)
        running = running & ~result.terminated
        return (result.state, running), running.sum()

    @jax.jit
    def run(key: PRNGKeyArray) -> Array:
        for_reset, for_steps = jax.random.split(key)
        _, state = jax.vmap(environment.reset, (0, None))(jax.random.split(for_reset, copies), params)
        carry = (state, jnp.ones(copies, jnp.bool_))
        return jax.lax.scan(advance, carry, jax.random.split(for_steps, steps))[1]

    return np.concatenate([[copies], np.asarray(run(jax.random.key(seed)))])
