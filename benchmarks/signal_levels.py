"""How often criterion A rejects at 5 % where nothing is there: 1,000 data sets a variant, with forests.

    python benchmarks/signal_levels.py docs/results/signal_levels.json    # stop it and start it as you like
    python benchmarks/signal_levels.py docs/results/signal_levels.json --sets 50 --regressor linear    # a quick look

60 episodes x 10 steps, 199 draws, histories that are given exactly (three autoregressive numbers), a return that depends on history and
action and on noise that lasts for the episode. Signals: a noisy follower of the history, a coin at every step. Lengths are equal, or
depend on the history. The file holds the p-values, so that no set is computed twice.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import binom

from figures import conditions, show
from unseen.signals.dataset import Dataset
from unseen.signals.residual import Residual, Residuals

EPISODES, STEPS = 60, 10
VARIANTS = ("kci", "standardised", "plain")
SIGNALS = ("follower", "coin")
SAVE_EVERY = 20


def walk(rng: np.random.Generator, columns: int) -> np.ndarray:
    """Stationary autoregressive series, (steps, episodes, columns)."""
    x = rng.standard_normal((STEPS, EPISODES, columns))
    for t in range(1, STEPS):
        x[t] = 0.9 * x[t - 1] + np.sqrt(1 - 0.81) * x[t]
    return x


def data_set(k: int, by_history: bool) -> tuple[Dataset, np.ndarray]:
    """Set k, and the codes of its histories."""
    rng = np.random.default_rng([2026, k])
    z = walk(rng, 3)
    action = rng.integers(0, 2, (STEPS, EPISODES, 1)).astype(float)
    returns = z @ np.array([1.0, 0.5, -0.5]) + 0.5 * action[..., 0] + walk(rng, 1)[..., 0]
    signals = {
        "follower": z @ np.array([[0.5], [0.5], [1.0]]) + walk(rng, 1),
        "coin": rng.choice([-1.0, 1.0], (STEPS, EPISODES, 1)),
    }
    high = z[..., 0] > 1.0
    valid = np.cumsum(high, axis=0) - high == 0 if by_history else np.ones((STEPS, EPISODES), bool)
    nothing = np.zeros((STEPS + 1, EPISODES, 1))
    data = Dataset(nothing, action, np.zeros((STEPS, EPISODES)), np.where(valid, returns, 0.0), valid, signals, {}, 1.0)
    return data, z


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--sets", type=int, default=1_000)
    parser.add_argument("--regressor", choices=("forest", "extra-trees", "linear"), default="forest")
    options = parser.parse_args()
    print(conditions(["numpy", "scikit-learn"]))
    found: dict[str, dict[str, list[float]]] = json.loads(options.path.read_text()) if options.path.exists() else {}
    rows = []
    for variant in VARIANTS:
        for by_history in (False, True):
            regressor = "" if variant == "kci" else f", {options.regressor}"
            name = f"{variant}{regressor}, {'lengths by history' if by_history else 'equal lengths'}"
            values = found.setdefault(name, {signal: [] for signal in SIGNALS})
            for k in range(len(values[SIGNALS[0]]), options.sets):
                data, z = data_set(k, by_history)
                settings = Residual(variant=variant, regressor=options.regressor, draws=199, seed=k)
                for signal, result in zip(SIGNALS, Residuals(data, z, settings).test([(s,) for s in SIGNALS]), strict=True):
                    values[signal].append(result.p)
                if (k + 1) % SAVE_EVERY == 0 or k + 1 == options.sets:
                    options.path.write_text(json.dumps(found))
            sets = len(values[SIGNALS[0]])
            low, high = binom.interval(0.99, sets, 0.05)
            rejected = [sum(p <= 0.05 for p in values[signal]) for signal in SIGNALS]
            rows.append([name, *map(str, rejected), str(sets), f"{low:.0f} to {high:.0f}"])
    show("Rejections at 5 % where nothing is there", ["variant", *SIGNALS, "sets", "99 % band"], rows)


if __name__ == "__main__":
    main()
