"""HSIC by features against its definition, and the two nulls against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from unseen.errors import UserError
from unseen.signals import hsic


def exact(x, y):
    """tr(K H L H) / n^2, element by element as it is defined."""
    n = len(x)
    centre = np.eye(n) - np.ones((n, n)) / n

    def kernel(v):
        squared = np.array([[np.sum((a - b) ** 2) for b in v] for a in v])
        pairs = [squared[i, j] for i in range(n) for j in range(i)]
        middle = max(np.median(pairs), 0.25 * np.mean(pairs))
        return np.exp(-squared / (2 * middle))

    return np.trace(kernel(x) @ centre @ kernel(y) @ centre) / n**2


def related(n, seed=0, columns=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns))
    return x, np.sin(2 * x[:, :1]) + 0.5 * rng.normal(size=(n, 1))


def by_features(x, y, landmarks=10**6, **options):
    return hsic.hsic(hsic.features(x, landmarks, **options).rows, hsic.features(y, landmarks, **options).rows)


@given(st.integers(0, 10**6), st.integers(5, 30), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_a_landmark_at_every_row_gives_the_exact_value(seed, n, columns):
    x, y = related(n, seed, columns)
    assert by_features(x, y) == pytest.approx(exact(x, y), rel=1e-6)


def test_more_landmarks_come_closer_to_the_exact_value():
    x, y = related(120, columns=6)
    truth = exact(x, y)
    errors = [np.mean([abs(by_features(x, y, m, seed=s) / truth - 1) for s in range(10)]) for m in (3, 10, 40, 120)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05  # three landmarks are visibly too few
    assert errors[-1] < 1e-6


def test_the_order_of_the_rows_does_not_matter():
    x, y = related(40)
    order = np.random.default_rng(1).permutation(40)
    assert by_features(x[order], y[order]) == pytest.approx(by_features(x, y), rel=1e-9)
    assert by_features(x[order], y) < 0.5 * by_features(x, y)  # which row goes with which does


def test_a_constant_depends_on_nothing():
    x, _ = related(30)
    nothing = hsic.features(np.full((30, 2), 7.0))
    assert nothing.rows.shape == (30, 0)
    assert nothing.bandwidth == 0.0
    phi = hsic.features(x).rows
    assert hsic.hsic(phi, nothing.rows) == 0.0
    assert hsic.normalised(phi, nothing.rows) == 0.0
    assert hsic.p_value(hsic.permutation_null(phi, [nothing.rows], 10, 19)[:, 0]) == 1.0


def test_the_normalised_value_of_a_thing_with_itself_is_1():
    x, y = related(40)
    phi, psi = hsic.features(x).rows, hsic.features(y).rows
    assert hsic.normalised(phi, phi) == pytest.approx(1.0)
    assert hsic.normalised(phi, psi) == pytest.approx(exact(x, y) / np.sqrt(exact(x, x) * exact(y, y)), rel=1e-6)
    assert 0.0 < hsic.normalised(phi, psi) < 1.0


def test_directions_with_tiny_eigenvalues_say_nothing():
    x, y = related(60, columns=1)
    few, all_ = hsic.features(x), hsic.features(x, dropped=1e-15)
    assert few.rows.shape[1] < all_.rows.shape[1]  # a smooth kernel in one dimension has many of them
    psi = hsic.features(y).rows
    assert hsic.hsic(few.rows, psi) == pytest.approx(hsic.hsic(all_.rows, psi), rel=1e-6)


def test_the_bandwidth_is_the_median_of_the_squared_distances():
    x, _ = related(25)
    plain = np.median([np.sum((x[i] - x[j]) ** 2) for i in range(25) for j in range(i)])
    assert hsic.median_bandwidth(x) == pytest.approx(float(plain))
    rare = np.zeros((20, 1))
    rare[:2] = 3.0
    assert hsic.median_bandwidth(rare) == pytest.approx(0.25 * 9.0 * 36 / 190)  # most pairs coincide: a quarter of the mean
    assert hsic.median_bandwidth(np.ones((20, 1))) == 0.0
    assert hsic.median_bandwidth(np.ones((1, 1))) == 0.0
    many = np.random.default_rng(0).normal(size=(4_000, 1))
    assert hsic.median_bandwidth(many) == pytest.approx(0.91, rel=0.1)  # of 2 chi^2_1: 0.455 * 2


def permuted_plainly(phi, psi, episodes, draws, seed):
    """HSIC with the episodes of phi in the order of each draw."""
    steps, rng = len(phi) // episodes, np.random.default_rng(seed)
    values = [np.sum((phi.T @ psi / len(phi)) ** 2)]
    for _ in range(draws):
        order = rng.permutation(episodes)
        moved = np.concatenate([phi[e * steps : (e + 1) * steps] for e in order])
        values.append(np.sum((moved.T @ psi / len(phi)) ** 2))
    return np.array(values)


def test_draws_exchange_whole_episodes():
    x, y = related(30)
    phi, psi, other = hsic.features(x).rows, hsic.features(y).rows, hsic.features(x[:, 1:]).rows
    null = hsic.permutation_null(phi, [psi, other], 6, 40, seed=3)
    assert null.shape == (41, 2)
    np.testing.assert_allclose(null[:, 0], permuted_plainly(phi, psi, 6, 40, 3), rtol=1e-4)
    np.testing.assert_allclose(null[:, 1], permuted_plainly(phi, other, 6, 40, 3), rtol=1e-4)
    assert null[0, 0] == pytest.approx(exact(x, y), rel=1e-4)


def test_draws_are_the_same_in_blocks(monkeypatch):
    x, y = related(30)
    phi, psi = hsic.features(x).rows, hsic.features(y).rows
    whole = hsic.permutation_null(phi, [psi], 6, 40)
    monkeypatch.setattr(hsic, "int", lambda _: 7, raising=False)  # seven permuted copies at a time
    np.testing.assert_allclose(hsic.permutation_null(phi, [psi], 6, 40), whole, rtol=1e-5)


def test_episodes_of_unequal_length_cannot_be_exchanged():
    x, _ = related(30)
    with pytest.raises(UserError, match="30 rows are not 7 episodes"):
        hsic.permutation_null(x, [x], 7, 19)


def test_random_signs_are_the_plain_sum():
    rng = np.random.default_rng(0)
    lengths = [3, 1, 5, 2]
    episode = np.repeat(np.arange(4), lengths)
    phi, psi, other = rng.normal(size=(11, 3)), rng.normal(size=(11, 2)), rng.normal(size=(11, 1))
    null = hsic.wild_null(phi, [psi, other], episode, 25, seed=5)
    signs = np.concatenate([np.ones((1, 4)), np.random.default_rng(5).choice([-1.0, 1.0], (25, 4))])
    for k, features in enumerate((psi, other)):
        for b in range(26):
            total = sum(signs[b, episode[t]] * np.outer(phi[t], features[t]) for t in range(11)) / 11
            assert null[b, k] == pytest.approx(float(np.sum(total**2)))
    assert null[0, 0] == pytest.approx(hsic.hsic(phi, psi))


def test_signs_of_episodes_may_have_any_numbers():
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(9, 2))
    episode = np.repeat([0, 1, 2], 3)
    np.testing.assert_allclose(hsic.wild_null(phi, [phi], episode, 19), hsic.wild_null(phi, [phi], 4 + 3 * episode, 19))


@given(st.integers(0, 10**6), st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_centring_by_step_takes_away_the_mean_of_each_step(seed, lengths):
    step = np.concatenate([np.arange(length) for length in lengths])
    rows = np.random.default_rng(seed).normal(size=(len(step), 2))
    centred = hsic.centred_by_step(rows, step)
    for t in np.unique(step):
        np.testing.assert_allclose(centred[step == t], rows[step == t] - rows[step == t].mean(axis=0), atol=1e-12)


def test_p_values_by_hand():
    assert hsic.p_value(np.array([3.0, 1.0, 2.0, 4.0])) == 0.5  # one draw of three is larger: (1 + 1) / 4
    assert hsic.p_value(np.array([5.0, 1.0, 2.0, 4.0])) == 0.25
    assert hsic.p_value(np.array([2.0, 1.0, 2.0, 4.0])) == 0.75  # a tie counts against us
    assert hsic.p_value(np.array([2.0, 2.0 - 1e-9, 0.0, 0.0])) == 0.5  # so does what single precision cannot tell from one


@pytest.mark.slow
def test_autocorrelated_series_need_whole_episodes():
    """Two independent series that hardly move within an episode: shuffling steps pretends to more evidence than there is."""
    episodes, steps, draws, sets = 30, 8, 99, 200
    whole, shuffled = 0, 0
    for k in range(sets):
        rng = np.random.default_rng([7, k])
        series = rng.normal(size=(2, steps, episodes))
        for t in range(1, steps):
            series[:, t] = 0.95 * series[:, t - 1] + np.sqrt(1 - 0.95**2) * series[:, t]
        x, y = series.transpose(0, 2, 1).reshape(2, -1, 1)
        phi, psi = hsic.features(x, 40).rows, hsic.features(y, 40).rows
        whole += hsic.p_value(hsic.permutation_null(phi, [psi], episodes, draws, seed=k)[:, 0]) <= 0.05
        orders = [np.arange(len(phi)), *(rng.permutation(len(phi)) for _ in range(draws))]
        shuffled += hsic.p_value(np.array([hsic.hsic(phi[order], psi) for order in orders])) <= 0.05
    low, high = binom.interval(0.99, sets, 0.05)
    assert low <= whole <= high
    assert shuffled > 0.4 * sets
