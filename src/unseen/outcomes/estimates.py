"""Estimates with their influence on every trajectory, and all that follows from it: errors, intervals, bands, differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.linalg import block_diag

from unseen.errors import UserError
from unseen.outcomes.rows import quotient

DRAWS = 2_000


@dataclass(frozen=True, eq=False)
class Estimate:
    """Numbers estimated from N trajectories.

    Var = sum_i xi_i xi_i' / N^2, where xi_i sums a trajectory's influence terms before it is squared.

    Attributes:
        names: of the k numbers.
        value: (k,).
        influence: (N, k) xi, with mean 0 up to rounding.
        label: what is estimated, in words; a projection says that it is one.
        extra: (k, k) variance that does not come from the trajectories (starts sampled apart), or None.
        data: a fingerprint of the data, discount and weights it is from; 0: not known. Only estimates from the same have differences.
        cautions: where the data hardly say anything about a number, in words.

    Source: specification, 11.1.
    """

    names: tuple[str, ...]
    value: Float64[np.ndarray, " k"]
    influence: Float64[np.ndarray, "N k"]
    label: str = ""
    extra: Float64[np.ndarray, "k k"] | None = None
    data: int = 0
    cautions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        low, high = (np.atleast_1d(end) for end in self.interval())
        lines = [f"{name}: {v:.4g}, 95 % interval {a:.4g} to {b:.4g}" for name, v, a, b in zip(self.names, self.value, low, high)]
        shown = lines[:20] + ([f"... {len(lines) - 20} more"] if len(lines) > 20 else [])
        return "\n".join(([self.label] if self.label else []) + shown + [f"caution: {words}" for words in self.cautions])

    def __len__(self) -> int:
        return len(self.value)

    @property
    def estimate(self) -> Any:
        """The number; (k,) where there are several."""
        return float(self.value[0]) if len(self.value) == 1 else self.value

    @property
    def covariance(self) -> Float64[np.ndarray, "k k"]:
        """(k, k) of the estimates, clustered by trajectory."""
        among = self.influence.T @ self.influence / len(self.influence) ** 2
        return among if self.extra is None else among + self.extra

    @property
    def deviations(self) -> Float64[np.ndarray, " k"]:
        """(k,) standard errors."""
        own = (self.influence**2).sum(axis=0) / len(self.influence) ** 2
        return np.sqrt(own if self.extra is None else own + np.diag(self.extra))

    @property
    def standard_error(self) -> Any:
        """Of the number; (k,) where there are several."""
        return float(self.deviations[0]) if len(self.value) == 1 else self.deviations

    def interval(self, level: float = 0.95) -> tuple[Any, Any]:
        """Lower and upper end, each by itself.

        Args:
            level: of confidence, between 0 and 1. Quantiles are Student's with N - 1 degrees of freedom.
        """
        from scipy.stats import t

        half = t.ppf(0.5 + _level(level) / 2, max(len(self.influence) - 1, 1)) * self.deviations
        low, high = self.value - half, self.value + half
        return (float(low[0]), float(high[0])) if len(self.value) == 1 else (low, high)

    def band(self, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        """Ends that hold for all k numbers at once: the multiplier bootstrap of the largest |t|, one multiplier a trajectory."""
        half = self.critical(level, draws, seed) * self.deviations
        return self.value - half, self.value + half

    def critical(self, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> float:
        """The quantile of max_k |t_k| that `band` uses; its tail probability is looked up in Student's t with N - 1 degrees of freedom."""
        from scipy.stats import norm, t

        normal = float(np.quantile(self._largest(draws, seed), _level(level)))
        return float(t.isf(norm.sf(normal), max(len(self.influence) - 1, 1)))

    def adjusted_p(self, draws: int = DRAWS, seed: int = 0) -> Float64[np.ndarray, " k"]:
        """(k,) two-sided p-values of 0 that hold for all k numbers at once, however many and however chosen among them."""
        observed = np.abs(quotient(self.value, self.deviations))
        largest = self._largest(draws, seed)
        return (1 + (largest[:, None] >= observed).sum(axis=0)) / (draws + 1)

    def _largest(self, draws: int, seed: int) -> Float64[np.ndarray, " d"]:
        """Draws of max_k |t_k| under the multiplier bootstrap."""
        rng, error = np.random.default_rng(seed), self.deviations
        scaled = quotient(self.influence, error) / len(self.influence)
        largest = np.empty(draws)
        for i in range(0, draws, 100):
            count = min(100, draws - i)
            t = rng.standard_normal((count, len(scaled))) @ scaled
            if self.extra is not None:
                root = np.linalg.cholesky(self.extra + 1e-300 * np.eye(len(error)))
                t = t + quotient(rng.standard_normal((count, len(error))) @ root.T, error)
            largest[i : i + count] = np.abs(t).max(axis=1)
        return largest

    def p_value(self, null: float = 0.0) -> Any:
        """(k,) two-sided p-values of being equal to `null`."""
        from scipy.stats import t

        error = self.deviations
        z = np.abs(self.value - null) / np.where(error > 0, error, np.nan)
        p = np.where(error > 0, 2 * t.sf(z, max(len(self.influence) - 1, 1)), np.where(self.value == null, 1.0, 0.0))
        return float(p[0]) if len(self.value) == 1 else p

    def combined(self, weights: Float64[np.ndarray, "m k"], names: Sequence[str], label: str = "") -> Estimate:
        """Linear combinations of the numbers, with their common covariance."""
        extra = None if self.extra is None else weights @ self.extra @ weights.T
        moved = weights @ self.value, self.influence @ weights.T
        return Estimate(tuple(names), *moved, label or self.label, extra, self.data, self.cautions)

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference of two estimates from the same trajectories, number by number, with their paired covariance."""
        if self.influence.shape != other.influence.shape:
            raise UserError(
                f"estimates of {self.influence.shape[1]} numbers from {len(self.influence)} trajectories and of {other.influence.shape[1]} "
                f"from {len(other.influence)} have no paired difference; fit both on the same data"
            )
        _same_data([self, other])
        names = tuple(a if a == b else f"{a} - {b}" for a, b in zip(self.names, other.names))
        extra = None if self.extra is None and other.extra is None else _or_zero(self) + _or_zero(other)
        cautions = tuple(dict.fromkeys(self.cautions + other.cautions))
        return Estimate(names, self.value - other.value, self.influence - other.influence, "difference", extra, self.data, cautions)

    def table(self, level: float = 0.95) -> Any:
        """A polars frame: name, estimate, standard error, ends of the interval and of the band."""
        import polars as pl

        low, high = (np.atleast_1d(end) for end in self.interval(level))
        from_all, to_all = self.band(level)
        return pl.DataFrame(
            {
                "name": list(self.names),
                "estimate": self.value,
                "standard_error": self.deviations,
                "low": low,
                "high": high,
                "band_low": from_all,
                "band_high": to_all,
            }
        )


def stacked(estimates: Sequence[Estimate], names: Sequence[str]) -> Estimate:
    """Several estimates from the same trajectories as one, with their paired covariance."""
    first = estimates[0]
    if any(len(e.influence) != len(first.influence) for e in estimates):
        raise UserError("estimates from different numbers of trajectories cannot be compared pairwise; fit all on the same data")
    _same_data(estimates)
    influence = np.concatenate([e.influence for e in estimates], axis=1)
    extra = None if all(e.extra is None for e in estimates) else np.asarray(block_diag(*(_or_zero(e) for e in estimates)))
    cautions = tuple(dict.fromkeys(words for e in estimates for words in e.cautions))
    return Estimate(tuple(names), np.concatenate([e.value for e in estimates]), influence, first.label, extra, first.data, cautions)


def _same_data(estimates: Sequence[Estimate]) -> None:
    if len({e.data for e in estimates if e.data}) > 1:
        raise UserError("these estimates are from different data, discounts or weights and have no paired difference; fit all on the same")


def _or_zero(e: Estimate) -> Float64[np.ndarray, "k k"]:
    return np.zeros((len(e.value), len(e.value))) if e.extra is None else e.extra


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise UserError(f"level = {level}; a confidence level lies between 0 and 1, as in 0.95")
    return level
