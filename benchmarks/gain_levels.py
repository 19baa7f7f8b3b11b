"""How often criterion B says that a coin helps, and that a hidden state does, at its default settings.

    python benchmarks/gain_levels.py docs/results/gain_levels.json    # stop it and start it as you like

Episodes of 6 steps; every step is rewarded with a state s = +-1 that is never seen and moves with probability 0.1, under noise of
deviation 0.5. The signals are s and a coin at every step. The page is written beside the file of p-values.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from figures import conditions, machine, markdown
from unseen.reports.statistics import Interval
from unseen.signals.dataset import Dataset
from unseen.signals.prediction import Prediction, Predictions

STEPS = 6
SIGNALS = ("hidden", "coin")
SIZES = {200: "bootstrap", 1_000: "t-test"}  # episodes: which test they get by default
LEVEL = 0.05


def data_set(seed: int, episodes: int) -> Dataset:
    rng = np.random.default_rng([2026, seed])
    moves = np.where(rng.random((STEPS, episodes)) < 0.1, -1.0, 1.0)
    moves[0] = rng.choice([-1.0, 1.0], episodes)
    hidden = np.cumprod(moves, axis=0)
    reward = hidden + 0.5 * rng.standard_normal((STEPS, episodes))
    signals = {"hidden": hidden[..., None], "coin": rng.choice([-1.0, 1.0], (STEPS, episodes, 1))}
    nothing, actions = rng.standard_normal((STEPS + 1, episodes, 1)), rng.integers(0, 2, (STEPS, episodes, 1)).astype(float)
    returns = np.cumsum(reward[::-1], axis=0)[::-1].copy()
    return Dataset(nothing, actions, reward, returns, np.ones((STEPS, episodes), bool), signals, {}, 1.0)


def share(found: list[float]) -> Interval:
    """Of p-values at or below the level, with its exact 95 % interval."""
    test = binomtest(sum(p <= LEVEL for p in found), len(found))
    interval = test.proportion_ci(0.95)
    return Interval(float(test.statistic), float(interval.low), float(interval.high))


def page(kept: dict[str, dict[str, list[float]]]) -> list[str]:
    rows = [[f"{size}, {SIZES[int(size)]}", *(share(found[s]) for s in SIGNALS), len(found["coin"])] for size, found in kept.items()]
    return [
        "# The level of criterion B",
        "",
        "How often criterion B says at 5 % that a signal helps, with exact 95 % intervals. Every step is rewarded with a state of ±1 that "
        "is never seen, under noise; the signals are that state and a coin at every step. "
        "`python benchmarks/gain_levels.py docs/results/gain_levels.json`, which holds the p-values.",
        "",
        *markdown(["episodes, test", "the hidden state", "a coin", "data sets"], rows),
        "",
        "; ".join(machine(["jax", "numpy"])),
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--sets", type=int, default=100)
    options = parser.parse_args()
    print(conditions(["jax", "numpy"]))
    kept: dict[str, dict[str, list[float]]] = json.loads(options.path.read_text()) if options.path.exists() else {}
    for size in SIZES:
        of = kept.setdefault(str(size), {signal: [] for signal in SIGNALS})
        for seed in range(len(of["coin"]), options.sets):
            found = Predictions(data_set(seed, size), Prediction(seed=seed)).test([(s,) for s in SIGNALS])
            for signal, result in zip(SIGNALS, found, strict=True):
                of[signal].append(result.p)
            options.path.write_text(json.dumps(kept) + "\n")
            print(size, seed, [round(result.p, 4) for result in found], flush=True)
    options.path.with_suffix(".md").write_text("\n".join(page(kept)))


if __name__ == "__main__":
    main()
