"""Probability rows written statement by statement: later writes win, and only what is not zero is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

Place = int | None  # an index, or None for every index of the axis


class Rows:
    """A growing log of writes to a table of rows; `finish` replays it once, vectorised.

    Args:
        shape: the axes that name a row, such as (A, S).
        columns: length of a row.
    """

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.shape, self.columns = shape, columns
        count = int(np.prod(shape))
        self._numbers = np.arange(count).reshape(shape)
        self._cleared = np.full(count, -1)  # the last write that replaced the whole row
        self._positions: list[tuple[int, int]] = []  # write -> line and column in the file
        self._single: list[tuple[int, int, int]] = []  # (write, row, column) of writes of one entry; they are most of a large file
        self._single_value: list[float] = []
        self._many: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []  # (write, row, column, value)

    def write_entry(self, row: Sequence[Place], column: Place, value: float, position: tuple[int, int]) -> None:
        """Set one entry, or the same entry of many rows, to `value`."""
        if column is None:
            self.write(row, np.full(self.columns, value), position)
            return
        rows = self._rows(row).reshape(-1)
        if len(rows) == 1:
            self._single.append((len(self._positions), int(rows[0]), column))
            self._single_value.append(value)
        else:
            self._log(rows, np.full(len(rows), column), np.full(len(rows), value))
        self._positions.append(position)

    def write(self, row: Sequence[Place], table: Float[np.ndarray, "*axes columns"], position: tuple[int, int]) -> None:
        """Replace rows by `table`; it is repeated along the leading axes it lacks."""
        rows = self._rows(row)
        table = np.broadcast_to(table, (*rows.shape, self.columns))
        *index, columns = np.nonzero(table)
        self._log(np.broadcast_to(rows[tuple(index)], columns.shape), columns, table[(*index, columns)])
        self._cleared[rows] = len(self._positions)
        self._positions.append(position)

    def finish(self) -> tuple[sparse.csr_array, Float[np.ndarray, "R"]]:
        """The table, shape (R, columns), with rows that sum to about 1 normalised; and the sums as they were written."""
        single = np.array(self._single, np.int64).reshape(-1, 3)
        logs = [*self._many, (single[:, 0], single[:, 1], single[:, 2], np.array(self._single_value, np.float64))]
        write, row, column, value = (np.concatenate(part) for part in zip(*logs))
        order = np.lexsort((write, column, row))
        write, row, column, value = write[order], row[order], column[order], value[order]
        newest = np.append((np.diff(row) != 0) | (np.diff(column) != 0), True)[: len(row)]
        keep = newest & (write >= self._cleared[row]) & (value != 0)
        row, column, value = row[keep], column[keep], value[keep]
        count = len(self._cleared)
        sums = np.bincount(row, weights=value, minlength=count).astype(np.float64)  # integers where there is nothing to count
        # Only rounding of the file is repaired: rows that are exact stay bit for bit what was written.
        scale = np.where((np.abs(sums - 1.0) > 1e-12) & (sums > 0), sums, 1.0)
        first = np.searchsorted(row, np.arange(count + 1))
        return sparse.csr_array((value / scale[row], column, first), shape=(count, self.columns)), sums

    def last_written(self, row: int) -> tuple[int, int] | None:
        """Line and column of the last write to a row; None if it was never written."""
        writes = [self._cleared[row], *(w for w, r, _ in self._single if r == row)]
        writes += [int(w[np.flatnonzero(r == row)].max(initial=-1)) for w, r, _, _ in self._many]
        return self._positions[max(writes)] if max(writes) >= 0 else None

    def _rows(self, row: Sequence[Place]) -> np.ndarray:
        return np.asarray(self._numbers[tuple(slice(None) if place is None else place for place in row)])

    def _log(self, row: np.ndarray, column: np.ndarray, value: np.ndarray) -> None:
        self._many.append((np.full(row.size, len(self._positions)), row, column, np.array(value, np.float64)))
