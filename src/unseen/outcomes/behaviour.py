"""The behaviour policy: which probabilities the logged decisions were made with, estimated or known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from unseen.data import Transitions
from unseen.errors import UserError, unknown
from unseen.outcomes.features import StateFeatures
from unseen.outcomes.logistic import fit_logistic
from unseen.outcomes.policies import at_states
from unseen.outcomes.regression import lightgbm
from unseen.outcomes.rows import Rows
from unseen.outcomes.weighted import fit_weighted

SMOOTHING = 0.5  # added to every action's count
CALIBRATION_SHARE = 0.2  # of the trajectories, held out for the temperature


@runtime_checkable
class Behaviour(Protocol):
    """A fitted behaviour policy."""

    def __call__(self, rows: Rows) -> Float64[np.ndarray, "m A"]:
        """(m, A) probabilities at rows' states."""
        ...


@dataclass(frozen=True, eq=False)
class Tabular:
    """(count(s, a) + c) / (count(s) + c A).

    Attributes:
        cells: numbers the states.
        visits: (S, A).
        smoothing: c.
    """

    cells: Any
    visits: Float64[np.ndarray, "S A"]
    smoothing: float = SMOOTHING

    def __call__(self, rows: Rows) -> Float64[np.ndarray, "m A"]:
        """(m, A); 1 / A in a state that was never seen."""
        s = self.cells.of(rows.states)
        counts = np.where((s >= 0)[:, None], self.visits[s], 0.0) + self.smoothing
        return counts / counts.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Classified:
    """A classifier's probabilities at the temperature that fits held-out rows best.

    Attributes:
        model: fitted, with `predict_proba`.
        features: of the states.
        classes: (C,) actions it knows; any other gets 0.
        actions: A.
        temperature: log-probabilities are divided by it; 1 leaves them.
        every_level: whether the features have an indicator for every level.
    """

    model: Any
    features: StateFeatures
    classes: Int64[np.ndarray, " C"]
    actions: int
    temperature: float = 1.0
    every_level: bool = False

    def __call__(self, rows: Rows) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        p = np.zeros((len(rows), self.actions))
        p[:, self.classes] = self.model.predict_proba(inputs(self.features, rows, self.every_level))
        return tempered(p, self.temperature)


@dataclass(frozen=True)
class Logged:
    """The probabilities in the log."""

    def __call__(self, rows: Rows) -> Float64[np.ndarray, "m A"]:
        """(m, A); where only the action taken is known, the others share what is left."""
        if rows.logged_every is not None:
            return rows.logged_every
        assert rows.logged is not None
        others = (1 - rows.logged) / max(rows.n_actions - 1, 1)
        p = np.repeat(others[:, None], rows.n_actions, axis=1)
        p[np.arange(len(rows)), rows.actions] = rows.logged
        return p


@dataclass(frozen=True, eq=False)
class Given:
    """A behaviour policy that is known as a function: any policy, evaluated at the states.

    Attributes:
        policy: any that can be judged.
        data: whose states and actions it is asked about.
    """

    policy: Any
    data: Transitions

    def __call__(self, rows: Rows) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        return at_states(self.policy, self.data, rows.states)


def inputs(features: StateFeatures, rows: Rows, every_level: bool) -> Float64[np.ndarray, "m c"]:
    """What a classifier sees: the features without their constant, or the columns with all levels."""
    return features.columns(rows.states, every_level=True) if every_level else features(rows.states)[:, 1:]


def tempered(p: Float64[np.ndarray, "m A"], temperature: float) -> Float64[np.ndarray, "m A"]:
    """p^(1 / temperature), normalised."""
    if temperature == 1.0:
        return p
    powers = p ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def classifier(kind: str, seed: int) -> Any:
    """A classifier by name: "forest", "boosting" (scikit-learn's) or "lightgbm".

    Raises:
        UserError: an unknown name, or LightGBM that is not installed.
    """
    if kind == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(100, min_samples_leaf=20, n_jobs=-1, random_state=seed)
    if kind == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=15, random_state=seed)
    if kind == "lightgbm":
        return lightgbm().LGBMClassifier(n_estimators=50, num_leaves=15, random_state=seed, verbose=-1)
    raise unknown("behaviour policy", kind, ("auto", "logged", "tabular", "logistic", "forest", "boosting", "lightgbm"))


def classified(
    rows: Rows, model: Any, features: StateFeatures, seed: int, calibration: str = "auto", near: Behaviour | None = None
) -> Classified:
    """Fit a classifier of the action taken, and the temperature of its probabilities.

    Args:
        rows: to learn from.
        model: "logistic", a name that `classifier` knows, or a scikit-learn classifier; it is cloned.
        features: of the states.
        seed: of the trajectories held out.
        calibration: "temperature" fits on four fifths of the trajectories and chooses the temperature on the others; "auto" does so
            for everything but logistic regression, whose maximum-likelihood fit needs none.
        near: a fit to similar rows, where "logistic" begins.

    Raises:
        UserError: an unknown name, what the classifier complains of.
    """
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression

    if calibration not in ("auto", "none", "temperature"):
        raise unknown("calibration", str(calibration), ("auto", "none", "temperature"))
    if isinstance(model, str) and model != "logistic":
        model = classifier(model, seed)
    logistic = isinstance(model, (str, LogisticRegression))
    every_level = not logistic
    x, a = inputs(features, rows, every_level), rows.actions
    present = np.unique(a)
    if len(present) == 1:
        return Classified(_Only(), features, present, rows.n_actions, every_level=every_level)
    held = np.zeros(len(rows), np.bool_)
    if calibration == "temperature" or (calibration == "auto" and not logistic):
        held = _held_out(rows, seed)
    if isinstance(model, str):
        fresh: Any = fit_logistic(x[~held], a[~held], rows.weight[~held], near.model if isinstance(near, Classified) else None)
    else:
        fresh = _fit(clone(model), x[~held], a[~held], rows.weight[~held])
    fitted = Classified(fresh, features, np.asarray(fresh.classes_, np.int64), rows.n_actions, every_level=every_level)
    if not held.any():
        return fitted
    out = rows.take(held)
    return Classified(fresh, features, fitted.classes, rows.n_actions, _temperature(fitted(out), out), every_level)


def _fit(model: Any, x: Any, actions: Any, weight: Any) -> Any:
    try:
        return fit_weighted(model, x, actions, weight)
    except TypeError as error:
        raise UserError(f"behaviour policy {type(model).__name__} takes no sample_weight, which weighted rows need") from error
    except ValueError as error:
        raise UserError(f"behaviour policy {type(model).__name__} cannot be fitted: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True)
class _Only:
    """Where only one action was ever taken."""

    def predict_proba(self, x: Any) -> Any:
        return np.ones((len(x), 1))


def _held_out(rows: Rows, seed: int) -> Any:
    """(n,) rows of a fifth of the trajectories; every action stays in the rest."""
    names = np.unique(rows.trajectory)
    chosen = np.random.default_rng(seed).permutation(names)[: int(CALIBRATION_SHARE * len(names))]
    held = np.isin(rows.trajectory, chosen)
    missing = np.setdiff1d(rows.actions, rows.actions[~held])
    return held & ~np.isin(rows.actions, missing)


def _temperature(p: Float64[np.ndarray, "m A"], rows: Rows) -> float:
    """The temperature with the smallest log-loss on these rows."""
    from scipy.optimize import minimize_scalar

    safe = np.maximum(p, 1e-6)

    def loss(log_temperature: float) -> float:
        q = tempered(safe / safe.sum(axis=1, keepdims=True), float(np.exp(log_temperature)))
        return -float(rows.share @ np.log(q[np.arange(len(rows)), rows.actions]))

    found: Any = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))
