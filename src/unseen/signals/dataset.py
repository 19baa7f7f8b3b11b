"""Episodes as the arrays that the criteria work on: coded, padded, time-major, with the return from every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, Float, Int

from unseen.data import Episodes
from unseen.errors import UserError, unknown
from unseen.signals.coding import coding, untestable
from unseen.signals.play import Recording


@dataclass(frozen=True)
class Dataset:
    """E episodes of at most T steps.

    Attributes:
        observation: (T + 1, E, O) coded observations.
        action: (T, E, A) coded actions.
        reward: (T, E); 0 behind an episode's end.
        returns: (T, E) G_t = sum_k gamma^k r_{t+k} up to the end of the recorded episode; nothing is bootstrapped.
        valid: (T, E) whether the step was taken.
        signals: name -> (T, E, d), coded; only those about which something can be said.
        untestable: name -> why nothing can be said about it.
        discount: gamma.
    """

    observation: Float[np.ndarray, "T1 E O"]
    action: Float[np.ndarray, "T E A"]
    reward: Float[np.ndarray, "T E"]
    returns: Float[np.ndarray, "T E"]
    valid: Bool[np.ndarray, "T E"]
    signals: dict[str, Float[np.ndarray, "T E _"]]
    untestable: dict[str, str]
    discount: float

    @property
    def episodes(self) -> int:
        return self.valid.shape[1]

    @property
    def equal_lengths(self) -> bool:
        return bool(self.valid.all())

    @property
    def inputs(self) -> Float[np.ndarray, "T E F"]:
        """What a history is read from: o_t, and a_{t-1} (zeros at the start)."""
        before = np.concatenate([np.zeros_like(self.action[:1]), self.action[:-1]])
        return np.concatenate([self.observation[:-1], before], axis=-1)

    @property
    def episode(self) -> Int[np.ndarray, " n"]:
        """The episode of each row of `rows`."""
        return np.nonzero(self.valid.T)[0]

    @property
    def step(self) -> Int[np.ndarray, " n"]:
        """The step of each row of `rows`."""
        return np.nonzero(self.valid.T)[1]

    def rows(self, values: Float[np.ndarray, "T E *d"]) -> Float[np.ndarray, "n d"]:
        """The steps taken, episode after episode."""
        flat = np.swapaxes(values, 0, 1)[self.valid.T]
        return flat.reshape(len(flat), -1)

    def select(self, which: Int[np.ndarray, " e"]) -> Dataset:
        """The episodes with these numbers, cut to the longest of them."""
        longest = max(1, int(self.valid[:, which].sum(axis=0).max()))
        return replace(
            self,
            observation=self.observation[: longest + 1, which],
            action=self.action[:longest, which],
            reward=self.reward[:longest, which],
            returns=self.returns[:longest, which],
            valid=self.valid[:longest, which],
            signals={name: values[:longest, which] for name, values in self.signals.items()},
        )


def dataset(recording: Recording, names: Sequence[str], discount: float) -> Dataset:
    """Arrays of a recording, with these signals.

    Raises:
        UserError: an observation, reward or action that cannot be used, or a name that the recording does not have.
    """
    episodes = recording.episodes
    if not 0.0 <= discount <= 1.0:
        raise UserError(f"discount is {discount}; allowed: 0 to 1")
    for name in names:
        if name not in episodes.signals:
            raise unknown("signal of this recording", name, episodes.signals)
    observation = np.concatenate([_observed(n, episodes, recording.observation_space) for n in sorted(episodes.observations)], axis=1)
    action = coding(episodes.actions, recording.action_space, widest=None)(episodes.actions)
    reward = episodes.rewards.astype(float)
    why = {name: reason for name in names if (reason := untestable(_told(episodes, name))) is not None}
    # The signal after the last step is never used, so it has no part in the coding either.
    coded = {}
    for name in names:
        if name not in why:
            told = _told(episodes, name)
            coded[name] = _padded(coding(told, recording.signal_spaces.get(name))(told), episodes)
    valid = _padded(np.ones((episodes.steps, 1)), episodes)[..., 0] > 0
    rewards = _padded(reward[:, None], episodes)[..., 0]
    returns = np.zeros_like(rewards)
    following = np.zeros(len(episodes))
    for t in reversed(range(len(rewards))):
        following = rewards[t] + discount * following
        returns[t] = following
    return Dataset(_padded_observations(observation, episodes), _padded(action, episodes), rewards, returns, valid, coded, why, discount)


def _told(episodes: Episodes, name: str) -> np.ndarray:
    """The signal at the steps where an action was taken."""
    return np.asarray(episodes.signals[name])[episodes.rows_of_steps]


def _observed(name: str, episodes: Episodes, space: gymnasium.Space[Any] | None) -> Float[np.ndarray, "n o"]:
    values = np.asarray(episodes.observations[name])
    if values.dtype.kind == "f" and not np.all(np.isfinite(values)):
        raise UserError(f"observation {name!r} has missing or infinite values; leave those episodes out")
    part = space.spaces.get(name) if isinstance(space, gymnasium.spaces.Dict) else space
    return coding(values, part, widest=512)(values)


def _padded(rows: Float[np.ndarray, "n d"], episodes: Episodes) -> Float[np.ndarray, "T E d"]:
    longest = int(episodes.lengths.max())
    out = np.zeros((longest, len(episodes), rows.shape[1]))
    out[episodes.time_of_step, episodes.episode_of_step] = rows
    return out


def _padded_observations(rows: Float[np.ndarray, "n d"], episodes: Episodes) -> Float[np.ndarray, "T1 E d"]:
    longest = int(episodes.lengths.max())
    out = np.zeros((longest + 1, len(episodes), rows.shape[1]))
    at = np.arange(len(rows)) - np.repeat(episodes.offsets[:-1] + np.arange(len(episodes)), episodes.lengths + 1)
    out[at, np.repeat(np.arange(len(episodes)), episodes.lengths + 1)] = rows
    return out
