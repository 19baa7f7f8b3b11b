"""Reference players of the screen tasks land on the marks that specs derive, and who remembers everything reaches the ceiling."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import unseen
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import played

EPISODES = 300
# Level -> mark of the memoryless player, from the specification's §3.1 to §3.4 (simulated there with 20,000 episodes, or exact).
MEMORYLESS = {
    "arbitrary-visuomotor-mapping": {"train": 14.7, "holdout_interpolate": 12.1, "holdout_extrapolate": 21.1},
    "continuous-recognition": {"train": 25.5, "holdout_interpolate": 20.5, "holdout_extrapolate": 38.0},
    "change-detection": {"train": 5.0, "holdout_interpolate": 5.0, "holdout_extrapolate": 5.0},
    "what-then-where": {"train": 2.5, "holdout_interpolate": 2.5, "holdout_extrapolate": 2.5},
}
CEILING = {
    "arbitrary-visuomotor-mapping": {"train": 50, "holdout_interpolate": 40, "holdout_extrapolate": 75},
    "continuous-recognition": {"train": 50, "holdout_interpolate": 40, "holdout_extrapolate": 75},
    "change-detection": {"train": 10, "holdout_interpolate": 10, "holdout_extrapolate": 10},
    "what-then-where": {"train": 10, "holdout_interpolate": 10, "holdout_extrapolate": 10},
}


@pytest.mark.slow
@pytest.mark.parametrize("task", MEMORYLESS)
def test_the_compact_players_land_on_the_marks(task: str):
    environment = unseen.make(f"memory/{task}")
    cast = players(environment)
    for level, mark in MEMORYLESS[task].items():
        memoryless = played(environment, level, cast["memoryless"], EPISODES, jax.random.key(0)).score
        assert abs(memoryless.mean - mark) < 3 * memoryless.standard_error + 0.05  # the marks are rounded to 0.1
        remembers = played(environment, level, cast["perfect_memory"], 60, jax.random.key(1)).returns
        np.testing.assert_array_equal(remembers, CEILING[task][level])
        knows = played(environment, level, cast["oracle"], 60, jax.random.key(2)).returns
        np.testing.assert_array_equal(knows, CEILING[task][level])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["arbitrary-visuomotor-mapping", "change-detection"])
def test_in_first_person_the_ceiling_is_reached_within_the_time_limit(task: str):
    environment = unseen.make(f"memory-fp/{task}")
    remembers = played(environment, "holdout_extrapolate", players(environment)["perfect_memory"], 20, jax.random.key(1)).returns
    np.testing.assert_array_equal(remembers, environment.task.scales["extrapolate"].trials)
