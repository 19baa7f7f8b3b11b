"""Statistics over seeds: interquartile mean, stratified bootstrap, probability of improvement, area under the curve, profiles.

The definitions are those of Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (rliable).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy import stats

from unseen.errors import UserError

Scores = Sequence[Real[np.ndarray, "_"]]  # one array per task, one score per seed; tasks may have different numbers of seeds
Statistic = Callable[[Float[np.ndarray, "... n"]], Float[np.ndarray, "..."]]  # over the last axis


class Interval(NamedTuple):
    """A point estimate with its interval; `low` and `high` are nan where a task has fewer than two seeds."""

    estimate: float
    low: float
    high: float

    @property
    def exists(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def interquartile_mean(scores: Real[np.ndarray, "... n"]) -> Float[np.ndarray, "..."]:
    """The mean of the middle half of the last axis: floor(n / 4) scores are dropped at each end.

    Args:
        scores: scores of shape (..., n); pool seeds and tasks into the last axis first.

    Returns:
        Shape (...). With fewer than four scores nothing is dropped and this is the mean.

    Source: Agarwal et al. 2021, section 4.3; equals `scipy.stats.trim_mean(scores, 0.25)`.
    """
    return np.asarray(stats.trim_mean(scores, 0.25, axis=-1), dtype=float)


def stratified_bootstrap(
    scores: Scores, statistic: Statistic = interquartile_mean, *, level: float = 0.95, resamples: int = 2_000, seed: int = 0
) -> Interval:
    """A percentile bootstrap interval: seeds are resampled with replacement within each task, then pooled.

    With few seeds the percentile interval is too narrow: on normal scores a 95 % interval of the interquartile mean held the
    truth in 75 % of 2,000 trials with 3 seeds, 91 % with 5, 94 % with 10 and 95 % with 20.

    Args:
        scores: one array per task, a score per seed.
        statistic: from pooled scores (..., n) to (...); the interquartile mean by default.
        level: coverage aimed at, between 0 and 1.
        resamples: number of bootstrap samples.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        UserError: an empty task, a score that is not finite, or a level outside (0, 1).

    Source: Agarwal et al. 2021, section 4.1.
    """
    tasks = _checked(scores, level)
    pooled = np.concatenate(tasks)
    estimate = float(statistic(pooled))
    if min(len(task) for task in tasks) < 2:
        return Interval(estimate, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([task[rng.integers(0, len(task), (resamples, len(task)))] for task in tasks], axis=1)
    return Interval(estimate, *_percentiles(statistic(drawn), level))


def probability_of_improvement(x: Scores, y: Scores, *, level: float = 0.95, resamples: int = 2_000, seed: int = 0) -> Interval:
    """How likely a run of X scores above a run of Y on a task drawn at random: P(X > Y) + P(X = Y) / 2, averaged over tasks.

    For one task this is the Mann-Whitney U statistic divided by (number of x) · (number of y).

    Args:
        x: scores of the algorithm of interest, one array per task.
        y: scores of the other, the same tasks in the same order.
        level: coverage of the stratified percentile bootstrap interval.
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises:
        UserError: different numbers of tasks, an empty task, or a score that is not finite.

    Source: Agarwal et al. 2021, section 4.3.
    """
    x_tasks, y_tasks = _checked(x, level), _checked(y, level)
    if len(x_tasks) != len(y_tasks):
        raise UserError(f"scores for {len(x_tasks)} and {len(y_tasks)} tasks; give both the same tasks in the same order")
    rng = np.random.default_rng(seed)
    estimates, draws = [], []
    for x_k, y_k in zip(x_tasks, y_tasks):
        wins = (x_k[:, None] > y_k) + 0.5 * (x_k[:, None] == y_k)
        # How often each seed is drawn is all a resample says, so every resample is two small products.
        x_counts = rng.multinomial(len(x_k), np.full(len(x_k), 1 / len(x_k)), resamples)
        y_counts = rng.multinomial(len(y_k), np.full(len(y_k), 1 / len(y_k)), resamples)
        estimates.append(wins.mean())
        draws.append(((x_counts @ wins) * y_counts).sum(axis=1) / wins.size)
    estimate = float(np.mean(estimates))
    if min(len(task) for task in (*x_tasks, *y_tasks)) < 2:
        return Interval(estimate, np.nan, np.nan)
    return Interval(estimate, *_percentiles(np.mean(draws, axis=0), level))


def area_under_curve(env_steps: Real[np.ndarray, "points"], values: Real[np.ndarray, "... points"]) -> Float[np.ndarray, "..."]:
    """The area under a learning curve by the trapezoid rule, divided by its span, so that it is in units of return.

        AUC = 1 / (n_K - n_1) · sum_k (n_{k+1} - n_k) · (v_k + v_{k+1}) / 2

    Args:
        env_steps: strictly increasing environment steps n_k.
        values: v_k, the smoothed curve at those steps, shape (..., points).

    Returns:
        Shape (...). A curve of a single point is its own mean height.

    Raises:
        UserError: steps that do not increase.
    """
    if np.any(np.diff(env_steps) <= 0):
        raise UserError("env_steps of a learning curve must increase; sort them and drop repeated steps")
    if len(env_steps) == 1:
        return np.asarray(values[..., 0], dtype=float)
    return np.asarray(np.trapezoid(values, env_steps, axis=-1) / (env_steps[-1] - env_steps[0]))


def performance_profile(scores: Scores, thresholds: Real[np.ndarray, "thresholds"]) -> Float[np.ndarray, "thresholds"]:
    """The share of runs above each threshold: F(τ) = mean over tasks and seeds of 1[score > τ].

    Args:
        scores: one array per task; normalise them first, so that a threshold means the same on every task.
        thresholds: τ, in units of score.

    Source: Agarwal et al. 2021, equation 2 (run-score distribution: each task weighs the same).
    """
    shares = [(task[:, None] > thresholds).mean(axis=0) for task in _checked(scores, 0.5)]
    return np.mean(shares, axis=0)


def _percentiles(draws: Float[np.ndarray, "resamples"], level: float) -> tuple[float, float]:
    low, high = np.percentile(draws, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _checked(scores: Scores, level: float) -> list[Float[np.ndarray, "_"]]:
    if not 0 < level < 1:
        raise UserError(f"level is {level}; it must lie between 0 and 1, as in 0.95")
    if not scores:
        raise UserError("no scores; give one array of scores per task")
    tasks = [np.asarray(task, dtype=float) for task in scores]
    for k, task in enumerate(tasks):
        if not len(task):
            raise UserError(f"task {k} has no scores; every task needs at least one seed")
        if not np.all(np.isfinite(task)):
            raise UserError(f"task {k} has a score that is not finite ({task[~np.isfinite(task)][0]}); drop that seed first")
    return tasks
