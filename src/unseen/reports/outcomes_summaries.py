"""Figures over data sets from what `reproduce outcomes` left, for its page and its JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from unseen.experiments.reproduce.outcomes import Outcome, Results
from unseen.experiments.reproduce.outcomes_grid import Scale, Setting, scale_named
from unseen.reports.panels import Spread
from unseen.reports.text import number

NOT_RUN = "not run"


ENOUGH = 5  # data sets below which no spread is shown


class Value(NamedTuple):
    """How well a method estimates the policy's value.

    Attributes:
        bias: mean error.
        rmse: root of the mean squared error.
        covered, intervals: how many 95 % intervals hold the true value, and how many there are.
        width: median of theirs; NaN without intervals.
        seeds: data sets.
    """

    bias: float
    rmse: float
    covered: int
    intervals: int
    width: float
    seeds: int


def spread(outcome: Outcome | None, method: str, measure: str = "rmse") -> Spread | None:
    """A measure of one method over the data sets of a cell; None where there is none."""
    if outcome is None:
        return None
    values = outcome.rows.filter(pl.col("method") == method)[measure].drop_nulls().to_numpy()
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return Spread(float(values.mean()), float(np.median(values)), float(low), float(high), len(values))


def value_of(outcome: Outcome | None, method: str) -> Value | None:
    """The value that a method estimates; None where it estimates none."""
    if outcome is None:
        return None
    rows = outcome.rows.filter((pl.col("method") == method) & pl.col("value").is_not_null())
    if rows.is_empty():
        return None
    error = (rows["value"] - rows["true_value"]).to_numpy()
    inside = rows.filter(pl.col("low").is_not_null())
    covered = int(inside.select(((pl.col("low") <= pl.col("true_value")) & (pl.col("true_value") <= pl.col("high"))).sum()).item())
    width = float(np.median((inside["high"] - inside["low"]).to_numpy())) if len(inside) else float("nan")
    return Value(float(error.mean()), float(np.sqrt((error**2).mean())), covered, len(inside), width, len(rows))


def shown(found: Spread | None) -> str:
    """Median and percentiles in words."""
    if found is None:
        return NOT_RUN
    if found.seeds < ENOUGH:  # percentiles of a handful say nothing
        return f"{number(found.median)} ({found.seeds} data set{'s' if found.seeds > 1 else ''})"
    return f"{number(found.median)} ({number(found.low)} to {number(found.high)})"


def scale_of(results: Results) -> Scale:
    """Its scale."""
    return scale_named(results.scale)


def cell(results: Results, task: str, group: str = "main", setting: Setting | None = None) -> Outcome | None:
    """The cell of a task, at the default setting unless another is named; None where nothing was run."""
    for outcome in results.outcomes:
        mine = outcome.cell
        wanted = scale_of(results).default if setting is None and group == "main" else setting
        if (mine.task, mine.group) == (task, group) and wanted in (None, mine.setting):
            return outcome if outcome.seeds else None
    return None


def as_json(results: Results) -> dict[str, Any]:
    """Every cell and method with its figures."""
    listed: list[dict[str, Any]] = []
    for outcome in results.outcomes:
        mine = outcome.cell
        row: dict[str, Any] = {
            "task": mine.task,
            "setting": mine.setting.name,
            "group": mine.group,
            "seeds": outcome.seeds,
            "of": mine.seeds,
            "methods": [],
        }
        for method in mine.methods:
            if outcome.seeds == 0:
                break
            measures = {name: spread(outcome, method.name, name) for name in ("rmse", "visited", "weighted", "from_fqe")}
            found = value_of(outcome, method.name)
            row["methods"].append(
                {"method": method.name}
                | {name: _rounded(one._asdict()) for name, one in measures.items() if one is not None}
                | ({} if found is None else {"value": _rounded(found._asdict())})
                | {"failures": failures(outcome, method.name)}
            )
        listed.append(row)
    return {"scale": results.scale, "cells": listed}


def failures(outcome: Outcome, method: str) -> int:
    """Data sets on which a method could not be fitted."""
    return outcome.rows.filter((pl.col("method") == method) & (pl.col("failure") != "")).height


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """To six digits; JSON knows no NaN."""
    return {name: None if x != x else float(f"{x:.6g}") if isinstance(x, float) else x for name, x in row.items()}
