"""The published order of the synthetic signals: {1,2,4,5} tells more than {1,2,3}, which tells more than {1,2}.

Criterion B's differences are smaller than its spread at what a test can afford: `benchmarks/synthetic_order.py` measures them.
"""

from __future__ import annotations

import numpy as np
import pytest

from unseen.environments import make
from unseen.signals import Residual, rank

SETS = (("12",), ("123",), ("1245",))
SEEDS = 5


@pytest.mark.slow
def test_the_order_on_the_median_over_generator_seeds():
    effects = []
    for seed in range(SEEDS):
        environment = make("synthetic", seed=seed, observation_noise=0.5)
        found = rank(environment, settings=Residual(draws=99, landmarks=64), sets=SETS, most=0, episodes=150, seed=seed)
        effects.append([found.row(*names).normalised for names in SETS])
    seen, third, rewarding = np.median(effects, axis=0)
    assert rewarding > third > seen, effects
