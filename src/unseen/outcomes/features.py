"""State features: numbers standardised and categories as indicators, or any scikit-learn transformer on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from unseen.data.schema import Schema
from unseen.errors import UserError, unknown

COMPONENTS = 100  # of the random features


@dataclass(frozen=True, eq=False)
class Transformed:
    """A fitted transformer behind the standardised columns.

    Attributes:
        columns: from encoded states to (m, c).
        transformer: fitted.
        first: how many columns it is given; the others follow as they are. None: all.
    """

    columns: Callable[[Any], Any]
    transformer: Any
    first: int | None = None

    def __call__(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m q"]:
        """(m, q)."""
        columns = self.columns(states)
        if self.first is None:
            return _dense(self.transformer.transform(columns))
        return np.concatenate([_dense(self.transformer.transform(columns[:, : self.first])), columns[:, self.first :]], axis=1)


class StateFeatures:
    """From encoded states to (n, q) features, the first of which is 1.

    One feature after another in memory: there are few features and many rows, and what is done to a feature should run along the rows.

    Args:
        schema: names, kinds and levels of the columns.
        states: (n, d) to learn means, deviations and knots from.
        kind: "standard" (numbers standardised; an indicator for every level but the first), "splines" (cubic, 5 knots, of every
            numeric column), "fourier" (100 random features of a Gaussian kernel with the median distance), "leaves" (indicators of
            the leaves of 10 random trees), or a scikit-learn transformer, which is given the standardised columns.
        seed: of the random features.

    Raises:
        UserError: an unknown kind, or splines without numeric columns.
    """

    def __init__(self, schema: Schema, states: Float64[np.ndarray, "n d"], kind: Any = "standard", seed: int = 0):
        self.schema = schema
        numeric = np.array([c.kind == "numeric" for c in schema.columns])
        self.numeric = np.flatnonzero(numeric)
        self.mean = states.mean(axis=0)[numeric]
        deviation = states.std(axis=0)[numeric]
        self.deviation = np.where(deviation > 0, deviation, 1.0)
        self.levels = {i: len(c.levels) for i, c in enumerate(schema.columns) if c.kind == "categorical"}
        self.kind = kind
        self._transform = self._fitted(kind, states, seed)

    def __call__(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m q"]:
        """(m, q) features."""
        if self._transform is None:
            return self._standardised(states, first_level=1, constant=True)
        rest = self._transform(states)
        whole = np.empty((1 + rest.shape[1], len(states)))
        whole[0], whole[1:] = 1.0, rest.T
        return whole.T

    def columns(self, states: Float64[np.ndarray, "m d"], *, every_level: bool = False) -> Float64[np.ndarray, "m c"]:
        """(m, c) standardised numbers, then indicators of levels (all but the first unless `every_level`)."""
        return self._standardised(states, first_level=0 if every_level else 1, constant=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features, in order; numbers are standardised."""
        numeric = [c.name for c in self.schema.columns if c.kind == "numeric"]
        levels = [f"{self.schema.columns[i].name}={level}" for i in self.levels for level in self.schema.columns[i].levels[1:]]
        if self.kind == "standard":
            return ("1", *numeric, *levels)
        count = self(np.zeros((1, len(self.schema.columns)))).shape[1]
        return ("1", *(f"feature {j}" for j in range(1, count)))

    @property
    def width(self) -> int:
        """How many columns there are with every level."""
        return len(self.numeric) + sum(self.levels.values())

    def _standardised(self, states: Float64[np.ndarray, "m d"], first_level: int, constant: bool) -> Float64[np.ndarray, "m c"]:
        begin = int(constant)
        end = begin + len(self.numeric)
        whole = np.empty((end + sum(count - first_level for count in self.levels.values()), len(states)))
        whole[:begin] = 1.0
        numbers = whole[begin:end]
        np.subtract(states.T[self.numeric] if self.levels else states.T, self.mean[:, None], out=numbers)
        numbers /= self.deviation[:, None]
        for i, count in self.levels.items():
            begin, end = end, end + count - first_level
            whole[begin:end] = states[:, i] == np.arange(first_level, count)[:, None]
        return whole.T

    def _fitted(self, kind: Any, states: Float64[np.ndarray, "n d"], seed: int) -> Callable[[Any], Any] | None:
        """What comes behind the standardised columns; None: nothing."""
        if isinstance(kind, str):
            makers = {"standard": None, "splines": self._splines, "fourier": self._fourier, "leaves": self._leaves}
            if kind not in makers:
                raise unknown("features", kind, makers)
            maker = makers[kind]
            return None if maker is None else maker(states, seed)
        from sklearn.base import clone

        transformer: Any = clone(kind)
        transformer.fit(self.columns(states))
        return Transformed(self.columns, transformer)

    def _splines(self, states: Float64[np.ndarray, "n d"], seed: int) -> Callable[[Any], Any]:
        from sklearn.preprocessing import SplineTransformer

        if len(self.numeric) == 0:
            raise UserError("features='splines' needs a numeric state column; all are categorical: use 'standard'")
        numbers = len(self.numeric)
        splines = SplineTransformer(n_knots=5, knots="quantile", include_bias=False, extrapolation="linear")
        splines.fit(self.columns(states)[:, :numbers])
        return Transformed(self.columns, splines, numbers)

    def _fourier(self, states: Float64[np.ndarray, "n d"], seed: int) -> Callable[[Any], Any]:
        from sklearn.kernel_approximation import RBFSampler

        some = self.columns(states[np.random.default_rng(seed).permutation(len(states))[:500]])
        sampler = RBFSampler(gamma=1 / (2 * median_distance(some) ** 2), n_components=COMPONENTS, random_state=seed).fit(some)
        return Transformed(self.columns, sampler)

    def _leaves(self, states: Float64[np.ndarray, "n d"], seed: int) -> Callable[[Any], Any]:
        from sklearn.ensemble import RandomTreesEmbedding

        trees = RandomTreesEmbedding(10, max_depth=4, min_samples_leaf=20, random_state=seed).fit(self.columns(states))
        return Transformed(self.columns, trees)


def median_distance(x: Any, metric: Literal["euclidean", "cityblock"] = "euclidean") -> float:
    """Median distance of different rows; 1 where all are the same."""
    from scipy.spatial.distance import pdist

    distances = pdist(x, metric)
    return float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0


def _dense(x: Any) -> Float64[np.ndarray, "m c"]:
    return np.asarray(x.toarray() if hasattr(x, "toarray") else x, np.float64)
