"""What the pictures of a fitted learner show: tails of its weights, support, calibration, and who moves the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from unseen.outcomes.behaviour import Logged
from unseen.outcomes.diagnostics import BINS
from unseen.outcomes.fold import RowFold

LEVELS = np.concatenate([np.linspace(0, 0.9, 10), 1 - np.geomspace(0.1, 1e-4, 31)[1:]])


@dataclass(frozen=True)
class Calibration:
    """Of one action: in bins of equal size, the mean probability it was given and the share in which it was taken.

    Attributes:
        action: its label.
        given, taken: (bins,).
        error: (bins,) standard error of the share.
    """

    action: Any
    given: Float64[np.ndarray, " b"]
    taken: Float64[np.ndarray, " b"]
    error: Float64[np.ndarray, " b"]


@dataclass(frozen=True, eq=False)
class Profiles:
    """Attributes:

    tails: by name of the weights: the share of rows above, and how large the weight is there in units of the mean weight.
    support: by action label, behaviour probabilities at its quantiles (101,), rows weighted by what the policy does.
    calibration: of the behaviour policy, action by action; support and calibration are empty where only the probabilities of the
        actions taken were logged.
    ess_by_step: effective number of trajectories of the cumulative ratios at each step.
    shares: (N,) each trajectory's share of the variance of the value, largest first.
    """

    tails: dict[str, tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, " q"]]]
    support: dict[Any, Float64[np.ndarray, " 101"]]
    calibration: tuple[Calibration, ...]
    ess_by_step: tuple[float, ...]
    shares: Float64[np.ndarray, " N"]


def profiles(learner: Any) -> Profiles:
    """Of a fitted `DRQLearner`."""
    p, rows = learner.problem_, learner.problem_.rows
    every = learner.by_row([f.behaviour if isinstance(f, RowFold) else f.nuisances.behaviour(f.rows) for f in learner.folds_])
    taken = np.maximum(every[np.arange(len(rows)), rows.actions], learner.floor)
    weights = {"policy / behaviour": rows.taken / taken, "1 / behaviour": 1 / taken, "of the value": np.abs(learner.value_weights)}
    known = p.rows.logged is None or p.rows.logged_every is not None or not isinstance(learner.folds_[0].nuisances.behaviour, Logged)
    labels = p.data.action_labels if known else ()
    squares = np.sort(learner.value().influence[:, 0] ** 2)[::-1]
    return Profiles(
        tails={name: tail(u) for name, u in weights.items()},
        support={
            label: weighted(every[:, a], rows.policy[:, a] if rows.policy[:, a].any() else np.ones(len(rows)))
            for a, label in enumerate(labels)
        },
        calibration=tuple(calibrated(every[:, a], rows.actions == a, label) for a, label in enumerate(labels)),
        ess_by_step=learner.diagnostics.ess_by_step,
        shares=squares / max(float(squares.sum()), 1e-300),
    )


def tail(u: Float64[np.ndarray, " n"]) -> tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, " q"]]:
    """Shares of rows and the weight that so many rows exceed, in units of the mean."""
    levels = LEVELS[1 / len(u) <= 1 - LEVELS]
    return 1 - levels, np.quantile(u, levels) / max(float(u.mean()), 1e-300)


def weighted(x: Float64[np.ndarray, " n"], weight: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " 101"]:
    """Quantiles of x with these weights."""
    order = np.argsort(x, kind="stable")
    cumulative = np.cumsum(weight[order]) - weight[order] / 2
    return np.interp(np.linspace(0, 1, 101), cumulative / weight.sum(), x[order])


def calibrated(given: Float64[np.ndarray, " n"], taken: Any, label: Any) -> Calibration:
    """An action's probabilities against how often it was taken, in ten bins of equal size."""
    parts = [part for part in np.array_split(np.argsort(given, kind="stable"), BINS) if len(part)]
    mean = np.array([given[part].mean() for part in parts])
    rate = np.array([float(np.mean(taken[part])) for part in parts])
    size = np.array([len(part) for part in parts])
    return Calibration(label, mean, rate, np.sqrt(np.maximum(rate * (1 - rate), 1 / size) / size))
