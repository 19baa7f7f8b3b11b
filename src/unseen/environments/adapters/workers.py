"""External environments spread over processes, which may die: a dead one is replaced and its episodes end as truncated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from unseen.environments.adapters.host import check_active, check_reset, check_running
from unseen.environments.adapters.host_contract import EnvironmentCrash, ExternalStep, Observations
from unseen.environments.adapters.host_spaces import blank
from unseen.environments.adapters.worker_process import Worker, WorkerDied
from unseen.errors import UserError


class WorkerBatch:
    """`ExternalEnvironment` over `workers` processes; made by `external`.

    A process that dies or does not answer is replaced. The episodes it was playing end as truncated at their last known observation,
    with reward 0, in the step it died in or, where they were resting or others were being reset, in their next one.

    Attributes:
        restarts: how many processes have been replaced so far.
    """

    def __init__(
        self, name: str, factory: Callable[[], gymnasium.Env[Any, Any]], num_envs: int, workers: int, timeout: float, max_restarts: int
    ) -> None:
        self.name, self.num_envs, self.restarts = name, num_envs, 0
        self._max_restarts = max_restarts
        self._shares = np.array_split(np.arange(num_envs), workers)
        self._workers = [Worker(name, factory, len(share), timeout) for share in self._shares]
        for worker in self._workers:  # all of them start up at the same time
            worker.start()
        facts, *_ = [self._answer(w) for w in range(workers)]
        self.observation_space, self.action_space = facts["observations"], facts["actions"]
        self.signal_spaces: Mapping[str, gymnasium.Space[Any]] = facts["signals"]
        self.dropped, self.horizon, self._saves = facts["dropped"], facts["horizon"], facts["supports_save"]
        self._masks = None if facts["mask"] is None else np.repeat(facts["mask"][:1], num_envs, axis=0)
        self._seen = _repeat(blank(self.observation_space), num_envs)
        self._told = {key: _repeat(blank(space), num_envs) for key, space in self.signal_spaces.items()}
        self._ended = np.ones(num_envs, bool)
        self._lost = np.zeros(num_envs, bool)  # was playing in a process that died; truncated in the next step to return

    def reset(self, seeds: Sequence[int] | np.ndarray, mask: np.ndarray | None = None) -> tuple[Observations, Mapping[str, np.ndarray]]:
        """Reset where `mask` is True (everywhere when None), each with its own seed."""
        mask = check_reset(self.name, self.num_envs, seeds, mask)
        self._ended[mask], self._lost[mask] = True, False
        asked = [w for w, share in enumerate(self._shares) if mask[share].any()]
        self._ask(asked, "reset", lambda share: ([int(s) for s in np.asarray(seeds)[share]], mask[share]))
        for w in asked:
            while (answer := self._answer(w)) is None:  # it died: its successor is asked the same
                self._ask([w], "reset", lambda share: ([int(s) for s in np.asarray(seeds)[share]], mask[share]))
            (observation, signals), masks = answer
            self._keep(w, mask, observation, signals, masks)
        self._ended[mask] = False
        return _copy(self._seen), _copy(self._told)

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> ExternalStep:
        """Act where `active` is True (everywhere when None); the others repeat their last observation with reward 0."""
        wanted = check_active(self.name, self.num_envs, actions, active)
        check_running(self.name, self._ended & wanted)
        active = wanted & ~self._lost
        asked = [w for w, share in enumerate(self._shares) if active[share].any()]
        self._ask(asked, "step", lambda share: (np.asarray(actions)[share], active[share]))
        reward = np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for w in asked:
            answer = self._answer(w)
            if answer is not None:
                (observation, signals, *flags), masks = answer
                reward[self._shares[w]], terminated[self._shares[w]], truncated[self._shares[w]] = flags
                self._keep(w, active, observation, signals, masks)
        truncated |= self._lost & wanted  # one that rests learns of its loss when it is wanted again
        self._lost &= ~wanted
        self._ended |= terminated | truncated
        return ExternalStep(_copy(self._seen), _copy(self._told), reward, terminated, truncated)

    def action_mask(self) -> np.ndarray | None:
        """Legal actions of the current states, from `info["action_mask"]`."""
        return None if self._masks is None else self._masks.copy()

    @property
    def supports_save(self) -> bool:
        """Whether `save` may be called now: an episode whose process has just died has no state to save."""
        return self._saves and not self._lost.any()

    def save(self) -> dict[str, np.ndarray]:
        """As `HostBatch.save`, in the same form: a batch of any number of workers, or none, can load it."""
        if self._lost.any():
            raise EnvironmentCrash(self.name, "a worker died in the last reset; step once before saving")
        arrays: dict[str, np.ndarray] = {"ended": self._ended.copy()}
        for w, part in enumerate(self._everywhere("save", lambda share: ())):
            for key, value in part.items():
                i, slash, rest = key.partition("/")
                if slash:
                    arrays[f"{self._shares[w][int(i)]}/{rest}"] = value
        return arrays

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """As `HostBatch.load`."""
        if np.shape(arrays["ended"]) != (self.num_envs,):
            raise UserError(f"saved state of {self.name} holds {np.size(arrays['ended'])} environments; this batch has {self.num_envs}")

        def part(share: np.ndarray) -> tuple[dict[str, np.ndarray]]:
            local = {str(i): str(k) for k, i in enumerate(share)}
            split = {key: key.partition("/") for key in arrays if "/" in key}
            mine = {f"{local[i]}/{rest}": arrays[key] for key, (i, _, rest) in split.items() if i in local}
            return ({**mine, "ended": arrays["ended"][share]},)

        self._everywhere("load", part)
        everything = np.ones(self.num_envs, bool)
        for w, (observation, signals, masks) in enumerate(self._everywhere("current", lambda share: ())):
            self._keep(w, everything, observation, signals, masks)
        self._ended, self._lost = np.array(arrays["ended"], bool), np.zeros(self.num_envs, bool)

    def close(self) -> None:
        """Stop every process."""
        for worker in self._workers:
            worker.stop()

    def _ask(self, workers: Sequence[int], command: str, payload: Callable[[np.ndarray], tuple[Any, ...]]) -> None:
        for w in workers:
            self._workers[w].ask(command, payload(self._shares[w]))

    def _answer(self, w: int) -> Any:
        """What worker w has to say, or None where it died and has been replaced."""
        try:
            return self._workers[w].answer()
        except WorkerDied as death:
            self._replace(w, str(death))
            return None
        except (UserError, EnvironmentCrash):  # ours to raise; the answers of the others would be stale, so nothing goes on
            self.close()
            raise

    def _everywhere(self, command: str, payload: Callable[[np.ndarray], tuple[Any, ...]]) -> list[Any]:
        self._ask(range(len(self._workers)), command, payload)
        answers = [self._answer(w) for w in range(len(self._workers))]
        if any(answer is None for answer in answers):
            self.close()
            raise EnvironmentCrash(self.name, f"a worker died during {command}")
        return [result for result, _ in answers]

    def _replace(self, w: int, reason: str) -> None:
        share = self._shares[w]
        self.restarts += 1
        if not hasattr(self, "_lost") or self.restarts > self._max_restarts:  # a process that cannot even start up is not retried
            self.close()
            raise EnvironmentCrash(
                self.name, f"{self.restarts} worker processes have died, {self._max_restarts} may; the last one {reason}"
            )
        self._lost[share] |= ~self._ended[share]
        self._workers[w].stop()
        self._workers[w].start()
        self._answer(w)

    def _keep(self, w: int, where: np.ndarray, observation: Any, signals: Mapping[str, np.ndarray], masks: np.ndarray | None) -> None:
        """Take over a worker's rows where they are news; the rest of the batch stays as last known."""
        rows = where[self._shares[w]]
        target = self._shares[w][rows]
        for name, values in self._seen.items() if isinstance(self._seen, dict) else ():
            values[target] = observation[name][rows]
        if not isinstance(self._seen, dict):
            self._seen[target] = observation[rows]
        for name, values in self._told.items():
            values[target] = signals[name][rows]
        if self._masks is not None and masks is not None:
            self._masks[target] = masks[rows]


def _repeat(value: Any, times: int) -> Any:
    if isinstance(value, dict):
        return {name: _repeat(part, times) for name, part in value.items()}
    return np.repeat(np.asarray(value)[None], times, axis=0)


def _copy(batch: Any) -> Any:
    return {name: value.copy() for name, value in batch.items()} if isinstance(batch, dict) else batch.copy()
