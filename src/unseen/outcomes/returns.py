"""Sums over the rest of a trajectory, for all trajectories at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from unseen.errors import UserError


def weighted_returns(
    rewards: Float64[np.ndarray, " n"], factors: Float64[np.ndarray, " n"], trajectory: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Y_t = R_t + f_{t+1} Y_{t+1} within each trajectory; 0 follows its last row.

    Args:
        rewards: R_t.
        factors: f_t of each row, gamma rho_t for importance-weighted returns.
        trajectory: numbers, in order; rows of one are consecutive and in time order.
    """
    last = np.append(trajectory[1:] != trajectory[:-1], True)
    begin = np.flatnonzero(np.append(True, last[:-1]))
    length = np.diff(np.append(begin, len(rewards)))
    result = rewards.astype(np.float64, copy=True)
    # From the end, step by step over all trajectories that are long enough.
    for back in range(1, int(length.max(initial=0))):
        at = begin[length > back] + length[length > back] - 1 - back
        result[at] += factors[at + 1] * result[at + 1]
    return result


def positions(trajectory: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """(n,) number of each row within its trajectory, from 0."""
    begin = np.flatnonzero(np.append(True, trajectory[1:] != trajectory[:-1]))
    return np.arange(len(trajectory)) - np.repeat(begin, np.diff(np.append(begin, len(trajectory))))


def require_whole(p: Any) -> None:
    """Products of ratios and discounts need every step of a trajectory.

    Raises:
        UserError: a trajectory that lacks a decision between two others, which was left out since its next state was not known.
    """
    same = p.data.trajectory[1:] == p.data.trajectory[:-1]
    holes = same & (np.diff(p.data.time) != 1)
    if holes.any():
        row = int(np.argmax(holes))
        which, step = p.data.ids[p.data.trajectory[row]], int(p.data.time[row]) + 1
        raise UserError(
            f"{which!r} lacks step {step} (its next state is missing), and whole histories are weighed: fill it in or drop the id"
        )


def cumulative(log_factors: Float64[np.ndarray, " n"], trajectory: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """(n,) product of the factors from a trajectory's first row up to each row, in logarithms (-inf: a factor of 0)."""
    result = log_factors.copy()
    at = positions(trajectory)
    for t in range(1, int(at.max(initial=0)) + 1):
        here = np.flatnonzero(at == t)
        result[here] += result[here - 1]
    return result
