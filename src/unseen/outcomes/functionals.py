"""What can be estimated with an interval: means of Q over the data's states, by region, by action, or projected on features.

Each is the solution of (1/n) sum_i {scores_i - fitted_i(theta)} = 0 with scores_i = sum_a u(S_i, a) Q(S_i, a) for known functions u:
the value at the data's states has u = pi_e, a region B has u = 1{s in B} for one action (or a difference of two), a linear projection
has u = lambda psi. The doubly robust estimate of any of them replaces Q by its estimate and adds the residuals' weights to the scores.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64

from unseen.outcomes.linear import CHUNK, ActionFeatures, chunks
from unseen.outcomes.rows import Rows

MANY = 65_536


@runtime_checkable
class Functional(Protocol):
    """k means of Q over rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the k numbers."""
        ...

    @property
    def label(self) -> str:
        """What they are, in words."""
        ...

    def mix(self, rows: Rows, weights: Float64[np.ndarray, "m A"]) -> Float64[np.ndarray, "m k"]:
        """sum_a weights(a) u(S, a)."""
        ...

    def gram(self, rows: Rows) -> Float64[np.ndarray, "k k"]:
        """E[d fitted / d theta], what the mean score is divided by."""
        ...

    def fitted(self, rows: Rows, theta: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "m k"]:
        """Each row's part of gram theta."""
        ...


@dataclass(frozen=True)
class StateMean:
    """E[sum_a pi_e(a|S) Q(S, a)], S as in the data: the value begun where the data are."""

    names: tuple[str, ...] = ("value",)
    label: str = "value at the data's states"

    def mix(self, rows: Rows, weights: Float64[np.ndarray, "m A"]) -> Float64[np.ndarray, "m k"]:
        """sum_a pi_e(a|S) weights(a)."""
        return (rows.policy * weights).sum(axis=1, keepdims=True)

    def gram(self, rows: Rows) -> Float64[np.ndarray, "k k"]:
        """1."""
        return np.ones((1, 1))

    def fitted(self, rows: Rows, theta: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "m k"]:
        """theta for every row."""
        return np.tile(theta, (len(rows), 1))


@dataclass(frozen=True, eq=False)
class Regions:
    """E[sum_a c(a) Q(S, a) | S in B] for k regions.

    Attributes:
        inside: from rows to (m, k) membership.
        actions: (A, k) coefficients c: 1 at an action, or 1 and -1 for a contrast.
        names: of the regions.
        label: in words.
    """

    inside: Any
    actions: Float64[np.ndarray, "A k"]
    names: tuple[str, ...]
    label: str

    def mix(self, rows: Rows, weights: Float64[np.ndarray, "m A"]) -> Float64[np.ndarray, "m k"]:
        """1{S in B} sum_a c(a) weights(a)."""
        return self.members(rows) * (weights @ self.actions)

    def gram(self, rows: Rows) -> Float64[np.ndarray, "k k"]:
        """P(S in B) of each region."""
        return np.diag(rows.share @ self.members(rows))

    def fitted(self, rows: Rows, theta: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "m k"]:
        """theta for rows inside."""
        return self.members(rows) * theta

    def members(self, rows: Rows) -> Float64[np.ndarray, "m k"]:
        """(m, k) 1 inside."""
        inside: Bool[np.ndarray, "m k"] = self.inside(rows)
        return inside.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Along:
    """argmin over b of E[(sum_a c(a) Q(S, a) - b' x)^2]: how an outcome or a contrast varies along some columns x, linearly.

    Attributes:
        columns: from rows to (m, k) x, the constant among them.
        actions: (A,) coefficients c.
        names: of the k columns.
        label: in words.
    """

    columns: Any
    actions: Float64[np.ndarray, " A"]
    names: tuple[str, ...]
    label: str

    def mix(self, rows: Rows, weights: Float64[np.ndarray, "m A"]) -> Float64[np.ndarray, "m k"]:
        """x sum_a c(a) weights(a)."""
        return self.columns(rows) * (weights @ self.actions)[:, None]

    def gram(self, rows: Rows) -> Float64[np.ndarray, "k k"]:
        """E[x x']."""
        x = self.columns(rows)
        return (x * rows.share[:, None]).T @ x

    def fitted(self, rows: Rows, theta: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "m k"]:
        """x x' b."""
        x = self.columns(rows)
        return x * (x @ theta)[:, None]


@dataclass(frozen=True, eq=False)
class Projection:
    """argmin over theta of E[sum_a lambda(a|S) (Q(S, a) - psi(S, a)' theta)^2]: the linear function nearest to Q.

    Attributes:
        psi: features.
        row_weight: from rows to (m, A) lambda.
        ridge: relative to the mean diagonal of H.
        labels: what the actions are called.
    """

    psi: ActionFeatures
    row_weight: Any
    ridge: float = 0.0
    labels: tuple[str, ...] = ()
    label: str = "linear projection of Q"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the coefficients: "ACTION: FEATURE", or FEATURE and ACTION where there are no interactions."""
        features, labels = self.psi.features.names, self.labels or tuple(map(str, range(self.psi.actions)))
        if self.psi.mode == "separate":
            return tuple(f"{label}: {name}" for label in labels for name in features)
        return (*features, *labels[1:])

    def mix(self, rows: Rows, weights: Float64[np.ndarray, "m A"]) -> Float64[np.ndarray, "m k"]:
        """sum_a lambda(a|S) weights(a) psi(S, a)."""
        return self.psi.mix(self.psi.features(rows.states), self.row_weight(rows) * weights)

    def gram(self, rows: Rows) -> Float64[np.ndarray, "k k"]:
        """H = E[sum_a lambda psi psi']."""
        weights = self.row_weight(rows) * rows.share[:, None]
        parts = (self.psi.second_moment(self.psi.features(rows.states[part]), weights[part]) for part in chunks(len(rows)))
        h: Float64[np.ndarray, "k k"] = functools.reduce(np.add, parts)
        return h + self.ridge * np.diag(h).mean() * np.eye(len(h))

    def fitted(self, rows: Rows, theta: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "m k"]:
        """sum_a lambda psi psi' theta."""
        phi = self.psi.features(rows.states)
        return self.psi.mix(phi, self.row_weight(rows) * self.psi.values(phi, theta))


def rows_at_once(functional: Functional) -> int:
    """A projection's many columns should stay in the processor's cache; a region's function is better asked about many rows."""
    return CHUNK if isinstance(functional, Projection) else MANY


def uniform_weight(rows: Rows) -> Float[np.ndarray, "m A"]:
    """lambda = 1 / A."""
    return np.full((len(rows), rows.n_actions), 1 / rows.n_actions)


def policy_weight(rows: Rows) -> Float[np.ndarray, "m A"]:
    """lambda = pi_e, as published."""
    return rows.policy
