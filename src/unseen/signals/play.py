"""Recordings to test signals on: whole or cut episodes under uniform random actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from unseen.data import Episodes
from unseen.environments import adapters
from unseen.environments.check_walks import random_action
from unseen.errors import UserError
from unseen.learning.levels import mixture

STEPS = 25  # an episode, as published
TOGETHER = 16  # external environments played side by side


class Recording(NamedTuple):
    """Episodes, and what the environment says about their columns (empty for a recording from elsewhere)."""

    episodes: Episodes
    signal_spaces: dict[str, gymnasium.Space[Any]]
    observation_space: gymnasium.Space[Any] | None
    action_space: gymnasium.Space[Any] | None


def record(environment: Any, episodes: int, *, steps: int = STEPS, level: str = "train", seed: int = 0) -> Recording:
    """Episodes under uniform random legal actions, cut after `steps` steps.

    Args:
        environment: one of this package's, or an external one (a batch stepped on the host).
        episodes: how many.
        steps: longest episode; what is cut is truncated, never terminated.
        level: mixture of levels.
        seed: of levels, actions and noise.
    """
    if isinstance(environment, adapters.ExternalEnvironment):
        return _external(environment, episodes, steps, seed)
    levels = mixture(environment, level)
    params = levels.entries[0]
    longest = min(steps, levels.longest)
    keys = jax.random.split(jax.random.key(seed), episodes)
    picked = jax.vmap(levels.draw)(jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys))

    def play(key: Any, horizon: Any, params: Any) -> Any:
        k_reset, k_signals, k_act, k_step = jax.random.split(key, 4)
        observation, state = environment.reset(k_reset, params)

        def step(lane: Any, t: Any) -> Any:
            observation, state, going = lane
            mask = environment.action_mask(state, params)
            action = random_action(jax.random.fold_in(k_act, t), environment.action_space(params), mask)
            told = environment.signals(jax.random.fold_in(k_signals, t), state, params)
            after = environment.step(jax.random.fold_in(k_step, t), state, action, params)
            terminated = going & after.terminated
            truncated = going & ~terminated & (t + 1 >= jnp.minimum(horizon, longest))
            row = (observation, told, action, after.reward.astype(jnp.float32), terminated, truncated, going)
            return (after.observation, after.state, going & ~terminated & ~truncated), row

        (observation, state, _), rows = jax.lax.scan(step, (observation, state, jnp.bool_(True)), jnp.arange(longest, dtype=jnp.int32))
        last = observation, environment.signals(jax.random.fold_in(k_signals, longest), state, params)
        seen, told = jax.tree.map(lambda all_, one: jnp.concatenate([all_, jnp.asarray(one)[None]]), rows[:2], last)
        return seen, told, *rows[2:]

    horizons = levels.horizon_of(picked)
    played = jax.jit(lambda picked, *each: levels.mapped(play, picked, *each))(picked, keys, horizons)
    seen, told, actions, rewards, terminated, truncated, valid = jax.tree.map(lambda x: np.swapaxes(np.asarray(x), 0, 1), played)
    return Recording(
        Episodes.from_padded(
            observations=seen,
            actions=actions,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            signals=told,
        ),
        dict(environment.signal_spaces(params)),
        environment.observation_space(params),
        environment.action_space(params),
    )


def _external(host: Any, episodes: int, steps: int, seed: int) -> Recording:
    space = host.action_space
    rng = np.random.default_rng(seed)
    batch = host.num_envs
    parts = []
    for _first in range(0, episodes, batch):
        going = np.ones(batch, bool)
        observation, signals = host.reset(rng.integers(0, 2**31 - 1, batch), going)
        shown, rows = [(observation, signals)], []
        while going.any():
            action = _random_actions(rng, space, batch, host.action_mask())
            step = host.step(action, going)
            terminated = going & step.terminated
            truncated = going & ~terminated & (step.truncated | (len(rows) + 1 >= steps))
            rows.append((action, step.reward, terminated, truncated, going))
            shown.append((step.observation, step.signals))
            going = going & ~terminated & ~truncated
        actions, rewards, terminated, truncated, valid = jax.tree.map(lambda *xs: np.stack(xs), *rows)
        observations, told = jax.tree.map(lambda *xs: np.stack(xs), *shown)
        parts.append(
            Episodes.from_padded(
                observations=observations,
                actions=actions,
                rewards=rewards,
                terminated=terminated,
                truncated=truncated,
                valid=valid,
                signals=dict(told),
            )
        )
    together = Episodes.concatenate(parts).select(np.arange(episodes))
    return Recording(together, dict(host.signal_spaces), host.observation_space, space)


def _random_actions(rng: np.random.Generator, space: gymnasium.Space[Any], batch: int, mask: np.ndarray | None) -> np.ndarray:
    """Uniform legal actions of every lane, discrete ones counted from 0."""
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Discrete):
        weights = np.ones((batch, int(space.n))) if mask is None else mask.astype(float)
        return np.array([rng.choice(len(w), p=w / w.sum()) for w in weights])
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return rng.integers(0, space.nvec, (batch, len(space.nvec)))
    if isinstance(space, spaces.Box):
        low, high = np.maximum(space.low, -1e3), np.minimum(space.high, 1e3)
        return rng.uniform(low, high, (batch, *space.shape)).astype(space.dtype)
    raise UserError(f"actions of {space} cannot be drawn at random here; record episodes yourself and rank those")
