"""The behaviour policy: which probabilities the logged decisions were made with, estimated or known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from unseen.errors import UserError, unknown
from unseen.outcomes.features import StateFeatures
from unseen.outcomes.rows import Rows

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
        policy: from encoded states to (m, A).
    """

    policy: Any

    def __call__(self, rows: Rows) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        return self.policy(rows.states)


def inputs(features: StateFeatures, rows: Rows, every_level: bool) -> Float64[np.ndarray, "m c"]:
    """What a classifier sees: the features without their constant, or the columns with all levels."""
    return features.columns(rows.states, every_level=True) if every_level else features(rows.states)[:, 1:]


def tempered(p: Float64[np.ndarray, "m A"], temperature: float) -> Float64[np.ndarray, "m A"]:
    """p^(1 / temperature), normalised."""
    if temperature == 1.0:
        return p
    powers = p ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def classified(rows: Rows, model: Any, features: StateFeatures, seed: int, calibration: str = "auto") -> Classified:
    """Fit a classifier of the action taken, and the temperature of its probabilities.

    Args:
        rows: to learn from.
        model: "logistic", or a scikit-learn classifier; it is cloned.
        features: of the states.
        seed: of the trajectories held out.
        calibration: "temperature" fits on four fifths of the trajectories and chooses the temperature on the others; "auto" does so
            for everything but logistic regression, whose maximum-likelihood fit needs none.

    Raises:
        UserError: an unknown name, what the classifier complains of.
    """
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression

    if calibration not in ("auto", "none", "temperature"):
        raise unknown("calibration", str(calibration), ("auto", "none", "temperature"))
    logistic = isinstance(model, (str, LogisticRegression))
    if isinstance(model, str):
        if model != "logistic":
            raise unknown("behaviour policy", model, ("auto", "tabular", "logistic", "logged"))
        model = LogisticRegression(solver="newton-cholesky", max_iter=200)
    every_level = not logistic
    x, a = inputs(features, rows, every_level), rows.actions
    present = np.unique(a)
    if len(present) == 1:
        return Classified(_Only(), features, present, rows.n_actions, every_level=every_level)
    held = np.zeros(len(rows), np.bool_)
    if calibration == "temperature" or (calibration == "auto" and not logistic):
        held = _held_out(rows, seed)
    fresh: Any = clone(model)
    try:
        fresh.fit(x[~held], a[~held], sample_weight=rows.weight[~held])
    except TypeError:
        fresh.fit(x[~held], a[~held])
    except ValueError as error:
        raise UserError(f"behaviour policy {type(model).__name__} cannot be fitted: {str(error).splitlines()[0]}") from error
    fitted = Classified(fresh, features, np.asarray(fresh.classes_, np.int64), rows.n_actions, every_level=every_level)
    if not held.any():
        return fitted
    out = rows.take(held)
    return Classified(fresh, features, fitted.classes, rows.n_actions, _temperature(fitted(out), out), every_level)


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
