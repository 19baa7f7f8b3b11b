"""The page of `reproduce memory`: all agents on all kinds of level at a glance, hypotheses, every task with its learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from unseen.environments.registry import make
from unseen.experiments.reproduce.cells import METRICS
from unseen.experiments.reproduce.memory import Outcome, Results
from unseen.experiments.reproduce.memory_grid import AGENTS, INFORMED, MRA, WORKING, scale_named
from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.carried_over import common_tasks, difference, figure, gap_table, summary_table, task_table
from unseen.reports.curves import band, learning_curves
from unseen.reports.figures import learning_curves as draw_curves
from unseen.reports.memory_hypotheses import Judged, judged, tasks_that_count
from unseen.reports.page import Page
from unseen.reports.plain_data import finite
from unseen.reports.text import number


def page(results: Results) -> Page:
    """The whole report."""
    scale, table = scale_named(results.scale), results.table()
    done = sum(o.metrics is not None for o in results.outcomes)
    lead = (
        f"Which memory helps when, and does it carry over? Scale {results.scale}: {done} of {len(results.outcomes)} cells finished, "
        f"{scale.env_steps:,} environment steps each, {scale.size} units, {scale.seeds} {'seed' if scale.seeds == 1 else 'seeds'} planned. "
        "Nothing is trained on a held-out level, and no score of one chooses anything; slots are as many as the longest episodes need."
    )
    agents = [a for a in scale.agents if not AGENTS[a].informed]
    sections = [glance(table, agents), hypotheses(judged(table, agents), tasks_that_count(table, agents)), cost(results)]
    if INFORMED in scale.agents:
        sections.append(told(table))
    sections += [task_section(results, task.name, table) for task in scale.tasks]
    return Page("Working and episodic memory, reproduced", sections, lead)


def as_json(results: Results) -> dict[str, Any]:
    """The figures of the report as plain data."""
    scale, table = scale_named(results.scale), results.table()
    agents = [a for a in scale.agents if not AGENTS[a].informed]
    cells = []
    for o in results.outcomes:
        status = "finished" if o.metrics is not None else "failed" if o.failure else "not run"
        scored = [] if o.scores is None else [{k: finite(v) for k, v in row.items()} for row in o.scores.to_dicts()]
        rate = o.cell.experiment.algorithm.learning_rate
        cell = {"task": o.cell.task.name, "agent": o.cell.agent, "seed": o.cell.seed, "learning_rate": rate, "status": status}
        cells.append(cell | {"scores": scored})
    shown = [j._asdict() for j in judged(table, agents)]
    counts = {agent: dict(count) for agent, count in results.parameters.items()}
    return {
        "scale": results.scale,
        "cells": cells,
        "parameters": counts,
        "tasks_that_count": tasks_that_count(table, agents),
        "hypotheses": shown,
    }


def glance(table: pl.DataFrame, agents: Sequence[str]) -> Section:
    """The figure and the tables over all tasks that every agent was scored on."""
    title = "At a glance"
    tasks = common_tasks(table, agents)
    if not tasks:
        return Section(title, [Text("No task has been finished by every agent yet: see the tasks below.")])
    few = "With fewer than five seeds the bootstrap interval of the probability is too narrow: take no decision from it alone."
    blocks: list[Block] = [figure(table, agents, tasks), summary_table(table, agents, WORKING), gap_table(table, list(agents))]
    if table.filter(pl.col("role") == "train").group_by("task", "agent").len()["len"].min() < 5:  # type: ignore[operator]
        blocks.append(Text(few, "soft"))
    return Section(title, blocks)


def hypotheses(found: Sequence[Judged], counting: Sequence[str]) -> Section:
    """What was expected, and whether it held."""
    note = (
        "The paper's numbers were not found; some of these statements give the shape of its results as its reviews and summaries tell it, "
        "others are ours. A verdict rests on 95 % t intervals over seeds; where they reach both sides, or there is one seed, it is "
        "undecided. Contrasts between agents are made on tasks where some agent is beyond the memoryless player by three standard "
        f"errors: {', '.join(counting) or 'none yet'}."
    )
    rows: list[list[Cell]] = [[j.claim, j.source, j.verdict, j.evidence or None] for j in found]
    return Section("Hypotheses, stated beforehand", [Text(note, "soft"), Table(("hypothesis", "whose", "verdict", "evidence"), rows)])


def told(table: pl.DataFrame) -> Section:
    """What it gains to tell the critic of the Memory Recall Agent, while it trains, what must be remembered."""
    tasks = common_tasks(table, [MRA, INFORMED])
    if not tasks:
        return Section("An informed critic", [Text("Not run yet.")])
    rows: list[list[Cell]] = []
    for role in ("train", "interpolate", "extrapolate"):
        rows.append([role, difference(table, (INFORMED, [role]), (MRA, [role]), tasks), len(tasks)])
    caption = "Points of normalised score that MRA gains when its critic is told, mean over tasks; 95 % t interval over seeds"
    return Section("An informed critic", [Table(("level", "gain", "tasks"), rows, caption)])


def cost(results: Results) -> Section:
    """Parameters and speed of every agent."""
    rows: list[list[Cell]] = []
    for agent, count in results.parameters.items():
        rates = [_steps_per_s(o.metrics) for o in results.outcomes if o.cell.agent == agent and o.metrics is not None]
        speed = float(sorted(rates)[len(rates) // 2]) if rates else None
        rows.append([agent, count["agent"], count["memory"], None if speed is None else round(speed)])
    caption = (
        "Trained parameters of the whole agent and of its memory, on the first task; median training speed of its cells. The width of GRU, "
        "LRU and GTrXL is the one that has as many parameters as the LSTM"
    )
    return Section("What it costs", [Table(("agent", "parameters", "of its memory", "steps/s"), rows, caption)])


def _steps_per_s(metrics: pl.DataFrame) -> float:
    return float(metrics.filter(pl.col("metric") == "steps_per_s")["value"].median())  # type: ignore[arg-type]


def task_section(results: Results, task: str, table: pl.DataFrame) -> Section:
    """One task: learning curves beside the reference lines, and scores."""
    mine = [o for o in results.outcomes if o.cell.task.name == task]
    by_agent: dict[str, list[Outcome]] = {}
    for o in mine:
        by_agent.setdefault(o.cell.agent, []).append(o)
    finished = {agent: [o for o in some if o.metrics is not None] for agent, some in by_agent.items()}
    curves = {
        agent: learning_curves(pl.concat([o.metrics for o in some if o.metrics is not None]), METRICS[0])
        for agent, some in finished.items()
        if some
    }
    blocks: list[Block] = []
    if curves:
        drawn = draw_curves({agent: band(each) for agent, each in curves.items()}, y_label="return", references=_references(mine[0]))
        ends = "; ".join(f"{agent}: {number(float(each.final().mean()))}" for agent, each in curves.items())
        caption = "Return of the last 100 training episodes: interquartile mean over seeds, 95 % bootstrap interval shaded."
        blocks += [Figure(drawn, caption, f"Learning curves on {task}. Final: {ends}."), task_table(table, task, list(by_agent))]
    open_ = {agent: sum(o.metrics is None and not o.failure for o in some) for agent, some in by_agent.items()}
    missing = [f"{agent} ({n} of {len(by_agent[agent])} seeds)" for agent, n in open_.items() if n]
    if missing:
        blocks.append(Text(f"Not run: {', '.join(missing)}.", "soft"))
    failed = [f"{o.cell.name}: {o.failure}" for o in mine if o.failure]
    return Section(task, [*blocks, *[Text(line, "poor") for line in failed]])


def _references(outcome: Outcome) -> Mapping[str, float]:
    """Player -> mean return on the training level."""
    marks = make(outcome.cell.experiment.environment).references("train")
    players = {"random": marks.random, "memoryless": marks.memoryless, "perfect memory": marks.perfect_memory}
    return {name: player.mean for name, player in players.items() if player is not None}
