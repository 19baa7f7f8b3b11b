"""Many copies of one of our environments as one compiled `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array

from unseen.environments.adapters.single import SingleEnv
from unseen.environments.adapters.stream import Seen, Slot, Streams, root_key, streams, to_device, to_host
from unseen.environments.contract import Environment
from unseen.errors import UserError, unknown


class VectorEnvironments(VectorEnv[Any, Any, Any]):
    """A batch of compiled environments behind Gymnasium's vector interface; made by `to_gymnasium_vector`.

    Slot i plays the same stream as a single environment reset with the same seed; infos look like those of
    `gymnasium.vector.SyncVectorEnv`.
    """

    def __init__(self, of: Streams, num_envs: int, autoreset_mode: AutoresetMode, seed: int | None, render_mode: str | None) -> None:
        environment, params = of.environment, of.entries[0]
        self.metadata = {**SingleEnv.metadata, "autoreset_mode": autoreset_mode}
        self.num_envs, self.render_mode, self._mode, self._seed = num_envs, render_mode, autoreset_mode, seed
        self.single_observation_space = environment.observation_space(params)
        self.single_action_space = environment.action_space(params)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.signal_spaces = dict(environment.signal_spaces(params))
        self.horizon = int(of.horizons.max())
        self._signal_batches = {name: batch_space(space, num_envs) for name, space in self.signal_spaces.items()}
        self._streams = of
        self._slots: Slot | None = None
        self._observation: Any = None
        self._ended = np.zeros(num_envs, bool)
        self._begin = jax.jit(jax.vmap(of.begin))
        self._advance = jax.jit(jax.vmap(of.advance))
        self._next_episode = jax.jit(self._begin_next)

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes in every slot, or in those where `options["reset_mask"]` (bool, shape (num_envs,)) is True.

        Args:
            seed: one integer s gives slot i the stream s + i; a list gives each slot its own; None goes on with the current streams.
            options: may hold "reset_mask"; the other slots keep their episode.
        """
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise UserError(f"reset_mask must be {self.num_envs} booleans with at least one True, got {mask.dtype} of shape {mask.shape}")
        if seed is None and self._slots is None:
            seed = self._seed
        super().reset(seed=seed if isinstance(seed, int) else None)
        seeds = self._seeds(seed)
        if self._slots is None:  # nothing to go on with yet: every slot needs a stream
            roots = jnp.stack([root_key(self.np_random.integers(2**32) if s is None else s) for s in seeds])
            self._slots, seen = self._begin(roots, jnp.zeros(self.num_envs, jnp.int32))
            self._observation = to_host(self.observation_space, seen.observation)
            self._ended[:] = False
            return self._copy(self._observation), self._infos(seen, np.ones(self.num_envs, bool))
        for i in np.flatnonzero(mask).tolist():
            if (given := seeds[i]) is not None:  # episode -1, so that the next one is the new stream's first
                self._slots = self._slots._replace(
                    root=self._slots.root.at[i].set(root_key(given)), episode=self._slots.episode.at[i].set(-1)
                )
        infos = self._reset_where(mask)
        self._ended[mask] = False
        return self._copy(self._observation), infos

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Act in every slot; what happens to ended slots is the autoreset mode's business (see `to_gymnasium_vector`)."""
        if self._slots is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        resting = self._ended
        if self._mode is AutoresetMode.DISABLED and resting.any():
            raise gymnasium.error.ResetNeeded(f"slots {np.flatnonzero(resting).tolist()} have ended; reset them with options['reset_mask']")
        advance = self._advance(self._slots, to_device(self.action_space, actions))
        self._slots = advance.slot
        self._observation = to_host(self.observation_space, advance.seen.observation)
        reward = np.array(advance.reward, np.float64)
        terminated, truncated = np.array(advance.terminated), np.array(advance.truncated)
        if self._mode is AutoresetMode.NEXT_STEP:
            # Slots that ended a step ago ignore their action and begin anew; what they computed above is thrown away.
            reward[resting], terminated[resting], truncated[resting] = 0.0, False, False
        self._ended = terminated | truncated

        infos = self._infos(advance.seen, np.ones(self.num_envs, bool))
        if self._mode is AutoresetMode.NEXT_STEP and resting.any():
            infos = _overlay(infos, self._reset_where(resting), resting)
        if self._mode is AutoresetMode.SAME_STEP and self._ended.any():
            final = {"final_obs": self._final_observations(), "_final_obs": self._ended.copy()}
            final |= {"final_info": self._infos(advance.seen, self._ended), "_final_info": self._ended.copy()}
            infos = _overlay(infos, self._reset_where(self._ended), self._ended) | final
        return self._copy(self._observation), reward, terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture per slot."""
        if self.render_mode is None or self._slots is None:
            return None
        draw, entries = self._streams.environment.draw, self._streams.entries
        slots = (jax.tree.map(lambda leaf, i=i: leaf[i], self._slots) for i in range(self.num_envs))
        return tuple(draw(slot.state, entries[int(slot.entry)]) for slot in slots)

    def _begin_next(self, slots: Slot, which: Array) -> tuple[Slot, Seen]:
        fresh, seen = jax.vmap(self._streams.begin)(slots.root[which], slots.episode[which] + 1)
        return jax.tree.map(lambda old, new: old.at[which].set(new), slots, fresh), seen

    def _reset_where(self, mask: np.ndarray) -> dict[str, Any]:
        """Begin the next episode of the masked slots only; their observations and infos are written where they belong."""
        which = np.flatnonzero(mask)
        # Sizes are rounded up to a power of two (repeating slots, harmlessly) so that only log2(num_envs) programs are compiled.
        size = min(1 << (len(which) - 1).bit_length(), self.num_envs)
        self._slots, seen = self._next_episode(self._slots, jnp.asarray(np.resize(which, size)))
        seen = jax.tree.map(lambda leaf: _spread(np.asarray(leaf)[: len(which)], which, self.num_envs), seen)
        self._observation = _merge(self._observation, to_host(self.observation_space, seen.observation), mask)
        return self._infos(seen, mask)

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise UserError(f"seed has {len(seed)} entries for {self.num_envs} environments; give one integer or one per environment")
        return list(seed)

    def _infos(self, seen: Seen, mask: np.ndarray) -> dict[str, Any]:
        """Gymnasium's batched info: every key beside a boolean array `_key` that says where it holds; zeros elsewhere."""
        where = mask.copy()
        batched = {name: to_host(space, seen.signals[name]) for name, space in self._signal_batches.items()}
        signals: dict[str, Any] = {}
        for name, value in batched.items():
            signals |= {name: _zero_outside(value, where), f"_{name}": where.copy()}
        infos: dict[str, Any] = {"signals": signals, "_signals": where.copy()}
        if seen.action_mask is not None:
            infos |= {"action_mask": _zero_outside(np.array(seen.action_mask), where), "_action_mask": where.copy()}
        return infos

    def _final_observations(self) -> np.ndarray:
        """Object array with the last observation of the slots that have just ended, None elsewhere."""
        final = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(self._ended).tolist():
            final[i] = to_host(self.single_observation_space, _pick(self._observation, i))
        return final

    def _copy(self, observation: Any) -> Any:
        return to_host(self.observation_space, observation)


def to_gymnasium_vector(
    environment: Environment,
    num_envs: int,
    level: str = "train",
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    seed: int | None = None,
    render_mode: str | None = None,
) -> VectorEnv[Any, Any, Any]:
    """Hand one of our environments out as a batched Gymnasium one: one compiled call per step for all copies.

    Args:
        environment: what `unseen.make` returns.
        num_envs: number of copies.
        level: the level to play.
        autoreset_mode: what happens to an ended copy. "NextStep": the next `step` ignores its action and returns the first
            observation of a new episode with reward 0. "SameStep": the observation returned is already the new episode's, and the
            last one of the ended episode is in `infos["final_obs"]`, its info in `infos["final_info"]`. "Disabled": the caller
            resets it with `reset(options={"reset_mask": mask})`.
        seed: the streams to play when the first `reset` names none; None draws them.
        render_mode: None or "rgb_array".

    Raises:
        UserError: unknown level or autoreset mode, or fewer than one copy.
    """
    if num_envs < 1:
        raise UserError(f"num_envs is {num_envs}; it must be at least 1")
    modes = {mode.value: mode for mode in AutoresetMode}
    value = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
    if value not in modes:
        raise unknown("autoreset_mode", value, modes)
    return VectorEnvironments(streams(environment, level), num_envs, modes[value], seed, render_mode)


def _spread(values: np.ndarray, which: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros((size, *values.shape[1:]), values.dtype)
    out[which] = values
    return out


def _zero_outside(values: Any, mask: np.ndarray) -> Any:
    return jax.tree.map(lambda v: np.where(mask.reshape(-1, *[1] * (v.ndim - 1)), v, np.zeros((), v.dtype)), values)


def _merge(old: Any, new: Any, mask: np.ndarray) -> Any:
    return jax.tree.map(lambda o, n: np.where(mask.reshape(-1, *[1] * (o.ndim - 1)), n, o), old, new)


def _overlay(infos: dict[str, Any], fresh: dict[str, Any], mask: np.ndarray) -> dict[str, Any]:
    return {key: _merge(value, fresh[key], mask) for key, value in infos.items()}


def _pick(observation: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], observation)
