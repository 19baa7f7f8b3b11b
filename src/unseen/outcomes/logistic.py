"""Multinomial logistic regression, fitted to one set of rows after another: each fit begins where the last one ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64

from unseen.outcomes.linear import chunks

NEAR = 1e-6  # largest slope of the mean loss from which one more step is the last: it leaves a tenth at most, as a rule a thirtieth
ITERATIONS = 200
COARSE = 8  # every so-manieth row first
FEW = 5_000  # rows that are not thinned out


@dataclass(frozen=True, eq=False)
class Logistic:
    """p(a|x) proportional to exp(theta_a' (1, x)).

    Attributes:
        classes_: (C,) actions.
        theta: (C, q), intercepts first.
        curvature: (C q, C q) second derivative of the mean loss near theta.
    """

    classes_: Int64[np.ndarray, " C"]
    theta: Float64[np.ndarray, "C q"]
    curvature: Float64[np.ndarray, "p p"] | None

    def predict_proba(self, x: Float64[np.ndarray, "m c"]) -> Float64[np.ndarray, "m C"]:
        """(m, C)."""
        return np.concatenate([_probabilities(self.theta, x[part]).T for part in chunks(len(x))])


@dataclass(frozen=True, eq=False)
class _Loss:
    """- mean log p(a|x) + penalty |theta|^2 / 2, intercepts apart; rows weighted by their share.

    scikit-learn's at C = 1: its penalty falls on one vector where there are two classes, and here on both halves of it.
    """

    x: Float64[np.ndarray, "n c"]
    y: Int64[np.ndarray, " n"]
    share: Float64[np.ndarray, " n"]
    penalty: float

    def slope(self, theta: Float64[np.ndarray, "C q"]) -> tuple[float, Float64[np.ndarray, "C q"]]:
        """The loss and its derivative."""
        squares = self.penalty * theta[:, 1:]
        loss, slope = float((squares * theta[:, 1:]).sum()) / 2, np.pad(squares, ((0, 0), (1, 0)))
        for part in chunks(len(self.x)):
            x, y, share, row = self.x[part], self.y[part], self.share[part], np.arange(part.stop - part.start)
            p = _probabilities(theta, x)
            loss -= float(share @ np.log(np.maximum(p[y, row], 1e-300)))
            p[y, row] -= 1.0
            p *= share
            slope[:, 0] += p.sum(axis=1)
            slope[:, 1:] += p @ x
        return loss, slope

    def curvature(self, theta: Float64[np.ndarray, "C q"]) -> Float64[np.ndarray, "p p"]:
        """The second derivative; along a shift of all intercepts, which changes no probability, it is made 1."""
        count, q = theta.shape
        total = np.zeros((count, q, count, q))
        for part in chunks(len(self.x)):
            x = np.pad(self.x[part], ((0, 0), (1, 0)), constant_values=1.0)
            p = _probabilities(theta, self.x[part])
            for a in range(count):
                for b in range(a + 1):
                    weight = self.share[part] * p[a] * ((a == b) - p[b])
                    total[a, :, b] += (x * weight[:, None]).T @ x
        for a in range(count):
            for b in range(a):
                total[b, :, a] = total[a, :, b].T
        total[:, 0, :, 0] += 1.0 / count
        whole = total.reshape(count * q, count * q)
        return whole + np.diag(np.tile(np.r_[0.0, np.full(q - 1, self.penalty)], count))


def fit_logistic(
    x: Float64[np.ndarray, "n c"], actions: Int64[np.ndarray, " n"], weight: Float64[np.ndarray, " n"], near: Any = None
) -> Logistic:
    """The fit of scikit-learn's `LogisticRegression()`, by Newton's method that keeps a second derivative while it serves.

    Args:
        x: without a constant.
        actions: taken.
        weight: of the rows.
        near: a fit to similar rows to begin with; None: a fit to every eighth row. The optimum is the same.
    """
    classes, y = np.unique(actions, return_inverse=True)
    theta, curvature = np.zeros((len(classes), x.shape[1] + 1)), None
    if near is None and len(x) > FEW:
        near = fit_logistic(x[::COARSE], actions[::COARSE], weight[::COARSE])
    if isinstance(near, Logistic) and np.array_equal(near.classes_, classes) and near.theta.shape == theta.shape:
        theta, curvature = near.theta, near.curvature
    total = float(weight.sum())
    of = _Loss(x, y, weight / total, (2.0 if len(classes) == 2 else 1.0) / total)
    loss, slope = of.slope(theta)
    size, exact = 1.0, False
    for _ in range(ITERATIONS):
        if curvature is None:
            curvature, exact = of.curvature(theta), True
        to = theta - size * np.linalg.solve(curvature, slope.ravel()).reshape(theta.shape)
        if np.abs(slope).max() <= NEAR:
            theta = to
            break
        loss_to, slope_to = of.slope(to)
        if loss_to > loss + 1e-12 * abs(loss):  # too far: another curvature, and then shorter steps
            curvature, size = (curvature, size / 2) if exact else (None, size)
            continue
        if np.abs(slope_to).max() > 0.1 * np.abs(slope).max():
            curvature = None
        theta, loss, slope, size, exact = to, loss_to, slope_to, 1.0, False
    return Logistic(classes, theta, curvature)


def _probabilities(theta: Float64[np.ndarray, "C q"], x: Float[np.ndarray, "m c"]) -> Float64[np.ndarray, "C m"]:
    """(C, m): classes first, so that every operation runs along the rows."""
    p = theta[:, 1:] @ x.T + theta[:, :1]
    p -= p.max(axis=0)
    np.exp(p, out=p)
    p /= p.sum(axis=0)
    return p
