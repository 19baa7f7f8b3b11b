"""Does the verdict know? Coverage of the value's 95 % interval beside green, amber and red, on simulated settings whose truth is known.

    python benchmarks/verdicts.py docs/results/verdicts.json    # stop it and start it as you like; ten minutes on two cores

Settings differ in overlap, number of trajectories, horizon and what the models get wrong. Thresholds were chosen looking at the first
group and are tested on the second, whose numbers and random processes (one of each kind) are others. What every replication's
diagnostics said is kept beside the file (`.facts.parquet`), so that thresholds can be tried without fitting again: --only-page.

*Counted*: six states, three actions, random transitions, a few of which end; the behaviour policy is drawn from a Dirichlet law whose
parameter is the overlap. *Raw*: the same, weighed by estimated probabilities. *Linear*: two numbers that move linearly with noise, three
actions, a steady chance of ending; behaviour is a softmax whose strength is the lack of overlap. There the policy is the same in every
state and the reward linear, so that Q is linear, while where the policy goes is linear in the state only roughly; "Q wrong": a
threshold policy and a reward with a step in it; "behaviour wrong": a softmax of squares and products, which logistic regression on the
two numbers is not.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import zlib
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from figures import conditions, machine, markdown
from unseen.data import Transitions
from unseen.data.schema import Schema, StateColumn
from unseen.errors import UserError
from unseen.outcomes import DRQLearner
from unseen.outcomes.verdict import coloured, measured
from unseen.reports.statistics import Interval

REPLICATIONS, STEPS = 300, 20
STATES, ACTIONS = 6, 3
MISTAKES = ("none", "Q", "behaviour", "both")
COLOURS = ("green", "amber", "red")


@dataclass(frozen=True)
class Setting:
    group: str  # "calibration" or "test"
    kind: str  # "counted", "raw", "linear"
    overlap: float
    trajectories: int
    discount: float
    wrong: str = "none"
    process: int = 0  # seed of what is random about the process

    @property
    def name(self) -> str:
        return ", ".join(str(value) for value in asdict(self).values())


def settings() -> list[Setting]:
    found = []
    for group, process, dirichlet, strength, sizes, discounts in (
        ("calibration", 0, (0.2, 0.6, 3.0), (0.5, 1.5, 3.0), (50, 150, 500), (0.8, 0.95)),
        ("test", 1, (0.35, 1.5), (1.0, 2.2), (120, 300), (0.7, 0.9)),
    ):
        found += [Setting(group, "counted", o, n, d, "none", process) for o, n, d in product(dirichlet, sizes, discounts)]
        found += [Setting(group, "raw", o, n, discounts[0], "none", process + 10) for o, n in product(dirichlet, sizes)]
        found += [Setting(group, "linear", o, n, d, w, process) for o, n, d, w in product(strength, sizes, discounts, MISTAKES)]
    return found


# ---- counted -----------------------------------------------------------------------------------------------------------


@cache
def chain(overlap: float, process: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([process, 7])
    transition = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS)) * (1 - rng.uniform(0, 0.1, (STATES, ACTIONS, 1)))
    reward, policy = rng.normal(size=(STATES, ACTIONS)), rng.dirichlet(np.ones(ACTIONS), STATES)
    behaviour = np.maximum(rng.dirichlet(np.full(ACTIONS, overlap), STATES), 1e-4)
    return {"transition": transition, "reward": reward, "policy": policy, "behaviour": behaviour / behaviour.sum(axis=1, keepdims=True)}


def chain_value(s: Setting) -> float:
    c = chain(s.overlap, s.process)
    onwards = np.einsum("sax,sa->sx", c["transition"], c["policy"])
    return float(np.linalg.solve(np.eye(STATES) - s.discount * onwards, (c["policy"] * c["reward"]).sum(axis=1)).mean())


class ChainPolicy:
    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def probabilities(self, states: Any) -> np.ndarray:
        return self.table[np.asarray(states["s0"].to_list())]


def chain_log(s: Setting, rng: np.random.Generator) -> Transitions:
    c = chain(s.overlap, s.process)
    alive, state, parts = np.arange(s.trajectories), rng.integers(STATES, size=s.trajectories), []
    picks, moves = c["behaviour"].cumsum(axis=1), c["transition"].cumsum(axis=2)
    for t in range(STEPS):
        action = (rng.random(len(state))[:, None] > picks[state]).sum(axis=1).clip(max=ACTIONS - 1)
        after = (rng.random(len(state))[:, None] > moves[state, action]).sum(axis=1)
        ended = after == STATES
        reward = c["reward"][state, action] + 0.3 * rng.normal(size=len(state))
        parts.append((alive, np.full(len(alive), t), state[:, None], action, reward, ended, np.where(ended, state, after)[:, None]))
        alive, state = alive[~ended], after[~ended]
        if not len(alive):
            break
    return transitions(parts, s.trajectories, (StateColumn("s0", "categorical", tuple(range(STATES))),))


# ---- linear ------------------------------------------------------------------------------------------------------------


@cache
def plane(process: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([process, 11])
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return {
        "move": 0.6 * np.eye(2) + 0.2 * turn,
        "push": rng.normal(size=(ACTIONS, 2)) * 0.5,
        "taste": rng.normal(size=(ACTIONS, 3)),
        "lean": rng.normal(size=(ACTIONS, 2)),
        "bend": rng.normal(size=(ACTIONS, 3)),
    }


def judged_policy(s: Setting, x: np.ndarray) -> np.ndarray:
    if s.wrong in ("none", "behaviour"):
        return np.tile([0.2, 0.6, 0.2], (len(x), 1))
    return 0.2 / ACTIONS + 0.8 * np.eye(ACTIONS)[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)]


def behaviour(s: Setting, x: np.ndarray) -> np.ndarray:
    p = plane(s.process)
    score = x @ p["lean"].T
    if s.wrong in ("behaviour", "both"):
        score = np.stack([x[:, 0] ** 2 - 1, x[:, 0] * x[:, 1], x[:, 1] ** 2 - 1], axis=1) @ p["bend"].T
    e = np.exp(s.overlap * (score - score.max(axis=1, keepdims=True)))
    return e / e.sum(axis=1, keepdims=True)


def step(s: Setting, x: np.ndarray, action: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p = plane(s.process)
    reward = (p["taste"][action] * np.column_stack([np.ones(len(x)), x])).sum(axis=1)
    if s.wrong in ("Q", "both"):
        reward = reward + 1.5 * (x[:, 0] + x[:, 1] > 0.5) * (action == 1)
    after = x @ p["move"].T + p["push"][action] + 0.4 * rng.normal(size=x.shape)
    return after, reward + 0.3 * rng.normal(size=len(x)), rng.random(len(x)) < 0.03


def drawn(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(len(p))[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(max=ACTIONS - 1)


def plane_value(s: Setting) -> float:
    """By rollouts: 400,000 begun, none of them longer than matters."""
    rng = np.random.default_rng([s.process, 13])
    x, total, weight = rng.normal(size=(400_000, 2)), 0.0, 1.0 / 400_000
    while len(x) * weight > 1e-6:
        x, reward, ended = step(s, x, drawn(judged_policy(s, x), rng), rng)
        total += weight * float(reward.sum())
        x, weight = x[~ended], weight * s.discount
    return total


class PlanePolicy:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def probabilities(self, states: Any) -> np.ndarray:
        return judged_policy(self.setting, np.column_stack([np.asarray(states[name], float) for name in ("s0", "s1")]))


def plane_log(s: Setting, rng: np.random.Generator) -> Transitions:
    alive, x, parts = np.arange(s.trajectories), rng.normal(size=(s.trajectories, 2)), []
    for t in range(STEPS):
        action = drawn(behaviour(s, x), rng)
        after, reward, ended = step(s, x, action, rng)
        parts.append((alive, np.full(len(alive), t), x, action, reward, ended, after))
        alive, x = alive[~ended], after[~ended]
    return transitions(parts, s.trajectories, (StateColumn("s0", "numeric"), StateColumn("s1", "numeric")))


# ---- both --------------------------------------------------------------------------------------------------------------


def transitions(parts: list[tuple[np.ndarray, ...]], count: int, columns: tuple[StateColumn, ...]) -> Transitions:
    who, t, state, action, reward, ended, after = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((t, who))
    return Transitions(
        states=state[order].astype(float),
        actions=action[order].astype(np.int64),
        rewards=reward[order],
        next_states=after[order].astype(float),
        terminated=ended[order],
        trajectory=who[order].astype(np.int64),
        time=t[order].astype(np.int64),
        rows=np.arange(len(t)),
        starts=parts[0][2].astype(float),
        ids=np.arange(count),
        schema=Schema(columns),
        action_labels=tuple(range(ACTIONS)),
    )


def truth(s: Setting) -> float:
    return plane_value(s) if s.kind == "linear" else chain_value(s)


def replication(k: int, s: Setting, value: float) -> dict[str, float] | None:
    """Whether the interval holds the value, and what the diagnostics said; None where the learner refused the data."""
    rng = np.random.default_rng([zlib.crc32(s.name.encode()), k])
    if s.kind == "linear":
        data, policy = plane_log(s, rng), PlanePolicy(s)
    else:
        data, policy = chain_log(s, rng), ChainPolicy(chain(s.overlap, s.process)["policy"])
    raw = {"self_normalised": False} if s.kind == "raw" else {}
    try:
        fitted: Any = DRQLearner(s.discount, random_state=k, n_jobs=1, **raw).fit(data, policy)
    except UserError:
        return None
    estimate = fitted.value()
    low, high = estimate.interval()
    said = {"covered": float(low <= value <= high), "error": float(estimate.estimate - value), "se": float(estimate.standard_error)}
    return said | measured(vars(fitted.diagnostics))


def colour_of(rows: list[dict[str, float]]) -> tuple[str, list[float]]:
    """The commonest colour, the worse one of two, and each colour's share."""
    said = [coloured(row, folds=5).colour for row in rows]
    shares = [said.count(c) / len(said) for c in COLOURS]
    return COLOURS[max(range(3), key=lambda i: (shares[i], i))], shares


def page(results: dict[Setting, list[dict[str, float]]]) -> list[str]:
    lines = ["# Does the verdict know?", "", *(__doc__ or "").splitlines()[2:], ""]
    listed = []
    for group in ("calibration", "test"):
        mine = {s: rows for s, rows in results.items() if s.group == group}
        if not mine:
            continue
        summary = {s: (float(np.mean([r["covered"] for r in rows])), *colour_of(rows)) for s, rows in mine.items()}
        sets = sorted({len(rows) for rows in mine.values()})
        given = {c: [r["covered"] for rows in mine.values() for r in rows if coloured(r, folds=5).colour == c] for c in COLOURS}
        table = []
        for c in COLOURS:
            rates = np.array([rate for rate, colour, _ in summary.values() if colour == c])
            inside = f"{int(((rates >= 0.92) & (rates <= 0.97)).sum())}" if len(rates) else "–"
            spread = f"{np.median(rates):.3f} ({rates.min():.3f} to {rates.max():.3f})" if len(rates) else "–"
            table.append([c, len(given[c]), covered_share(given[c]), len(rates), spread, inside, int((rates < 0.8).sum())])
        below = [(s, colour) for s, (rate, colour, _) in summary.items() if rate < 0.8]
        caught = sum(colour != "green" for _, colour in below)
        lines += [f"## {group.capitalize()}: {len(mine)} settings of {' to '.join(map(str, sets))} data sets", ""]
        head = ["verdict", "data sets", "coverage there", "settings where commonest", "coverage there, median (range)"]
        lines += markdown([*head, "within 0.92 to 0.97", "below 0.80"], table)
        lines += ["", f"Of {len(below)} settings that cover below 0.80, {caught} are amber or red.", ""]
        for s, (rate, colour, shares) in summary.items():
            green = [r["covered"] for r in mine[s] if coloured(r, folds=5).colour == "green"]
            values = list(asdict(s).values())[:-1]
            listed.append([*values, f"{rate:.3f}", colour, *(f"{x:.0%}" for x in shares), covered_share(green)])
    head = ["group", "kind", "overlap", "trajectories", "discount", "wrong", "coverage", "verdict", "green", "amber", "red", "when green"]
    return [*lines, "## All settings", "", *markdown(head, listed), "", "; ".join(machine(["numpy", "scikit-learn"])), ""]


def covered_share(covered: list[float]) -> Any:
    """With its exact 95 % interval."""
    if not covered:
        return "–"
    interval = binomtest(int(sum(covered)), len(covered)).proportion_ci(0.95)
    return Interval(float(np.mean(covered)), float(interval.low), float(interval.high))


def main() -> None:
    import polars as pl

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--replications", type=int, default=REPLICATIONS)
    parser.add_argument("--only-page", action="store_true")
    options = parser.parse_args()
    print(conditions(["numpy", "scikit-learn"]))
    facts = options.path.with_suffix(".facts.parquet")
    kept = pl.read_parquet(facts) if facts.exists() else None
    results: dict[Setting, list[dict[str, float]]] = {}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    with multiprocessing.get_context("spawn").Pool() as pool:
        for s in settings():
            mine = [] if kept is None else kept.filter(pl.col("setting") == s.name).drop("setting").to_dicts()
            if len(mine) < options.replications and not options.only_page:
                said = pool.map(partial(replication, s=s, value=truth(s)), range(options.replications), chunksize=10)
                mine = [row for row in said if row is not None]
                fresh = pl.DataFrame(mine).with_columns(setting=pl.lit(s.name))
                kept = fresh if kept is None else pl.concat([kept.filter(pl.col("setting") != s.name), fresh.select(kept.columns)])
                kept.write_parquet(facts)
                print(s.name, f"{np.mean([r['covered'] for r in mine]):.3f}", *colour_of(mine), flush=True)
            if mine:
                results[s] = mine
    said = {
        s.name: {"coverage": float(np.mean([r["covered"] for r in rows])), "verdict": colour_of(rows)[0]} for s, rows in results.items()
    }
    options.path.write_text(json.dumps(said, indent=1) + "\n")
    options.path.with_suffix(".md").write_text("\n".join(page(results)))


if __name__ == "__main__":
    main()
