"""Cross-fitting by episode: what a model has seen, means against models fitted by hand, scales against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from unseen.errors import UserError
from unseen.signals.folds import REGRESSORS, SMALLEST, folds_of, moments


@given(st.integers(2, 60), st.integers(2, 10), st.integers(0, 1_000))
def test_folds_are_of_even_sizes(episodes, folds, seed):
    if episodes < folds:
        with pytest.raises(UserError, match=f"{episodes} episodes cannot be split into {folds} folds"):
            folds_of(episodes, folds, seed)
        return
    sizes = np.bincount(folds_of(episodes, folds, seed), minlength=folds)
    assert sizes.sum() == episodes
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds_of(episodes, folds, seed), folds_of(episodes, folds, seed))


def test_folds_are_drawn():
    assert not np.array_equal(folds_of(40, 5, 0), folds_of(40, 5, 1))
    assert not np.array_equal(folds_of(40, 5, 0), np.sort(folds_of(40, 5, 0)))


def test_one_fold_is_none():
    with pytest.raises(UserError, match="folds = 1; cross-fitting needs at least 2"):
        folds_of(10, 1)


def episodes_with_constants(episodes=30, steps=20):
    """y is a constant of each episode; x tells a tree which episode a row is of."""
    episode = np.repeat(np.arange(episodes), steps)
    rng = np.random.default_rng(0)
    constant = rng.choice([-1.0, 1.0], episodes)
    x = rng.permutation(episodes)[episode][:, None].astype(float)
    return episode, x, constant[episode][:, None] + 0.05 * rng.normal(size=(len(episode), 1)), constant


@pytest.mark.parametrize("model", [REGRESSORS["forest"](0).set_params(n_jobs=1), REGRESSORS["extra-trees"](0).set_params(n_jobs=1)])
def test_no_residual_uses_its_own_episode(model):
    episode, x, y, constant = episodes_with_constants()

    def left(fold):
        """The mean residual of each episode, in units of the constant that was put into it."""
        residual = (y - moments(model, x, y, fold, scales=False).mean)[:, 0]
        return (np.bincount(episode, residual) / np.bincount(episode)) * constant

    by_episode = left(folds_of(30, 5)[episode])
    by_row = left(np.random.default_rng(1).permutation(len(y)) % 5)
    assert by_episode.mean() > 0.8  # nothing of it can be known
    assert by_row.mean() < 0.2  # other rows of the same episode tell it


def test_means_are_those_of_models_fitted_on_the_other_folds():
    rng = np.random.default_rng(0)
    episode = np.repeat(np.arange(12), 4)
    x, y = rng.normal(size=(48, 3)), rng.normal(size=(48, 2))
    fold = folds_of(12, 3)[episode]
    found = moments(LinearRegression(), x, y, fold)
    mean, squared = np.empty_like(y), np.empty_like(y)
    for k in range(3):
        mean[fold == k] = LinearRegression().fit(x[fold != k], y[fold != k]).predict(x[fold == k])
    e = (y - mean) ** 2
    logarithm = np.log(np.maximum(e, 1e-4 * e.mean(axis=0)))
    for k in range(3):
        second = LinearRegression().fit(x[fold != k], logarithm[fold != k])
        factor = e[fold != k].mean(axis=0) / np.exp(second.predict(x[fold != k])).mean(axis=0)
        squared[fold == k] = factor * np.exp(second.predict(x[fold == k]))
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.variance, np.maximum(squared, SMALLEST**2 * np.mean((y - mean) ** 2, axis=0)))
    np.testing.assert_array_equal(moments(LinearRegression(), x, y, fold, scales=False).variance, 1.0)


def test_the_variance_of_a_forest_is_that_of_its_leaves():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    fold = np.arange(60) % 2
    model = RandomForestRegressor(7, min_samples_leaf=5, bootstrap=False, random_state=0)
    found = moments(model, x, y, fold)
    for k in range(2):
        inside, out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        fitted = RandomForestRegressor(7, min_samples_leaf=5, bootstrap=False, random_state=0).fit(x[inside], y[inside])
        for row in out:
            together = [y[inside][tree.apply(x[inside]) == tree.apply(x[[row]])] for tree in fitted.estimators_]
            first = np.mean([t.mean(axis=0) for t in together], axis=0)
            second = np.mean([(t**2).mean(axis=0) for t in together], axis=0)
            np.testing.assert_allclose(found.mean[row], first)
            np.testing.assert_allclose(found.variance[row], second - first**2)


@pytest.mark.parametrize("name", ["forest", "extra-trees", "linear"])
def test_conditional_scales_are_found(name):
    rng = np.random.default_rng(0)
    episode = np.repeat(np.arange(100), 10)
    scale = rng.choice([0.3, 3.0], 1_000)
    noise = rng.normal(size=1_000)
    y = (scale * noise)[:, None]
    model = REGRESSORS[name](0)
    found = np.sqrt(moments(model, scale[:, None], y, folds_of(100, 5)[episode]).variance[:, 0])
    assert np.median(found[scale == 3.0]) == pytest.approx(3.0, rel=0.1)
    assert np.median(found[scale == 0.3]) == pytest.approx(0.3, rel=0.3)


def test_a_scale_is_never_taken_to_be_nothing():
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 1.0], (400, 1))
    y = x * rng.normal(size=(400, 1))
    found = moments(LinearRegression(), x, y, np.arange(400) % 4)
    assert np.sqrt(found.variance.min()) >= 0.999 * SMALLEST * np.sqrt(np.mean((y - found.mean) ** 2))


def test_the_model_given_is_not_changed():
    model = LinearRegression()
    moments(model, np.arange(8.0)[:, None], np.arange(8.0)[:, None] ** 2, np.arange(8) % 2)
    assert not hasattr(model, "coef_")
