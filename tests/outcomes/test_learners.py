"""The learners as people use them: tables in, labels out, scikit-learn's conventions, and one-line refusals."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from mdp import TablePolicy, random_mdp
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from unseen.errors import UserError
from unseen.outcomes import (
    FQE,
    MQL,
    Always,
    Columns,
    DoubleReinforcementLearning,
    DRQLearner,
    EpsilonGreedy,
    FromClassifier,
    FromFunction,
    FromTable,
    ImportanceSampling,
    ModelBased,
    PointwiseDebias,
    QRegression,
    Softmax,
    Transitions,
    Uniform,
    compare,
    recommend,
)
from unseen.outcomes.policies import evaluated

LEARNERS = [DRQLearner, DoubleReinforcementLearning, FQE, QRegression, MQL, ModelBased, PointwiseDebias]


def patients(seed=0, trajectories=60, steps=6, dying=0.03):
    """A number that follows doses, a stage, and an ending."""
    rng = np.random.default_rng(seed)
    rows = {name: [] for name in ("patient", "day", "stage", "tumour", "dose", "benefit", "died")}
    for i in range(trajectories):
        stage, tumour = str(rng.choice(["I", "II", "III"])), rng.normal(3, 1)
        for day in range(steps):
            dose = str(rng.choice(["none", "some", "much"], p=[0.5, 0.3, 0.2]))
            strength = {"none": 0.0, "some": 0.5, "much": 1.0}[dose]
            after = 0.9 * tumour - strength + 0.3 * rng.normal()
            died = bool(rng.random() < dying)
            for key, value in zip(rows, (i, day, stage, tumour, dose, -after - 0.2 * strength, died)):
                rows[key].append(value)
            tumour = after
            if died:
                break
    return rows


def transitions(rows=None, **options):
    options = {"id": "patient", "time": "day", "state": ["stage", "tumour"], "action": "dose", "reward": "benefit"} | options
    return Transitions.from_table(pl.DataFrame(rows or patients()), terminated="died", **options)


POLICY = FromFunction(lambda states: np.where(np.asarray(states["tumour"]) > 2, "much", "none").tolist())


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_takes_a_table(learner):
    data = transitions()
    options = {"updates": 50} if learner is PointwiseDebias else {}
    fitted = learner(0.9, **options).fit(data, POLICY)
    asked = {"tumour": [1.0, 4.0], "stage": ["I", "III"]}
    q = fitted.predict(asked)
    assert q.shape == (2, 3)
    assert np.isfinite(q).all()
    np.testing.assert_array_equal(fitted.predict(asked, "much"), q[:, data.action_labels.index("much")])
    np.testing.assert_array_equal(fitted.predict(asked, ["much", "none"]), [q[0, 0], q[1, data.action_labels.index("none")]])
    assert np.isfinite(fitted.value().estimate)
    again = clone(fitted).fit(data, POLICY)
    np.testing.assert_array_equal(again.predict(asked), q)  # the same settings, the same numbers
    with pytest.raises(UserError, match="unknown level 'IV'"):
        fitted.predict({"tumour": [1.0], "stage": ["IV"]})
    with pytest.raises(UserError, match="unknown action 'lots'"):
        fitted.predict(asked, "lots")


@pytest.mark.parametrize("learner", LEARNERS)
def test_settings_are_kept_as_given(learner):
    one = learner(discount=0.8)
    assert one.get_params()["discount"] == 0.8
    one.set_params(discount=0.7)
    assert one.discount == 0.7
    assert repr(one).startswith(learner.__name__)
    with pytest.raises(Exception, match="not fitted"):
        one.predict({"tumour": [1.0], "stage": ["I"]})


@pytest.mark.parametrize("final", ["linear", "boosting", "forest", "lightgbm", "neural", HistGradientBoostingRegressor(max_iter=20)])
def test_second_stages(final):
    fitted = DRQLearner(0.9, final=final, initial_q="linear", folds=2).fit(transitions(), POLICY)
    better = fitted.predict({"tumour": [1.0, 5.0], "stage": ["I", "I"]})
    assert (better[0] > better[1]).all()  # a small tumour is better than a large one, whatever is done


@pytest.mark.parametrize("ratio", ["linear", "network", "kernel"])
def test_ratios_are_near_each_other(ratio, monkeypatch):
    """The mean of any ratio over the data is the expected discounted time that follows."""
    from unseen.outcomes import ratio_networks

    monkeypatch.setattr(ratio_networks, "UPDATES", 2_000)
    data = transitions(patients(trajectories=150))
    fitted = DRQLearner(0.8, final="boosting", initial_q="linear", ratio=ratio, folds=2).fit(data, Uniform())
    mass = fitted.folds_[0].nuisances.ratio.forward(data.states[:50], fitted.folds_[0].rows, np.ones(len(fitted.folds_[0].rows)))
    assert mass.mean() == pytest.approx(0.8 * 0.97 / (1 - 0.8 * 0.97), rel=0.25)


def test_policies_from_tables_labels_and_constants():
    stages = Transitions.from_table(
        pl.DataFrame(patients()), id="patient", time="day", state="stage", action="dose", reward="benefit", terminated="died"
    )
    assert stages.action_labels == ("much", "none", "some")
    by_table = FromTable({"stage": ["I", "II", "III"], "p": [0.5, 1.0, 0.0], "q": [0.5, 0.0, 1.0]}, {"none": "p", "much": "q"})
    p = evaluated(by_table, stages).now
    assert set(map(tuple, p.tolist())) == {(0.5, 0.5, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)}
    by_label = FromTable({"stage": ["I", "II", "III"], "dose": ["none", "some", "much"]}, "dose")
    first = stages.states[:, 0] == 0
    np.testing.assert_array_equal(evaluated(by_label, stages).now[first, 1], 1)
    np.testing.assert_array_equal(evaluated(Always("some"), stages).now[:, 2], 1)
    np.testing.assert_allclose(evaluated(Uniform(), stages).now, 1 / 3)
    with pytest.raises(UserError, match=r"no row for state {'stage': 'III'}"):
        evaluated(FromTable({"stage": ["I", "II"], "dose": ["none", "some"]}, "dose"), stages)
    with pytest.raises(UserError, match=r"two rows for state {'stage': 'I'}"):
        evaluated(FromTable({"stage": ["I", "I"], "dose": ["none", "some"]}, "dose"), stages)


def test_policies_from_classifiers_and_from_q():
    data = transitions(state=["tumour"])
    frame = data.decode_states(data.states)
    labels = np.asarray(data.action_labels)[data.actions]
    classifier = LogisticRegression(max_iter=500).fit(frame.to_numpy(), labels)
    fitted = FQE(0.9).fit(data, FromClassifier(classifier))
    np.testing.assert_allclose(fitted.problem_.rows.policy, classifier.predict_proba(data.states), atol=1e-12)
    greedy = EpsilonGreedy(fitted, 0.3).probabilities(frame)
    np.testing.assert_allclose(greedy.max(axis=1), 0.8)
    soft = Softmax(fitted, 1e-3).probabilities(frame)
    np.testing.assert_array_equal(soft.argmax(axis=1), fitted.predict(frame).argmax(axis=1))


def test_columns_for_policies_that_see_more():
    data = transitions()
    n, total = len(data), data.n_trajectories
    p = np.random.default_rng(0).dirichlet(np.ones(3), n)
    fitted = DRQLearner(0.9, folds=2).fit(data, Columns(p, np.roll(p, -1, axis=0), np.full((total, 3), 1 / 3)))
    assert np.isfinite(fitted.value().standard_error)
    with pytest.raises(UserError, match="not known at other states"):
        fitted.value({"stage": ["I"], "tumour": [3.0]})
    with pytest.raises(UserError, match=r"shape \(3, 3\); it must be"):
        DRQLearner(0.9).fit(data, Columns(p[:3], p, np.full((total, 3), 1 / 3)))


def test_intervals_exist_where_they_should_and_nowhere_else():
    data = transitions()
    asked = {"tumour": [2.0], "stage": ["I"]}
    linear = DRQLearner(0.9, folds=2).fit(data, POLICY)
    assert "projection" in linear.contrast(asked, "much", "none").label
    trees = DRQLearner(0.9, final="boosting", initial_q="linear", folds=2).fit(data, POLICY)
    with pytest.raises(UserError, match="no root-n interval"):
        trees.contrast(asked, "much", "none")
    large = trees.contrast(lambda frame: np.asarray(frame["tumour"]) > 2, "much", "none")
    low, high = large.interval(0.9)
    assert low < large.estimate < high
    with pytest.raises(UserError, match="has no interval"):
        FQE(0.9).fit(data, POLICY).value().interval()
    with pytest.raises(UserError, match="holds no row"):
        trees.contrast({"huge": lambda frame: np.asarray(frame["tumour"]) > 1e9}, "much", "none")
    with pytest.raises(UserError, match="must say True or False"):
        trees.contrast({"odd": lambda frame: [1.0] * len(frame)}, "much", "none")
    weighted = DRQLearner(0.9, folds=2, row_weight="policy").fit(data, Always("none"))
    with pytest.raises(UserError, match="gives it no weight"):
        weighted.contrast(None, "much", "none")


def test_importance_sampling_by_hand():
    rows = {"patient": [0, 0, 1, 1], "day": [0, 1, 0, 1], "dose": ["a", "b", "b", "b"], "benefit": [1.0, 2.0, 3.0, 4.0]}
    rows |= {"died": [False, True, False, True], "stage": ["x"] * 4, "p": [0.5, 0.5, 0.25, 0.5]}
    data = Transitions.from_table(
        rows, id="patient", time="day", state="stage", action="dose", reward="benefit", terminated="died", propensity="p"
    )
    policy = FromFunction(lambda states: np.tile([0.2, 0.8], (len(states), 1)))
    rho = np.array([[0.2 / 0.5, 0.2 / 0.5 * 0.8 / 0.5], [0.8 / 0.25, 0.8 / 0.25 * 0.8 / 0.5]])
    rewards = np.array([[1.0, 0.9 * 2.0], [3.0, 0.9 * 4.0]])
    expected = {
        "trajectory": (rho[:, 1] * rewards.sum(axis=1)).mean(),
        "per-decision": (rho * rewards).sum(axis=1).mean(),
        "weighted": (rho[:, 1] * rewards.sum(axis=1)).sum() / rho[:, 1].sum(),
        "weighted-per-decision": ((rho * rewards).sum(axis=0) / rho.sum(axis=0)).sum(),
    }
    for method, value in expected.items():
        assert ImportanceSampling(0.9, method=method).fit(data, policy).value().estimate == pytest.approx(value, abs=1e-12)
    with pytest.raises(UserError, match="values only"):
        ImportanceSampling(0.9).fit(data, policy).predict({"stage": ["x"]})


def test_q_regression_by_hand():
    from unseen.outcomes.returns import weighted_returns

    found = weighted_returns(np.array([1.0, 2.0, 3.0, 5.0]), np.array([9.0, 0.5, 2.0, 7.0]), np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(found, [1 + 0.5 * (2 + 2 * 3), 2 + 2 * 3, 3, 5])


def test_comparing_policies():
    mdp = random_mdp(1, ending=0.1)
    data = mdp.sample(np.random.default_rng(0), 300)
    best = np.eye(3)[mdp.q.argmax(axis=1)]
    policies = {"good": best, "random": np.full((5, 3), 1 / 3), "bad": np.eye(3)[mdp.q.argmin(axis=1)]}
    found = compare({name: DRQLearner(0.9).fit(data, TablePolicy(p)) for name, p in policies.items()})
    assert found.table()["policy"].to_list()[0] == "good"
    assert not found.best[2]
    assert found.p_values("bad")["good - bad"] < 1e-3
    assert found.regret(1, {"good": 1.0, "random": 0.0, "bad": -1.0}) == 0.0
    paired = found.differences("random").standard_error
    alone = np.sqrt(found.values.standard_error[[0, 2]] ** 2 + found.values.standard_error[1] ** 2)
    assert (np.abs(paired - alone) > 1e-6).all()  # from the same data, so not independent


def test_recommendations():
    data = transitions(patients(trajectories=400))
    fitted = DRQLearner(0.9).fit(data, POLICY)
    regions = {
        "large": lambda frame: np.asarray(frame["tumour"]) > 3,
        "nobody else": lambda frame: np.asarray(frame["tumour"]) > np.sort(np.asarray(frame["tumour"]))[-3],
    }
    found = recommend(fitted, regions)
    assert found.labels[0] == "much"
    assert found.low[0] > 0
    assert found.labels[1] == "no recommendation"
    assert "too few rows" in found.reasons[1]
    assert found.share == 0.5


BAD = {
    "discount of 1 without an end": (lambda d: DRQLearner(1.0).fit(d, Uniform()), "trajectories that all terminate"),
    "discount above 1": (lambda d: DRQLearner(1.5).fit(d, Uniform()), "between 0 and 1"),
    "one fold too many": (lambda d: DRQLearner(0.9, folds=1_000).fit(d, Uniform()), "cannot be split into 1000 folds"),
    "no data": (lambda d: DRQLearner(0.9).fit(np.zeros((3, 2)), Uniform()), "ndarray is no data set"),
    "no policy": (lambda d: DRQLearner(0.9).fit(d, 3), "int is no policy"),
    "negative probabilities": (lambda d: DRQLearner(0.9).fit(d, lambda s: np.tile([1.5, -0.5, 0.0], (len(s), 1))), "must be at least 0"),
    "probabilities of the wrong shape": (lambda d: DRQLearner(0.9).fit(d, lambda s: np.ones((len(s), 2)) / 2), "a column for each of"),
    "unknown label from a policy": (lambda d: DRQLearner(0.9).fit(d, Always("lots")), "unknown action 'lots'"),
    "unknown second stage": (lambda d: DRQLearner(0.9, final="foret").fit(d, Uniform()), "did you mean 'forest'"),
    "tables of numbers": (lambda d: DRQLearner(0.9, final="tabular").fit(d, Uniform()), "is numeric"),
    "unknown ratio": (lambda d: DRQLearner(0.9, ratio="lstdd").fit(d, Uniform()), "unknown ratio"),
    "unknown features": (lambda d: DRQLearner(0.9, features="spline").fit(d, Uniform()), "did you mean 'splines'"),
    "no log of probabilities": (lambda d: DRQLearner(0.9, behaviour="logged").fit(d, Uniform()), "have no propensities"),
    "floor of 0": (lambda d: DRQLearner(0.9, floor=0.0).fit(d, Uniform()), "floor = 0.0"),
    "weights of the wrong length": (lambda d: DRQLearner(0.9).fit(d, Uniform(), sample_weight=[1.0]), "positive numbers"),
    "no sweeps": (lambda d: FQE(0.9, sweeps=0).fit(d, Uniform()), "whole number from 1"),
    "level of 95": (lambda d: DRQLearner(0.9).fit(d, Uniform()).value().interval(95.0), "between 0 and 1"),
}


@pytest.mark.parametrize("case", BAD, ids=list(BAD))
def test_what_is_refused(case):
    act, message = BAD[case]
    with pytest.raises(UserError, match=message) as caught:
        act(transitions())
    assert "\n" not in str(caught.value)


def test_one_action_is_refused():
    rows = patients()
    rows["dose"] = ["none"] * len(rows["dose"])
    with pytest.raises(UserError, match="only one action"):
        DRQLearner(0.9).fit(transitions(rows), Uniform())


def test_a_constant_reward_is_no_trouble():
    rows = patients(trajectories=400)
    rows["benefit"] = [1.0] * len(rows["benefit"])
    fitted = DRQLearner(0.5, folds=2).fit(transitions(rows), Uniform())
    assert fitted.value().estimate == pytest.approx(1 / (1 - 0.5 * 0.97), rel=0.05)


def test_poor_overlap_is_red():
    """The policy does what the data hardly ever show."""
    rng = np.random.default_rng(0)
    rows = patients(trajectories=300)
    rows["dose"] = ["much" if rng.random() < 0.004 else "none" for _ in rows["dose"]]
    poor = DRQLearner(0.9).fit(transitions(rows), Always("much")).diagnostics
    assert poor.verdict.colour == "red"
    assert any("hardly ever done" in reason for reason in poor.verdict.reasons)
    data = transitions(patients(trajectories=300, dying=0.0))
    far = DRQLearner(0.9).fit(data, Uniform()).diagnostics  # tumours shrink on beyond the sixth day, where the data end
    assert far.negative > 0.05
    assert far.verdict.colour != "green"
    good = DRQLearner(0.5).fit(data, Uniform()).diagnostics
    assert good.verdict.colour == "green", good.verdict


def test_the_mass_that_weights_add_up_to_is_counted_where_states_are():
    """Two columns whose additive indicators cannot tell the time alive: on Frozen Lake the check was off by 8 standard errors."""
    rng = np.random.default_rng(3)
    rows = {name: [] for name in ("patient", "day", "stage", "ward", "dose", "benefit", "died")}
    for i in range(400):
        stage, ward = rng.integers(0, 2, 2)
        for day in range(12):
            dose = int(rng.integers(0, 2))
            died = bool(rng.random() < (0.6 if stage == ward else 0.02))  # an interaction
            for key, value in zip(rows, (i, day, "ab"[stage], "xy"[ward], ("no", "yes")[dose], float(dose), died)):
                rows[key].append(value)
            if died:
                break
            stage, ward = rng.integers(0, 2, 2)
    data = transitions(rows, state=["stage", "ward"])
    assert DRQLearner(0.9, self_normalised=False).fit(data, Always("yes")).diagnostics.moment < 2.0
    assert np.isnan(DRQLearner(0.9).fit(data, Always("yes")).diagnostics.moment)  # cells weighed by their own frequency cannot fail it


def test_last_rows_left_out_beside_kept_ends_are_told():
    fitted = DRQLearner(0.9).fit(transitions(patients(trajectories=200, dying=0.1)), Always("some"))
    assert fitted.diagnostics.left_out > 0.02
    assert any("left out because what followed is not known" in reason for reason in fitted.diagnostics.verdict.reasons)
    endless = patients(trajectories=200, dying=0.0)
    assert DRQLearner(0.9).fit(transitions(endless), Always("some")).diagnostics.left_out == 0.0


@pytest.mark.parametrize("name", ["forest", "boosting", "lightgbm"])
def test_classifiers_by_name(name):
    fitted = DRQLearner(0.9, behaviour=name, folds=2).fit(transitions(), Always("some"))
    assert np.isfinite(fitted.value().estimate)
    with pytest.raises(UserError, match="unknown behaviour policy 'trees'"):
        DRQLearner(0.9, behaviour="trees").fit(transitions(), Always("some"))


def test_nothing_is_recommended_on_red():
    from unseen.outcomes.verdict import Verdict

    fitted = DRQLearner(0.9).fit(transitions(patients(trajectories=400, dying=0.0)), Uniform())
    region = {"all": lambda states: np.ones(len(states), bool)}
    fitted.diagnostics.__dict__["verdict"] = Verdict("amber", ("by hand",))
    assert recommend(fitted, region).labels == ("much",)
    fitted.diagnostics.__dict__["verdict"] = Verdict("red", ("by hand",))
    refused = recommend(fitted, region)
    assert refused.actions[0] == -1
    assert refused.reasons == ("the verdict is red",)
    assert recommend(fitted, region, despite_red=True).actions[0] >= 0


def test_the_summary_tells_everything():
    said = str(DRQLearner(0.9).fit(transitions(), Always("some")).summary())
    for words in (
        "DRQLearner(discount=0.9)",
        "value of the policy: ",
        "95 % interval",
        "much: tumour",
        "how well things were fitted",
        "verdict: ",
    ):
        assert words in said
    assert "no interval" in str(FQE(0.9).fit(transitions(), Always("some")).summary())
