"""Typed state columns: how a table's named columns become rows of numbers, and back."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from unseen.data.table import Frame, as_frame, column, fail, labels, missing, numbers, require_present, usual_kind
from unseen.errors import UserError, unknown

Kind = Literal["numeric", "categorical"]
Label = bool | int | float | str


@dataclass(frozen=True)
class StateColumn:
    """One state column.

    Attributes:
        name: in the table.
        kind: "numeric" (kept as it is) or "categorical" (the index of its level).
        levels: the levels of a categorical column, in order.
        integer: the table held integers.
    """

    name: str
    kind: Kind
    levels: tuple[Label, ...] = ()
    integer: bool = False


@dataclass(frozen=True)
class Schema:
    """The state columns, in order; encoded states are (n, d) float64 with one number per column."""

    columns: tuple[StateColumn, ...]
    backend: str = "polars"  # the dataframe library that `decode` answers in

    @property
    def discrete(self) -> bool:
        """Whether every column is categorical, so that states can be counted."""
        return all(c.kind == "categorical" for c in self.columns)

    @property
    def n_states(self) -> int:
        """How many combinations of levels there are; raises `UserError` where a column is numeric."""
        return int(np.prod([len(c.levels) for c in self._categorical()], dtype=object))

    def index(self, states: Float64[np.ndarray, "n d"]) -> Int64[np.ndarray, " n"]:
        """(n,) number of each encoded state, row-major in the levels: the last column varies fastest."""
        shape = [len(c.levels) for c in self._categorical()]
        if self.n_states > np.iinfo(np.int64).max:
            raise UserError(f"{self.n_states} combinations of levels are too many to number; use fewer columns")
        return np.asarray(np.ravel_multi_index(tuple(states.astype(np.int64).T), shape), np.int64)

    def encode(self, table: object) -> Float64[np.ndarray, "n d"]:
        """(n, d) numbers for the same named columns of any table.

        Raises:
            UserError: a missing column or value, text where numbers are due, or a level that was not there before, with row and column.
        """
        frame = as_frame(table)
        return self.encode_columns(frame, [c.name for c in self.columns])

    def encode_columns(self, frame: Frame, names: Sequence[str], where: Bool[np.ndarray, " n"] | None = None) -> Float64[np.ndarray, "n d"]:
        """As `encode`, from columns of other names; rows outside of `where` become NaN."""
        encoded = np.full((len(frame), len(self.columns)), np.nan)
        for i, (c, name) in enumerate(zip(self.columns, names)):
            series = column(frame, name, "state")
            if c.kind == "numeric":
                encoded[:, i] = numbers(series, name, "state", where)
            else:
                require_present(series, name, "state", where)
                encoded[:, i] = encode_labels(labels(series, name, "state"), c.levels, name, "level", where)
        return encoded

    def decode(self, states: Float64[np.ndarray, "n d"]) -> Any:
        """The inverse of `encode`: a dataframe of the library the data came in."""
        values = {c.name: _decode(states[:, i], c) for i, c in enumerate(self.columns)}
        return nw.from_dict(values, backend=self.backend).to_native()  # type: ignore[arg-type]

    def _categorical(self) -> tuple[StateColumn, ...]:
        for c in self.columns:
            if c.kind == "numeric":
                fix = f"state={{{c.name!r}: 'categorical', …}}"
                raise UserError(f"state column {c.name!r} is numeric, so states cannot be numbered; if it is a category, declare it: {fix}")
        return self.columns


def fit_schema(frame: Frame, state: str | Sequence[str] | Mapping[str, Kind], next_names: Sequence[str] | None = None) -> Schema:
    """Type the state columns: as declared in a mapping, else numbers are numeric, and text, booleans and categories are categorical.

    Levels are those of the columns and of their next-state columns, sorted; an Enum's are those it declares.
    """
    names = [state] if isinstance(state, str) else list(state)
    if not names or len(set(names)) != len(names):
        raise UserError(f"state names {names}; it needs at least one column, each once")
    declared: Mapping[str, str] = state if isinstance(state, Mapping) else {}
    for kind in declared.values():
        if kind not in ("numeric", "categorical"):
            raise unknown("kind of state column", str(kind), ("numeric", "categorical"))
    columns = [_fit_column(frame, name, declared.get(name), None if next_names is None else next_names[i]) for i, name in enumerate(names)]
    return Schema(tuple(columns), frame.implementation.value)


def _fit_column(frame: Frame, name: str, declared: str | None, next_name: str | None) -> StateColumn:
    series = column(frame, name, "state")
    dtype = series.dtype
    numeric = dtype.is_numeric() or (isinstance(dtype, nw.Object | nw.Unknown) and usual_kind(series.to_list()) == "a number")
    if declared == "numeric" or (declared is None and numeric):
        return StateColumn(name, "numeric", integer=dtype.is_integer())
    found = labels(series, name, "state")
    if declared is None:
        _refuse_numbers_as_text(found, name)
    if isinstance(dtype, nw.Enum):
        return StateColumn(name, "categorical", tuple(dtype.categories))
    seen = set(found)
    if next_name is not None:
        seen |= set(labels(column(frame, next_name, "next state"), next_name, "next state"))
    return StateColumn(name, "categorical", sorted_labels(seen - {None}, name), dtype.is_integer())


def _refuse_numbers_as_text(found: Shaped[np.ndarray, " n"], name: str) -> None:
    """One "n/a" turns a column of numbers into text, and every number into a category; better to ask."""
    texts = [value for value in found if isinstance(value, str)]
    odd = [row for row, value in enumerate(found) if isinstance(value, str) and not is_number(value)]
    if texts and len(odd) <= len(texts) / 2:
        row = odd[0] if odd else 0
        problem = f"{found[row]!r} is not a number" if odd else f"{found[row]!r} is a number stored as text"
        raise fail(name, row, f"{problem}; clean or cast the column, or declare it: state={{{name!r}: 'categorical', …}}")


def is_number(text: str) -> bool:
    """Whether a text spells a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def sorted_labels(found: set[Any], name: str) -> tuple[Label, ...]:
    """Labels in order; whole floats become integers, which they equal."""
    try:
        ordered: list[Label] = sorted(found)
    except TypeError:
        raise UserError(f"column {name!r} mixes text and numbers; labels must be of one type") from None
    return tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in ordered)


def encode_labels(
    values: Shaped[np.ndarray, " n"], known: tuple[Label, ...], name: str, what: str, where: Bool[np.ndarray, " n"] | None = None
) -> Int64[np.ndarray, " n"]:
    """(n,) index of each label in `known`, -1 outside of `where`.

    Raises:
        UserError: the first label that is not known, with row, column and the nearest one that is.
    """
    position = {label: i for i, label in enumerate(known)}
    codes = np.fromiter((position.get(value, -1) for value in values), np.int64, len(values))
    bad = codes < 0 if where is None else (codes < 0) & where
    if bad.any():
        row = int(np.argmax(bad))
        near = difflib.get_close_matches(str(values[row]), [str(k) for k in known], n=1, cutoff=0.5)
        shown = ", ".join(repr(k) for k in known[:12]) + (", …" if len(known) > 12 else "")
        hint = f"did you mean {near[0]!r}?" if near and isinstance(values[row], str) else f"allowed: {shown or 'none'}"
        raise fail(name, row, f"unknown {what} {values[row]!r}; {hint}")
    return codes


def _decode(values: Float64[np.ndarray, " n"], c: StateColumn) -> Any:
    if c.kind == "categorical":
        return [c.levels[int(v)] for v in values]
    return values.astype(np.int64) if c.integer and np.array_equal(values, np.rint(values)) else values


def all_missing(frame: Frame, names: Sequence[str], role: str) -> Bool[np.ndarray, " n"]:
    """(n,) rows where all these columns are missing; raises where some are and some are not."""
    absent = np.stack([missing(column(frame, name, role)) for name in names])
    every = np.logical_and.reduce(absent)
    partial = np.logical_or.reduce(absent) & ~every
    if partial.any():
        row = int(np.argmax(partial))
        raise fail(
            names[int(np.argmax(absent[:, row]))], row, f"part of the {role} is missing; give all of it, or none where it is unknown"
        )
    return every
