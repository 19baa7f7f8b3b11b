"""Reference players of the screen tasks land on the marks that specs derive, and who remembers everything reaches the ceiling."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from marks import CEILINGS, MARKS

import unseen
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import played

EPISODES = 300
LEVELS = ("train", "holdout_interpolate", "holdout_extrapolate")


@pytest.mark.slow
@pytest.mark.parametrize("task", MARKS)
def test_the_compact_players_land_on_the_marks(task: str):
    environment = unseen.make(f"memory/{task}")
    cast = players(environment)
    for level in LEVELS:
        scale = level.removeprefix("holdout_")
        memoryless = played(environment, level, cast["memoryless"], EPISODES, jax.random.key(0)).score
        assert abs(memoryless.mean - MARKS[task][scale]) < 3 * memoryless.standard_error + 0.05  # the marks are rounded to 0.1
        remembers = played(environment, level, cast["perfect_memory"], 60, jax.random.key(1)).returns
        np.testing.assert_array_equal(remembers, CEILINGS[task][scale])
        knows = played(environment, level, cast["oracle"], 60, jax.random.key(2)).returns
        np.testing.assert_array_equal(knows, CEILINGS[task][scale])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["arbitrary-visuomotor-mapping", "change-detection"])
def test_in_first_person_the_ceiling_is_reached_within_the_time_limit(task: str):
    environment = unseen.make(f"memory-fp/{task}")
    remembers = played(environment, "holdout_extrapolate", players(environment)["perfect_memory"], 20, jax.random.key(1)).returns
    np.testing.assert_array_equal(remembers, environment.task.scales["extrapolate"].trials)
