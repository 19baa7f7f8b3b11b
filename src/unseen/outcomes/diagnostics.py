"""Whether an estimate may be trusted: overlap, tails, support, calibration, moments, coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from unseen.outcomes.behaviour import Logged
from unseen.outcomes.fold import CellFold, RowFold
from unseen.outcomes.linear import LinearQ
from unseen.outcomes.nuisances import expected_mass
from unseen.outcomes.returns import cumulative, positions
from unseen.outcomes.rows import quotient
from unseen.outcomes.tables import Table
from unseen.outcomes.verdict import Verdict, judged

TAIL = 0.05  # share of the largest weights that the tail index is taken from
BINS = 10
FEATURES = 30  # that the behaviour policy must balance
PRODUCTS = 6  # features whose products a right initial Q leaves no residual along
QUERIES = 200  # rows of each fold at which the mass of a pairwise ratio is looked at


@dataclass(frozen=True)
class Weights:
    """How uneven a set of weights is.

    Attributes:
        ess: (sum u)^2 / sum u^2; share: of the rows.
        largest: share of the largest |u| in the sum of all.
        percentiles: of |u|, 95, 99 and 99.9, in units of their mean.
        hill: tail index of |u| on the largest 5 %; below 2 the variance is infinite.
        above_10, above_100: share of |u| above 10 and 100 times their mean.
    """

    ess: float
    share: float
    largest: float
    percentiles: tuple[float, float, float]
    hill: float
    above_10: float
    above_100: float


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What is known about the trustworthiness of one fitted learner.

    Attributes:
        trajectories, rows, dropped: sizes of the data.
        left_out: share of decisions that were dropped since what followed is not known; 0 where all trajectories without an end were
            cut at the same step and none terminated, so that what happened cannot have decided which.
        weights: by name: "rho", "inverse" (1 / pi_b of the action taken), "value" (of the residuals in the value).
        floored: share of rows whose behaviour probability was below the floor.
        unsupported: share of the policy's mass on actions whose behaviour probability is below the floor.
        uncovered: share of the policy's discounted visits in states or actions that the data never show (counted states), or nan.
        negative: share of the value's weights, by size, that are below zero, which no true weight is: the flow is extrapolated to states
            that the data do not reach.
        uncorrected: share of the policy's mass in cells that a fold never visits, so that nothing corrects them; 0 elsewhere.
        calibration_error: distance (total variation) of pi_b from what was done, in bins, beyond what chance makes of it; nan where it was
            logged, or is not used because cells are weighed by their own frequency.
        balance: largest |E[1{A = a} f(S) / pi_b(a|S)] - E[f(S)]| over actions and features f, in standard errors by trajectory: what any
            right pi_b makes 0, also a logged one; nan where pi_b is not used.
        misfit: largest |E[1{A = a} f(S) delta]| over actions and products f of two features, in standard errors by trajectory: what any
            right initial Q makes 0; nan where states are counted. Alone it does no harm, but then all rests on the weights.
        ratio: how far the mean of the pairwise ratio w is from the mass it must have, relative to it; nan where none is used.
        capped: share of pairwise ratios that were cut; 0 where none is used.
        given: 1 where the initial Q was given ready-made: nobody knows whether it has seen the rows it is corrected on.
        moment: largest |mean residual moment| of the flow in standard errors: E[W f(S)] against its exact value for f = 1.
        growth: of a sweep of linear fitted Q evaluation; from 1 on iteration diverges.
        contribution: largest share of a single trajectory in the squared influence of the value.
        correction: |correction of the value| in standard errors: how much the second stage moved the first.
        fits: scores of the nuisances by name: log-loss of pi_b against the marginal, R^2 of Q1 on its own targets.
        ess_by_step: effective number of trajectories of the cumulative ratios, which Q-regression and importance sampling would face.
        verdict: green, amber or red, with reasons.
    """

    trajectories: int
    rows: int
    dropped: int
    left_out: float
    weights: dict[str, Weights]
    floored: float
    unsupported: float
    uncovered: float
    negative: float
    uncorrected: float
    calibration_error: float
    balance: float
    misfit: float
    ratio: float
    capped: float
    given: float
    moment: float
    growth: float
    contribution: float
    correction: float
    fits: dict[str, float]
    ess_by_step: tuple[float, ...]
    verdict: Verdict

    def __repr__(self) -> str:
        return str(self.verdict)


def diagnose(learner: Any) -> Diagnostics:
    """Of a fitted `DRQLearner`."""
    p, rows = learner.problem_, learner.problem_.rows
    every = learner.by_row([_behaviour(f) for f in learner.folds_])
    index = np.arange(len(rows))
    taken = np.maximum(every[index, rows.actions], 1e-12)
    low = taken < learner.floor
    inverse = 1 / np.maximum(taken, learner.floor)
    rho = rows.taken * inverse
    by_cell = all(isinstance(f, CellFold) for f in learner.folds_)
    value_weights = learner.value_weights
    delta = learner.by_row([f.delta for f in learner.folds_])
    value = learner.value()
    squares = value.influence[:, 0] ** 2
    correction = float(rows.share @ (value_weights * delta))
    with np.errstate(divide="ignore"):
        ratios = np.exp(cumulative(np.log(rho), rows.trajectory))
    facts = {
        "trajectories": p.data.n_trajectories,
        "rows": len(rows),
        "dropped": p.data.dropped,
        "left_out": _left_out(p.data),
        "weights": {"rho": uneven(rho), "inverse": uneven(inverse), "value": uneven(value_weights)},
        "floored": float("nan") if by_cell else float(rows.share @ low),
        "unsupported": float("nan") if by_cell else float(rows.share @ (rows.policy * (every < learner.floor)).sum(axis=1)),
        "uncovered": _uncovered(learner),
        "negative": float(np.maximum(-value_weights, 0).sum() / max(np.abs(value_weights).sum(), 1e-300)),
        "uncorrected": _uncorrected(learner),
        "calibration_error": float("nan") if by_cell or _logged(learner) else calibration_error(every, rows.actions),
        "balance": float("nan") if by_cell else _balance(learner, inverse),
        "misfit": float("nan") if by_cell else _misfit(learner, delta),
        "ratio": _ratio(learner),
        "capped": max((getattr(f.nuisances.ratio, "capped", 0.0) for f in learner.folds_), default=0.0),
        "given": float(hasattr(learner.initial_q, "values")),
        "moment": float("nan") if by_cell else _moment(learner, value_weights),
        "growth": _growth(learner),
        "contribution": float(squares.max() / max(squares.sum(), 1e-300)),
        "correction": abs(correction) / max(float(value.standard_error), 1e-300) if np.ptp(value_weights * delta) > 0 else 0.0,
        "fits": _fits(learner, every, taken, delta),
        "ess_by_step": _ess_by_step(ratios, rows.trajectory),
    }
    return Diagnostics(**facts, verdict=judged(facts, learner.folds))


def uneven(u: Float64[np.ndarray, " n"]) -> Weights:
    """Figures of a set of weights; those of none are of one."""
    size = np.abs(u)
    total, square = float(size.sum()), float((size**2).sum())
    if total == 0:
        return Weights(0.0, 0.0, 0.0, (0.0, 0.0, 0.0), float("inf"), 0.0, 0.0)
    scaled = size / size.mean()
    top = np.sort(size[size > 0])[::-1][: max(2, int(TAIL * len(size)))]
    logs = np.log(top[:-1] / top[-1]) if len(top) > 1 else np.zeros(1)
    hill = float(1 / logs.mean()) if logs.mean() > 0 else float("inf")
    a, b, c = (float(q) for q in np.percentile(scaled, [95, 99, 99.9]))
    ess = total**2 / square
    return Weights(ess, ess / len(u), float(size.max() / total), (a, b, c), hill, float((scaled > 10).mean()), float((scaled > 100).mean()))


def calibration_error(p: Float64[np.ndarray, "n A"], actions: Any) -> float:
    """Half the sum over actions of the mean |share taken - mean probability| in ten bins of equal size, less what chance makes of it."""
    errors = []
    for a in range(p.shape[1]):
        order = np.argsort(p[:, a], kind="stable")
        for part in np.array_split(order, BINS):
            if len(part):
                by_chance = np.sqrt(2 / np.pi * float((p[part, a] * (1 - p[part, a])).mean()) / len(part))
                apart = abs(float((actions[part] == a).mean() - p[part, a].mean()))
                errors.append(max(0.0, apart - by_chance) * len(part) / len(p) / 2)
    return float(sum(errors))


def _left_out(data: Any) -> float:
    """Share of decisions dropped; 0 where recording stopped for all at the same step."""
    if data.dropped == 0:
        return 0.0
    last = np.zeros(data.n_trajectories, np.int64)
    np.maximum.at(last, data.trajectory, data.time)
    used = np.bincount(data.trajectory, minlength=data.n_trajectories) > 0
    if used.all() and not data.terminated.any() and len(np.unique(last)) == 1:
        return 0.0
    return data.dropped / (len(data) + data.dropped)


def _growth(learner: Any) -> float:
    """Of a sweep of linear fitted Q evaluation; without a discount nothing may grow at all."""
    found = max((f.nuisances.notes.get("growth", 0.0) for f in learner.folds_), default=0.0)
    return float("inf") if learner.discount == 1 and found >= 1 else found


def _balance(learner: Any, inverse: Float64[np.ndarray, " n"]) -> float:
    """max over a and f of |mean (1{A = a} / pi_b - 1) f(S)| in standard errors, f the first features."""
    p, rows = learner.problem_, learner.problem_.rows
    f, largest = p.features(rows.states)[:, :FEATURES], 0.0
    for a in np.flatnonzero(np.bincount(rows.actions, minlength=rows.n_actions)):
        terms = (rows.actions == a) * inverse - 1
        largest = max(largest, float(learner.apart(lambda part, terms=terms: f[part] * terms[part, None]).max()))
    return largest


def _misfit(learner: Any, delta: Float64[np.ndarray, " n"]) -> float:
    """max over a and f of |mean 1{A = a} f(S) delta| in standard errors, f the products of two of the first features."""
    p, rows = learner.problem_, learner.problem_.rows
    x = p.features(rows.states)[:, 1 : 1 + PRODUCTS]
    i, j = np.triu_indices(x.shape[1])
    largest = 0.0
    for a in np.flatnonzero(np.bincount(rows.actions, minlength=rows.n_actions)):
        terms = delta * (rows.actions == a)
        apart = learner.apart(lambda part, terms=terms: x[part][:, i] * x[part][:, j] * terms[part, None])
        largest = max(largest, float(apart.max()))
    return largest


def _ratio(learner: Any) -> float:
    """Mean of |E_j[w(S_j|s, a)] - m(s, a)| / m(s, a) over some of the rows, with nuisances that did not see them."""
    p, apart = learner.problem_, []
    for fold in learner.folds_:
        ratio = fold.nuisances.ratio
        if isinstance(fold, RowFold) and ratio is not None and len(fold.rows):
            some = fold.rows.take(np.arange(min(len(fold.rows), QUERIES)))
            mass = expected_mass(p, p.rows)(some.states)
            mean = ratio.forward(some.states, fold.rows, np.ones(len(fold.rows)))
            apart.append(float(np.mean(np.abs(mean - mass)) / max(float(np.mean(mass)), 1e-12)))
    return float(np.mean(apart)) if apart else float("nan")


def _behaviour(fold: Any) -> Any:
    return fold.behaviour if isinstance(fold, RowFold) else fold.nuisances.behaviour(fold.rows)


def _logged(learner: Any) -> bool:
    return isinstance(learner.folds_[0].nuisances.behaviour, Logged)


def _uncovered(learner: Any) -> float:
    """Discounted visits of the policy, from the data's starts, at actions never tried in the state: a share of all its visits."""
    p = learner.problem_
    table = learner.folds_[0].nuisances.table
    if p.cells is None or table is None:
        return float("nan")
    whole = Table.from_counts(p.counts(p.rows), p.policy_table, p.discount)
    starts = np.bincount(p.start_s, minlength=len(p.cells)) / len(p.starts)
    measure = (starts[:, None] * whole.covered_policy)[:, :, None]
    visits = starts + whole.flow(measure)[:, 0]
    return float(visits @ whole.uncovered / visits.sum())


def _uncorrected(learner: Any) -> float:
    """Mass of the policy, states as in the data, in cells that their fold never visits."""
    shares = []
    for fold in learner.folds_:
        if isinstance(fold, CellFold):
            states = fold.visits.sum(axis=1)
            shares.append(float(states @ (fold.problem.policy_table * fold.uncorrected).sum(axis=1)))
    return float(np.mean(shares)) if shares else 0.0


def _moment(learner: Any, value_weights: Float64[np.ndarray, " n"]) -> float:
    """|E[W] - expected discounted time alive| in standard errors by trajectory.

    W weighs rows as the policy visits them, begun at the starts, so its mean is E[sum_t gamma^t 1{alive}] = 1 + E[m]; m comes from a
    separate fit.
    """
    p = learner.problem_
    mass = expected_mass(p, p.rows)(p.starts)
    expected = 1 + float((p.start_policy * mass).sum(axis=1).mean())
    count = p.data.n_trajectories
    total = count * np.bincount(p.rows.trajectory, p.rows.share * (value_weights - p.rows.share @ value_weights), count)
    error = float(np.sqrt((total**2).sum()) / count)
    return abs(float(p.rows.share @ value_weights) - expected) / max(error, 0.01 * expected)


def _fits(learner: Any, every: Any, taken: Any, delta: Any) -> dict[str, float]:
    """Log-loss of pi_b relative to the marginal's, R^2 of Q1 on its Bellman targets and of g on its pseudo-outcomes."""
    rows = learner.problem_.rows
    marginal = np.bincount(rows.actions, rows.share, every.shape[1])[rows.actions]
    q = learner.by_row([f.q for f in learner.folds_])
    target = q[np.arange(len(rows)), rows.actions] + delta
    scores = {
        "behaviour: log-loss / that of the marginal": float((rows.share @ np.log(taken)) / min(rows.share @ np.log(marginal), -1e-12)),
        "initial Q: R2 on its Bellman targets": 1
        - float(rows.share @ delta**2)
        / max(float(np.average((target - np.average(target, weights=rows.share)) ** 2, weights=rows.share)), 1e-300),
    }
    if hasattr(learner, "targets_") and not isinstance(learner.g_, LinearQ):
        g, phi = learner.g_.values(rows.states), learner.targets_
        scores["second stage: R2 on the pseudo-outcomes"] = 1 - float(((phi - g) ** 2).mean() / max(float(phi.var()), 1e-300))
    return scores


def _ess_by_step(ratios: Any, trajectory: Any) -> tuple[float, ...]:
    at = positions(trajectory)
    first, second = np.bincount(at, ratios), np.bincount(at, ratios**2)
    return tuple(float(x) for x in quotient(first**2, second)[:200])
