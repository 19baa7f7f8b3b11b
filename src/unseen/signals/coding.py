"""Recorded columns as numbers: categories one-hot, numbers standardised, wide ones projected; and what cannot be used, by reason."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Float, Shaped

from unseen.errors import UserError

WIDEST = 64  # coded columns; wider codes are projected onto as many random directions
MOST_LEVELS = 64  # whole numbers with more levels are numbers, where no space says that they are categories


class Coding(NamedTuple):
    """How one quantity becomes columns of numbers.

    Attributes:
        levels: of each categorical component its levels; None: the components are numbers.
        mean, scale: of the components, where they are numbers.
        projection: (width before, WIDEST), where the code is projected; None otherwise.
    """

    levels: tuple[np.ndarray, ...] | None
    mean: Float[np.ndarray, " c"]
    scale: Float[np.ndarray, " c"]
    projection: Float[np.ndarray, "w p"] | None

    def __call__(self, values: Shaped[np.ndarray, "n ..."], name: str = "this column") -> Float[np.ndarray, "n d"]:
        """The columns of these values.

        Raises:
            UserError: a category that was not there when the coding was made.
        """
        flat = values.reshape(len(values), -1)
        if self.levels is None:
            code = (flat.astype(float) - self.mean) / self.scale
        elif self.projection is None:
            code = np.concatenate([_one_hot(flat[:, k], levels, name) for k, levels in enumerate(self.levels)], axis=1)
        else:
            return self._projected(flat, name)
        return code if self.projection is None else code @ self.projection

    def _projected(self, flat: Shaped[np.ndarray, "n c"], name: str) -> Float[np.ndarray, "n p"]:
        """The projected one-hot code, a component at a time: the code itself may be far too wide to write down."""
        assert self.levels is not None
        assert self.projection is not None
        out, below = np.zeros((len(flat), self.projection.shape[1])), 0
        for k, levels in enumerate(self.levels):
            index, width = _index(flat[:, k], levels, name), _columns(levels)
            rows = self.projection[below : below + width]
            if width == 1:
                out += index[:, None] * rows
            elif width:
                out += rows[index]
            below += width
        return out


def coding(values: Shaped[np.ndarray, "n ..."], space: gymnasium.Space[Any] | None = None, *, widest: int | None = WIDEST) -> Coding:
    """The coding of a column.

    Categories (a Discrete or MultiDiscrete space; without a space, booleans, text, and whole numbers with at most 64 levels) become
    one column a level, one column in all where there are two; numbers are standardised. A code of more than `widest` columns is
    multiplied by Gaussian random directions, which keeps distances between rows up to about 1 / sqrt(widest).

    Args:
        values: rows as recorded.
        space: what the environment says they are, where there is one.
        widest: None never projects.
    """
    flat = values.reshape(len(values), -1)
    empty = np.zeros(0)
    if _categorical(flat, space):
        levels = tuple(np.unique(flat[:, k]) for k in range(flat.shape[1]))
        width = sum(_columns(each) for each in levels)
        return Coding(levels, empty, empty, _projection(width, widest))
    numbers = flat.astype(float)
    scale = numbers.std(axis=0)
    return Coding(None, numbers.mean(axis=0), np.where(scale > 1e-9, scale, 1.0), _projection(flat.shape[1], widest))


def untestable(values: Shaped[np.ndarray, "n ..."]) -> str | None:
    """Why nothing can be said about a signal with these values; None where something can."""
    flat = values.reshape(len(values), -1)
    if flat.dtype.kind == "f" and not np.all(np.isfinite(flat)):
        bad = int(np.sum(~np.isfinite(flat).all(axis=1)))
        return f"{bad} of {len(flat)} steps have missing or infinite values"
    if np.all(flat == flat[:1]):
        return "it is constant"
    if flat.dtype.kind not in "biuf" and flat.shape[1] == 1 and len(np.unique(flat)) > max(MOST_LEVELS, len(flat) // 2):
        return "it is text that is different almost everywhere, like a name"
    return None


def _categorical(flat: Shaped[np.ndarray, "n c"], space: gymnasium.Space[Any] | None) -> bool:
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        return True
    if flat.dtype.kind == "b" or flat.dtype.kind not in "iuf":
        return True
    few = flat.dtype.kind in "iu" and flat.shape[1] <= 1_024
    return few and all(len(np.unique(flat[:, k])) <= MOST_LEVELS for k in range(flat.shape[1]))


def _columns(levels: np.ndarray) -> int:
    """Columns of a component: none for a constant, one for two levels, else one a level."""
    return {1: 0, 2: 1}.get(len(levels), len(levels))


def _index(values: Shaped[np.ndarray, " n"], levels: np.ndarray, name: str) -> np.ndarray:
    """Which level each value is.

    Raises:
        UserError: a level that was not there when the coding was made.
    """
    known = np.isin(values, levels)
    if not known.all():
        new = values[~known].tolist()[0]
        raise UserError(f"{name} has the level {new!r}, which was not there before; levels known: {_listed(levels)}; leave those steps out")
    return np.searchsorted(levels, values)


def _one_hot(values: Shaped[np.ndarray, " n"], levels: np.ndarray, name: str) -> Float[np.ndarray, "n k"]:
    index = _index(values, levels, name)
    if len(levels) == 2:
        return index[:, None].astype(float)
    return np.eye(len(levels))[index] if len(levels) > 2 else np.zeros((len(values), 0))


def _listed(levels: np.ndarray) -> str:
    shown = ", ".join(str(level) for level in levels[:8])
    return shown + (", …" if len(levels) > 8 else "")


def _projection(width: int, widest: int | None) -> Float[np.ndarray, "w p"] | None:
    if widest is None or width <= widest:
        return None
    return np.random.default_rng(width).standard_normal((width, widest)) / math.sqrt(widest)
