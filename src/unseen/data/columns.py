"""What a column is: a NumPy array with one entry per row, or a ragged one for entries of unequal length."""

# pyright: strict
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Int, Integer, Shaped
from numpy.dtypes import StringDType

from unseen.errors import UserError

INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
NUMBERS = ("bool", *INTEGERS, "float16", "float32", "float64")  # with text, everything that is written without pickle


def supported(dtype: np.dtype[Any]) -> bool:
    """Whether a column may have this dtype: a number in native byte order, a boolean, or `StringDType`."""
    return dtype.kind == "T" or (dtype.name in NUMBERS and dtype.isnative)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of unequal length, such as token ids: entry i is `values[offsets[i]:offsets[i + 1]]`.

    Attributes:
        values: (M,) all entries end to end.
        offsets: (n + 1,) int64, from 0 to M, never decreasing.
    """

    values: Shaped[np.ndarray, " M"]
    offsets: Int[np.ndarray, " boundaries"]

    @classmethod
    def from_list(cls, rows: Iterable[object], dtype: Any = None) -> Ragged:
        """Pack a list of one-dimensional arrays; `dtype` is needed only where every row is empty.

        Raises:
            UserError: a row that is not one-dimensional.
        """
        arrays = [np.asarray(row) for row in rows]
        for i, array in enumerate(arrays):
            if array.ndim != 1:
                raise UserError(f"entry {i} of a ragged column has shape {array.shape}; each must be one-dimensional")
        full = [array for array in arrays if array.size]
        values = np.concatenate(full) if full else np.zeros(0, np.int64)
        lengths = np.array([array.size for array in arrays], np.int64)
        return cls(values if dtype is None else values.astype(dtype), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @property
    def lengths(self) -> Int[np.ndarray, " n"]:
        """(n,) entries per row."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Shaped[np.ndarray, " m"]:
        row = range(len(self))[row]
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def to_list(self) -> list[np.ndarray]:
        """Every row as its own array."""
        return [self[i] for i in range(len(self))]


Column = np.ndarray | Ragged


def take(column: Column, rows: Integer[np.ndarray, " k"] | slice) -> Column:
    """Rows of a column; a slice of an array is a view."""
    if isinstance(column, np.ndarray):
        return column[rows]
    if isinstance(rows, slice):
        first, last, _ = rows.indices(len(column))
        offsets = column.offsets[first : last + 1]
        return Ragged(column.values[offsets[0] : offsets[-1]], offsets - offsets[0])
    lengths = column.lengths[rows]
    return Ragged(column.values[ranges(column.offsets[rows], lengths)], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def join(columns: Sequence[Column]) -> Column:
    """Columns of one kind end to end."""
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    if len(arrays) == len(columns):
        return np.concatenate(arrays)
    ragged = [column for column in columns if isinstance(column, Ragged)]
    lengths = np.concatenate([column.lengths for column in ragged])
    return Ragged(np.concatenate([column.values for column in ragged]), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def ranges(starts: Integer[np.ndarray, " k"], lengths: Integer[np.ndarray, " k"]) -> Int[np.ndarray, " m"]:
    """start, start + 1, … (length of them) for every pair, end to end."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)


def as_column(values: object, name: str) -> np.ndarray:
    """A NumPy array from whatever holds the values (a list, a JAX array, …); text becomes `StringDType`.

    Raises:
        UserError: rows of unequal shape, or values that are neither numbers, booleans nor text.
    """
    if isinstance(values, list | tuple) and values and isinstance(values[0], str):
        return _text(list(cast("Sequence[object]", values)), name)  # not through "U", which strips trailing NULs
    try:
        array = np.asarray(values)
    except ValueError:
        raise UserError(f"column {name!r}: its rows have unequal shapes; every row must have the same one") from None
    if array.dtype.kind == "U" or (array.dtype.kind == "O" and array.ndim == 1):
        return _text(cast("list[object]", array.tolist()), name)
    array = array.astype(StringDType() if array.dtype.kind == "T" else array.dtype.newbyteorder("="), copy=False)
    if not supported(array.dtype):
        raise UserError(f"column {name!r} has dtype {array.dtype}; allowed: booleans, integers, floats up to 64 bits, and text")
    return array


def _text(values: list[object], name: str) -> np.ndarray:
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise UserError(f"column {name!r}, entry {i}: {value!r} is not text, but other entries are (or it is of no supported type)")
    try:
        return np.array(values, dtype=StringDType())
    except UnicodeError:
        raise UserError(f"column {name!r} holds text that cannot be written as UTF-8") from None
