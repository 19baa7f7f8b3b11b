"""DRQ with all nuisances, five folds and intervals, beside one fit of FQE with the same regressor, and beside EconML in one step.

    python benchmarks/outcomes.py --json docs/results/speed/outcomes.json

200,000 transitions of 8 numbers and 4 actions, trajectories of 5 to 39 steps, discount 0.9. `overhead_*` is the time of
`DRQLearner.fit`, the interval of the value and those of a linear projection (trees: of a contrast), over that of `FQE.fit`; the two take
turns, and the ratio is the median over the turns. `overhead_linear_diagnosed` counts the diagnostics and the verdict too.
`ratio_econml` is EconML's LinearDRLearner over ours at discount 0: the same folds, the same logistic propensities and one linear outcome
model for each arm, 200,000 rows; both must give the same effects. Matrix products run on one thread, for all contestants: the matrices
are small, and threads would wait for each other. DRQ fits its folds in threads, as it does by default; LightGBM takes both cores, and
20 sweeps. Memory is measured in processes of their own;
the pairwise path is a density ratio that is a function of pairs, with a tree on top, and `pairwise_growth` what four times the rows do
to the memory of the fit: by the square it would be 16.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from threadpoolctl import threadpool_limits

from figures import arguments, conditions, peak_memory_mib, show, write
from logged_rows import ACTIONS, FirstColumns, logged_rows
from unseen.experiments.logged import logged
from unseen.outcomes import FQE, DRQLearner
from unseen.outcomes.ratios import PairRatio

DISCOUNT, SIZE = 0.9, 200_000
SWEEPS = 20  # of fitted Q evaluation with trees
POLICY = FirstColumns()


class ByArm(RegressorMixin, BaseEstimator):
    """A linear model for each arm, told by indicators in the last columns (none of them: the first arm), as EconML lays them out."""

    def fit(self, x: Any, y: Any) -> ByArm:
        arm, x = self._split(x)
        self.models_ = [LinearRegression().fit(x[arm == a], y[arm == a]) for a in range(ACTIONS)]
        return self

    def predict(self, x: Any) -> Any:
        arm, x = self._split(x)
        answer = np.empty(len(x))
        for a in np.unique(arm):
            answer[arm == a] = self.models_[a].predict(x[arm == a])
        return answer

    def _split(self, x: Any) -> tuple[Any, Any]:
        arm = np.asarray(x)[:, 1 - ACTIONS :] @ np.arange(1, ACTIONS)
        return arm.astype(int), np.asarray(x)[:, : 1 - ACTIONS]


def seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def turns(count: int, **contestants: Callable[[], Any]) -> dict[str, np.ndarray]:
    """Seconds of each in each turn; what is not timed comes first, once."""
    for work in contestants.values():
        work()
    taken = [{name: seconds(work) for name, work in contestants.items()} for _ in range(count)]
    return {name: np.array([turn[name] for turn in taken]) for name in contestants}


def overheads(n: int, count: int) -> dict[str, float]:
    """Linear and tabular."""
    data, cells = logged_rows(n), logged_rows(n, bins=6)

    def linear(diagnosed: bool = False) -> None:
        fitted = DRQLearner(DISCOUNT).fit(data, POLICY)
        fitted.value().interval()
        fitted.coefficients().interval()
        if diagnosed:
            str(fitted.diagnostics.verdict)

    def tabular() -> None:
        fitted = DRQLearner(DISCOUNT).fit(cells, POLICY)
        fitted.value().interval()
        fitted.contrast(None, 1, 0).interval()

    taken = turns(count, fqe=lambda: FQE(DISCOUNT).fit(data, POLICY), linear=linear, diagnosed=lambda: linear(True), tabular=tabular)
    return {
        "overhead_linear": float(np.median(taken["linear"] / taken["fqe"])),
        "overhead_linear_diagnosed": float(np.median(taken["diagnosed"] / taken["fqe"])),
        "seconds_fqe_linear": float(np.median(taken["fqe"])),
        "seconds_linear": float(np.median(taken["linear"])),
        "seconds_tabular": float(np.median(taken["tabular"])),
    }


def trees(n: int) -> dict[str, float]:
    """One turn: minutes each. The same number of sweeps for all, so that none profits from stopping early."""
    data, found = logged_rows(n), {}
    found["fqe"] = seconds(lambda: FQE(DISCOUNT, model="lightgbm", sweeps=SWEEPS).fit(data, POLICY))

    def doubly_robust() -> None:
        fitted = DRQLearner(DISCOUNT, final="lightgbm", sweeps=SWEEPS).fit(data, POLICY)
        fitted.value().interval()
        fitted.contrast(None, 1, 0).interval()

    found["drq"] = seconds(doubly_robust)
    return {
        "overhead_lightgbm": found["drq"] / found["fqe"],
        "seconds_fqe_lightgbm": found["fqe"],
    }


def econml(n: int, count: int) -> dict[str, float]:
    """Effects of arms 1 to 3 over arm 0 where all numbers are average: linear in the standardised state, one coefficient each."""
    try:
        from econml import dr
    except ModuleNotFoundError:
        print("econml is not installed (pip install 'unseen[econml]'): not compared")
        return {}
    from sklearn.linear_model import LogisticRegression

    make: Any = dr.LinearDRLearner  # its types are not those it takes
    data, found = logged_rows(n), {}
    states = (data.states - data.states.mean(axis=0)) / data.states.std(axis=0)
    average = np.kron(np.eye(ACTIONS)[1:] - np.eye(ACTIONS)[0], np.eye(1 + states.shape[1])[0])

    def ours() -> None:
        fitted = DRQLearner(0.0).fit(data, POLICY)
        effects = fitted.coefficients().combined(average, [f"arm {a} over 0" for a in range(1, ACTIONS)])
        found["fold"] = fitted.fold_[data.trajectory]
        found["ours"] = np.stack([effects.value, effects.standard_error], axis=1)

    def theirs() -> None:
        splits = [(np.flatnonzero(found["fold"] != k), np.flatnonzero(found["fold"] == k)) for k in range(5)]
        propensity = LogisticRegression(solver="newton-cholesky")
        learner = make(model_propensity=propensity, model_regression=ByArm(), min_propensity=0.01, cv=splits, random_state=0)
        learner.fit(data.rewards, data.actions, X=states)
        effects = [learner.intercept__inference(a) for a in range(1, ACTIONS)]
        found["theirs"] = np.array([(float(e.point_estimate), float(e.stderr)) for e in effects])

    taken = turns(count, ours=ours, theirs=theirs)
    rows = [
        (f"arm {a + 1} over 0", *(f"{x[a, 0]:.6f} ± {x[a, 1]:.6f}" for x in (found["ours"], found["theirs"]))) for a in range(ACTIONS - 1)
    ]
    show("effects of one step on the average state, with standard errors", ["", "ours", "EconML"], rows)
    apart = float(np.max(np.abs(found["ours"] - found["theirs"])[:, 0] / found["ours"][:, 1]))
    if apart > 1:
        raise SystemExit(f"ours and EconML's effects are {apart:.2g} standard errors apart")
    return {
        "ratio_econml": float(np.median(taken["theirs"] / taken["ours"])),
        "seconds_econml": float(np.median(taken["theirs"])),
        "econml_difference_in_errors": apart,
    }


def d3rlpy(python: str) -> dict[str, float]:
    """d3rlpy's FQE beside ours and DRQ on Taxi with a fixed destination, for information: errors over what is visited, and seconds.

    The policy judged is the best action everywhere: d3rlpy evaluates policies that choose one.
    """
    log = logged("taxi-125", 200, seed=0, epsilon_e=0.0)
    data = log.transitions()
    levels = [len(c.levels) for c in data.state_columns]
    hot = np.concatenate([np.eye(n)[data.states[:, i].astype(int)] for i, n in enumerate(levels)], axis=1).astype(np.float32)
    stride = np.append(np.cumprod(levels[:0:-1])[::-1], 1)
    code = np.concatenate([s * np.arange(n) for s, n in zip(stride, levels)]).astype(np.float32)
    _, place = np.unique(data.state_index, return_index=True)
    states = data.decode_states(data.states[place])
    truth = np.stack([log.truth_q(states, action)[0] for action in data.action_labels], axis=1)
    everywhere = np.unravel_index(np.arange(data.n_states), levels)
    p = log.policy.probabilities(data.decode_states(np.stack(everywhere, axis=1).astype(float)))
    p = np.stack([p[label] for label in data.action_labels], axis=1) if isinstance(p, dict) else np.asarray(p)
    last = np.append(data.trajectory[1:] != data.trajectory[:-1], True)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(
            f"{folder}/rows.npz",
            observations=hot,
            actions=data.actions[:, None],
            rewards=data.rewards[:, None].astype(np.float32),
            terminals=data.terminated.astype(np.float32),
            timeouts=(last & ~data.terminated).astype(np.float32),
            code=code,
            best=p.argmax(axis=1),
            asked=hot[place],
            truth=truth,
            discount=log.discount,
        )
        ran = subprocess.run(
            [python, str(Path(__file__).with_name("d3rlpy_fqe.py")), f"{folder}/rows.npz"], check=True, capture_output=True, text=True
        )
    found = json.loads(ran.stdout.splitlines()[-1])
    for name, learner in (("fqe", FQE(log.discount, model="tabular")), ("drq", DRQLearner(log.discount))):
        found[f"seconds_taxi_{name}"] = seconds(lambda learner=learner: learner.fit(data, log.policy))
        found[f"error_taxi_{name}"] = float(((learner.predict(states) - truth) ** 2).sum() / (truth**2).sum())
    return found


def near(queries: Any, states: Any) -> Any:
    """(q, A, m) a function of pairs, of the size that a density ratio has."""
    from scipy.spatial.distance import cdist

    return np.repeat(np.exp(-cdist(queries, states) / 4)[:, None], ACTIONS, axis=1)


def alone(part: str, n: int) -> dict[str, float]:
    """Of a process that does nothing else."""
    data = logged_rows(n)
    before = peak_memory_mib()
    if part == "linear":

        def work() -> None:
            fitted = DRQLearner(DISCOUNT).fit(data, POLICY)
            fitted.value().interval()
            fitted.coefficients().interval()
    else:
        from sklearn.tree import DecisionTreeRegressor

        def work() -> None:
            ratio = PairRatio(near, mass=None, cap=np.inf, capped=0.0)
            DRQLearner(DISCOUNT, final=DecisionTreeRegressor(max_depth=4), initial_q="linear", ratio=ratio).fit(data, POLICY)

    taken = seconds(work)
    return {"seconds": taken, "peak": peak_memory_mib(), "before": before}


def in_a_process(part: str, n: int) -> dict[str, float]:
    answer = subprocess.run([sys.executable, __file__, "--alone", part, str(n)], check=True, capture_output=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    threadpool_limits(1, user_api="blas")
    parser = arguments(__doc__)
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=5, help="of DRQ and FQE")
    parser.add_argument("--d3rlpy", metavar="PYTHON", help="of an environment with d3rlpy 2.8: its FQE is run too, for a minute")
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(alone(options.alone[0], int(options.alone[1]))))
        return
    print(conditions(["numpy", "scipy", "scikit-learn", "lightgbm"]))
    n, count = (1_000, 1) if options.quick else (SIZE, options.turns)
    million = in_a_process("linear", 5 * n)  # first of all: a process begins with the peak of the one that starts it
    small, large = in_a_process("pairs", n // 4), in_a_process("pairs", n)
    figures = overheads(n, count) | econml(n, min(count, 3)) | trees(n) | (d3rlpy(options.d3rlpy) if options.d3rlpy else {})
    figures |= {
        "seconds_million": million["seconds"],
        "peak_memory_mib": million["peak"],
        "pairwise_peak_mib_50k": small["peak"],
        "pairwise_peak_mib_200k": large["peak"],
        "pairwise_growth": (large["peak"] - large["before"]) / max(small["peak"] - small["before"], 1e-9),
        "square_mib_200k": 8.0 * n**2 / 2**20,
    }
    rows = [
        ("linear, 10^6 rows", f"{million['seconds']:.1f}", f"{million['before']:,.0f}", f"{million['peak']:,.0f}"),
        (f"pairwise, {n // 4:,} rows", f"{small['seconds']:.1f}", f"{small['before']:,.0f}", f"{small['peak']:,.0f}"),
        (f"pairwise, {n:,} rows", f"{large['seconds']:.1f}", f"{large['before']:,.0f}", f"{large['peak']:,.0f}"),
    ]
    show("processes of their own", ["", "seconds", "MiB before the fit", "MiB at most"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
