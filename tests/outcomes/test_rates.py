"""How errors fall with the number of rows: quasi-oracle efficiency, slow nuisances, and either half of double robustness.

Rows are drawn independently from a process whose every quantity is known, so that the true ratio is the true one.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from mdp import DenseRatio, TablePolicy, TableValues, random_mdp

from unseen.outcomes import FQE, DRQLearner

STATES = np.arange(5.0)[:, None]


@cache
def process():
    mdp = random_mdp(2, ending=0.05, overlap=5.0)
    return mdp, *mdp.population()


def sample(rng, n):
    """n independent rows with noise on their rewards."""
    _, rows, weight = process()
    data = rows.select(rng.choice(len(rows), n, p=weight / weight.sum()))
    data.rewards[:] += rng.normal(0, 0.5, n)
    return data


def drq(mdp, data, seed, **nuisances):
    learner = DRQLearner(
        mdp.discount, final="tabular", self_normalised=False, folds=2, floor=1e-6, n_jobs=1, random_state=seed, **nuisances
    )
    return learner.fit(data, TablePolicy(mdp.policy)).predict(STATES)


def slope(sizes, errors):
    """Of log error in log n."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


@pytest.mark.slow
def test_estimated_nuisances_are_as_good_as_true_ones():
    """||g - g_oracle||^2 falls like n^-2, ||g_oracle - Q||^2 like n^-1."""
    mdp, *_ = process()
    true = {"initial_q": TableValues(mdp.q), "behaviour": TablePolicy(mdp.behaviour), "ratio": DenseRatio(mdp.ratio)}
    sizes, apart, oracle = (1_000, 4_000, 16_000), [], []
    for n in sizes:
        pairs = [(drq(mdp, data, k), drq(mdp, data, k, **true)) for k in range(60) for data in [sample(np.random.default_rng([n, k]), n)]]
        apart.append(np.mean([((g - best) ** 2).mean() for g, best in pairs]))
        oracle.append(np.mean([((best - mdp.q) ** 2).mean() for _, best in pairs]))
    assert slope(sizes, oracle) == pytest.approx(-1.0, abs=0.2)
    assert slope(sizes, apart) < -1.5
    assert apart[-1] < oracle[-1] / 5


@pytest.mark.slow
def test_slow_nuisances_make_a_fast_estimate():
    """Nuisances that err like n^-1/4: DRQ errs like n^-1/2; with one Bellman step in place of all that follows, like n^-1/4."""
    mdp, rows, weight = process()
    sizes, doubly_robust, plug_in = (1_000, 8_000, 64_000), [], []
    for n in sizes:
        squares = []
        for k in range(40):
            rng = np.random.default_rng([n, k, 1])
            data, noise = sample(rng, n), n**-0.25
            q = mdp.q + noise * rng.normal(size=mdp.q.shape)
            b = mdp.behaviour * np.exp(noise * rng.normal(size=mdp.q.shape))
            w = mdp.ratio * np.exp(noise * rng.normal(size=mdp.ratio.shape))
            g = drq(mdp, data, k, initial_q=TableValues(q), behaviour=TablePolicy(b / b.sum(axis=1, keepdims=True)), ratio=DenseRatio(w))
            no_later = {"behaviour": TablePolicy(mdp.behaviour), "ratio": DenseRatio(np.zeros_like(mdp.ratio))}
            one_step = DRQLearner(mdp.discount, self_normalised=False, folds=1, floor=1e-6, initial_q=TableValues(q), **no_later)
            step = one_step.fit(rows, TablePolicy(mdp.policy), sample_weight=weight).predict(STATES)  # the population: its bias alone
            squares.append([((g - mdp.q) ** 2).mean(), ((step - mdp.q) ** 2).mean()])
        one, other = np.sqrt(np.mean(squares, axis=0))
        doubly_robust.append(one)
        plug_in.append(other)
    assert slope(sizes, doubly_robust) < -0.42
    assert slope(sizes, plug_in) == pytest.approx(-0.25, abs=0.08)


@pytest.mark.slow
def test_one_wrong_half_is_forgiven_and_two_are_not():
    mdp, *_ = process()
    x = np.array([[1.0, s] for s in range(5)])
    wrong_q = TableValues(np.tile(x @ np.array([1.0, -0.5]), (3, 1)).T)  # linear in the state's number, the same for all actions
    flat = DenseRatio(np.full(mdp.ratio.shape, mdp.discount / (1 - mdp.discount)))
    true_b = TablePolicy(mdp.behaviour)
    halves = {
        "Q wrong": {"initial_q": wrong_q, "behaviour": true_b, "ratio": DenseRatio(mdp.ratio)},
        "ratio wrong": {"initial_q": TableValues(mdp.q), "behaviour": true_b, "ratio": flat},
        "both wrong": {"initial_q": wrong_q, "behaviour": true_b, "ratio": flat},
    }
    errors = {name: [] for name in halves}
    for n in (2_000, 32_000):
        samples = [sample(np.random.default_rng([n, k, 2]), n) for k in range(30)]
        for name, nuisances in halves.items():
            found = [((drq(mdp, data, k, **nuisances) - mdp.q) ** 2).mean() for k, data in enumerate(samples)]
            errors[name].append(float(np.sqrt(np.mean(found))))
    for name in ("Q wrong", "ratio wrong"):
        assert errors[name][1] < 0.35 * errors[name][0], errors  # 16 times the rows: a quarter of the error
    assert errors["both wrong"][1] > 0.5 * errors["both wrong"][0], errors
    assert errors["both wrong"][1] > 5 * errors["Q wrong"][1], errors


def test_the_sampler_is_the_population():
    """A large sample's FQE is near the truth: rows are drawn as they should be."""
    mdp, *_ = process()
    q = FQE(mdp.discount).fit(sample(np.random.default_rng(0), 100_000), TablePolicy(mdp.policy)).predict(STATES)
    np.testing.assert_allclose(q, mdp.q, atol=0.15)
