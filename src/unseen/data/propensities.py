"""Logged behaviour probabilities, of the action taken or of every action."""

# pyright: strict
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unseen.data.table import Frame, column, fail, numbers
from unseen.errors import UserError

SLACK = 1e-3  # how far from 1 a row of logged probabilities may add up; logs round


def read_propensities(
    frame: Frame,
    propensity: str | Mapping[Any, str] | None,
    actions: Int64[np.ndarray, " n"],
    action_labels: tuple[Any, ...],
    decision: Bool[np.ndarray, " n"],
) -> Float64[np.ndarray, "..."] | None:
    """(n,) of the action taken for a column, (n, A) for a mapping from actions to columns; NaN outside of `decision`.

    Raises:
        UserError: a probability outside [0, 1], 0 for the action taken, a row that does not add up to 1, an action without a column.
    """
    if propensity is None:
        return None
    if isinstance(propensity, str):
        taken = _probabilities(frame, propensity, decision)
        _refuse_zero(taken, dict.fromkeys(range(len(action_labels)), propensity), actions, decision)
        return taken
    for label in action_labels:
        if label not in propensity:
            raise UserError(f"propensity names no column for action {label!r}; it needs one for each of {list(action_labels)}")
    for label in propensity:
        if label not in action_labels:
            raise UserError(f"propensity names a column for {label!r}, which is no action; allowed: {list(action_labels)}")
    every = np.stack([_probabilities(frame, propensity[label], decision) for label in action_labels], axis=1)
    of_taken = every[np.arange(len(actions)), np.maximum(actions, 0)]
    _refuse_zero(of_taken, {i: propensity[label] for i, label in enumerate(action_labels)}, actions, decision)
    total = every.sum(axis=1)
    off = decision & (np.abs(total - 1) > SLACK)
    if off.any():
        row = int(np.argmax(off))
        names = ", ".join(propensity.values())
        raise fail(names, row, f"the probabilities of all actions add up to {total[row]:.6g}; they must add up to 1")
    return every


def _probabilities(frame: Frame, name: str, decision: Bool[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    values = numbers(column(frame, name, "propensity"), name, "propensity", decision)
    outside = decision & ((values < 0) | (values > 1))
    if outside.any():
        row = int(np.argmax(outside))
        raise fail(name, row, f"the propensity is {values[row]:g}; a probability lies between 0 and 1")
    return values


def _refuse_zero(
    taken: Float64[np.ndarray, " n"], names: Mapping[int, str], actions: Int64[np.ndarray, " n"], decision: Bool[np.ndarray, " n"]
) -> None:
    zero = decision & (taken == 0)
    if zero.any():
        row = int(np.argmax(zero))
        raise fail(names[int(actions[row])], row, "the propensity of the action taken is 0, yet it was taken; it must be above 0")
