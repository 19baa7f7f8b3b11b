"""The shapes that second-hand notes give to the DRQ-learner's published figures, measured on what `reproduce outcomes` left."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from unseen.experiments.reproduce.outcomes import Outcome, Results
from unseen.experiments.reproduce.outcomes_grid import DRQ, FITTED, FOUR, MINIMAX, QREG
from unseen.reports.outcomes_summaries import NOT_RUN, cell, scale_of, spread
from unseen.reports.text import number

Measured = Callable[[Results, str, str], str]


def claims() -> list[tuple[str, str, Measured]]:
    """What is measured here, the published shape in words, and how it is measured."""
    return [
        ("DRQ is the lowest of the four, settings", "in all shown", _counted(lambda m: m[DRQ] == min(m.values()))),
        ("MQL is neither lowest nor highest, settings", "in between", _counted(lambda m: min(m.values()) < m[MINIMAX] < max(m.values()))),
        ("DRQ nearer than FQE on the same data, default", "not stated", _paired),
        ("DRQ's error, fewest to most transitions", "falls, below the others", _ends("n", DRQ)),
        ("Q-regression's error, shortest to longest horizon", "grows sharply", _ends("horizon", QREG)),
        ("FQE's, likewise", "about flat", _ends("horizon", FITTED)),
        ("DRQ's, likewise", "about flat", _ends("horizon", DRQ)),
        ("Q-regression's error / DRQ's, least to most overlap", "largest at the left", _ends("epsilon_e", QREG, DRQ)),
        ("FQE's error / DRQ's, likewise", "largest at the left, no reversal", _ends("epsilon_e", FITTED, DRQ)),
    ]


def _median(outcome: Outcome | None, family: str, label: str) -> float | None:
    found = spread(outcome, f"{family}: {label}")
    return None if found is None else found.median


def _counted(holds: Callable[[dict[str, float]], bool]) -> Measured:
    def count(results: Results, task: str, family: str) -> str:
        found = []
        for setting in scale_of(results).settings:
            medians = {label: _median(cell(results, task, "main", setting), family, label) for label in FOUR}
            known = {label: m for label, m in medians.items() if m is not None}
            if len(known) == len(FOUR):
                found.append(holds(known))
        return f"{sum(found)} of {len(found)}" if found else NOT_RUN

    return count


def _ends(sweep: str, label: str, over: str | None = None) -> Measured:
    def ends(results: Results, task: str, family: str) -> str:
        shown_values = []
        along = list(scale_of(results).swept(sweep).items())
        if len(along) == 1:
            return NOT_RUN
        for value, setting in (along[0], along[-1]):
            outcome = cell(results, task, "main", setting)
            m, other = _median(outcome, family, label), 1.0 if over is None else _median(outcome, family, over)
            if m is None or not other:
                return NOT_RUN
            shown_values.append(f"{number(m / other)} at {value:g}")
        return ", ".join(shown_values)

    return ends


def _paired(results: Results, task: str, family: str) -> str:
    outcome = cell(results, task)
    if outcome is None:
        return NOT_RUN
    a, b = (outcome.rows.filter(pl.col("method") == f"{family}: {label}").sort("seed") for label in (DRQ, FITTED))
    both = a.join(b, on="seed").drop_nulls(["rmse", "rmse_right"])
    return f"{both.filter(pl.col('rmse') < pl.col('rmse_right')).height} of {both.height} data sets" if both.height else NOT_RUN
