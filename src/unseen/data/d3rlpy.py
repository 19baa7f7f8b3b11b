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
        seen, taken = np.asarray(episode.observations), np.asarray(episode.actions)
        if isinstance(episode.observations, tuple) or seen.ndim not in (1, 2):
            raise UserError(f"observations of shape {seen.shape[1:]} are no vectors of numbers; encode them first")
        length = len(taken)
        if taken.size != length:
            raise UserError(f"actions of shape {taken.shape[1:]} are no choices; transitions need one discrete action per step")
        states.append(seen.reshape(length, -1).astype(np.float64))
        last = np.arange(length) == length - 1
        columns["episode"] += [number] * length
        columns["t"] += range(length)
        columns["action"] += taken.ravel().tolist()
        columns["reward"] += np.asarray(episode.rewards, np.float64).ravel().tolist()
        columns["terminated"] += (last & bool(episode.terminated)).tolist()
        columns["truncated"] += (last & (not bool(episode.terminated))).tolist()
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
