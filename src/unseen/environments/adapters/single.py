"""One of our environments as a `gymnasium.Env`."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.envs.registration import EnvSpec

from unseen.environments.adapters.registration import gymnasium_id
from unseen.environments.adapters.stream import Seen, Slot, Streams, root_key, streams, to_device, to_host
from unseen.environments.contract import Environment


class SingleEnv(gymnasium.Env[Any, Any]):
    """A compiled environment behind Gymnasium's interface; made by `to_gymnasium`.

    `info["signals"]` holds what only a critic may be told, `info["action_mask"]` (where the environment has one) the legal
    actions, both of the state the returned observation comes from.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(self, compiled: Compiled, seed: int | None = None, render_mode: str | None = None) -> None:
        environment, params = compiled.streams.environment, compiled.streams.entries[0]
        self._compiled = compiled
        self._seed = seed
        self._slot: Slot | None = None
        self.render_mode = render_mode
        self.observation_space = environment.observation_space(params)
        self.action_space = environment.action_space(params)
        self.signal_spaces = dict(environment.signal_spaces(params))
        self.horizon = int(compiled.streams.horizons.max())

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode of the current stream, or the first one of the stream that `seed` fixes."""
        if seed is None and self._slot is None:
            seed = self._seed  # the one given to `to_gymnasium`
        super().reset(seed=seed)
        if seed is None and self._slot is not None:
            root, episode = self._slot.root, self._slot.episode + 1
        else:
            root, episode = root_key(self.np_random.integers(2**32) if seed is None else seed), np.int32(0)
        self._slot, seen = self._compiled.begin(root, episode)
        return self._read(seen)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act; `truncated` is True where the horizon is reached without terminating."""
        if self._slot is None:
            raise gymnasium.error.ResetNeeded(f"call reset() before step() on {self._compiled.streams.environment.name}")
        advance = self._compiled.advance(self._slot, to_device(self.action_space, action))
        self._slot = advance.slot
        observation, info = self._read(advance.seen)
        return observation, float(advance.reward), bool(advance.terminated), bool(advance.truncated), info

    def render(self) -> np.ndarray | None:
        """The picture the environment draws of its state: uint8, shape (height, width, 3)."""
        return None if self.render_mode is None or self._slot is None else self._compiled.draw(self._slot)

    def _read(self, seen: Seen) -> tuple[Any, dict[str, Any]]:
        info: dict[str, Any] = {"signals": {name: to_host(space, seen.signals[name]) for name, space in self.signal_spaces.items()}}
        if seen.action_mask is not None:
            info["action_mask"] = np.array(seen.action_mask)
        return to_host(self.observation_space, seen.observation), info


class Compiled:
    """The compiled functions of one level, shared by every Gymnasium environment made from it."""

    def __init__(self, of: Streams) -> None:
        self.streams = of
        self.begin = jax.jit(of.begin)
        self.advance = jax.jit(of.advance)

    def draw(self, slot: Slot) -> np.ndarray:
        """The picture of one slot's state."""
        return self.streams.environment.draw(slot.state, self.streams.entries[int(slot.entry)])


def to_gymnasium(
    environment: Environment, level: str = "train", seed: int | None = None, render_mode: str | None = None
) -> gymnasium.Env[Any, Any]:
    """Hand one of our environments out as a Gymnasium one.

    Args:
        environment: what `unseen.make` returns.
        level: the level to play; its mixture is drawn from at every reset.
        seed: the stream to play when the first `reset` names none; None draws one.
        render_mode: None or "rgb_array".

    Returns:
        a `gymnasium.Env`; equal seeds give equal streams of episodes, bit for bit, on the same machine.

    Raises:
        UserError: unknown level, or one whose mixture has several observation or action spaces.
    """
    return _single(Compiled(streams(environment, level)), seed, render_mode)


def _single(compiled: Compiled, seed: int | None = None, render_mode: str | None = None) -> SingleEnv:
    env = SingleEnv(compiled, seed, render_mode)
    identifier = gymnasium_id(compiled.streams.environment.name)
    env.spec = EnvSpec(id=identifier, entry_point=lambda **options: _single(compiled, **options), kwargs={"seed": seed})
    return env
