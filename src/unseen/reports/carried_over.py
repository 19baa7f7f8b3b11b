"""Scores of agents on levels of several kinds: by task, together with intervals, as gaps, and against each other; one figure of it all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.figure import Figure as Drawing
from scipy import stats

from unseen.experiments.generalisation import GAPS, HEADLINE
from unseen.reports.blocks import Cell, Figure, Table
from unseen.reports.figures import COLOURS, GREY, SETTINGS, canvas
from unseen.reports.statistics import Interval, interquartile_mean, probability_of_improvement
from unseen.reports.text import number, plain, several

MARKS = {"train": ("o", "full"), "interpolate": ("s", "full"), "extrapolate": ("^", "none")}
NAMED = {"train": "train", "interpolate": "held out, interpolate", "extrapolate": "held out, extrapolate"}


def by_task(table: pl.DataFrame, agent: str, role: str, tasks: Sequence[str], column: str = "normalised") -> list[Float[np.ndarray, "_"]]:
    """Scores of every seed, one array for each task.

    Args:
        table: of `generalisation.scores`, with the columns task and agent.
        agent, role, tasks: which rows.
        column: which score.
    """
    if table.is_empty():
        return [np.zeros(0) for _ in tasks]
    some = table.filter((pl.col("agent") == agent) & (pl.col("role") == role) & pl.col(column).is_finite())
    return [some.filter(pl.col("task") == task).sort("seed")[column].to_numpy() for task in tasks]


def over_tasks(scores: Sequence[Float[np.ndarray, "_"]], level: float = 0.95) -> Interval:
    """The mean over tasks of the mean over seeds, with a t interval whose degrees of freedom are Welch's and Satterthwaite's.

    With three seeds a percentile bootstrap covers far too seldom (see `stratified_bootstrap`); this holds its level where scores of seeds
    are about normal. No interval where a task has one seed only.

    Args:
        scores: of every task, a score for each seed; tasks weigh the same however many seeds they have.
        level: of the interval.
    """
    if not scores or not all(map(len, scores)):
        return Interval(np.nan, np.nan, np.nan)
    estimate = float(np.mean([each.mean() for each in scores]))
    if min(map(len, scores)) < 2:
        return Interval(estimate, np.nan, np.nan)
    parts = np.array([each.var(ddof=1) / len(each) for each in scores]) / len(scores) ** 2
    return _t_interval(estimate, parts, np.array([len(each) - 1 for each in scores]), level)


def _t_interval(estimate: float, variances: Float[np.ndarray, "n"], freedom: Float[np.ndarray, "n"] | Any, level: float) -> Interval:
    """Around an estimate whose variance is a sum of independent ones, each known with its own degrees of freedom."""
    total = float(variances.sum())
    if total == 0.0:
        return Interval(estimate, estimate, estimate)
    degrees = total**2 / float(np.sum(variances**2 / freedom))
    reach = float(stats.t.ppf(0.5 + level / 2, degrees)) * total**0.5
    return Interval(estimate, estimate - reach, estimate + reach)


def common_tasks(table: pl.DataFrame, agents: Sequence[str], roles: Sequence[str] = HEADLINE) -> list[str]:
    """Tasks on which every one of the agents was scored in every role, in the table's order."""
    if table.is_empty():
        return []
    tasks = table["task"].unique(maintain_order=True).to_list()
    return [t for t in tasks if all(len(by_task(table, a, r, [t])[0]) for a in agents for r in roles)]


def difference(
    table: pl.DataFrame, of: tuple[str, Sequence[str]], minus: tuple[str, Sequence[str]], tasks: Sequence[str], *, level: float = 0.95
) -> Interval:
    """The mean over tasks of one agent's mean score over some roles minus another's, with a t interval over seeds.

    Args:
        table: of scores.
        of, minus: (agent, roles): a run's score is its mean over the roles. Of the same agent, the difference is taken run by run.
        tasks: on which both were scored.
        level: of the interval; it needs two seeds on every task.
    """
    x, y = _runs(table, *of, tasks), _runs(table, *minus, tasks)
    if of[0] == minus[0]:
        return over_tasks([a - b for a, b in zip(x, y, strict=True)], level)
    if not tasks or not all(map(len, [*x, *y])):
        return Interval(np.nan, np.nan, np.nan)
    estimate = float(np.mean([a.mean() - b.mean() for a, b in zip(x, y, strict=True)]))
    if min(map(len, [*x, *y])) < 2:
        return Interval(estimate, np.nan, np.nan)
    both = [*x, *y]
    variances = np.array([each.var(ddof=1) / len(each) for each in both]) / len(tasks) ** 2
    return _t_interval(estimate, variances, np.array([len(each) - 1 for each in both]), level)


def _runs(table: pl.DataFrame, agent: str, roles: Sequence[str], tasks: Sequence[str]) -> list[Float[np.ndarray, "_"]]:
    """Every run's mean over roles, one array for each task."""
    each = [by_task(table, agent, role, tasks) for role in roles]
    return [np.mean(scores, axis=0) if len({len(s) for s in scores}) == 1 else np.zeros(0) for scores in zip(*each, strict=True)]


def summary_table(table: pl.DataFrame, agents: Sequence[str], baseline: str) -> Table:
    """Every agent: means over tasks, the interquartile mean, and the probability of improving on a baseline, on held-out levels."""
    tasks = common_tasks(table, agents)
    rows: list[list[Cell]] = []
    for agent in agents:
        row: list[Cell] = [agent]
        row += [over_tasks(by_task(table, agent, role, tasks)) if tasks else None for role in HEADLINE]
        # A level of a task is a stratum: scores of one level are never compared with those of another.
        held_out, other = ([s for role in HEADLINE[1:] for s in by_task(table, a, role, tasks)] for a in (agent, baseline))
        row.append(float(interquartile_mean(np.concatenate(held_out))) if tasks else None)
        row.append(probability_of_improvement(held_out, other) if tasks and agent != baseline else None)
        rows.append(row)
    caption = (
        f"Normalised scores (0 random, 100 perfect memory): mean over {several(len(tasks), 'task')} with 95 % t intervals over seeds; "
        "interquartile mean over tasks, seeds and both held-out levels; probability that a run scores above one of "
        f"{baseline} on the same held-out level, with its bootstrap interval"
    )
    columns = ("agent", *(NAMED[r] for r in HEADLINE), "held out, IQM", f"P(above {baseline})")
    return Table(columns, rows, caption)


def gap_table(table: pl.DataFrame, agents: Sequence[str]) -> Table:
    """Every agent: how much normalised score is lost from training to other levels, on the tasks that all of them were scored on."""
    tasks = common_tasks(table, agents)
    rows: list[list[Cell]] = []
    for agent in agents:
        row: list[Cell] = [agent]
        for kept, other in GAPS.values():
            has = [t for t in tasks if len(by_task(table, agent, other, [t])[0])]
            row.append(difference(table, (agent, [kept]), (agent, [other]), has) if has else None)
        rows.append(row)
    caption = (
        "Points of normalised score that a run loses from the training level: to held-out stimuli at a scale between the trained ones, to "
        "held-out stimuli at a scale beyond them, to held-out stimuli alone, and to a scale beyond alone; 95 % t intervals over seeds"
    )
    return Table(("agent", *(f"{gap} gap" for gap in GAPS)), rows, caption)


def task_table(table: pl.DataFrame, task: str, agents: Sequence[str]) -> Table:
    """One task: every agent's normalised score in each role, as mean over seeds with the lowest and highest."""
    rows: list[list[Cell]] = []
    for agent in agents:
        row: list[Cell] = [agent]
        for role in HEADLINE:
            (scores,) = by_task(table, agent, role, [task])
            row.append(_range(scores))
        (beyond,) = by_task(table, agent, "train", [task], "beyond_memoryless")
        rows.append([*row, _range(beyond), len(by_task(table, agent, "train", [task])[0])])
    caption = "Mean over seeds [lowest, highest seed]; beyond memoryless: 0 is the best player known without memory, 100 perfect memory"
    return Table(("agent", *(NAMED[r] for r in HEADLINE), "beyond memoryless, train", "seeds"), rows, caption)


def _range(scores: Float[np.ndarray, "seeds"]) -> Cell:
    if not len(scores):
        return "not run"
    if len(scores) == 1:
        return float(scores[0])
    return f"{number(round(float(scores.mean()), 1))} [{number(round(float(scores.min()), 1))}, {number(round(float(scores.max()), 1))}]"


def figure(table: pl.DataFrame, agents: Sequence[str], tasks: Sequence[str]) -> Figure:
    """All agents on all kinds of level at a glance: a row for each agent, a marker for each level."""
    drawing, told = dots(table, agents, tasks)
    caption = (
        f"Normalised score, mean over {several(len(tasks), 'task')} and all seeds: 0 is the random player, 100 "
        "perfect memory; the grey line is the best player known without memory on the training level. Bars: 95 % t intervals over seeds."
    )
    return Figure(drawing, caption, f"Normalised scores. {told}.")


def dots(table: pl.DataFrame, agents: Sequence[str], tasks: Sequence[str]) -> tuple[Drawing, str]:
    """The drawing, and what it shows in words."""
    told = []
    with matplotlib.rc_context(SETTINGS):
        drawing, axes = canvas(0.9 + 0.42 * len(agents), len(MARKS) + 1)
        handles = {}
        for n, agent in enumerate(agents):
            for k, (role, (marker, fill)) in enumerate(MARKS.items()):
                value = over_tasks(by_task(table, agent, role, tasks))
                arms = [[value.estimate - value.low], [value.high - value.estimate]] if value.exists else None
                face = COLOURS[k] if fill == "full" else "none"
                handles[NAMED[role]] = axes.errorbar(
                    [value.estimate],
                    [n + 0.22 * (k - 1)],
                    xerr=arms,
                    color=COLOURS[k],
                    marker=marker,
                    markerfacecolor=face,
                    markersize=6.5,
                    capsize=3,
                    linewidth=1.5,
                )
                told.append(f"{agent}, {role}: {number(round(value.estimate, 1))}")
        without = _memoryless(table, tasks)
        handles[f"memoryless ({number(round(without, 1))})"] = axes.axvline(without, color=GREY, linestyle=(0, (6, 3)), linewidth=1.3)
        for mark in (0.0, 100.0):
            axes.axvline(mark, color=GREY, linewidth=0.9)
        axes.set_yticks(range(len(agents)), [plain(agent, 30) for agent in agents])
        axes.set_ylim(len(agents) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("normalised score")
        axes.margins(x=0.06)
        drawing.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2, handlelength=3.2)
    return drawing, "; ".join(told)


def _memoryless(table: pl.DataFrame, tasks: Sequence[str]) -> float:
    """The memoryless player's normalised score, mean over tasks: where 'beyond memoryless' is 0 on the line through the known scores."""
    marks = []
    for task in tasks:
        some = table.filter((pl.col("task") == task) & (pl.col("role") == "train"))
        n, b = some["normalised"].to_numpy(), some["beyond_memoryless"].to_numpy()
        k = int(np.argmin(b))  # the farthest from 100, where both scales agree
        marks.append((n[k] - b[k]) / (1.0 - b[k] / 100.0))
    return float(np.mean(marks)) if marks else float("nan")
