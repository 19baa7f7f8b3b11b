"""Transitions from data sets of d3rlpy, which need not be installed: what they hold is read by its names."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unseen.data.schema import Kind
from unseen.data.transitions import Transitions
from unseen.errors import UserError


def from_d3rlpy(dataset: Any, *, state: Sequence[str] | Mapping[str, Kind] = (), actions: Sequence[Any] | None = None) -> Transitions:
    """From a `ReplayBuffer` or `MDPDataset` (d3rlpy 2), or any iterable of episodes with the same attributes.

    An episode holds as many observations as actions; what was seen after the last action is not kept. Where it did not terminate, its
    last row is therefore dropped, and counted in `dropped`.

    Args:
        dataset: with `episodes` of `observations` (T, ...), `actions` (T, 1), `rewards` (T, 1) and `terminated`.
        state: names of the observation's numbers, or a mapping to their kinds; by default observation[0], observation[1], …
        actions: all allowed actions; those taken when left out.

    Raises:
        UserError: observations that are no vectors, actions that are no choices, something without episodes.
    """
    found = getattr(dataset, "episodes", dataset)
    if not isinstance(found, Iterable) or not (episodes := list(found)) or not hasattr(episodes[0], "observations"):
        raise UserError(f"a {type(dataset).__name__} has no episodes; give a d3rlpy ReplayBuffer or MDPDataset, or a list of its episodes")
    columns: dict[str, list[Any]] = {"episode": [], "t": [], "action": [], "reward": [], "terminated": [], "truncated": []}
    states: list[np.ndarray] = []
    for number, episode in enumerate(episodes):
        seen, taken, rewards = _arrays(episode, number)
        length = len(taken)
        states.append(seen)
        last, ended = np.arange(length) == length - 1, bool(episode.terminated)
        columns["episode"] += [number] * length
        columns["t"] += range(length)
        columns["action"] += taken.tolist()
        columns["reward"] += rewards.tolist()
        columns["terminated"] += (last & ended).tolist()
        columns["truncated"] += (last & (not ended)).tolist()
    if len({seen.shape[1] for seen in states}) > 1:
        raise UserError(f"observations have {sorted({seen.shape[1] for seen in states})} numbers; all episodes must have the same")
    whole = np.concatenate(states)
    names = list(state) or [f"observation[{i}]" for i in range(whole.shape[1])]
    if len(names) != whole.shape[1]:
        raise UserError(f"state names {len(names)} columns, observations have {whole.shape[1]} numbers: {names}")
    kinds: Mapping[str, Kind] = state if isinstance(state, Mapping) else dict.fromkeys(names, "numeric")
    return Transitions.from_table(
        columns | {name: whole[:, i] for i, name in enumerate(names)},
        id="episode",
        time="t",
        state=kinds,
        action="action",
        reward="reward",
        terminated="terminated",
        truncated="truncated",
        actions=actions,
    )


def _arrays(episode: Any, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, d) observations, (T,) actions, (T,) rewards of one episode."""
    missing = [name for name in ("observations", "actions", "rewards", "terminated") if not hasattr(episode, name)]
    if missing:
        raise UserError(f"episode {number} has no {missing[0]}; d3rlpy's episodes have observations, actions, rewards and terminated")
    if isinstance(episode.observations, tuple):
        raise UserError("observations are tuples of several arrays; give vectors of numbers")
    seen, taken, rewards = (np.asarray(x) for x in (episode.observations, episode.actions, episode.rewards))
    if seen.ndim not in (1, 2):
        raise UserError(f"observations of shape {seen.shape[1:]} are no vectors of numbers; encode them first")
    if taken.size != len(taken) or taken.dtype.kind not in "iub":
        raise UserError(f"actions of shape {taken.shape[1:]} and type {taken.dtype} are no choices; transitions need a whole number each")
    if not len(seen) == len(taken) == rewards.size or len(taken) == 0:
        raise UserError(f"episode {number} has {len(seen)} observations, {len(taken)} actions, {rewards.size} rewards; one of each a step")
    return seen.reshape(len(seen), -1).astype(np.float64), taken.ravel(), rewards.ravel().astype(np.float64)
