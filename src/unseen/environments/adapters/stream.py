"""One slot's endless stream of episodes as pure functions; the single and the vector Gymnasium forms both run this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from unseen.environments.contract import Environment, Observation, Params, State
from unseen.errors import UserError, unknown

# What a key is used for, folded in last: root -> episode -> time -> purpose.
_ENTRY, _RESET, _STEP, _SIGNALS = range(4)


class Slot(NamedTuple):
    """Where one stream stands: `root` fixes every episode it will ever play; `entry` is the part of the level's mixture in play."""

    root: PRNGKeyArray
    episode: Array
    time: Array
    entry: Array
    state: State


class Seen(NamedTuple):
    """What belongs to the current state: the observation, the privileged signals, and the legal actions (None where all are)."""

    observation: Observation
    signals: Mapping[str, Array]
    action_mask: Array | None


class Advance(NamedTuple):
    """One step; `truncated` means the horizon was reached without terminating."""

    slot: Slot
    seen: Seen
    reward: Array
    terminated: Array
    truncated: Array


@dataclass(frozen=True, eq=False)
class Streams:
    """The functions of one environment at one level."""

    environment: Environment
    entries: tuple[Params, ...]
    params: Params  # the entries, stacked along a new first axis
    log_weights: np.ndarray
    horizons: np.ndarray

    def begin(self, root: PRNGKeyArray, episode: Array) -> tuple[Slot, Seen]:
        """The first state of episode number `episode` (int32) of the stream that `root` fixes."""
        start = jax.random.fold_in(jax.random.fold_in(root, episode), 0)
        entry = jax.random.categorical(jax.random.fold_in(start, _ENTRY), jnp.asarray(self.log_weights)).astype(jnp.int32)
        observation, state = self.environment.reset(jax.random.fold_in(start, _RESET), self._params(entry))
        slot = Slot(root, episode, jnp.zeros((), jnp.int32), entry, state)
        return slot, self._see(slot, observation)

    def advance(self, slot: Slot, action: Array) -> Advance:
        """Act in the current state. The horizon truncates here; resetting is the caller's business."""
        now = jax.random.fold_in(jax.random.fold_in(slot.root, slot.episode), slot.time)
        step = self.environment.step(jax.random.fold_in(now, _STEP), slot.state, action, self._params(slot.entry))
        slot = slot._replace(state=step.state, time=slot.time + 1)
        truncated = (slot.time >= jnp.asarray(self.horizons)[slot.entry]) & ~step.terminated
        return Advance(slot, self._see(slot, step.observation), step.reward, step.terminated, truncated)

    def _params(self, entry: Array) -> Params:
        return jax.tree.map(lambda stacked: stacked[entry], self.params)

    def _see(self, slot: Slot, observation: Observation) -> Seen:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(slot.root, slot.episode), slot.time), _SIGNALS)
        params = self._params(slot.entry)
        return Seen(observation, self.environment.signals(key, slot.state, params), self.environment.action_mask(slot.state, params))


def streams(environment: Environment, level: str) -> Streams:
    """Prepare one level of an environment.

    Raises:
        UserError: the level does not exist, or its mixture does not share one observation and action space.
    """
    if level not in environment.levels:
        raise unknown(f"level of {environment.name}", level, environment.levels)
    weights, entries = zip(*environment.levels[level])
    for what in ("observation_space", "action_space"):
        spaces = [getattr(environment, what)(params) for params in entries]
        if any(space != spaces[0] for space in spaces):
            raise UserError(
                f"level {level!r} of {environment.name} mixes several {what}s; Gymnasium allows one, so choose a level with one"
            )
    return Streams(
        environment=environment,
        entries=entries,
        params=jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *entries),
        log_weights=np.log(np.asarray(weights, np.float32)),
        horizons=np.asarray([environment.horizon(params) for params in entries], np.int32),
    )


def root_key(seed: int | np.integer) -> PRNGKeyArray:
    """The key of a stream; Gymnasium allows seeds beyond 32 bits, which wrap around here."""
    return jax.random.key(np.uint32(int(seed) % 2**32))


def to_host(space: gymnasium.Space[Any], value: Any) -> Any:
    """Copy a value from the device into the types `space` asks for, single or batched alike."""
    if isinstance(space, gymnasium.spaces.Dict):
        return {name: to_host(part, value[name]) for name, part in space.spaces.items()}
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.int64(value)
    return np.array(value, dtype=space.dtype)


def to_device(space: gymnasium.Space[Any], action: Any) -> np.ndarray:
    """An action in the type our environments take: int32 for anything that counts, the space's own type for Box."""
    return np.asarray(action, dtype=space.dtype if isinstance(space, gymnasium.spaces.Box) else np.int32)
