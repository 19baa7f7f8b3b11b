"""Which of the synthetic signals tells more, by both criteria, over generator seeds: {1,2}, {1,2,3} and {1,2,4,5}.

    python benchmarks/synthetic_order.py docs/results/synthetic_order.json    # stop it and start it as you like

Criterion A (kci) on 250 episodes of an agent that sees features 1 and 2 under noise of deviation 0.5, and criterion B on 500 episodes
without noise, where every signal is a function of what is seen and can only make it easier to learn. The page is written beside the file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from figures import machine, markdown
from unseen.environments import make
from unseen.reports.statistics import Interval
from unseen.signals import Prediction, Residual, rank

SETS = ("12", "123", "1245")
SEEDS = 20
# criterion -> (what it is called, settings, episodes, noise on what is seen)
CRITERIA: dict[str, tuple[str, Any, int, float]] = {
    "residual": ("A, conditional (KCI), noise 0.5", Residual(draws=199), 250, 0.5),
    "prediction": ("B, prediction gain, no noise", Prediction(), 500, 0.0),
}


def effects(criterion: Any, seed: int) -> list[float]:
    """The normalised effect of each set on one synthetic POMDP."""
    _, settings, episodes, noise = CRITERIA[criterion]
    environment = make("synthetic", seed=seed, observation_noise=noise)
    found = rank(environment, method=criterion, settings=settings, sets=[(s,) for s in SETS], most=0, episodes=episodes, seed=seed)
    return [found.row(s).normalised for s in SETS]


def median(values: np.ndarray) -> Interval:
    """With the 95 % bootstrap interval over generator seeds."""
    draws = np.median(np.random.default_rng(0).choice(values, (5_000, len(values))), axis=1)
    return Interval(float(np.median(values)), *(float(x) for x in np.percentile(draws, [2.5, 97.5])))


def page(kept: dict[str, list[list[float]]]) -> list[str]:
    rows = []
    for criterion, (name, _, episodes, _) in CRITERIA.items():
        found = np.array(kept[criterion]) if kept.get(criterion) else None
        if found is None:
            continue
        share = float(np.mean((found[:, 2] > found[:, 1]) & (found[:, 1] > found[:, 0])))
        rows.append([name, *(median(found[:, k]) for k in range(3)), f"{share:.0%}", len(found), episodes])
    return [
        "# The order of the synthetic signals",
        "",
        "Medians of normalised effects over generator seeds, with 95 % bootstrap intervals, and how often all three came in the published "
        "order, {1,2,4,5} above {1,2,3} above {1,2}. `python benchmarks/synthetic_order.py docs/results/synthetic_order.json`.",
        "",
        *markdown(["criterion", "{1,2}", "{1,2,3}", "{1,2,4,5}", "in order", "seeds", "episodes"], rows),
        "",
        "; ".join(machine(["jax", "scikit-learn"])),
        "",
    ]


def main() -> None:
    path = Path(sys.argv[1])
    kept: dict[str, list[list[float]]] = json.loads(path.read_text()) if path.exists() else {}
    for seed in range(SEEDS):
        for criterion in CRITERIA:
            if len(kept.setdefault(criterion, [])) == seed:
                kept[criterion].append(effects(criterion, seed))
                path.write_text(json.dumps(kept) + "\n")
                print(criterion, seed, np.round(kept[criterion][-1], 4), flush=True)
    path.with_suffix(".md").write_text("\n".join(page(kept)))


if __name__ == "__main__":
    main()
