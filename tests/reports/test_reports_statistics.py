"""Statistics over seeds, against closed forms, brute force and scipy."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from unseen.errors import UserError
from unseen.reports.statistics import (
    area_under_curve,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)

finite = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
scores = arrays(float, st.integers(1, 30), elements=finite)


def test_interquartile_mean_of_known_numbers():
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -100])) == 3.5  # 2 of 8 dropped at each end: 2, 3, 4, 5
    assert interquartile_mean(np.array([9.0, 1, 2, 3, 4])) == 3.0  # floor(5 / 4) = 1 dropped at each end: 2, 3, 4
    assert interquartile_mean(np.array([0.0, 1, 5])) == 2.0  # nothing to drop


@given(scores)
def test_interquartile_mean_is_sort_drop_average(x):
    cut = len(x) // 4
    kept = sorted(Fraction(v) for v in x)[cut : len(x) - cut]
    assert float(interquartile_mean(x)) == pytest.approx(float(sum(kept) / len(kept)), abs=1e-9)


@given(scores, st.randoms(use_true_random=False), st.floats(0.1, 10), finite)
def test_interquartile_mean_ignores_order_and_follows_affine_maps(x, random, scale, shift):
    shuffled = np.array(random.sample(list(x), len(x)))
    assert interquartile_mean(shuffled) == pytest.approx(float(interquartile_mean(x)), abs=1e-9)
    assert interquartile_mean(scale * x + shift) == pytest.approx(scale * float(interquartile_mean(x)) + shift, abs=1e-6)


def test_interquartile_mean_works_on_the_last_axis():
    x = np.random.default_rng(0).normal(size=(3, 2, 9))
    expected = [[stats.trim_mean(x[i, j], 0.25) for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(interquartile_mean(x), expected)


def test_bootstrap_of_two_seeds_is_the_enumerated_distribution():
    # Two seeds 0 and 1 have the resamples 00, 01, 10, 11: the mean is 0, 1/2, 1/2, 1 with probability 1/4 each.
    interval = stratified_bootstrap([np.array([0.0, 1.0])], lambda x: x.mean(axis=-1), level=0.4, resamples=4_000)
    assert interval == (0.5, 0.5, 0.5)  # the middle 40 % lies within the middle half
    assert stratified_bootstrap([np.array([0.0, 1.0])], lambda x: x.mean(axis=-1), level=0.9)[1:] == (0.0, 1.0)


def test_bootstrap_resamples_within_tasks():
    # Each task is constant, so resampling within tasks cannot change the mean; resampling the pool would.
    interval = stratified_bootstrap([np.zeros(5), np.full(3, 8.0)], lambda x: x.mean(axis=-1))
    assert interval == (3.0, 3.0, 3.0)


def test_bootstrap_standard_error_of_the_mean():
    x = np.random.default_rng(3).normal(size=200)
    low, high = stratified_bootstrap([x], lambda v: v.mean(axis=-1), resamples=20_000)[1:]
    assert (high - low) / 2 == pytest.approx(1.96 * x.std() / np.sqrt(200), rel=0.03)


def test_bootstrap_interval_covers_the_truth():
    rng, trials = np.random.default_rng(0), 400
    hits = 0
    for k in range(trials):
        interval = stratified_bootstrap([rng.normal(size=30)], resamples=400, seed=k)
        hits += interval.low <= 0 <= interval.high
    # 95 % coverage: outside these bounds with probability below 1e-4 if the coverage lies between 93 % and 96 %.
    assert 0.88 < hits / trials < 0.995
    narrow = [stratified_bootstrap([rng.normal(size=30)], level=0.5, resamples=400, seed=k) for k in range(trials)]
    assert 0.4 < np.mean([interval.low <= 0 <= interval.high for interval in narrow]) < 0.6


@given(st.lists(arrays(float, st.integers(2, 8), elements=finite), min_size=1, max_size=3), st.floats(0.1, 10), finite)
@settings(max_examples=30)
def test_bootstrap_is_affine_equivariant_and_repeatable(tasks, scale, shift):
    plain = np.array(stratified_bootstrap(tasks, resamples=200))
    mapped = stratified_bootstrap([scale * task + shift for task in tasks], resamples=200)
    np.testing.assert_allclose(mapped, scale * plain + shift, atol=1e-6)
    assert stratified_bootstrap(tasks, resamples=200) == tuple(plain)


def test_one_seed_has_no_interval():
    interval = stratified_bootstrap([np.array([1.0, 2.0]), np.array([3.0])])
    assert interval.estimate == 2.0
    assert not interval.exists
    assert not probability_of_improvement([np.array([1.0])], [np.array([1.0, 2.0])]).exists


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=7), st.lists(st.integers(-3, 3), min_size=2, max_size=7))
def test_probability_of_improvement_counts_pairs(x, y):
    counted = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(x, y)) / (len(x) * len(y))
    x_, y_ = np.array(x, float), np.array(y, float)
    found = probability_of_improvement([x_], [y_], resamples=50)
    assert found.estimate == pytest.approx(counted)
    assert found.estimate == pytest.approx(stats.mannwhitneyu(x_, y_).statistic / (len(x) * len(y)))
    assert 0 <= found.low <= found.high <= 1
    assert probability_of_improvement([y_], [x_], resamples=50).estimate == pytest.approx(1 - counted)


def test_probability_of_improvement_of_separate_tied_and_averaged_tasks():
    low, high = np.array([0.0, 1, 2]), np.array([3.0, 4])
    assert probability_of_improvement([high], [low]) == (1.0, 1.0, 1.0)
    assert probability_of_improvement([low], [high]) == (0.0, 0.0, 0.0)
    assert probability_of_improvement([np.ones(4)], [np.ones(3)]) == (0.5, 0.5, 0.5)
    assert probability_of_improvement([high, low], [low, high]).estimate == 0.5


def test_probability_of_improvement_bootstrap_is_resampling_of_seeds():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.5, size=12), rng.normal(size=9)
    draws = [np.mean(rng.choice(x, 12)[:, None] > rng.choice(y, 9)) for _ in range(20_000)]
    found = probability_of_improvement([x], [y], resamples=20_000)
    np.testing.assert_allclose(found[1:], np.percentile(draws, [2.5, 97.5]), atol=0.02)


def test_area_under_lines_is_exact_on_any_grid():
    steps = np.array([0.0, 1, 4, 10])
    assert area_under_curve(steps, 2 * steps + 1) == pytest.approx(11.0)  # the line's value in the middle of its span
    assert area_under_curve(steps, np.full(4, 7.0)) == 7.0
    np.testing.assert_allclose(area_under_curve(steps, np.stack([steps, -steps])), [5.0, -5.0])
    assert area_under_curve(np.array([5.0]), np.array([3.0])) == 3.0


def test_area_needs_increasing_steps():
    with pytest.raises(UserError, match="must increase"):
        area_under_curve(np.array([0.0, 2, 2]), np.zeros(3))


def test_performance_profile_of_known_scores():
    profile = performance_profile([np.array([0.0, 1.0]), np.array([0.5, 0.5, 2.0])], np.array([-1.0, 0.0, 0.5, 1.5, 3.0]))
    np.testing.assert_allclose(profile, [1, (1 / 2 + 1) / 2, (1 / 2 + 1 / 3) / 2, (0 + 1 / 3) / 2, 0])


@given(scores, arrays(float, 6, elements=finite).map(np.sort))
def test_performance_profile_never_rises(x, thresholds):
    profile = performance_profile([x], thresholds)
    assert np.all(np.diff(profile) <= 0)
    assert np.all((profile >= 0) & (profile <= 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stratified_bootstrap([]), "no scores"),
        (lambda: stratified_bootstrap([np.array([])]), "task 0 has no scores"),
        (lambda: stratified_bootstrap([np.ones(2), np.array([1.0, np.nan])]), "task 1 has a score that is not finite"),
        (lambda: stratified_bootstrap([np.ones(2)], level=95.0), "level is 95"),
        (lambda: probability_of_improvement([np.ones(2)], [np.ones(2)] * 2), "1 and 2 tasks"),
    ],
)
def test_bad_scores_are_refused_in_one_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
