"""What a page says about reinforcement of when to plan: how fast who learned, how often they came to plan, and whether it paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from unseen.experiments.reproduce.planning_rl import PRIMED, Found, Outcome
from unseen.planning.accounting import estimate, per_episode
from unseen.planning.equal_tokens import at_equal_tokens
from unseen.planning.peoples_plans import best_of
from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.curves import Band, Curves, band
from unseen.reports.figures import learning_curves
from unseen.reports.planning import interval
from unseen.reports.statistics import Interval
from unseen.reports.text import number

POINTS = 15  # of a learning curve: updates are averaged in so many parts
SHOWN = ("return", "success", "planned", "plan_tokens", "output_tokens", "illegal")


def reinforcement_sections(found: Sequence[Found], value: str = "success") -> list[Section]:
    """A section for every grid of which anything was trained; what was not run is said."""
    return [_section(one, value) for one in found]


def _section(found: Found, value: str) -> Section:
    grid, world = found.grid, found.grid.world
    options = ", ".join(f"{name} {value}" for name, value in world.options.items())
    title = f"Reinforcement: {world.environment} ({options})"
    done = _by_variant(found)
    blocks: list[Block] = [Text(_lead(found))]
    if done:
        blocks += [_curves(done, "return", "return of an episode"), _curves(done, "planning_frequency", "share of steps with a new plan")]
        blocks.append(_after(found, done, value))
        if found.fixed:
            blocks.append(_at_equal_tokens(found, done, value))
    if found.people is not None and len(found.people):
        blocks.append(_people(found.people))
    missing = {o.variant.name: sum(p.variant == o.variant and p.after is None for p in found.outcomes) for o in found.outcomes}
    said = [f"{name} ({count} of {grid.seeds} seeds)" for name, count in missing.items() if count]
    if said:
        blocks.append(Text(f"Not run: {', '.join(said)}.", "poor"))
    stopped = [f"{o.variant.name}, seed {o.seed}: {o.stopped}" for o in found.outcomes if o.stopped]
    blocks += [Text(f"Stopped early: {line}.", "poor") for line in stopped]
    return Section(title, blocks)


def _lead(found: Found) -> str:
    rl, seeds = found.grid.rl, found.grid.seeds
    return (
        f"{rl.updates} updates of {rl.live} episodes by {rl.steps} steps ({rl.updates * rl.live * rl.steps:,} steps of the environment), "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'} planned. SFT: taught by a scripted teacher that plans; never plans: the same "
        "trajectories without a word of plans; base: taught legal moves and random plans by a random walker."
    )


def _by_variant(found: Found) -> dict[str, list[Outcome]]:
    done: dict[str, list[Outcome]] = {}
    for outcome in found.outcomes:
        if outcome.curves is not None and outcome.after is not None:
            done.setdefault(outcome.variant.name, []).append(outcome)
    return done


def _curves(done: Mapping[str, Sequence[Outcome]], metric: str, label: str) -> Figure:
    drawn = {name: _band([o.curves for o in outcomes if o.curves is not None], metric) for name, outcomes in done.items()}
    last = "; ".join(f"{name}: {number(curve.middle[-1])}" for name, curve in drawn.items())
    seeds = sorted({len(outcomes) for outcomes in done.values()})
    caption = f"While training, over {' or '.join(map(str, seeds))} seeds: interquartile mean"
    caption += ", its 95 % bootstrap interval shaded." if max(seeds) > 1 else "; one seed has no interval."
    return Figure(learning_curves(drawn, y_label=label), caption, f"{label} over training. At the end: {last}.")


def _band(tables: Sequence[pl.DataFrame], metric: str) -> Band:
    """The curve of some seeds, each averaged in as many parts."""
    parts = min(POINTS, *(len(table) for table in tables))
    rows = [np.array_split(_filled(table[metric].to_numpy().astype(np.float64)), parts) for table in tables]
    steps = np.array([part[-1] for part in np.array_split(tables[0]["env_steps"].to_numpy(), parts)], np.float64)
    return band(Curves(metric, steps, np.array([[part.mean() for part in row] for row in rows]), tuple(range(len(tables)))))


def _filled(values: np.ndarray) -> np.ndarray:
    """Updates in which no episode ended say what the one before said; before the first, what it says."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.zeros_like(values)
    return values[known[np.maximum(np.searchsorted(known, np.arange(len(values)), side="right") - 1, 0)]]


def _after(found: Found, done: Mapping[str, Sequence[Outcome]], value: str) -> Table:
    """What the models reached before and after, on instances that nobody trained on."""
    shown = [name for name in SHOWN if name != "success" or value == "success"]
    rows: list[list[Cell]] = []
    for name, episodes in found.before.items():
        table = per_episode(episodes)
        rows.append([f"before: {name}", "–", *(interval(estimate(table[c].to_numpy().astype(np.float64))) for c in shown)])
    for name, outcomes in done.items():
        tables = [per_episode(o.after) for o in outcomes if o.after is not None]
        rows.append([name, str(len(tables)), *(_over_seeds([float(t[c].mean()) for t in tables]) for c in shown)])  # type: ignore[arg-type]
    caption = "Means over the same fresh instances; before: 95 % intervals over instances; after: the lowest and the highest seed."
    return Table(("agent", "seeds", *(name.replace("_", " ") for name in shown)), rows, caption)


def _over_seeds(values: Sequence[float]) -> Cell:
    return Interval(float(np.mean(values)), min(values), max(values)) if len(values) > 1 else float(values[0])


def _at_equal_tokens(found: Found, done: Mapping[str, Sequence[Outcome]], value: str) -> Table:
    rows: list[list[Cell]] = []
    for outcomes in done.values():
        for o in outcomes:
            if o.variant.plans and o.after is not None:
                at = at_equal_tokens(o.after, found.fixed, value)
                gap = Interval(at.gap.mean, at.gap.low, at.gap.high)
                rows.append([o.variant.name, str(o.seed), at.tokens, at.value, at.fixed, gap, " and ".join(at.schedules)])
    heads = ("agent", "seed", "tokens", value, "fixed schedules", "above them by", "which")
    caption = (
        "Trained agents that decide for themselves, against fixed schedules of the taught student that write no more tokens (the best "
        "mixture of two, chosen on these instances); 95 % bootstrap intervals over instances. Only the agent was reinforced: above 0 is "
        "the gain of both, acting better and planning when it pays."
    )
    return Table(heads, rows, caption)


def _people(people: pl.DataFrame) -> Table:
    """The best of N attempts under plans of known quality, before and after."""
    attempts = int(people["attempt"].max()) + 1  # type: ignore[arg-type]
    numbers = [n for n in (1, 2, 4, 8, 16) if n <= attempts]
    rows: list[list[Cell]] = []
    for (when, kind), part in people.group_by("when", "kind", maintain_order=True):
        cells: list[Cell] = [f"{when} reinforcement", str(kind)]
        for n in numbers:
            best = part.group_by("trained", "seed").agg(pl.col("success").cast(pl.Float64)).group_by("seed", maintain_order=True)
            by_instance = [np.mean([best_of(np.array(v), n) for v in rows_of["success"]]) for _, rows_of in best]
            cells.append(interval(estimate(np.array(by_instance, np.float64))))
        rows.append(cells)
    heads = ("agent", "a person's plan", *(f"best of {n}" for n in numbers))
    caption = (
        f"{PRIMED.name}: share of instances solved by the best of N attempts, estimated from {attempts} attempts at each, 95 % intervals "
        "over instances. The plan stands in the slot from the first step on, as a person's does who steers; the agent may replace it."
    )
    return Table(heads, rows, caption)


def reinforcement_json(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The figures as plain data."""
    said = []
    for one in found:
        cells = []
        for o in one.outcomes:
            if o.curves is None or o.after is None:
                continue
            table = per_episode(o.after)
            figures: dict[str, Any] = {name: float(table[name].mean()) for name in SHOWN}  # type: ignore[arg-type]
            if o.variant.plans and one.fixed:
                at = at_equal_tokens(o.after, one.fixed, "success")
                figures["above_fixed_at_equal_tokens"] = at.gap._asdict() | {"fixed": at.fixed, "schedules": list(at.schedules)}
            last = o.curves.tail(5)
            trained = {"env_steps": int(o.curves["env_steps"][-1]), "wall_s": float(o.curves["wall_s"][-1]), "kl": float(last["kl"].mean())}  # type: ignore[arg-type]
            cells.append({"variant": o.variant.name, "seed": o.seed, "stopped": o.stopped, **trained, **figures})
        before = {
            name: {c: float(per_episode(episodes)[c].mean()) for c in SHOWN}  # type: ignore[arg-type]
            for name, episodes in {**one.before, **{f"fixed, {word}": played for word, played in one.fixed.items()}}.items()
        }
        said.append({"grid": one.grid.name or "first stage", "options": dict(one.grid.world.options), "before": before, "cells": cells})
    return said
