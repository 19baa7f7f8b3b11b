"""The curves of a run's metric, and the figure of one or several runs' curves with what to compare them with."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from unseen.reports.blocks import Figure
from unseen.reports.curves import Curves, band, learning_curves, summary_interval
from unseen.reports.figures import learning_curves as draw_curves
from unseen.reports.summary import Reference, RunSummary, score
from unseen.reports.text import Number, number

RETURN, DISCOUNTED = "return", "discounted_return"


def curves_of(run: RunSummary, metric: str, stop: Number | None = None) -> Curves | None:
    """The curves of a metric, or None where it has no finite value yet."""
    rows = run.metrics.filter((pl.col("metric") == metric) & pl.col("value").is_finite())
    return None if rows.is_empty() else learning_curves(run.metrics, metric, stop=stop)


def curves_figure(
    curves: Mapping[str, Curves], what: str, references: Mapping[str, Reference], bounds: tuple[Number, Number] | None
) -> Figure:
    scores = {name: score(reference)[0] for name, reference in references.items()}
    bands = {label: band(each) for label, each in curves.items()}
    ends = "; ".join(f"{label}: {number(summary_interval(each.final()).estimate)}" for label, each in curves.items())
    shaded = any(len(each.seeds) > 1 for each in curves.values())
    return Figure(
        draw_curves(bands, y_label=what, references=scores, bounds=bounds),
        f"Mean {what} of the last 100 training episodes (exploration included): interquartile mean over seeds"
        + (", 95 % bootstrap interval shaded." if shaded else ", a single seed."),
        f"Learning curves, {what} against environment steps. Final values: {ends}.",
    )
