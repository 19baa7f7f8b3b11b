"""Cross-fitting by episode: what is predicted for an episode comes from models that never saw any step of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unseen.errors import UserError

Regressor = Any  # scikit-learn's fit and predict


def forest(seed: int = 0) -> Regressor:
    """100 trees, as published; a third of the features at each split and at least 5 rows in a leaf are ours."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(100, max_features=1 / 3, min_samples_leaf=5, n_jobs=-1, random_state=seed)


def linear(seed: int = 0) -> Regressor:
    """Ridge regression with a weight chosen by leave-one-out error."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 7)))


def extra_trees(seed: int = 0) -> Regressor:
    """As the forest, with thresholds drawn at random: about five times as fast."""
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(100, max_features=1 / 3, min_samples_leaf=5, n_jobs=-1, random_state=seed)


REGRESSORS: dict[str, Callable[[int], Regressor]] = {"forest": forest, "extra-trees": extra_trees, "linear": linear}


def folds_of(episodes: int, folds: int, seed: int = 0) -> Int[np.ndarray, " episodes"]:
    """The fold of each episode, at random and of even sizes.

    Raises:
        UserError: fewer than two folds, or fewer episodes than folds.
    """
    if folds < 2:
        raise UserError(f"folds = {folds}; cross-fitting needs at least 2")
    if episodes < folds:
        raise UserError(f"{episodes} episodes cannot be split into {folds} folds; record more episodes or lower folds")
    return np.random.default_rng(seed).permutation(np.arange(episodes) % folds)


class Moments(NamedTuple):
    """E[y | x] and Var[y | x] of every row, from models fitted on the other folds."""

    mean: Float[np.ndarray, "n k"]
    variance: Float[np.ndarray, "n k"]


SMALLEST = 0.05  # of the overall deviation: a conditional one is never taken to be smaller


def moments(
    model: Regressor, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], fold: Int[np.ndarray, " n"], *, scales: bool = True
) -> Moments:
    """Cross-fitted conditional mean and variance of every column of y.

    The model is fitted once a fold. A forest's variance is that of its leaves: means of y and y^2 over the training rows in the leaf
    that a row falls into, averaged over trees (after Meinshausen 2006; every row counts once, however often it was drawn). Any other
    regressor is fitted a second time, to the logarithm of the first one's squared residuals.

    Args:
        model: any scikit-learn regressor; it is cloned, not changed.
        x, y: features and targets, one row a step.
        fold: of each row; all rows of an episode share one.
        scales: whether the variance is wanted; without it, it is 1 everywhere.
    """
    mean, variance = np.empty_like(y), np.ones_like(y)
    leaves = False
    for k in np.unique(fold):
        out = fold == k
        fitted = _fitted(model, x[~out], y[~out])
        mean[out] = _columns(fitted.predict(x[out]), y)
        leaves = scales and _is_forest(fitted)
        if leaves:
            variance[out] = _leaf_mean(fitted, x[~out], y[~out] ** 2, x[out]) - _leaf_mean(fitted, x[~out], y[~out], x[out]) ** 2
    if scales and not leaves:
        # The logarithm, so that a few large squares do not decide what is predicted where squares are small.
        squared = (y - mean) ** 2
        logarithm = np.log(np.maximum(squared, 1e-4 * squared.mean(axis=0) + 1e-24))
        for k in np.unique(fold):
            out = fold == k
            fitted = _fitted(model, x[~out], logarithm[~out])
            factor = np.mean(squared[~out], axis=0) / np.mean(np.exp(_columns(fitted.predict(x[~out]), y)), axis=0)
            variance[out] = factor * np.exp(_columns(fitted.predict(x[out]), y))
    if scales:
        overall = np.mean((y - mean) ** 2, axis=0)
        variance = np.maximum(variance, np.maximum(SMALLEST**2 * overall, 1e-24))
    return Moments(mean, variance)


def _fitted(model: Regressor, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"]) -> Any:
    """A fresh copy of the model, fitted.

    Raises:
        UserError: what the model itself complains of.
    """
    from sklearn.base import clone

    fresh: Any = clone(model)
    try:
        return fresh.fit(x, _flat(y))
    except (TypeError, ValueError) as error:
        name = type(model).__name__
        raise UserError(
            f"regressor {name} cannot be fitted to {y.shape[1]} target column{'s' if y.shape[1] > 1 else ''}: "
            f"{str(error).splitlines()[0]}; a model for one target goes into sklearn.multioutput.MultiOutputRegressor"
        ) from error


def _is_forest(fitted: Any) -> bool:
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

    return isinstance(fitted, RandomForestRegressor | ExtraTreesRegressor)


def _flat(y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "..."]:
    """Scikit-learn wants a single target as a vector."""
    return y[:, 0] if y.shape[1] == 1 else y


def _columns(predicted: Any, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "m k"]:
    return np.asarray(predicted, float).reshape(-1, y.shape[1])


def _leaf_mean(fitted: Regressor, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], new: Float[np.ndarray, "m d"]) -> Any:
    """The mean over trees of the mean of y in the leaf that each new row falls into; all training rows count, once each."""
    inside, asked = fitted.apply(x), fitted.apply(new)
    total = np.zeros((len(new), y.shape[1]))
    for tree in range(inside.shape[1]):
        leaf = inside[:, tree]
        count = np.bincount(leaf, minlength=asked[:, tree].max() + 1)
        for column in range(y.shape[1]):
            sums = np.bincount(leaf, y[:, column], minlength=len(count))
            total[:, column] += sums[asked[:, tree]] / np.maximum(count[asked[:, tree]], 1)
    return total / inside.shape[1]
