"""Criterion B: its test by hand, its targets by recursion, and what it says of a signal that helps and of one that does not."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unseen.errors import UserError
from unseen.signals.dataset import Dataset
from unseen.signals.folds import folds_of
from unseen.signals.prediction import MANY, RESAMPLES, Batch, Prediction, Predictions, gain_test, held_out, targets

SMALL = Prediction(folds=3, updates=90, width=8, batch=60, rate=1e-2)


def aliased(episodes=200, steps=6, seed=0):
    """The hidden state s = +-1 is never seen, and moves rarely; every step is rewarded with s."""
    rng = np.random.default_rng(seed)
    hidden = np.empty((steps, episodes))
    hidden[0] = rng.choice([-1.0, 1.0], episodes)
    for t in range(1, steps):
        hidden[t] = hidden[t - 1] * np.where(rng.random(episodes) < 0.1, -1.0, 1.0)
    reward = hidden + 0.5 * rng.normal(size=hidden.shape)
    returns = np.cumsum(reward[::-1], axis=0)[::-1].copy()
    return Dataset(
        observation=rng.normal(size=(steps + 1, episodes, 1)),
        action=rng.integers(0, 2, (steps, episodes, 1)).astype(float),
        reward=reward,
        returns=returns,
        valid=np.ones((steps, episodes), bool),
        signals={"hidden": hidden[..., None], "coin": rng.choice([-1.0, 1.0], (steps, episodes, 1))},
        untestable={},
        discount=1.0,
    )


def test_many_episodes_are_compared_by_a_t_test():
    gains = np.random.default_rng(0).normal(0.02, 1.0, MANY + 1)
    found = gain_test(gains, np.arange(MANY + 1) % 5, 4.0, Prediction(epsilon=0.01))
    expected = stats.ttest_1samp(gains, 0.01, alternative="greater")
    assert found.p == pytest.approx(float(expected.pvalue), rel=1e-9)
    assert found.effect == pytest.approx(gains.mean())
    assert found.normalised == pytest.approx(gains.mean() / 4.0)
    assert found.standard_error == pytest.approx(float(stats.sem(gains)))


def test_few_episodes_are_compared_by_a_bootstrap():
    gains = np.random.default_rng(0).normal(0.1, 1.0, 150)
    found = gain_test(gains, np.arange(150) % 5, 1.0, Prediction())
    counts = np.random.default_rng(0).multinomial(150, np.full(150, 1 / 150), RESAMPLES)
    below = sum(float(np.repeat(gains, count).mean()) <= 0.0 for count in counts)
    assert found.p == (1 + below) / (RESAMPLES + 1)
    assert found.p == pytest.approx(float(stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue), abs=0.02)


def test_a_larger_gain_has_a_smaller_p_value():
    gains, fold = np.random.default_rng(1).normal(size=100), np.arange(100) % 5
    ps = [gain_test(gains - gains.mean() + shift, fold, 1.0, Prediction()).p for shift in (-1.0, -0.1, 0.0, 0.1, 0.3, 3.0)]
    assert ps == sorted(ps, reverse=True)
    assert ps[0] > 0.99
    assert ps[2] == pytest.approx(0.5, abs=0.05)
    assert ps[-1] == 1 / (RESAMPLES + 1)
    more = [gain_test(gains, fold, 1.0, Prediction(epsilon=epsilon)).p for epsilon in (-0.2, 0.0, 0.2)]
    assert more == sorted(more)


def test_folds_are_compared_by_their_means():
    gains = np.random.default_rng(0).normal(0.3, 1.0, 90)
    fold = np.random.default_rng(1).permutation(np.arange(90) % 5)
    found = gain_test(gains, fold, 1.0, Prediction(by_fold=True, epsilon=0.1))
    means = [gains[fold == k].mean() for k in range(5)]
    assert found.p == pytest.approx(float(stats.ttest_1samp(means, 0.1, alternative="greater").pvalue), rel=1e-9)
    assert found.standard_error == pytest.approx(float(stats.sem(means)))
    assert found.effect == pytest.approx(gains.mean())


def test_gains_without_spread():
    fold = np.arange(10) % 5
    assert gain_test(np.zeros(10), fold, 1.0, Prediction()).p == 1.0
    assert gain_test(np.full(10, 0.5), fold, 1.0, Prediction()).p == pytest.approx(1 / 10_001)
    assert gain_test(np.full(10, 0.5), fold, 1.0, Prediction(epsilon=0.5)).p == 1.0
    assert gain_test(np.zeros(10), fold, 0.0, Prediction()).normalised == 0.0


@given(st.integers(0, 10**6), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=25, deadline=None)
def test_targets_are_the_plain_recursion(seed, lengths, lambda_):
    rng = np.random.default_rng(seed)
    longest, gamma = max(lengths), 0.9
    valid = np.arange(longest)[:, None] < np.array(lengths)
    reward = np.where(valid, rng.normal(size=valid.shape), 0.0)
    values = rng.normal(size=valid.shape)
    discount = gamma * np.concatenate([valid[1:], np.zeros_like(valid[:1])])
    empty = jnp.zeros((longest, len(lengths), 1))
    batch = Batch(empty, empty, *(jnp.asarray(x, jnp.float32) for x in (reward, discount, reward, valid)))
    found = np.asarray(targets(jnp.asarray(values, jnp.float32), batch, lambda_))
    for e, length in enumerate(lengths):
        target = 0.0
        for t in reversed(range(length)):
            following = values[t + 1, e] if t + 1 < length else 0.0
            target = reward[t, e] + (gamma * ((1 - lambda_) * following + lambda_ * target) if t + 1 < length else 0.0)
            assert found[t, e] == pytest.approx(target, rel=1e-4, abs=1e-4)
        if lambda_ == 1.0:
            returns = [sum(gamma**k * reward[t + k, e] for k in range(length - t)) for t in range(length)]
            np.testing.assert_allclose(found[:length, e], returns, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_hidden_state_helps_and_a_coin_does_not():
    data = aliased()
    hidden, coin, both = Predictions(data, SMALL).test([("hidden",), ("coin",), ("hidden", "coin")])
    assert hidden.effect > 0.0
    assert hidden.p < 0.001
    assert both.p < 0.001
    assert hidden.normalised > 0.1
    assert coin.p > 0.05
    assert coin.normalised < 0.05
    # Beside the hidden state the hidden state is nothing new.
    again, other = Predictions(data, SMALL, given=("hidden",)).test([("hidden",), ("coin",)])
    assert abs(again.normalised) < 0.1 * hidden.normalised + 0.02
    assert other.normalised < 0.02


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result():
    data = aliased()
    first, second = (Predictions(data, SMALL).test([("hidden",)]) for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_a_prediction_uses_no_step_of_its_own_fold():
    data = aliased()
    mine = folds_of(data.episodes, SMALL.folds, SMALL.seed) == 0
    sign = np.where(mine, -1.0, 1.0)
    changed = replace(data, reward=sign * data.reward, returns=sign * data.returns)
    scales = [data.rows(d.returns).std() for d in (data, changed)]  # critics learn returns in units of their deviation
    before, after = (held_out(d, ("hidden",), SMALL) for d in (data, changed))
    assert scales[1] / scales[0] == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(after[:, mine], before[:, mine], atol=0.3)
    assert np.abs(after - before)[:, ~mine].max() > 2.0  # the others learned from what was turned around


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"updates": 0}, "updates = 0; it must be at least 1"),
        ({"batch": 0}, "batch = 0"),
        ({"width": -3}, "width = -3"),
        ({"target_period": 0}, "target_period = 0"),
        ({"lambda_": 1.5}, "lambda_ = 1.5; allowed: 0 to 1"),
        ({"chosen_on": 0.0}, "chosen_on = 0.0"),
        ({"chosen_on": 1.0}, "chosen_on = 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Prediction(**options)


def test_data_that_cannot_be_tested_are_refused():
    with pytest.raises(UserError, match="4 episodes are too few to compare critics on"):
        Predictions(aliased(4, 3), Prediction())
    data = aliased(24, 3)
    with pytest.raises(UserError, match="24 episodes cannot be split into 30 folds"):
        Predictions(data, Prediction(folds=30))
    same = replace(data, returns=np.full((3, 24), 2.0))
    with pytest.raises(UserError, match="every return is 2: nothing can inform about it"):
        Predictions(same, Prediction(folds=2))
