"""The contract of an external environment: a batch stepped on the host, reset only where the caller says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np
from jaxtyping import Bool, Float

Observations = Any  # an array of shape (num_envs, ...), or a dict of such arrays


class ExternalStep(NamedTuple):
    """What one batched step led to. For an episode that ended, observation and signals are its *final* ones.

    Attributes:
        observation: shape (num_envs, ...), or a dict of such arrays.
        signals: privileged signals of the state reached, each of shape (num_envs, ...).
        reward: shape (num_envs,), float32.
        terminated: the episode ended for good; its value beyond is 0.
        truncated: the episode was cut off; bootstrap from the final observation. Gymnasium allows both flags at once.
    """

    observation: Observations
    signals: Mapping[str, np.ndarray]
    reward: Float[np.ndarray, "num_envs"]
    terminated: Bool[np.ndarray, "num_envs"]
    truncated: Bool[np.ndarray, "num_envs"]


@runtime_checkable
class ExternalEnvironment(Protocol):
    """A batch of host environments. Nothing resets on its own: an ended one must be reset before the next step."""

    name: str
    num_envs: int
    horizon: int | None  # the longest possible episode, where the environment says so
    observation_space: gymnasium.Space[Any]  # of one environment, as are the other spaces
    action_space: gymnasium.Space[Any]
    signal_spaces: Mapping[str, gymnasium.Space[Any]]
    dropped: tuple[str, ...]  # observation entries left out, each with the reason

    @property
    def supports_save(self) -> bool:
        """Whether `save` may be called now."""
        ...

    def reset(self, seeds: Sequence[int] | np.ndarray, mask: np.ndarray | None = None) -> tuple[Observations, Mapping[str, np.ndarray]]:
        """Reset the environments where `mask` (bool, shape (num_envs,)) is True with their entry of `seeds`; return the whole batch."""
        ...

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> ExternalStep:
        """Act where `active` (bool, shape (num_envs,)) is True, everywhere when None; the others rest.

        `actions` has shape (num_envs, ...), discrete ones counted from 0. A resting environment, which may have ended, repeats its
        last observation and signals with reward 0 and both flags False.
        """
        ...

    def action_mask(self) -> np.ndarray | None:
        """Legal actions of the current states, bool, shape (num_envs, actions); None where all are always legal."""
        ...

    def save(self) -> dict[str, np.ndarray]:
        """Everything needed to go on exactly here, as arrays; only where `supports_save`."""
        ...

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on exactly where `save` was called, in a batch of the same environment and size."""
        ...

    def close(self) -> None: ...


class EnvironmentCrash(RuntimeError):
    """Somebody else's environment failed: names it, and keeps the first traceback.

    Attributes:
        environment: its name.
        what: what happened, in one line.
        first_traceback: as text, from the process it happened in; empty where a process died without leaving one.
    """

    def __init__(self, environment: str, what: str, first_traceback: str = "") -> None:
        self.environment, self.what, self.first_traceback = environment, what, first_traceback
        super().__init__(f"{environment}: {what}" + (f"\n{first_traceback}" if first_traceback else ""))
