"""scikit-learn's own checks of estimators, as far as they need no X and y, and its pipelines as parts of learners."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils import estimator_checks
from test_learners import POLICY, transitions

from unseen.errors import UserError
from unseen.outcomes import (
    FQE,
    MQL,
    DoubleReinforcementLearning,
    DRQLearner,
    ImportanceSampling,
    ModelBased,
    PointwiseDebias,
    QRegression,
)

LEARNERS = [DRQLearner, DoubleReinforcementLearning, FQE, QRegression, MQL, ModelBased, PointwiseDebias, ImportanceSampling]
CHECKS = (
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_mixin_order",
)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_scikit_learns_checks(learner, check):
    getattr(estimator_checks, check)(learner.__name__, learner())


def pipeline(model):
    return make_pipeline(StandardScaler(), PolynomialFeatures(2), model)


@pytest.mark.parametrize("weighted", [False, True])
def test_pipelines_as_parts(weighted):
    data = transitions()
    weight = np.where(data.actions == 0, 2.0, 1.0) if weighted else None
    learner = DRQLearner(
        0.9,
        final=pipeline(Ridge()),
        initial_q=pipeline(Ridge()),
        behaviour=pipeline(LogisticRegression(max_iter=1_000)),
        folds=2,
        sweeps=20,
    )
    fitted = clone(learner).fit(data, POLICY, sample_weight=weight)
    q = fitted.predict({"tumour": [1.0, 5.0], "stage": ["I", "I"]})
    assert (q[0] > q[1]).all()
    assert 0 < fitted.folds_[0].behaviour.min() < 1


def test_weights_reach_the_last_step_of_a_pipeline():
    """Rows of weight 3 are as three rows."""
    data = transitions()
    one, two = (
        FQE(0.0, model=model, sweeps=1).fit(data, POLICY, sample_weight=1.0 + 2 * (data.time % 2)).g_.values(data.states[:20])
        for model in (make_pipeline(PolynomialFeatures(1), Ridge()), Ridge())
    )
    np.testing.assert_allclose(one, two, atol=1e-8)


def test_a_search_over_parameters_as_a_part():
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 10.0]}, cv=2)
    assert np.isfinite(DRQLearner(0.9, initial_q=search, final="linear", folds=2, sweeps=5).fit(transitions(), POLICY).value().estimate)


def test_a_classifier_without_weights_is_not_given_them_in_silence():
    learner = DRQLearner(0.9, behaviour=KNeighborsClassifier(20), folds=2)
    learner.fit(transitions(), POLICY)  # all rows alike: none are needed
    data = transitions()
    with pytest.raises(UserError, match="behaviour policy KNeighborsClassifier takes no sample_weight, which weighted rows need"):
        learner.fit(data, POLICY, sample_weight=1.0 + data.time % 2)
