"""Q by any regressor: one model for each action or one for all, and fitted Q evaluation with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from unseen.errors import UserError, unknown
from unseen.outcomes.features import StateFeatures
from unseen.outcomes.rows import Rows
from unseen.outcomes.weighted import fit_weighted

SWEEPS = 100
FEW = 20_000  # rows, below which LightGBM is given one thread
CHANGE = 1e-3  # of the targets' deviation: where sweeps stop


def lightgbm() -> Any:
    """The package.

    Raises:
        UserError: it is not installed.
    """
    try:
        import lightgbm
    except ModuleNotFoundError:
        raise UserError("'lightgbm' is not installed; pip install 'unseen[trees]', or use 'boosting' from scikit-learn") from None
    return lightgbm


def regressor(kind: Any, seed: int, rows: int | None = None) -> Any:
    """A scikit-learn regressor by name ("forest", "lightgbm", "boosting"), or the given one.

    Raises:
        UserError: an unknown name, or LightGBM that is not installed.
    """
    if not isinstance(kind, str):
        if not hasattr(kind, "fit") or not hasattr(kind, "predict"):
            raise UserError(f"a {type(kind).__name__} is no regressor; give one with fit(X, y, sample_weight) and predict(X)")
        return kind
    if kind == "forest":
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(100, min_samples_leaf=5, n_jobs=-1, random_state=seed)
    if kind == "boosting":
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(random_state=seed)
    if kind == "lightgbm":
        threads = 1 if rows is not None and rows < FEW else None  # few rows are fitted sooner than threads have met
        return lightgbm().LGBMRegressor(n_estimators=100, num_leaves=31, n_jobs=threads, random_state=seed, verbose=-1)
    raise unknown("regressor", kind, ("forest", "boosting", "lightgbm", "linear", "tabular", "neural"))


@dataclass(frozen=True, eq=False)
class ActionRegression:
    """Q(s, a) by regressors.

    Attributes:
        models: one for each action (None: never taken), or one for all.
        features: of the states; regressors see the columns with all levels.
        actions: A.
        empty: value for actions never taken.
    """

    models: tuple[Any, ...]
    features: StateFeatures
    actions: int
    empty: float

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        x = self.features.columns(states, every_level=True)
        if len(self.models) == 1 and self.actions > 1:
            hot = np.eye(self.actions)
            return np.column_stack([_predict(self.models[0], np.hstack([x, np.tile(hot[a], (len(x), 1))])) for a in range(self.actions)])
        return np.column_stack([np.full(len(x), self.empty) if m is None else _predict(m, x) for m in self.models])


def fit_q(
    states: Float64[np.ndarray, "m d"],
    actions: Int64[np.ndarray, " m"],
    targets: Float64[np.ndarray, " m"],
    weight: Float64[np.ndarray, " m"],
    model: Any,
    features: StateFeatures,
    n_actions: int,
    mode: str = "separate",
) -> ActionRegression:
    """Regress targets on states and actions, rows weighted; rows of weight 0 are left out.

    Raises:
        UserError: what the regressor complains of.
    """
    used = weight > 0
    x, actions, targets, weight = features.columns(states[used], every_level=True), actions[used], targets[used], weight[used]
    empty = float(np.average(targets, weights=weight))
    if mode == "additive":
        both = np.hstack([x, np.eye(n_actions)[actions]])
        return ActionRegression((_fit(model, both, targets, weight),), features, n_actions, empty)
    models = [_fit(model, x[of], targets[of], weight[of]) if (of := actions == a).any() else None for a in range(n_actions)]
    return ActionRegression(tuple(models), features, n_actions, empty)


def evaluate_q(
    rows: Rows,
    discount: float,
    model: Any,
    features: StateFeatures,
    *,
    sweeps: int | None = None,
    mode: str = "separate",
) -> tuple[ActionRegression, int, float]:
    """Fitted Q evaluation: refit from scratch on R + gamma (1 - D) sum_a pi_e(a|S~) Q(S~, a), sweep after sweep.

    Args:
        rows: to learn from.
        discount: gamma.
        model: a regressor; it is cloned.
        features: of the states.
        sweeps: exactly so many; None: until the targets change by less than a thousandth of their deviation, at most 100.
        mode: a model for each action, or one that sees the action.

    Returns:
        Q, the sweeps made, and the last relative change.
    """
    value, change, made = np.zeros(len(rows)), np.inf, 0
    q = None
    for _ in range(SWEEPS if sweeps is None else sweeps):
        made += 1
        targets = rows.rewards + discount * rows.alive * value
        q = fit_q(rows.states, rows.actions, targets, rows.weight, model, features, rows.n_actions, mode)
        new = (rows.next_policy * q.values(rows.next_states)).sum(axis=1)
        moved = np.sqrt(np.average((discount * rows.alive * (new - value)) ** 2, weights=rows.weight))
        change = float(moved / max(np.sqrt(np.average(targets**2, weights=rows.weight)), 1e-12))
        value = new
        if sweeps is None and change < CHANGE:
            break
    if q is None:
        raise UserError(f"sweeps = {sweeps}; fitted Q evaluation needs at least 1")
    return q, made, change


def _fit(model: Any, x: Any, y: Any, weight: Any) -> Any:
    from sklearn.base import clone

    fresh: Any = clone(model)
    try:
        return fit_weighted(fresh, x, y, weight)
    except TypeError as error:
        raise UserError(
            f"regressor {type(model).__name__} takes no sample_weight, which row_weight='policy' and unequal folds need"
        ) from error
    except ValueError as error:
        raise UserError(f"regressor {type(model).__name__} cannot be fitted: {str(error).splitlines()[0]}") from error


def _predict(model: Any, x: Any) -> Float64[np.ndarray, " m"]:
    return np.asarray(model.predict(x), np.float64).reshape(len(x))
