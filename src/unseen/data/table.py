"""A table of anybody's, opened and read one typed column at a time; every error names the row and the column."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
from jaxtyping import Bool, Float64, Shaped

from unseen.errors import UserError, unknown

Frame = nw.DataFrame[Any]
LABELS = (nw.Boolean, nw.String, nw.Categorical, nw.Enum, nw.dtypes.NumericType)  # column types that hold labels


def as_frame(table: object) -> Frame:
    """A narwhals frame from a path (.parquet, .csv), any dataframe, or a mapping of columns.

    Raises:
        UserError: a file that is missing, damaged or of another kind, or an object that is no table.
    """
    if isinstance(table, str | os.PathLike):
        return _open(Path(table))
    if isinstance(table, Mapping):
        import polars as pl

        try:
            return nw.from_native(pl.DataFrame(dict(table), strict=True), eager_only=True)
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise UserError(f"the columns do not make a table: {_first_line(error)}") from None
    try:
        frame = nw.from_native(table)  # type: ignore[call-overload]
    except TypeError:
        raise UserError(
            f"a {type(table).__name__} is no table; allowed: a path to .parquet or .csv, a dataframe, a mapping of columns"
        ) from None
    frame = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    if not isinstance(frame, nw.DataFrame):
        raise UserError(f"a {type(table).__name__} is no table; allowed: a path to .parquet or .csv, a dataframe, a mapping of columns")
    return frame


def _open(path: Path) -> Frame:
    if path.suffix not in (".parquet", ".pq", ".csv"):
        raise unknown("kind of table", path.suffix or path.name, (".parquet", ".pq", ".csv"))
    if not path.is_file():
        raise UserError(f"no file {str(path)!r}")
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".csv":
            return nw.from_native(pl.read_csv(path, infer_schema_length=None), eager_only=True)
        with pq.ParquetFile(path, page_checksum_verification=True) as file:  # Arrow reports damage as an exception where polars may panic
            arrow = file.read()
        arrow.validate(full=True)  # text that is no text, an index out of range: polars would panic
        frame = pl.from_arrow(arrow)
        return nw.from_native(frame, eager_only=True)
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, MemoryError, ValueError) as error:
        raise UserError(f"{str(path)!r} cannot be read as {path.suffix[1:]}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def column(frame: Frame, name: str, role: str) -> nw.Series[Any]:
    """One column; raises `UserError` with the nearest name when it is missing."""
    if name not in frame.columns:
        raise unknown(f"column ({role})", name, frame.columns)
    return frame[name]


def fail(name: str, row: int, problem: str) -> UserError:
    """The error for one cell; rows count from 0 as the table was given."""
    return UserError(f"row {row}, column {name!r}: {problem}")


def missing(series: nw.Series[Any]) -> Bool[np.ndarray, " n"]:
    """(n,) true where a value is null or NaN."""
    nulls = np.array(series.is_null().to_numpy(), np.bool_)
    if series.dtype.is_float():
        nulls |= np.array(series.fill_null(0.0).is_nan().to_numpy(), np.bool_)
    return nulls


def require_present(series: nw.Series[Any], name: str, role: str, where: Bool[np.ndarray, " n"] | None = None) -> None:
    """Raise at the first missing value (of the rows `where`)."""
    absent = missing(series) if where is None else missing(series) & where
    if absent.any():
        raise fail(name, int(np.argmax(absent)), f"the {role} is missing or NaN; fill it in or drop the row")


def numbers(series: nw.Series[Any], name: str, role: str, where: Bool[np.ndarray, " n"] | None = None) -> Float64[np.ndarray, " n"]:
    """(n,) finite numbers; NaN outside of `where`.

    Raises:
        UserError: text, missing or infinite values, with their row.
    """
    wanted = np.ones(len(series), np.bool_) if where is None else where
    if series.dtype.is_numeric() or series.dtype == nw.Boolean:
        filled = np.array(series.cast(nw.Float64).fill_null(np.nan).to_numpy(), np.float64)
    else:
        values = series.to_list()
        for row, value in enumerate(values):
            if wanted[row] and value is not None and not isinstance(value, int | float):
                raise fail(name, row, f"{value!r} is not a number, which the {role} must be")
        filled = np.array([value if isinstance(value, int | float) else np.nan for value in values], np.float64)
    filled[~wanted] = np.nan
    absent = np.isnan(filled) & wanted
    if absent.any():
        raise fail(name, int(np.argmax(absent)), f"the {role} is missing or NaN; fill it in or drop the row")
    infinite = np.isinf(filled)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise fail(name, row, f"the {role} is {filled[row]}; it must be finite")
    return filled


def flags(series: nw.Series[Any], name: str, role: str, where: Bool[np.ndarray, " n"] | None = None) -> Bool[np.ndarray, " n"]:
    """(n,) booleans, from booleans or 0 and 1; false outside of `where`."""
    values = numbers(series, name, role, where)
    odd = ~np.isnan(values) & (values != 0) & (values != 1)
    if odd.any():
        row = int(np.argmax(odd))
        raise fail(name, row, f"{values[row]:g} is neither true (1) nor false (0), which {role} must be")
    return values == 1


def labels(series: nw.Series[Any], name: str, role: str) -> Shaped[np.ndarray, " n"]:
    """(n,) object array of plain Python labels of one type (numbers, booleans or text); None where missing."""
    values = np.empty(len(series), object)
    values[:] = series.to_list()
    absent = missing(series)
    values[absent] = None
    if isinstance(series.dtype, nw.Object | nw.Unknown):
        _require_one_kind(values, name, role)
    elif not isinstance(series.dtype, LABELS) and not absent.all():
        raise UserError(f"column {name!r} ({role}) has dtype {series.dtype}; allowed: numbers, booleans, text and categories")
    return values


def _require_one_kind(values: Shaped[np.ndarray, " n"], name: str, role: str) -> None:
    """Raise at the first value of another type than most have."""
    kinds = [None if value is None else _kind(value) for value in values]
    usual = usual_kind(values)
    for row, kind in enumerate(kinds):
        if kind is not None and (kind != usual or kind == "other"):
            problem = "not a number, a boolean or text" if kind == "other" else f"not {usual}, as the {role} is in other rows"
            raise fail(name, row, f"{values[row]!r} is {problem}")


def usual_kind(values: Iterable[object]) -> str:
    """What most of the values that are present are: "a number", "a boolean", "text" or "other"."""
    counts = Counter(_kind(value) for value in values if value is not None)
    return counts.most_common(1)[0][0] if counts else "other"


def _kind(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "a boolean"
    if isinstance(value, int | float | np.number):
        return "a number"
    return "text" if isinstance(value, str) else "other"
