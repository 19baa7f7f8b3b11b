"""How far from the truth: DRQ beside FQE, median of rMSE(DRQ) / rMSE(FQE) over seeds, both on the same data.

    python benchmarks/outcomes_accuracy.py --json docs/results/speed/outcomes_accuracy.json

rMSE = sum (Q-hat - Q)^2 / sum Q^2 over the states asked and all actions. Taxi: all states that a policy can be in, 40 trajectories
(about 4,000 transitions), behaviour random with probability 0.8, discount 0.9. The linear class (500 states) has the state's columns
without interactions, and FQE is converged in it; the saturated class (125 states) is given an initial Q of 3 sweeps. Tumour: trees in
both stages (of the second, leaves chosen by its own loss) or a linear second stage on trees, and 20 sweeps, 100 trajectories, rollouts
for the truth. An interval is that of the median over seeds resampled in pairs
(10,000 times). `lost_*` counts the seeds on which DRQ was worse; they are listed. Rows are appended to --rows as they come, and a
second run goes on from there.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from figures import arguments, conditions, show, write
from unseen.experiments.logged import Logged, logged
from unseen.outcomes import FQE, DRQLearner

DRAWS = 10_000
TUMOUR_STATES = 40


class Contest(NamedTuple):
    """What is logged, and who is fitted to it.

    `below` is the aim for the ratio; None: for information.
    """

    setting: str
    trajectories: int
    options: dict[str, Any]
    drq: Callable[[float], Any]
    fqe: Callable[[float], Any]
    seeds: int
    below: float | None


def trees() -> Any:
    """Small, and on one thread."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=50, num_leaves=15, min_child_samples=5, n_jobs=1, random_state=0, verbose=-1)


def linear_drq(discount: float) -> Any:
    return DRQLearner(discount, final="linear", initial_q="linear", actions="additive")


def linear_fqe(discount: float) -> Any:
    return FQE(discount, model="linear", actions="additive")


CONTESTS = {
    "linear_taxi_0.1": Contest("taxi", 40, {"epsilon_e": 0.1}, linear_drq, linear_fqe, 50, 1.0),
    "linear_taxi_0.3": Contest("taxi", 40, {"epsilon_e": 0.3}, linear_drq, linear_fqe, 50, 1.0),
    "three_sweeps_taxi": Contest(
        "taxi-125", 40, {}, lambda d: DRQLearner(d, sweeps=3), lambda d: FQE(d, model="tabular", sweeps=3), 50, 1.0
    ),
    "trees_tumour": Contest(
        "tumour",
        100,
        {},
        lambda d: DRQLearner(d, final="lightgbm", initial_q=trees(), behaviour="logged", sweeps=20),
        lambda d: FQE(d, model=trees(), sweeps=20),
        50,
        None,
    ),
    "linear_on_trees_tumour": Contest(
        "tumour",
        100,
        {},
        lambda d: DRQLearner(d, final="linear", initial_q=trees(), behaviour="logged", sweeps=20),
        lambda d: FQE(d, model=trees(), sweeps=20),
        50,
        None,
    ),
}


@cache
def asked(setting: str, options: tuple[tuple[str, Any], ...]) -> tuple[Any, np.ndarray]:
    """A table of states and (m, A) true values."""
    log = logged(setting, 500, seed=1_000_000, **dict(options))
    names = list(log.columns["state"])
    decided = log.table.drop_nulls("action")
    if log.behaviour.__class__.__name__ == "FromTable":
        states = decided.select(names).unique(maintain_order=True)
    else:
        states = decided.sample(TUMOUR_STATES, seed=0)
    return states, np.stack([log.truth_q(states, action)[0] for action in log.columns["actions"]], axis=1)


def rmse(learner: Any, log: Logged, states: Any, truth: np.ndarray) -> float:
    data = log.transitions()
    known = states
    for name, column in zip(log.columns["state"], data.state_columns):
        if column.kind == "categorical":  # a level that this log never shows cannot be asked about
            known = known.filter(known[name].is_in(list(column.levels)))
    place = states.with_row_index("row_number").join(known, on=states.columns, how="semi")["row_number"].to_numpy()
    q = learner.fit(data, log.policy).predict(known.select(list(log.columns["state"])))
    return float(((q - truth[place]) ** 2).sum() / (truth[place] ** 2).sum())


def one(contest: Contest, seed: int) -> dict[str, float]:
    log = logged(contest.setting, contest.trajectories, seed=seed, **contest.options)
    states, truth = asked(contest.setting, tuple(contest.options.items()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # LightGBM on feature names
        return {name: rmse(make(log.discount), log, states, truth) for name, make in (("drq", contest.drq), ("fqe", contest.fqe))}


def median_interval(ratios: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 %, seeds resampled."""
    draws = np.random.default_rng(seed).choice(ratios, (DRAWS, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=Path, help="a file that keeps every seed's errors, one JSON a line")
    parser.add_argument("--only", choices=[*CONTESTS], help="one contest only")
    options = parser.parse_args()
    print(conditions(["numpy", "scipy", "scikit-learn", "lightgbm"]))
    threadpool_limits(1)  # everything is small here: threads would only wait for each other
    kept = [json.loads(line) for line in options.rows.read_text().splitlines()] if options.rows and options.rows.is_file() else []
    done = {(row["contest"], row["seed"]): row for row in kept}
    figures, rows = {}, []
    for name, contest in CONTESTS.items():
        if options.only not in (None, name):
            continue
        errors = []
        for seed in range(2 if options.quick else contest.seeds):
            if (name, seed) not in done:
                done[name, seed] = {"contest": name, "seed": seed} | one(contest, seed)
                if options.rows:
                    with options.rows.open("a") as file:
                        file.write(json.dumps(done[name, seed]) + "\n")
            errors.append((done[name, seed]["drq"], done[name, seed]["fqe"]))
        drq, fqe = np.array(errors).T
        ratios = drq / fqe
        low, high = median_interval(ratios)
        figures |= {f"ratio_{name}": float(np.median(ratios)), f"low_{name}": low, f"high_{name}": high}
        figures |= {f"drq_{name}": float(np.median(drq)), f"fqe_{name}": float(np.median(fqe)), f"lost_{name}": float((ratios > 1).sum())}
        aim = "–" if contest.below is None else f"< {contest.below:g}" + ("" if np.median(ratios) < contest.below else ", missed")
        rows.append(
            [
                name,
                f"{np.median(drq):.4f}",
                f"{np.median(fqe):.4f}",
                f"{np.median(ratios):.3f} [{low:.3f}, {high:.3f}]",
                f"{int((ratios > 1).sum())} of {len(ratios)}",
                aim,
            ]
        )
        if (ratios > 1).any():
            lost = ", ".join(f"{seed}: {ratio:.2f}" for seed, ratio in enumerate(ratios) if ratio > 1)
            print(f"{name}: DRQ lost on seeds {lost}")
    show("relative squared error", ["", "DRQ, median", "FQE, median", "ratio, median [95 %]", "lost", "aim"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
