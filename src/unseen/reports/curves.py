"""From metrics as they were logged, each seed at its own steps, to learning curves on one grid with an interval over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from unseen.errors import UserError, unknown
from unseen.reports.statistics import Interval, area_under_curve, stratified_bootstrap

COLUMNS = ("seed", "env_steps", "wall_s", "metric", "value")


@dataclass(frozen=True)
class Curves:
    """One metric of one run: a curve per seed, all on the same environment steps."""

    metric: str
    env_steps: Float[np.ndarray, "points"]
    values: Float[np.ndarray, "seeds points"]
    seeds: tuple[int, ...]
    missing: tuple[int, ...] = ()
    """Seeds that never logged a finite value, as when no episode finished; they are left out."""

    def final(self) -> Float[np.ndarray, "seeds"]:
        """The last value of every seed, all at the same environment step."""
        return self.values[:, -1]

    def auc(self) -> Float[np.ndarray, "seeds"]:
        """The area under every seed's curve, divided by its span (units of the metric)."""
        return area_under_curve(self.env_steps, self.values)


class Band(NamedTuple):
    """A curve with an interval at each of its points; `low` and `high` are nan with fewer than two seeds."""

    env_steps: Float[np.ndarray, "points"]
    middle: Float[np.ndarray, "points"]
    low: Float[np.ndarray, "points"]
    high: Float[np.ndarray, "points"]


def metric_names(metrics: pl.DataFrame) -> list[str]:
    """The metrics a frame holds, sorted.

    Raises:
        UserError: the frame lacks one of the columns seed, env_steps, wall_s, metric, value.
    """
    absent = [column for column in COLUMNS if column not in metrics.columns]
    if absent:
        raise UserError(f"metrics frame has no column {absent[0]!r}; it needs {', '.join(COLUMNS)}")
    return metrics["metric"].unique().sort().to_list()


def learning_curves(
    metrics: pl.DataFrame, metric: str, *, points: int = 120, start: int | float | None = None, stop: int | float | None = None
) -> Curves:
    """Put the curves of all seeds on one grid, linearly interpolated, over the steps that every seed has reached.

    The grid runs from the step at which the last seed has its first value (or from `start`) to the step at which the first seed
    ends (or to `stop`); nothing is extrapolated beyond a seed's last record. "return" is logged as a moving average over 100 episodes, so
    no further smoothing is done.

    Args:
        metrics: long form, columns seed, env_steps, wall_s, metric, value. Values that are not finite are dropped; of repeated
            steps of a seed (a run that was resumed) the last row counts.
        metric: which one.
        points: at most this many grid points; never more than the longest seed has records.
        start, stop: environment steps between which to stay, to compare runs over the same span.

    Raises:
        UserError: a column or the metric is missing, or no seed has a finite value of it.
    """
    names = metric_names(metrics)
    if metric not in names:
        raise unknown("metric", metric, names)
    rows = metrics.filter(pl.col("metric") == metric)
    logged = sorted(rows["seed"].unique().to_list())
    rows = (
        rows.filter(pl.col("value").is_finite()).unique(["seed", "env_steps"], keep="last", maintain_order=True).sort("seed", "env_steps")
    )
    if rows.is_empty():
        raise UserError(f"metric {metric!r} has no finite value yet; train for longer")
    by_seed = {int(seed): group for (seed,), group in rows.group_by("seed", maintain_order=True)}
    steps = [group["env_steps"].to_numpy().astype(float) for group in by_seed.values()]
    values = [group["value"].to_numpy().astype(float) for group in by_seed.values()]
    last = min(s[-1] for s in steps)
    last = last if stop is None else min(last, stop)
    first = max(s[0] for s in steps)
    first = min(first if start is None else max(first, start), last)
    count = min(points, max(len(s) for s in steps)) if last > first else 1
    grid = np.linspace(first, last, count) if count > 1 else np.array([last])
    on_grid = np.stack([np.interp(grid, s, v) for s, v in zip(steps, values)])
    return Curves(metric, grid, on_grid, tuple(by_seed), tuple(seed for seed in logged if seed not in by_seed))


def band(curves: Curves, *, level: float = 0.95, resamples: int = 1_000, seed: int = 0) -> Band:
    """The interquartile mean over seeds at each step, with its bootstrap interval (the same resampled seeds at every step)."""
    intervals = [stratified_bootstrap([column], level=level, resamples=resamples, seed=seed) for column in curves.values.T]
    middle, low, high = np.array(intervals).T
    return Band(curves.env_steps, middle, low, high)


def summary_interval(scores: Float[np.ndarray, "seeds"], *, level: float = 0.95) -> Interval:
    """The interquartile mean of one score per seed, with its bootstrap interval."""
    return stratified_bootstrap([scores], level=level)
