"""Columns of the state or of the modifiers as regressors: centred, scaled, categories as indicators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from unseen.errors import UserError, unknown
from unseen.outcomes.rows import Rows

SAME = 1e-10  # smallest eigenvalue of a correlation matrix of columns that do not tell the same


@dataclass(frozen=True, eq=False)
class Line:
    """From rows to (m, 1 + k): the constant, then each column less its mean, over its deviation.

    Attributes:
        pieces: where each column comes from: its number in `Transitions.described`, and the level, or None for a number.
        mean, scale: (k,).
        names: of the k columns.
        groups: of `members`.
    """

    pieces: tuple[tuple[int, int | None], ...]
    mean: Float64[np.ndarray, " k"]
    scale: Float64[np.ndarray, " k"]
    names: tuple[str, ...]
    groups: tuple[str, ...]

    @staticmethod
    def of(data: Any, rows: Rows, columns: Sequence[str]) -> Line:
        """Columns by name, centred and scaled on these rows.

        Raises:
            UserError: no name or one that is no column, columns that are the same everywhere or tell the same.
        """
        known = {c.name: (i, c) for i, c in enumerate(data.described.columns)}
        if not columns:
            raise UserError(f"name at least one column; there are {', '.join(known)}")
        for name in columns:
            if name not in known:
                raise unknown("column of state or modifiers", name, known)
        pieces: list[tuple[int, int | None]] = []
        names, groups = [], []
        for i, c in (known[name] for name in dict.fromkeys(columns)):
            values = rows.column(i)
            if np.ptp(values) == 0:
                raise UserError(f"column {c.name!r} is the same everywhere; nothing varies along it")
            if c.kind == "numeric":
                pieces.append((i, None))
                names.append(c.name)
                groups += [f"{c.name} up to {values.mean():.4g}", f"{c.name} above {values.mean():.4g}"]
            else:
                present = [code for code in range(len(c.levels)) if (values == code).any()]
                pieces += [(i, code) for code in present[1:]]
                names += [f"{c.name}={c.levels[code]}" for code in present[1:]]
                groups += [f"{c.name}={c.levels[code]}" for code in present]
        x = np.stack([_raw(rows, piece) for piece in pieces], axis=1)
        mean = rows.share @ x
        scale = np.sqrt(rows.share @ (x - mean) ** 2)
        z = (x - mean) / scale
        if np.linalg.eigvalsh((z * rows.share[:, None]).T @ z)[0] < SAME:
            raise UserError(f"of the columns {', '.join(names)} one can be told from the others; leave one out")
        return Line(tuple(pieces), mean, scale, tuple(names), tuple(groups))

    def columns(self, rows: Rows) -> Float64[np.ndarray, "m k"]:
        """(m, 1 + k)."""
        x = np.stack([_raw(rows, piece) for piece in self.pieces], axis=1)
        return np.concatenate([np.ones((len(rows), 1)), (x - self.mean) / self.scale], axis=1)

    def members(self, rows: Rows) -> Float64[np.ndarray, "m g"]:
        """(m, g) 1 for rows of each group: levels of categories, and numbers up to and above their mean."""
        found = []
        for i in dict.fromkeys(i for i, _ in self.pieces):
            values = rows.column(i)
            if (i, None) in self.pieces:
                found += [values <= values.mean(), values > values.mean()]
            else:
                found += [values == code for code in np.unique(values)]
        return np.stack(found, axis=1).astype(np.float64)


def _raw(rows: Rows, piece: tuple[int, int | None]) -> Float64[np.ndarray, " m"]:
    i, code = piece
    return rows.column(i) if code is None else (rows.column(i) == code).astype(np.float64)
