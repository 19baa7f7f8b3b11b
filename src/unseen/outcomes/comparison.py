"""Several policies on the same data: paired differences, adjusted tests, and which may be the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from unseen.errors import UserError
from unseen.outcomes.estimates import Estimate, stacked


@dataclass(frozen=True, eq=False)
class Comparison:
    """Values of several policies with their paired covariance.

    Attributes:
        values: an `Estimate` with a number for each policy.
        best: (k,) whether the policy belongs to the set that holds the best one with probability `level`.
        level: of that set.
        verdicts: colour by policy, where there is one; what is red is ranked last and cannot be the best.
    """

    values: Estimate
    best: Bool[np.ndarray, " k"]
    level: float
    verdicts: Mapping[str, str] = field(default_factory=dict)

    def differences(self, reference: str | None = None) -> Estimate:
        """Every policy's value minus the reference's (by default the policy with the largest estimate)."""
        names = list(self.values.names)
        at = int(np.argmax(self.values.value)) if reference is None else _place(reference, names)
        weights = np.delete(np.eye(len(names)), at, axis=0)
        weights[:, at] = -1.0
        others = [name for name in names if name != names[at]]
        return self.values.combined(weights, [f"{name} - {names[at]}" for name in others], "difference of values")

    def pairs(self) -> Estimate:
        """Differences of all pairs, whose band and adjusted p-values hold for any that are picked after looking."""
        names, k = self.values.names, len(self.values)
        chosen = [(i, j) for i in range(k) for j in range(k) if i < j]
        weights = np.zeros((len(chosen), k))
        for row, (i, j) in enumerate(chosen):
            weights[row, i], weights[row, j] = 1.0, -1.0
        return self.values.combined(weights, [f"{names[i]} - {names[j]}" for i, j in chosen], "difference of values")

    def p_values(self, reference: str | None = None, seed: int = 0) -> dict[str, float]:
        """Two-sided p-values of the differences, adjusted for their number.

        Args:
            reference: a policy that was named beforehand: Holm's adjustment. None: of all pairs, by their largest |t|, since whoever looks
                at the best estimate has chosen it by the data.
            seed: of the bootstrap.
        """
        if reference is None:
            pairs = self.pairs()
            return dict(zip(pairs.names, (float(p) for p in pairs.adjusted_p(seed=seed))))
        difference = self.differences(reference)
        return dict(zip(difference.names, holm(np.atleast_1d(difference.p_value()))))

    def regret(self, k: int, truth: Mapping[str, float]) -> float:
        """Regret@k: the best true value minus the best among the k policies with the largest estimates.

        Args:
            k: how many would be tried.
            truth: true values by name, where they are known.
        """
        if not 1 <= k <= len(self.values):
            raise UserError(f"k = {k}; it must lie between 1 and {len(self.values)}, the number of policies")
        order = np.argsort(-self.values.value, kind="stable")[:k]
        return max(truth.values()) - max(truth[self.values.names[i]] for i in order)

    def table(self) -> Any:
        """A polars frame, best estimate first: policy, estimate, standard error, interval, rank, whether it may be the best."""
        import polars as pl

        frame = self.values.table(self.level).rename({"name": "policy"})
        verdicts = [self.verdicts.get(name, "") for name in self.values.names]
        order = np.lexsort((-self.values.value, np.array([colour == "red" for colour in verdicts])))
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(1, len(order) + 1)
        columns = {"rank": ranks, "may_be_best": self.best.tolist(), "verdict": verdicts}
        return frame.with_columns(pl.Series(name, values) for name, values in columns.items()).sort("rank")


def compare(learners: Mapping[str, Any], *, level: float = 0.95, starts: Any = None, seed: int = 0) -> Comparison:
    """Compare fitted learners of different policies on the same data.

    A policy is left out of the set of possible best ones if some other is better by more than the multiplier bootstrap of all
    pairwise differences allows.

    Args:
        learners: name -> fitted `DRQLearner` (or anything whose `value()` has an influence).
        level: of the set and of intervals.
        starts: as in `value`.
        seed: of the bootstrap.

    Raises:
        UserError: fewer than two policies, estimates without influence, different data.
    """
    if len(learners) < 2:
        raise UserError(f"{len(learners)} policies cannot be compared; give at least two fitted learners by name")
    values = {name: (one.value() if starts is None else one.value(starts)) for name, one in learners.items()}
    for name, value in values.items():
        if not isinstance(value, Estimate):
            raise UserError(
                f"{name!r} has no interval ({type(learners[name]).__name__}); compare DRQLearner or DoubleReinforcementLearning"
            )
    both = stacked(list(values.values()), list(values))
    k = len(both)
    verdicts = {name: one.diagnostics.verdict.colour for name, one in learners.items() if hasattr(one, "diagnostics")}
    trusted = np.array([verdicts.get(name) != "red" for name in values], np.bool_)
    best = trusted.copy() if trusted.any() else np.ones(k, np.bool_)
    low, high = Comparison(both, best, level).pairs().band(level, seed=seed)
    for (i, j), below, above in zip([(i, j) for i in range(k) for j in range(k) if i < j], low, high):
        if below > 0 and (trusted[i] or not trusted.any()):
            best[j] = False
        if above < 0 and (trusted[j] or not trusted.any()):
            best[i] = False
    return Comparison(both, best, level, verdicts)


def holm(p: Float64[np.ndarray, " m"]) -> list[float]:
    """Holm's step-down adjustment."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(x) for x in adjusted]


def _place(name: str, names: list[str]) -> int:
    from unseen.errors import unknown

    if name not in names:
        raise unknown("policy", name, names)
    return names.index(name)
