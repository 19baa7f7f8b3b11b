"""Leaves of the second stage: large where single rows dominate, small where there is something to see."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_learners import POLICY, patients, transitions

from unseen.data.schema import Schema, StateColumn
from unseen.outcomes import DRQLearner
from unseen.outcomes.features import StateFeatures
from unseen.outcomes.leaves import SMALLEST, fit_trees, largest_of, sizes
from unseen.outcomes.rows import query_rows


def regression(noise, seed=0, trajectories=200, length=10):
    """Q(s, a) = sin(3 s) + a, and pseudo-outcomes with noise."""
    rng = np.random.default_rng(seed)
    n = trajectories * length
    states = rng.uniform(-1, 1, (n, 1))
    truth = np.sin(3 * states) + np.arange(2)
    rows = query_rows(states, np.full((n, 2), 0.5))
    rows = type(rows)(**{**vars(rows), "trajectory": np.repeat(np.arange(trajectories), length)})
    features = StateFeatures(Schema((StateColumn("x", "numeric"),)), states)
    return rows, truth, truth + noise(rng, (n, 2)), features


def rare(rng, size):
    """One row of 500 is off by 200."""
    return 200.0 * rng.choice([-1.0, 1.0], size) * (rng.random(size) < 0.002)


@pytest.mark.parametrize("kind", ["boosting", "lightgbm"])
def test_rare_large_errors_need_large_leaves(kind):
    rows, truth, targets, features = regression(rare)
    g, leaf = fit_trees(kind, rows, targets, np.ones_like(targets), features, "separate", 200, 0)
    assert leaf >= 16 * SMALLEST[kind][1]
    assert ((g.values(rows.states) - truth) ** 2).mean() < ((targets - truth) ** 2).mean() / 20


@pytest.mark.parametrize("kind", ["forest", "boosting", "lightgbm"])
def test_small_errors_leave_small_leaves(kind):
    rows, truth, targets, features = regression(lambda rng, size: 0.02 * rng.standard_normal(size))
    g, leaf = fit_trees(kind, rows, targets, np.ones_like(targets), features, "separate", 200, 0)
    assert leaf <= 4 * SMALLEST[kind][1]
    assert ((g.values(rows.states) - truth) ** 2).mean() < 0.005


@given(st.integers(1, 10**6), st.sampled_from(sorted(SMALLEST)))
def test_sizes_fit_into_the_rows(n, kind):
    found = sizes(kind, n)
    assert found[0] == SMALLEST[kind][1]
    assert all(b == 4 * a for a, b in pairwise(found))
    assert len(found) == 1 or found[-1] * 4 <= n


def test_the_largest_within_one_standard_error():
    losses = np.ones((3, 100))
    losses[0, :50], losses[0, 50:] = 0.9, 1.1  # the smallest by a hair
    losses[0, 0] -= 0.01
    losses[2, :] += 0.5  # always worse
    assert largest_of([1, 4, 16], losses) == 4
    assert largest_of([1, 4], np.zeros((2, 10))) == 4


def test_the_learner_says_which():
    fitted = DRQLearner(0.9, final="boosting", initial_q="linear", folds=2).fit(transitions(patients(trajectories=150)), POLICY)
    assert fitted.leaf_ in sizes("boosting", len(fitted.problem_.rows))
    assert len(sizes("boosting", len(fitted.problem_.rows))) > 1
    fitted.set_params(final="linear").fit(transitions(), POLICY)
    assert not hasattr(fitted, "leaf_")
