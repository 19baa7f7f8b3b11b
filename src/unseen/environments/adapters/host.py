"""Any Gymnasium environment as an external one: a batch on the host, in this process or in workers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import wrappers

from unseen.environments.adapters.gymnasium_ids import find, make_gymnasium
from unseen.environments.adapters.host_contract import EnvironmentCrash, ExternalEnvironment, ExternalStep, Observations
from unseen.environments.adapters.host_spaces import adapt, adapt_action, blank, infer, stack
from unseen.errors import UserError


def external(
    id_or_factory: str | Callable[..., gymnasium.Env[Any, Any]],
    num_envs: int = 1,
    *,
    workers: int = 0,
    timeout: float = 300.0,
    max_restarts: int = 3,
    **options: Any,
) -> ExternalEnvironment:
    """A batch of Gymnasium environments, stepped on the host.

    Privileged signals are read from `info["signals"]` (a dict) and legal actions from `info["action_mask"]`, at every reset and step.
    The spaces of the signals are those the environment declares as `signal_spaces`, otherwise inferred (`host_spaces.infer`).

    Args:
        id_or_factory: a Gymnasium id ("CartPole-v1", "module:Env-v0"), or a function that makes an environment (importable, for workers).
        num_envs: environments in the batch.
        workers: processes to spread them over; 0 steps them in this one, which is fastest while a step is cheap.
        timeout: seconds without an answer to a step or reset after which a worker counts as dead (starting up has 300).
        max_restarts: dead workers to replace before giving up. The episodes a dead worker was playing are marked truncated at
            their last known observation, with reward 0. An exception inside an environment is never restarted, it is raised.
        options: keyword arguments of the environment.

    Raises:
        UserError: unknown id, missing package, unsupported space, or a count that is not allowed.
        EnvironmentCrash: the environment raised, or workers died more than `max_restarts` times.
    """
    if num_envs < 1:
        raise UserError(f"num_envs is {num_envs}; it must be at least 1")
    if not 0 <= workers <= num_envs:
        raise UserError(f"workers is {workers}; allowed: 0 (this process) to num_envs = {num_envs}")
    if isinstance(id_or_factory, str):
        identifier = id_or_factory.removeprefix("gym:")
        find(identifier)  # typos fail here, before any process is started
        name, factory = f"gym:{identifier}", partial(make_gymnasium, identifier, options)
    else:
        name, factory = getattr(id_or_factory, "__name__", type(id_or_factory).__name__), partial(id_or_factory, **options)
    if workers == 0:
        return HostBatch(name, factory, num_envs)
    from unseen.environments.adapters.workers import WorkerBatch

    return WorkerBatch(name, factory, num_envs, workers, timeout, max_restarts)


class HostBatch:
    """`ExternalEnvironment` in this process; made by `external`."""

    def __init__(self, name: str, factory: Callable[[], gymnasium.Env[Any, Any]], num_envs: int) -> None:
        self.name, self.num_envs = name, num_envs
        self._envs = [factory() for _ in range(num_envs)]
        env = self._envs[0]
        if any(isinstance(layer, wrappers.Autoreset) for layer in _layers(env)):
            raise UserError(
                f"{name} resets itself (gymnasium.wrappers.Autoreset), which loses final observations; make it without that wrapper"
            )
        self._observations = adapt(env.observation_space, f"the observation space of {name}")
        self.observation_space, self.dropped = self._observations.space, self._observations.dropped
        self.action_space, self._to_env = adapt_action(env.action_space, f"the action space of {name}")
        self.horizon = _horizon(env)
        self.supports_save = all(hasattr(env.unwrapped, method) for method in ("save_state", "load_state"))
        _, info = self._guard(0, env.reset, seed=0)  # what signals there are shows only in an info; seeded again before use
        declared = _declared_signals(env)
        raw = {k: infer(v, f"signal {k!r} of {name}") for k, v in info.get("signals", {}).items()} if declared is None else declared
        self._signals = {key: adapt(space, f"signal {key!r} of {name}") for key, space in raw.items()}
        self.signal_spaces: Mapping[str, gymnasium.Space[Any]] = {key: adapted.space for key, adapted in self._signals.items()}
        mask = info.get("action_mask")
        self._masks = None if mask is None else [np.ones(np.shape(mask), bool)] * num_envs
        self._seen = [blank(self.observation_space)] * num_envs
        self._told = [{key: blank(space) for key, space in self.signal_spaces.items()}] * num_envs
        self._ended = np.ones(num_envs, bool)  # nothing has begun yet

    def reset(self, seeds: Sequence[int] | np.ndarray, mask: np.ndarray | None = None) -> tuple[Observations, Mapping[str, np.ndarray]]:
        """Reset where `mask` is True (everywhere when None), each with its own seed."""
        mask = check_reset(self.name, self.num_envs, seeds, mask)
        for i in np.flatnonzero(mask).tolist():
            observation, info = self._guard(i, self._envs[i].reset, seed=int(seeds[i]))
            self._read(i, observation, info)
        self._ended[mask] = False
        return stack(self._seen), _stack_signals(self._told)

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> ExternalStep:
        """Act where `active` is True (everywhere when None); the others repeat their last observation with reward 0."""
        active = check_active(self.name, self.num_envs, actions, active)
        check_running(self.name, self._ended & active)
        reward = np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for i in np.flatnonzero(active).tolist():
            action = self._to_env(actions[i])
            observation, reward[i], terminated[i], truncated[i], info = self._guard(i, self._envs[i].step, action)
            self._read(i, observation, info)
        self._ended |= terminated | truncated
        return ExternalStep(stack(self._seen), _stack_signals(self._told), reward, terminated, truncated)

    def action_mask(self) -> np.ndarray | None:
        """Legal actions of the current states, from `info["action_mask"]`."""
        return None if self._masks is None else np.stack(self._masks)

    def current(self) -> tuple[Observations, Mapping[str, np.ndarray], np.ndarray | None]:
        """The batch as last returned: observations, signals and legal actions."""
        return stack(self._seen), _stack_signals(self._told), self.action_mask()

    def render(self) -> np.ndarray | None:
        """A picture of the first environment, uint8 RGB, where it was made with render_mode="rgb_array"; None otherwise."""
        env = self._envs[0]
        picture = self._guard(0, env.render) if env.render_mode == "rgb_array" else None
        return None if picture is None else np.asarray(picture, np.uint8)

    def save(self) -> dict[str, np.ndarray]:
        """Exact state of every environment, from its own `save_state() -> dict of arrays` and its time limits.

        Raises:
            UserError: the environment has no `save_state` and `load_state`; most have not. Restart at an episode boundary instead.
        """
        self._need_save()
        arrays: dict[str, np.ndarray] = {"ended": self._ended.copy()}
        for i, env in enumerate(self._envs):
            if not self._ended[i]:  # an ended one will be reset with a seed: it has no past that matters
                state = self._guard(i, env.unwrapped.save_state)  # type: ignore[attr-defined]
                arrays |= {f"{i}/state/{key}": np.array(value) for key, value in state.items()}
                arrays[f"{i}/elapsed"] = np.asarray([limit._elapsed_steps for limit in _limits(env)], np.int64)
            seen = self._seen[i] if isinstance(self._seen[i], dict) else {"": self._seen[i]}
            arrays |= {f"{i}/seen/{key}": value for key, value in seen.items()}
            arrays |= {f"{i}/told/{key}": value for key, value in self._told[i].items()}
            if self._masks is not None:
                arrays[f"{i}/mask"] = self._masks[i]
        return arrays

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Undo everything since `save`; the batch must be of the same environment and size."""
        self._need_save()
        if np.shape(arrays["ended"]) != (self.num_envs,):
            raise UserError(f"saved state of {self.name} holds {np.size(arrays['ended'])} environments; this batch has {self.num_envs}")
        for i, env in enumerate(self._envs):
            if not arrays["ended"][i]:
                self._guard(i, env.reset, seed=0)  # wrappers refuse to step what was never reset
                self._guard(i, env.unwrapped.load_state, _under(arrays, f"{i}/state/"))  # type: ignore[attr-defined]
                for limit, elapsed in zip(_limits(env), arrays[f"{i}/elapsed"]):
                    limit._elapsed_steps = int(elapsed)
            seen = _under(arrays, f"{i}/seen/")
            self._seen[i] = seen.get("", seen)
            self._told[i] = _under(arrays, f"{i}/told/")
            if self._masks is not None:
                self._masks[i] = arrays[f"{i}/mask"]
        self._ended = np.array(arrays["ended"], bool)

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()

    def _read(self, i: int, observation: Any, info: Mapping[str, Any]) -> None:
        self._seen[i] = self._observations.read(observation)
        told = info.get("signals", {})
        if missing := [key for key in self._signals if key not in told]:
            raise UserError(
                f"{self.name} left out signals {missing}; info['signals'] must hold {list(self._signals)} at every reset and step"
            )
        self._told[i] = {key: adapted.read(told[key]) for key, adapted in self._signals.items()}
        if self._masks is not None:
            if "action_mask" not in info:
                raise UserError(f"{self.name} left out info['action_mask']; give it at every reset and step, or never")
            self._masks[i] = np.asarray(info["action_mask"], bool)

    def _guard(self, i: int, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            raise EnvironmentCrash(self.name, f"environment {i} raised {type(error).__name__}: {error}", traceback.format_exc()) from error

    def _need_save(self) -> None:
        if not self.supports_save:
            raise UserError(f"{self.name} has no save_state() and load_state(); its runs restart at an episode boundary")


def check_reset(name: str, num_envs: int, seeds: Sequence[int] | np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The mask as booleans, all True when None; raises where its size or that of the seeds is wrong."""
    mask = np.ones(num_envs, bool) if mask is None else np.asarray(mask)
    if np.shape(seeds) != (num_envs,) or mask.shape != (num_envs,) or mask.dtype != bool:
        raise UserError(
            f"reset of {name} needs {num_envs} seeds and a mask of {num_envs} booleans, got shapes {np.shape(seeds)} and {mask.shape}"
        )
    return mask


def check_active(name: str, num_envs: int, actions: np.ndarray, active: np.ndarray | None) -> np.ndarray:
    """The mask as booleans, all True when None; raises where its size or the number of actions is wrong."""
    active = np.ones(num_envs, bool) if active is None else np.asarray(active)
    if np.shape(actions)[:1] != (num_envs,) or active.shape != (num_envs,) or active.dtype != bool:
        raise UserError(
            f"step of {name} needs {num_envs} actions and a mask of {num_envs} booleans, got shapes {np.shape(actions)} and {active.shape}"
        )
    return active


def check_running(name: str, ended: np.ndarray) -> None:
    """Raise where an ended environment would be stepped."""
    if ended.any():
        raise UserError(f"{name}: environments {np.flatnonzero(ended).tolist()} have ended; call reset(seeds, mask) before the next step")


def _layers(env: gymnasium.Env[Any, Any]) -> list[gymnasium.Env[Any, Any]]:
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _limits(env: gymnasium.Env[Any, Any]) -> list[Any]:
    return [layer for layer in _layers(env) if isinstance(layer, wrappers.TimeLimit)]


def _horizon(env: gymnasium.Env[Any, Any]) -> int | None:
    """The registered time limit, or what the environment itself calls `horizon` (ours) or `max_steps` (MiniGrid)."""
    candidates = [env.spec.max_episode_steps if env.spec else None]
    candidates += [getattr(env.unwrapped, attribute, None) for attribute in ("horizon", "max_steps")]
    return next((int(steps) for steps in candidates if isinstance(steps, (int, np.integer)) and steps > 0), None)


def _declared_signals(env: gymnasium.Env[Any, Any]) -> Mapping[str, gymnasium.Space[Any]] | None:
    return env.get_wrapper_attr("signal_spaces") if env.has_wrapper_attr("signal_spaces") else None


def _stack_signals(told: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.stack([signals[key] for signals in told]) for key in told[0]}


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): np.array(value) for key, value in arrays.items() if key.startswith(prefix)}
