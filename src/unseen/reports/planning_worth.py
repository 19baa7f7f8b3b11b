"""What planning was worth, from a log: the table that a person can act on, beside the truth where it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from unseen.planning.logged_worth import LoggedWorth
from unseen.planning.measured_truth import Truth
from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.figures import dots
from unseen.reports.statistics import Interval
from unseen.reports.text import number

KINDS = {"green": "good", "amber": "verdict", "red": "poor"}


def with_truth(found: LoggedWorth, truth: Truth | None = None) -> pl.DataFrame:
    """The table of an estimate; with a truth, also truth and truth_error of each situation in which it was measured.

    The error is None where all of a situation's states are from one episode.
    """
    table = found.table()
    if truth is None:
        return table
    measured = truth.by_region().select("situation", truth="mean", truth_error=pl.col("standard_error").fill_nan(None))
    return table.join(measured, on="situation", how="left", maintain_order="left")


def logged_worth_section(found: LoggedWorth, truth: Truth | None = None) -> Section:
    """Estimates by situation with intervals, what importance sampling says, what follows, and whether to trust it."""
    rows = with_truth(found, truth).to_dicts()
    estimand = found.estimand
    cells: list[list[Cell]] = []
    for row in rows:
        own, check = (Interval(row[a], row[b], row[c]) for a, b, c in (("worth", "low", "high"), ("check", "check_low", "check_high")))
        known = [] if truth is None else [_measured(row)]
        cells.append([row["situation"], row["decisions"], own, *known, row["plan_price"], check, row["advice"]])
    heads = ("situation", "decisions", "worth of planning", *(() if truth is None else ("truth",)), "price of a plan", "check", "advice")
    ends = "all of an episode" if estimand.horizon is None else f"the first {estimand.horizon} steps"
    meaning = (
        f"What a plan now brings over none now, net of its price ({number(estimand.price)} for a token), when {estimand.then} decides from "
        f"then on; discount {number(estimand.discount)}, {ends}. Check: importance sampling on whole histories, which needs no state."
    )
    shown = {row["situation"]: Interval(row["worth"], row["low"], row["high"]) for row in rows}
    best = ", ".join(f"{row['situation']}: {number(row['worth'])}" for row in rows)
    blocks: list[Block] = [
        Text(f"Verdict: {found.verdict}", KINDS[found.verdict.colour]),  # type: ignore[arg-type]
        Figure(dots(shown, x_label="worth of planning now, net of its price", references={"nothing": 0.0}), meaning, best),
        Table(
            heads,
            cells,
            "Intervals (95 %, each by itself: of many situations, some miss) take episodes as independent, not decisions.",
        ),
    ]
    if truth is not None:
        errors = [row["truth_error"] for row in rows if row["truth_error"] is not None]
        said = f"its standard error is {number(float(np.mean(errors)))} on average" if errors else "too few states for a standard error"
        counted = f"{len(truth.states)} states of the log were played on {truth.replicates} times with a plan and as often without."
        blocks.append(Text(f"Truth: {counted} Its own intervals are shown; {said}.", "soft"))
    return Section("What planning was worth, from the log", blocks)


def _measured(row: Mapping[str, Any]) -> Cell:
    mean, error = row["truth"], row["truth_error"]
    if mean is None or error is None:
        return mean
    return Interval(mean, mean - 1.96 * error, mean + 1.96 * error)
