"""The page of `reproduce informed`: curves, tables of areas and final returns, cost, and the criteria against what training gained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import polars as pl
from matplotlib.figure import Figure as Drawing
from scipy import stats

from unseen.environments.registry import make
from unseen.experiments.reproduce.cells import METRICS
from unseen.experiments.reproduce.informed import CRITERIA, Effect, Outcome, Results, baseline
from unseen.experiments.reproduce.informed_grid import NONE, STATE_ONLY
from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.curves import Curves, band, learning_curves, summary_interval
from unseen.reports.figures import GREY, MARKERS, SETTINGS, canvas, style
from unseen.reports.figures import learning_curves as draw_curves
from unseen.reports.page import Page
from unseen.reports.plain_data import finite
from unseen.reports.statistics import Interval
from unseen.reports.text import number, plain
from unseen.reports.verdict import scale

RESAMPLES = 2_000
OVERVIEW = "All cells"
NAMES = {"standardised": "A, standardised residuals", "kci": "A, conditional (KCI)", "prediction": "B, prediction gain"}


class Point(NamedTuple):
    """One informed critic: what a criterion said before training, and what telling the signal gained."""

    task: str
    critic: str
    effect: float
    gain: float


def page(results: Results) -> Page:
    """The whole report."""
    done = sum(outcome.metrics is not None for outcome in results.outcomes)
    lead = (
        f"Informed asymmetric actor-critic, scale {results.scale}: {done} of {len(results.outcomes)} cells finished. "
        "Critics are told a signal while training; actors never are."
    )
    tasks = list(dict.fromkeys(outcome.cell.task.environment for outcome in results.outcomes))
    sections = [
        overview_section(results),
        criteria_section(results),
        *[_task(results, task) for task in tasks if baseline(results, task) is not None],
    ]
    return Page("Informed asymmetric actor-critic, reproduced", sections, lead)


def as_json(results: Results) -> dict[str, Any]:
    """The figures of the report as plain data."""
    shown: list[dict[str, Any]] = []
    for outcome in results.outcomes:
        row: dict[str, Any] = {
            "task": outcome.cell.task.environment,
            "critic": outcome.cell.critic,
            "status": "failed" if outcome.failure else "not run",
        }
        if outcome.metrics is not None:
            curves = _curves(outcome)
            row |= {
                "status": "finished",
                "seeds": len(curves.seeds),
                "env_steps": float(curves.env_steps[-1]),
                "final": curves.final().tolist(),
                "auc": curves.auc().tolist(),
                "relative_wall_clock": _relative_cost(results, outcome),
            }
        shown.append(row)
    correlations = {name: finite(correlation(points(results, name))._asdict()) for name in CRITERIA}
    return {"scale": results.scale, "cells": shown, "criteria": [e._asdict() for e in results.effects], "rank_correlation": correlations}


def points(results: Results, criterion: str) -> list[Point]:
    """Effect before training and gain in area under the curve, for every informed critic of which both are known.

    The gain is divided by the distance between a random player and the best known one, so that tasks can share an axis.
    """
    found = []
    for outcome in results.outcomes:
        cell = outcome.cell
        base = baseline(results, cell.task.environment)
        if outcome.metrics is None or base is None or cell.critic in (NONE, STATE_ONLY):
            continue
        effect = [e for e in results.effects if (e.task, e.signal, e.criterion) == (cell.task.environment, cell.critic, criterion)]
        if effect and effect[0].normalised is not None:
            difference = float(_curves(outcome).auc().mean() - _curves(base).auc().mean())
            found.append(Point(cell.task.environment, cell.critic, effect[0].normalised, difference / _distance(cell.task.environment)))
    return found


class Correlation(NamedTuple):
    """Spearman's rank correlation with a 95 % bootstrap interval that resamples tasks; NaN where there are too few to say."""

    estimate: float
    low: float
    high: float
    points: int


def correlation(found: Sequence[Point], seed: int = 0) -> Correlation:
    """How far a larger effect goes with a larger gain."""
    if len(found) < 4:
        return Correlation(math.nan, math.nan, math.nan, len(found))
    x, y = (np.array([getattr(point, name) for point in found]) for name in ("effect", "gain"))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(math.nan, math.nan, math.nan, len(found))
    tasks = list(dict.fromkeys(point.task for point in found))
    of_task = [np.array([k for k, point in enumerate(found) if point.task == task]) for task in tasks]
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        k = np.concatenate([of_task[t] for t in rng.integers(0, len(tasks), len(tasks))])
        if np.ptp(x[k]) > 0 and np.ptp(y[k]) > 0:
            draws.append(_spearman(x[k], y[k]))
    low, high = np.percentile(draws, [2.5, 97.5]) if len(tasks) > 2 else (math.nan, math.nan)
    return Correlation(_spearman(x, y), float(low), float(high), len(x))


def within_tasks(found: Sequence[Point]) -> float:
    """The mean over tasks of the rank correlation inside each task with at least three informed critics."""
    by_task: dict[str, list[Point]] = {}
    for point in found:
        by_task.setdefault(point.task, []).append(point)
    values = []
    for some in by_task.values():
        x, y = (np.array([getattr(point, name) for point in some]) for name in ("effect", "gain"))
        if len(some) >= 3 and np.ptp(x) > 0 and np.ptp(y) > 0:
            values.append(_spearman(x, y))
    return float(np.mean(values)) if values else math.nan


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    result: Any = stats.spearmanr(x, y)
    return float(result.statistic)


def _curves(outcome: Outcome) -> Curves:
    """Learning curves of a finished cell."""
    if outcome.metrics is None:
        raise ValueError(f"{outcome.cell.name} was not run")
    return learning_curves(outcome.metrics, METRICS[0])


def _relative_cost(results: Results, outcome: Outcome) -> float | None:
    """Wall-clock relative to the critic without a signal: median seconds a step over the run."""
    base = baseline(results, outcome.cell.task.environment)
    if base is None or outcome.metrics is None or base.metrics is None:
        return None
    return _steps_per_s(base.metrics) / _steps_per_s(outcome.metrics)


def _steps_per_s(metrics: pl.DataFrame) -> float:
    return float(metrics.filter(pl.col("metric") == "steps_per_s")["value"].median())  # type: ignore[arg-type]


def _distance(task: str) -> float:
    """From a random player's return to the best known one's."""
    on = scale(references_of(task))
    return 1.0 if on is None else on.best - on.random


def overview_section(results: Results) -> Section:
    """Every cell: final return, area, cost."""
    rows: list[list[Cell]] = []
    for outcome in results.outcomes:
        cell = outcome.cell
        if outcome.metrics is None:
            rows.append([f"{cell.task.environment}: {cell.critic}", "failed" if outcome.failure else "not run", None, None, None])
            continue
        curves = _curves(outcome)
        cost = _relative_cost(results, outcome)
        final, auc = summary_interval(curves.final()), summary_interval(curves.auc())
        rows.append([f"{cell.task.environment}: {cell.critic}", final, auc, cost, len(curves.seeds)])
    rows.sort(key=lambda row: [o.cell.task.environment for o in results.outcomes].index(str(row[0]).split(":")[0]))
    caption = (
        "Interquartile means over seeds with 95 % intervals; areas are divided by their span; wall-clock relative to the critic that is "
        "told nothing; not run: did not fit into the time"
    )
    seeds = [len(_curves(o).seeds) for o in results.outcomes if o.metrics is not None]
    few = "With so few seeds the intervals are too narrow: take no decision from small differences."
    blocks: list[Block] = [Text(few, "soft")] if seeds and min(seeds) < 10 else []
    return Section(OVERVIEW, [*blocks, Table(("task: told", "final return", "AUC", "wall-clock", "seeds"), rows, caption)])


def criteria_section(results: Results) -> Section:
    """What the criteria said, against what telling gained."""
    blocks: list[Block] = []
    rows: list[list[Cell]] = []
    for criterion in CRITERIA:
        found = points(results, criterion)
        value = correlation(found)
        shown = Interval(value.estimate, value.low, value.high) if len(found) >= 4 else None
        inside = within_tasks(found)
        rows.append([NAMES[criterion], shown, None if math.isnan(inside) else inside, len(found)])
        if len(found) >= 2:
            described = "; ".join(f"{p.task} {p.critic}: {number(p.effect)}, {number(p.gain)}" for p in found)
            blocks.append(
                Figure(
                    scatter(found),
                    f"{NAMES[criterion]}: effect under random play against the gain in AUC from telling the signal. One marker a task.",
                    f"Effect and gain. {described}.",
                )
            )
    caption = (
        "Spearman's rank correlation of effect and gain over all informed critics, 95 % bootstrap interval that resamples tasks; within "
        "tasks: the mean over tasks with three critics or more"
    )
    table = Table(("criterion", "rank correlation", "within tasks", "critics"), rows, caption)
    columns = ("task: signal", "criterion", "normalised effect", "p", "verdict")
    listed = Table(columns, effect_rows(results.effects), "Before training, random play, 25 steps")
    return Section("What the criteria said before, and what telling gained", [table, *blocks, listed])


def effect_rows(effects: Sequence[Effect]) -> list[list[Cell]]:
    """A row for each signal and criterion; one for a whole task about which nothing can be said, for one reason."""
    rows: list[list[Cell]] = []
    for task in dict.fromkeys(e.task for e in effects):
        mine = [e for e in effects if e.task == task]
        verdicts = {e.verdict for e in mine}
        if len(verdicts) == 1 and all(e.p is None for e in mine):
            rows.append([f"{task}: all signals", "all", None, None, verdicts.pop()])
        else:
            rows += [[f"{e.task}: {e.signal}", NAMES[e.criterion], e.normalised, e.p, e.verdict] for e in mine]
    return rows


def _task(results: Results, task: str) -> Section:
    curves = curves_of(results, task)
    figure = draw_curves({label: band(each) for label, each in curves.items()}, y_label="return", references=references_of(task))
    ends = "; ".join(f"{label}: {number(summary_interval(each.final()).estimate)}" for label, each in curves.items())
    caption = "Return of the last 100 training episodes: interquartile mean over seeds, 95 % bootstrap interval shaded."
    missing = [o.cell.critic for o in results.outcomes if o.cell.task.environment == task and o.metrics is None]
    blocks: list[Block] = [Figure(figure, caption, f"Learning curves on {task}. Final: {ends}.")]
    if missing:
        blocks.append(Text(f"Not run: {', '.join(missing)}.", "soft"))
    return Section(task, blocks)


def curves_of(results: Results, task: str) -> dict[str, Curves]:
    """Critic -> learning curves, of a task's finished cells."""
    finished = [o for o in results.outcomes if o.cell.task.environment == task and o.metrics is not None]
    return {outcome.cell.critic: _curves(outcome) for outcome in finished}


def references_of(task: str) -> Mapping[str, float]:
    """Player -> mean return."""
    references = make(task).references("train")
    players = {"random": references.random, "perfect memory": references.perfect_memory, "oracle": references.oracle}
    return {name: player.mean for name, player in players.items() if player is not None}


def scatter(found: Sequence[Point]) -> Drawing:
    """Effects against gains, a marker and colour for each task."""
    tasks = list(dict.fromkeys(point.task for point in found))
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(3.4, len(tasks))
        axes.axhline(0.0, color=GREY, linewidth=0.9)
        axes.axvline(0.0, color=GREY, linewidth=0.9)
        handles = []
        for n, task in enumerate(tasks):
            colour, _, marker = style(n)
            some = [point for point in found if point.task == task]
            x, y = [p.effect for p in some], [p.gain for p in some]
            inside = colour if n < len(MARKERS) else "none"  # the second round of markers is hollow
            handles.append(axes.scatter(x, y, facecolor=inside, edgecolor=colour, marker=marker, s=34, linewidth=1.3))
            for point in some:
                axes.annotate(plain(point.critic, 16), (point.effect, point.gain), xytext=(4, 3), textcoords="offset points", fontsize=7)
        axes.set_xlabel("normalised effect before training")
        axes.set_ylabel("gain in AUC, share of random to best")
        axes.margins(0.12)
        figure.legend(handles, [plain(task) for task in tasks], loc="outside lower center", ncols=2)
    return figure
