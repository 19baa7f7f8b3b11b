"""What a page says about reinforcement of when to plan: how fast who learned, how often they came to plan, and whether it paid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from unseen.experiments.reproduce.planning_rl import PRIMED, Found, Outcome
from unseen.planning.accounting import Estimate, estimate, per_episode
from unseen.planning.equal_tokens import FEWEST, at_equal_tokens
from unseen.planning.peoples_plans import best_of
from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.curves import Band
from unseen.reports.figures import learning_curves
from unseen.reports.planning import bounded, interval
from unseen.reports.text import number

POINTS = 15  # of a learning curve: updates are averaged in so many parts
SHARES = ("success", "progression", "planned", "illegal")
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
        if len(done) > 1:
            blocks.append(_differences(done, value))
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
        + (_familiar(found) if found.familiar else "")
    )


def _familiar(found: Found) -> str:
    scored = found.grid.world.episodes + found.grid.instances
    return (
        f" {found.familiar} of the {scored} instances that agents are scored on occur among those of the lessons or of training, and are "
        "left out."
    )


def _by_variant(found: Found) -> dict[str, list[Outcome]]:
    done: dict[str, list[Outcome]] = {}
    for outcome in found.outcomes:
        if outcome.curves is not None and outcome.after is not None:
            done.setdefault(outcome.variant.name, []).append(outcome)
    return done


def _curves(done: Mapping[str, Sequence[Outcome]], metric: str, label: str) -> Figure:
    tables = {name: [o.curves for o in outcomes if o.curves is not None and metric in o.curves.columns] for name, outcomes in done.items()}
    drawn = {name: band for name, some in tables.items() if some and (band := _band(some, metric)) is not None}
    last = "; ".join(f"{name}: {number(curve.middle[-1])}" for name, curve in drawn.items())
    seeds = sorted({len(outcomes) for outcomes in done.values()})
    caption = f"While training, mean over {' or '.join(map(str, seeds))} {'seed' if seeds == [1] else 'seeds'}"
    caption += "; shaded from the lowest to the highest." if max(seeds) > 1 else "."
    return Figure(learning_curves(drawn, y_label=label), caption, f"{label} over training. At the end: {last}.")


def _band(tables: Sequence[pl.DataFrame], metric: str) -> Band | None:
    """Means over some seeds with their range, as far as all of them came; None where nothing is known of one.

    An update counts for the steps up to it. The first is left out: short episodes end in it, and long ones do not.
    """
    known = [table.filter(pl.col(metric).is_not_null() & (pl.col("update") > 0)) for table in tables]
    if not all(len(table) for table in known):
        return None
    parts = min(POINTS, *(len(table) for table in known))
    points = [[np.array_split(t[name].to_numpy().astype(np.float64), parts) for name in ("env_steps", metric)] for t in known]
    means = [[np.array([part.mean() for part in one]) for one in each] for each in points]
    steps = np.linspace(max(x[0] for x, _ in means), min(x[-1] for x, _ in means), parts)
    values = np.array([np.interp(steps, x, y) for x, y in means])
    return Band(steps, values.mean(0), values.min(0), values.max(0))


def _after(found: Found, done: Mapping[str, Sequence[Outcome]], value: str) -> Table:
    """What the models reached before and after, on instances that nobody trained on."""
    shown = [name for name in SHOWN if name != "success" or value == "success"]
    rows: list[list[Cell]] = []
    for name, episodes in found.before.items():
        table = per_episode(episodes)
        rows.append([f"before: {name}", "–", *(interval(_figure(table[c].to_numpy().astype(np.float64), c)) for c in shown)])
    for name, outcomes in done.items():
        tables = [per_episode(o.after) for o in outcomes if o.after is not None]
        rows.append([name, str(len(tables)), *(_over_seeds([float(t[c].mean()) for t in tables]) for c in shown)])  # type: ignore[arg-type]
    caption = "Means over the same instances, which nobody was trained on; before: 95 % intervals over instances; after, with several "
    caption += "seeds: lowest and highest."
    return Table(("agent", "seeds", *(name.replace("_", " ") for name in shown)), rows, caption)


def _figure(values: np.ndarray, name: str) -> Estimate:
    """Mean of a figure of episodes, with an interval of what is possible."""
    found = estimate(values)
    return found if name == "return" else bounded(found, high=1.0 if name in SHARES else math.inf)


def _over_seeds(values: Sequence[float]) -> Cell:
    return f"{number(float(np.mean(values)))} ({number(min(values))} to {number(max(values))})" if len(values) > 1 else float(values[0])


def _differences(done: Mapping[str, Sequence[Outcome]], value: str) -> Table:
    """Every variant against the first, instance by instance; over the seeds that both have."""
    (first, base), *others = done.items()
    rows: list[list[Cell]] = []
    for name, outcomes in others:
        seeds = sorted({o.seed for o in base} & {o.seed for o in outcomes})
        if seeds:
            gap = _by_instance(outcomes, seeds, value) - _by_instance(base, seeds, value)
            each = [float(np.mean(_by_instance(outcomes, [k], value) - _by_instance(base, [k], value))) for k in seeds]
            rows.append([name, str(len(seeds)), interval(estimate(gap)), ", ".join(number(one) for one in each)])
    heads = ("agent", "seeds", f"{value} above {first}", "by seed")
    return Table(heads, rows, "Differences on the same instances, each averaged over seeds; 95 % intervals over instances, not over seeds.")


def _by_instance(outcomes: Sequence[Outcome], seeds: Sequence[int], value: str) -> np.ndarray:
    tables = [per_episode(o.after).sort("seed") for o in outcomes if o.after is not None and o.seed in seeds]
    return np.mean([table[value].to_numpy().astype(np.float64) for table in tables], axis=0)


def _at_equal_tokens(found: Found, done: Mapping[str, Sequence[Outcome]], value: str) -> Table:
    rows: list[list[Cell]] = []
    for outcomes in done.values():
        for o in outcomes:
            if o.after is None or not o.variant.plans:
                continue
            for whose, fixed in (("its own", o.fixed), ("the student's", found.fixed)):
                if fixed and len(o.after) >= FEWEST:
                    at = at_equal_tokens(o.after, fixed, value)
                    which = f"{whose}: {' and '.join(at.schedules)}"
                    rows.append([o.variant.name, str(o.seed), at.tokens, at.value, which, at.fixed_tokens, at.fixed, interval(at.gap)])
    heads = ("agent", "seed", "tokens", value, "rival", "its tokens", f"its {value}", "above it by")
    caption = (
        "Trained agents that decide for themselves, against the best mixture of two fixed schedules that writes no more tokens, chosen on "
        "one half of the instances and met on the other; 95 % intervals over instances. Its own: the trained agent made to plan by the "
        "clock, so that only the decision differs; the student's: before reinforcement."
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
            cells.append(interval(_figure(np.array(by_instance, np.float64), "success")))
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
            if o.curves is None or o.after is None or not len(o.curves):
                continue
            table = per_episode(o.after)
            figures: dict[str, Any] = {name: float(table[name].mean()) for name in SHOWN}  # type: ignore[arg-type]
            if o.variant.plans and one.fixed:
                for name, fixed in (("own", o.fixed), ("student", one.fixed)):
                    if fixed and len(o.after) >= FEWEST:
                        at = at_equal_tokens(o.after, fixed, "success")
                        figures[f"above_{name}_fixed"] = at.gap._asdict() | {"fixed": at.fixed, "schedules": list(at.schedules)}
            last = o.curves.tail(5)
            trained = {"env_steps": int(o.curves["env_steps"][-1]), "wall_s": float(o.curves["wall_s"][-1]), "kl": float(last["kl"].mean())}  # type: ignore[arg-type]
            cells.append({"variant": o.variant.name, "seed": o.seed, "stopped": o.stopped, **trained, **figures})
        before = {
            name: {c: float(per_episode(episodes)[c].mean()) for c in SHOWN}  # type: ignore[arg-type]
            for name, episodes in {**one.before, **{f"fixed, {word}": played for word, played in one.fixed.items()}}.items()
        }
        said.append(
            {
                "grid": one.grid.name or "first stage",
                "options": dict(one.grid.world.options),
                "familiar": one.familiar,
                "before": before,
                "cells": cells,
            }
        )
    return said
