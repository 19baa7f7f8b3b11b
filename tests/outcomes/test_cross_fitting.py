"""What is used on a fold was fitted on the other trajectories, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from test_learners import POLICY, transitions

from unseen.errors import UserError
from unseen.outcomes import FQE, DRQLearner, Uniform
from unseen.outcomes.rows import folds_by_trajectory


def test_nuisances_are_those_of_the_complement_fitted_by_hand():
    data = transitions()
    fitted = DRQLearner(0.9, folds=3).fit(data, POLICY)
    for k, fold in enumerate(fitted.folds_):
        others = data.select(np.flatnonzero(fitted.fold_ != k))
        by_hand = FQE(0.9).fit(others, POLICY)
        # Standardisation is that of all states in the one and of the complement in the other; the fitted function is the same.
        np.testing.assert_allclose(fold.nuisances.q.values(data.states), by_hand.g_.values(data.states), rtol=1e-7, atol=1e-7)
        features = fitted.problem_.features(others.states)[:, 1:]
        classifier = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=200).fit(features, others.actions)
        inside = fitted.fold_[data.trajectory] == k
        mine = classifier.predict_proba(fitted.problem_.features(data.states[inside])[:, 1:])
        np.testing.assert_allclose(fold.behaviour, mine, atol=1e-6)


def test_a_folds_own_rewards_do_not_reach_its_nuisances():
    data = transitions()
    before = DRQLearner(0.9, folds=3).fit(data, POLICY)
    inside = before.fold_[data.trajectory] == 1
    data.rewards[inside] += 100.0
    after = DRQLearner(0.9, folds=3).fit(data, POLICY)
    np.testing.assert_allclose(after.folds_[1].q, before.folds_[1].q, atol=1e-9)
    assert np.abs(after.folds_[0].q - before.folds_[0].q).max() > 1.0


def test_folds_are_even_and_whole():
    trajectory = np.repeat(np.arange(10), 3)[:-6]  # two trajectories without rows
    fold = folds_by_trajectory(trajectory, 10, 4, seed=0)
    assert np.bincount(fold[:8]).tolist() == [2, 2, 2, 2]
    assert np.bincount(fold).max() <= 3
    with pytest.raises(UserError, match="8 trajectories with rows cannot be split into 9 folds"):
        folds_by_trajectory(trajectory, 10, 9, seed=0)


def test_one_trajectory_cannot_be_split():
    data = transitions()
    one = data.select([0])
    with pytest.raises(UserError, match="1 trajectory with rows cannot be split"):
        DRQLearner(0.9).fit(one, Uniform())


@pytest.mark.parametrize("state", ["stage", ["stage", "tumour"]])  # counted, and linear
def test_threads_change_no_number(state):
    data = transitions(state=state)
    one, two = (DRQLearner(0.9, n_jobs=jobs).fit(data, POLICY if "tumour" in state else Uniform()) for jobs in (1, 2))
    np.testing.assert_array_equal(one.g_.values(data.states), two.g_.values(data.states))
    np.testing.assert_array_equal(one.value().influence, two.value().influence)


def test_no_threads_at_all_are_refused():
    with pytest.raises(UserError, match="n_jobs = 0; a number of threads, -1 for one on each core, or 'auto'"):
        DRQLearner(0.9, n_jobs=0).fit(transitions(), POLICY)
