"""Criterion A with standardised residuals, as published in size: 250 episodes of 25 steps, 8 sets of signals, 1,000 permutations.

    python benchmarks/signals.py --json docs/results/speed/signals.json

`seconds_criterion_a` is everything after the episodes are recorded and the code of the history is trained, which are timed apart:
forests of 100 trees for the return and the signals, conditional scales, features, permutations. The ratio is that of the permutation
null alone: the same statistic written plainly with NumPy (one permutation and one set at a time, double precision, all 512 feature
directions) over ours, a draw each, in the same process; both must agree on the observed statistic.
"""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np

import unseen
from figures import arguments, conditions, peak_memory_mib, show, write
from unseen.experiments.platform import prepare
from unseen.signals import hsic
from unseen.signals.dataset import dataset
from unseen.signals.histories import codes, trained_reader
from unseen.signals.play import record
from unseen.signals.residual import Residual, Residuals

SIGNALS = ("feature_3", "feature_4", "feature_5")
SETS = [s for size in (1, 2, 3) for s in combinations(SIGNALS, size)] + [("state",)]
READER = 100


def plain_null(phi: np.ndarray, psis: list[np.ndarray], episodes: int, draws: int, seed: int = 0) -> np.ndarray:
    """HSIC of every set under every permutation of episodes, one at a time."""
    rng = np.random.default_rng(seed)
    rows = []
    for draw in range(draws + 1):
        order = rng.permutation(episodes) if draw else np.arange(episodes)
        permuted = phi.reshape(episodes, -1, phi.shape[1])[order].reshape(phi.shape)
        rows.append([np.sum((permuted.T @ psi / len(phi)) ** 2) for psi in psis])
    return np.asarray(rows)


def main() -> None:
    options = arguments(__doc__).parse_args()
    episodes, draws, plain_draws = (40, 99, 5) if options.quick else (250, 1_000, 20)
    print(conditions(["numpy", "scipy", "scikit-learn", "jax"]))
    prepare()

    begun = time.monotonic()
    recording = record(unseen.make("synthetic", observation_noise=0.5), READER + episodes)
    data = dataset(recording, [*SIGNALS, "state"], 0.99)
    recorded = time.monotonic()
    reader = trained_reader(data.select(np.arange(READER)))
    test = data.select(np.arange(READER, READER + episodes))
    code = codes(reader, test)
    read = time.monotonic()

    residuals = Residuals(test, code, Residual(variant="standardised", draws=draws))
    results = residuals.test(SETS)
    tested = time.monotonic()

    phi = hsic.features(residuals.of_target).rows
    psis = [hsic.features(np.concatenate([residuals.residual(n) for n in s], axis=1)).rows for s in SETS]
    start = time.monotonic()
    ours = hsic.permutation_null(phi, psis, episodes, draws)
    ours_s = (time.monotonic() - start) / draws
    full = [hsic.features(residuals.of_target, dropped=0.0).rows]
    full += [hsic.features(np.concatenate([residuals.residual(n) for n in s], axis=1), dropped=0.0).rows for s in SETS]
    start = time.monotonic()
    plain = plain_null(full[0], full[1:], episodes, plain_draws)
    plain_s = (time.monotonic() - start) / plain_draws
    disagreement = float(np.max(np.abs(ours[0] / plain[0] - 1)))
    if disagreement > 1e-3:
        raise SystemExit(f"the two nulls disagree on the observed statistic by {disagreement:.2g}")

    figures = {
        "seconds_criterion_a": tested - read,
        "seconds_encoder": read - recorded,
        "seconds_recording": recorded - begun,
        "ratio_plain_numpy": plain_s / ours_s,
        "milliseconds_a_draw": 1e3 * ours_s,
        "plain_milliseconds_a_draw": 1e3 * plain_s,
        "disagreement": disagreement,
        "peak_memory_mib": peak_memory_mib(),
    }
    rows = [(" + ".join(s), f"{r.effect:.3g}", f"{r.normalised:.4f}", f"{r.p:.4f}") for s, r in zip(SETS, results, strict=True)]
    show(f"criterion A, {episodes} episodes x 25 steps, {draws} permutations", ["told", "effect", "normalised", "p"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
