"""One step and no future: the doubly robust learner of EconML with the same nuisances and folds gives the same numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression, LogisticRegression

from unseen.outcomes import DRQLearner, Transitions, Uniform

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ARMS = 3


class ByArm(RegressorMixin, BaseEstimator):
    """A linear model for each arm, told by indicators in the last columns (none of them: the first arm), as EconML lays them out."""

    def fit(self, x, y):
        arm, x = self._split(x)
        self.models_ = [LinearRegression().fit(x[arm == a], y[arm == a]) for a in range(ARMS)]
        return self

    def predict(self, x):
        arm, x = self._split(x)
        return np.stack([model.predict(x) for model in self.models_], axis=1)[np.arange(len(x)), arm]

    def _split(self, x):
        return (x[:, 1 - ARMS :] @ np.arange(1, ARMS)).astype(int), x[:, : 1 - ARMS]


def decisions(n=3_000, seed=0):
    """One decision a patient, confounded by the first number; the effect of an arm depends on the second, the outcome is not linear."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    a = (x[:, [0]] * [0.0, 0.6, -0.4] + rng.gumbel(size=(n, ARMS))).argmax(axis=1)
    y = np.abs(x[:, 0]) + a * (0.5 + x[:, 1]) + 0.3 * rng.normal(size=n)
    table = {"id": np.arange(n), "t": np.zeros(n, int), "x": x[:, 0], "y": x[:, 1], "a": a, "r": y, "end": np.ones(n, bool)}
    return Transitions.from_table(pl.DataFrame(table), id="id", time="t", state=["x", "y"], action="a", reward="r", terminated="end")


@pytest.mark.parametrize("folds", [2, 5])
def test_one_step_effects_are_those_of_econml(folds):
    dr = pytest.importorskip("econml.dr")
    data = decisions()
    ours = DRQLearner(0.0, folds=folds).fit(data, Uniform())
    of_row = ours.fold_[data.trajectory]
    theirs = dr.LinearDRLearner(
        model_propensity=LogisticRegression(tol=1e-8, max_iter=1_000),
        model_regression=ByArm(),
        min_propensity=ours.floor,
        cv=[(np.flatnonzero(of_row != k), np.flatnonzero(of_row == k)) for k in range(folds)],
    )
    states = ours.problem_.features(data.states)[:, 1:]
    theirs.fit(data.rewards, data.actions, X=states)
    theta = ours.coefficients()
    for arm in range(1, ARMS):
        difference = np.kron(np.eye(ARMS)[arm] - np.eye(ARMS)[0], np.eye(3))
        effect = theta.combined(difference, ["constant", "x", "y"])
        np.testing.assert_allclose(effect.value, [theirs.intercept_(arm), *theirs.coef_(arm)], atol=1e-5)
        errors = [theirs.intercept__inference(arm).stderr, *theirs.coef__inference(arm).stderr]
        np.testing.assert_allclose(effect.standard_error, errors, rtol=2e-3)  # they divide by n - 3, and we by n
        mean = theirs.ate(states, T0=0, T1=arm)
        assert ours.contrast(None, arm, 0).estimate == pytest.approx(float(mean), abs=1e-5)


def test_other_propensities_give_other_numbers():
    """The control: with constant propensities theirs moves, so that the agreement above is not vacuous."""
    dr = pytest.importorskip("econml.dr")
    from sklearn.dummy import DummyClassifier

    data = decisions()
    ours = DRQLearner(0.0, folds=2).fit(data, Uniform())
    theirs = dr.LinearDRLearner(model_propensity=DummyClassifier(), model_regression=ByArm(), cv=2)
    theirs.fit(data.rewards, data.actions, X=data.states)
    assert abs(ours.contrast(None, 1, 0).estimate - float(theirs.ate(data.states, T0=0, T1=1))) > 1e-3
