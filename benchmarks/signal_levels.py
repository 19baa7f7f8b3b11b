"""How often criterion A rejects at 5 % where nothing is there: 1,000 data sets a variant, with forests.

    python benchmarks/signal_levels.py docs/results/signal_levels.json    # stop it and start it as you like
    python benchmarks/signal_levels.py docs/results/signal_levels.json --sets 50 --regressor linear    # a quick look

60 episodes x 10 steps, 199 draws, histories that are given exactly (three autoregressive numbers), a return that depends on history and
action and on noise that lasts for the episode. Signals: a noisy follower of the history, a coin at every step. Lengths are equal, or
depend on the history. The file holds the p-values, so that no set is computed twice; plain and standardised share their forests, and
sets are spread over the cores. The page is written beside the file of p-values.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import binom

from figures import conditions, machine, markdown, show
from unseen.signals import conditional
from unseen.signals.dataset import Dataset
from unseen.signals.folds import REGRESSORS, moments
from unseen.signals.residual import Residual, Residuals, independence

EPISODES, STEPS = 60, 10
VARIANTS = ("kci", "standardised", "plain")
LENGTHS = {"equal lengths": False, "lengths by history": True}
SIGNALS = ("follower", "coin")
SAVE_EVERY = 20
PAGE = f"""\
{EPISODES} episodes of {STEPS} steps, 199 draws; what is counted are p-values of at most 5 %. The return depends on the history, the
action and noise that lasts for the episode. *follower*: a noisy follower of the history, whose noise lasts too; *coin*: a coin at
every step. Neither says anything that history and action do not say. *Lengths by history*: an episode ends when the history's
first number has exceeded 1.

`python benchmarks/signal_levels.py docs/results/signal_levels.json`, which holds the p-values.
"""


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


def p_values(k: int, by_history: bool, regressor: str) -> dict[str, dict[str, float]]:
    """Variant -> signal -> p on set k."""
    data, z = data_set(k, by_history)
    asked = [(signal,) for signal in SIGNALS]
    kci = Residuals(data, z, Residual(draws=199, seed=k))
    found = {"kci": [result.p for result in kci.test(asked)]}
    model = REGRESSORS[regressor](k)
    if "n_jobs" in model.get_params():
        model.set_params(n_jobs=1)
    columns = [data.rows(data.returns), np.concatenate([data.rows(data.signals[signal]) for signal in SIGNALS], axis=1)]
    of = [(conditional.standard(y), moments(model, kci.x, conditional.standard(y), kci.fold)) for y in columns]
    for variant in VARIANTS[1:]:
        scaled = variant == "standardised"
        e, others = ((y - m.mean) / (np.sqrt(m.variance) if scaled else 1.0) for y, m in of)
        settings = Residual(variant=variant, draws=199, seed=k)
        each = [others[:, [i]] for i in range(len(SIGNALS))]
        found[variant] = [result.p for result in independence(e, each, data, settings, kci.x, kci.fold)]
    return {variant: dict(zip(SIGNALS, p, strict=True)) for variant, p in found.items()}


def named(variant: str, lengths: str, regressor: str) -> str:
    """What a row of the table is called; kci regresses on kernel features, not with forests."""
    return f"{variant}{'' if variant == 'kci' else f', {regressor}'}, {lengths}"


def computed(sets: range, by_history: bool, regressor: str) -> Iterator[dict[str, dict[str, float]]]:
    """The sets in order, on all cores; each process has one thread, or they would wait for each other."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    with multiprocessing.get_context("spawn").Pool() as pool:
        yield from pool.imap(partial(p_values, by_history=by_history, regressor=regressor), sets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--sets", type=int, default=1_000)
    parser.add_argument("--regressor", choices=("forest", "extra-trees", "linear"), default="forest")
    options = parser.parse_args()
    print(conditions(["numpy", "scikit-learn"]))
    kept: dict[str, dict[str, list[float]]] = json.loads(options.path.read_text()) if options.path.exists() else {}
    rows = []
    for lengths, by_history in LENGTHS.items():
        names = {variant: named(variant, lengths, options.regressor) for variant in VARIANTS}
        for name in names.values():
            kept.setdefault(name, {signal: [] for signal in SIGNALS})
        begin = min(len(kept[name][SIGNALS[0]]) for name in names.values())
        for k, found in enumerate(computed(range(begin, options.sets), by_history, options.regressor), begin):
            for variant, name in names.items():
                for signal in SIGNALS:
                    if len(kept[name][signal]) == k:
                        kept[name][signal].append(found[variant][signal])
            if (k + 1) % SAVE_EVERY == 0 or k + 1 == options.sets:
                options.path.write_text(json.dumps(kept))
        for name in names.values():
            sets = min(options.sets, len(kept[name][SIGNALS[0]]))
            low, high = binom.interval(0.99, sets, 0.05)
            rejected = [sum(p <= 0.05 for p in kept[name][signal][:sets]) for signal in SIGNALS]
            rows.append([name, *map(str, rejected), str(sets), f"{low:.0f} to {high:.0f}"])
    columns = ["variant", *SIGNALS, "sets", "99 % band"]
    show("Rejections at 5 % where nothing is there", columns, rows)
    lines = ["# The level of criterion A", "", *(__doc__ or "").splitlines()[0:1], "", *PAGE.splitlines(), "", *markdown(columns, rows), ""]
    options.path.with_suffix(".md").write_text("\n".join([*lines, "; ".join(machine(["numpy", "scikit-learn"])), ""]))


if __name__ == "__main__":
    main()
