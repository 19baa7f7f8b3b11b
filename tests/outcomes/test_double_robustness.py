"""The guarantees, on populations: every expectation is a sum over all (s, a, s'), so nothing is sampled.

The learner is given exact rows with their probabilities as weights, no folds, and nuisances that are right or wrong on purpose.
Source of the checks: specification, section 6.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mdp import DenseRatio, TablePolicy, TableValues, random_mdp

from unseen.outcomes import FQE, MQL, DRQLearner, ModelBased, PointwiseDebias
from unseen.outcomes.problem import problem

STATES = np.arange(5.0)[:, None]
PROCESSES = {
    "endless": random_mdp(1),
    "terminating": random_mdp(2, ending=0.15),
    "deterministic policy": random_mdp(3, deterministic=True),
    "terminating, deterministic": random_mdp(4, ending=0.1, deterministic=True),
}


@pytest.fixture(params=PROCESSES, ids=list(PROCESSES))
def mdp(request):
    return PROCESSES[request.param]


def wrong(mdp, seed=0):
    """Q with standard normal errors, a ratio and a behaviour policy that are something else."""
    rng = np.random.default_rng(seed)
    return (
        mdp.q + rng.normal(size=mdp.q.shape),
        mdp.ratio * rng.uniform(0.2, 2.0, mdp.ratio.shape),
        rng.dirichlet(np.full(3, 4.0), 5),
    )


def raw(mdp, q=None, ratio=None, behaviour=None, **options):
    """DRQ on the population with given nuisances, true where left out."""
    data, weight = mdp.population()
    learner = DRQLearner(
        mdp.discount,
        folds=1,
        self_normalised=False,
        initial_q=TableValues(mdp.q if q is None else q),
        ratio=DenseRatio(mdp.ratio if ratio is None else ratio),
        behaviour=TablePolicy(mdp.behaviour if behaviour is None else behaviour),
        floor=1e-9,
        **options,
    )
    return learner.fit(data, TablePolicy(mdp.policy), sample_weight=weight)


def error(learner, mdp):
    return np.abs(learner.predict(STATES) - mdp.q).max()


def test_true_nuisances_give_q(mdp):
    assert error(raw(mdp), mdp) < 1e-12


def test_true_ratios_make_up_for_a_wrong_q(mdp):
    """At every (s, a), also those that a deterministic policy avoids."""
    assert error(raw(mdp, q=wrong(mdp)[0]), mdp) < 1e-12


def test_a_true_q_makes_up_for_wrong_ratios(mdp):
    _, ratio, behaviour = wrong(mdp)
    assert error(raw(mdp, ratio=ratio, behaviour=behaviour), mdp) < 1e-12


def test_both_wrong_is_wrong(mdp):
    q, ratio, _ = wrong(mdp)
    assert error(raw(mdp, q=q, ratio=ratio), mdp) > 0.05


def test_the_error_is_the_product_of_errors(mdp):
    """E[Phi] - Q = (G - G-hat)(I - gamma P^pi)(Q1 - Q), exactly."""
    q, ratio, behaviour = wrong(mdp)
    found = raw(mdp, q=q, ratio=ratio, behaviour=behaviour).predict(STATES) - mdp.q
    share = mdp.behaviour / behaviour
    onward = np.einsum("x,sax,xb,xb->saxb", mdp.density, ratio, mdp.policy, share).reshape(15, 15)
    g_hat = np.diag(share.ravel()) + onward
    expected = (mdp.resolvent - g_hat) @ (np.eye(15) - mdp.discount * mdp.operator) @ (q - mdp.q).ravel()
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-12)


def test_the_error_is_of_second_order(mdp):
    """All nuisances off by eps: the bias over eps^2 goes to a constant, where a plug-in's bias over eps does."""
    rng = np.random.default_rng(7)
    by_q, by_ratio, by_behaviour = rng.normal(size=mdp.q.shape), rng.uniform(-1, 1, mdp.ratio.shape), rng.uniform(-1, 1, (5, 3))
    biases, plug_in = [], []
    sizes = (1e-2, 1e-3, 1e-4)
    for eps in sizes:
        behaviour = mdp.behaviour * (1 + 0.5 * eps * by_behaviour)
        behaviour /= behaviour.sum(axis=1, keepdims=True)
        q = mdp.q + eps * by_q
        found = raw(mdp, q=q, ratio=mdp.ratio * (1 + eps * by_ratio), behaviour=behaviour)
        biases.append(error(found, mdp))
        one_sweep = mdp.mean_reward + mdp.discount * (mdp.operator @ q.ravel()).reshape(q.shape)
        plug_in.append(np.abs(one_sweep - mdp.q).max())
    slope = np.polyfit(np.log(sizes), np.log(biases), 1)[0]
    first_order = np.polyfit(np.log(sizes), np.log(plug_in), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.05)
    assert first_order == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("row_weight", ["uniform", "policy"])
@pytest.mark.parametrize("counted", [True, False], ids=["ratio from the table", "flow equation"])
def test_a_linear_second_stage_is_the_projection_of_the_true_q(row_weight, counted):
    """With a wrong Q1 and true behaviour; features without interactions, so that Q is not among them."""
    mdp = PROCESSES["terminating"]
    data, weight = mdp.population()
    features = "standard"
    learner = DRQLearner(
        mdp.discount,
        final="linear",
        folds=1,
        self_normalised=False,
        row_weight=row_weight,
        actions="additive",
        features=features,
        initial_q=TableValues(wrong(mdp)[0]),
        behaviour=TablePolicy(mdp.behaviour),
        floor=1e-9,
    )
    # The flow's features are the state's indicators here, so that the ratio is exact on either way.
    p = problem(data, TablePolicy(mdp.policy), mdp.discount, actions="additive", weight=weight, counted=counted)
    learner._fit(p)
    psi = np.array([[np.r_[np.eye(5)[s], np.eye(3)[a][1:]] for a in range(3)] for s in range(5)]).reshape(15, -1)
    lam = np.full((5, 3), 1 / 3) if row_weight == "uniform" else mdp.policy
    w = np.sqrt((mdp.density[:, None] * lam).ravel())[:, None]
    theta = np.linalg.lstsq(psi * w, mdp.q.ravel() * w[:, 0], rcond=None)[0]
    np.testing.assert_allclose(learner.predict(STATES).ravel(), psi @ theta, atol=1e-10)
    assert np.abs(psi @ theta - mdp.q.ravel()).max() > 0.05  # Q is not linear in these features


def test_the_linear_ratio_with_indicators_is_the_tables(mdp):
    from unseen.outcomes.ratios import LinearRatio

    data, weight = mdp.population()
    p = problem(data, TablePolicy(mdp.policy), mdp.discount, weight=weight, counted=False)
    found = LinearRatio.fitted(p.psi, p.rows, mdp.discount).pairs(STATES, STATES)
    np.testing.assert_allclose(found, mdp.ratio, atol=1e-9)


def test_the_counted_successor_is_the_series(mdp):
    from unseen.outcomes.tables import Table

    data, weight = mdp.population()
    p = problem(data, TablePolicy(mdp.policy), mdp.discount, weight=weight)
    table = Table.from_counts(p.counts(p.rows), p.policy_table, mdp.discount)
    whole = np.stack([table.successor_mean(one) for one in np.eye(5)], axis=2)
    np.testing.assert_allclose(whole, mdp.successor, atol=1e-10)
    np.testing.assert_allclose(table.q(), mdp.q, atol=1e-10)


def test_the_ratio_meets_its_moment(mdp):
    """E_pb[w f] = gamma E[F(S~)], F the value of the reward f."""
    f = np.random.default_rng(0).normal(size=5)
    step = np.einsum("sax,sa->sx", mdp.transition, mdp.policy)
    value = np.linalg.solve(np.eye(5) - mdp.discount * step, f)
    np.testing.assert_allclose((mdp.density * mdp.ratio) @ f, mdp.discount * mdp.transition @ value, atol=1e-10)
    data, weight = mdp.population()
    p = problem(data, TablePolicy(mdp.policy), mdp.discount, weight=weight)
    from unseen.outcomes.ratios import TabularRatio
    from unseen.outcomes.tables import Table

    ratio = TabularRatio(p.cells, Table.from_counts(p.counts(p.rows), p.policy_table, mdp.discount))
    found = ratio.forward(STATES, p.rows, f[p.rows.s])
    np.testing.assert_allclose(found, mdp.discount * mdp.transition @ value, atol=1e-10)


@pytest.mark.parametrize(
    "learner", [FQE(0.9), ModelBased(0.9), MQL(0.9, ridge=0.0), PointwiseDebias(0.9, folds=1), DRQLearner(0.9, folds=1)]
)
def test_on_the_population_every_saturated_learner_is_right(mdp, learner):
    data, weight = mdp.population()
    learner.fit(data, TablePolicy(mdp.policy), sample_weight=weight)
    assert error(learner, mdp) < (1e-5 if isinstance(learner, MQL) else 0.02 if isinstance(learner, PointwiseDebias) else 1e-10)


def test_in_sample_and_saturated_it_is_fitted_q_evaluation():
    """The trap of 4.8: nothing that is saturated and in-sample can differ from FQE, whatever Q1 was."""
    mdp = PROCESSES["terminating"]
    data = mdp.sample(np.random.default_rng(0), 300)
    policy = TablePolicy(mdp.policy)
    fqe = FQE(0.9).fit(data, policy).predict(STATES)
    for q in (wrong(mdp)[0], np.zeros((5, 3))):
        drq = DRQLearner(0.9, folds=1, initial_q=TableValues(q)).fit(data, policy).predict(STATES)
        np.testing.assert_allclose(drq, fqe, atol=1e-12)
    assert np.abs(DRQLearner(0.9, folds=5).fit(data, policy).predict(STATES) - fqe).max() > 1e-4


def test_values_and_regions_are_exact(mdp):
    data, weight = mdp.population()
    learner = DRQLearner(mdp.discount, folds=1).fit(data, TablePolicy(mdp.policy), sample_weight=weight)
    v = (mdp.policy * mdp.q).sum(axis=1)
    assert learner.value({"s": [0, 1, 1, 4]}).estimate == pytest.approx(v[[0, 1, 1, 4]].mean(), abs=1e-10)
    assert learner.value("states").estimate == pytest.approx(mdp.density @ v, abs=1e-10)
    low = learner.contrast({"low": lambda frame: np.asarray(frame["s"].to_list()) < 2}, treat=2, control=0)
    expected = mdp.density[:2] @ (mdp.q[:2, 2] - mdp.q[:2, 0]) / mdp.density[:2].sum()
    assert low.estimate == pytest.approx(expected, abs=1e-10)
    np.testing.assert_allclose(learner.outcome({"s": [3, 0]}, 1).value, mdp.q[[3, 0], 1], atol=1e-10)


def test_the_value_of_continuous_states_is_exact_where_its_features_hold_the_ratio(mdp):
    """The flow equation begun in the starts, with a wrong Q1."""
    data, weight = mdp.population()
    learner = DRQLearner(
        mdp.discount, final="linear", folds=1, initial_q=TableValues(wrong(mdp)[0]), behaviour=TablePolicy(mdp.behaviour), floor=1e-9
    )
    learner._fit(problem(data, TablePolicy(mdp.policy), mdp.discount, weight=weight, counted=False))
    v = (mdp.policy * mdp.q).sum(axis=1)
    assert learner.value({"s": [0, 1, 1, 4]}).estimate == pytest.approx(v[[0, 1, 1, 4]].mean(), abs=1e-9)


def test_an_undiscounted_process_that_ends():
    mdp = replace(PROCESSES["terminating"], discount=1.0)
    data, weight = mdp.population()
    learner = DRQLearner(0.99999999, folds=1).fit(data, TablePolicy(mdp.policy), sample_weight=weight)
    np.testing.assert_allclose(learner.predict(STATES), mdp.q, atol=1e-4)
