"""What the pictures are drawn from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_learners import patients, transitions

from unseen.outcomes import Always, DRQLearner
from unseen.outcomes.profiles import calibrated, profiles, tail, weighted


@given(st.integers(1, 400), st.integers(0, 9))
def test_tails_are_survival_functions(n, seed):
    u = np.random.default_rng(seed).exponential(size=n)
    share, size = tail(u)
    assert (np.diff(size) >= 0).all()
    assert (np.diff(share) <= 0).all()
    for s, x in zip(share, size):
        assert abs((u > x * u.mean()).mean() - s) <= 1 / n + 1e-9


def test_weighted_quantiles_of_repeated_rows():
    x = np.array([0.1, 0.5, 0.9])
    repeated = np.repeat(x, [200, 600, 200])
    np.testing.assert_allclose(weighted(x, np.array([200.0, 600.0, 200.0]))[50], np.quantile(repeated, 0.5))
    assert weighted(x, np.array([0.0, 1.0, 0.0]))[50] == 0.5


def test_calibration_of_a_policy_that_is_right():
    rng = np.random.default_rng(0)
    given_ = rng.uniform(0.1, 0.9, 20_000)
    found = calibrated(given_, rng.random(20_000) < given_, "yes")
    assert len(found.given) == 10
    assert np.abs((found.taken - found.given) / found.error).max() < 4


def test_profiles_of_a_learner():
    fitted = DRQLearner(0.9).fit(transitions(patients(trajectories=100)), Always("some"))
    found = profiles(fitted)
    assert list(found.support) == ["much", "none", "some"]
    assert len(found.calibration) == 3
    np.testing.assert_allclose(found.shares.sum(), 1.0)
    np.testing.assert_allclose(found.shares[0], fitted.diagnostics.contribution, rtol=1e-12)
    logged = patients(trajectories=100)
    logged["p"] = [{"none": 0.5, "some": 0.3, "much": 0.2}[dose] for dose in logged["dose"]]
    known = profiles(DRQLearner(0.9).fit(transitions(logged, propensity="p"), Always("some")))
    assert known.calibration == ()  # what the other actions had was not logged
    assert known.support == {}
