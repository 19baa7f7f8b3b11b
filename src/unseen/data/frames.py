"""Episodes as a dataframe and back: one row per step.

Columns: `episode`, `t`, `observation` and `next_observation`, `action`, `reward`, `terminated`, `truncated`, and where present
`behaviour_log_probability`, `signal.NAME` and `next_signal.NAME`, `text.NAME`, `tokens.NAME`, `read.NAME` and `info.NAME` (repeated on
every row of its episode). Observations with names are `observation.NAME`. Vectors up to 64 wide are a column per component,
`observation[0]`, `observation[1]`, …; larger arrays are one column of arrays. The final observation is `next_observation` of the last row.
"""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from unseen.data.columns import NUMBERS, Column, Ragged, as_column
from unseen.data.episodes import Episodes
from unseen.data.layout import FIELDS, REQUIRED, ColumnName, Rows, label, parse_table_name, split, table_name
from unseen.data.table import as_frame
from unseen.errors import UserError

if TYPE_CHECKING:
    import pandas
    import polars


def to_polars(episodes: Episodes) -> polars.DataFrame:
    """One row per step; larger arrays are `polars.Array`, tokens are lists."""
    import polars as pl

    def series(name: str, values: Column) -> Any:
        if isinstance(values, Ragged):
            inner = getattr(pl, values.values.dtype.name.replace("uint", "UInt").replace("int", "Int"))
            return pl.Series(name, [row.tolist() for row in values.to_list()], pl.List(inner))
        if values.dtype.kind == "T":
            return pl.Series(name, values.tolist(), pl.String)
        return pl.Series(name, np.ascontiguousarray(values))

    return pl.DataFrame([series(name, values) for name, values in _table_columns(episodes)])


def to_pandas(episodes: Episodes) -> pandas.DataFrame:
    """One row per step; larger arrays and tokens are objects holding NumPy arrays."""
    try:
        import pandas as pd
    except ImportError:
        raise UserError("to_pandas needs pandas; fix: pip install pandas") from None

    def series(values: Column) -> Any:
        if isinstance(values, Ragged):
            return pd.Series(values.to_list(), dtype=object)
        if values.dtype.kind == "T":
            return pd.Series(values.tolist(), dtype=str)
        return values if values.ndim == 1 else pd.Series(list(values), dtype=object)

    return pd.DataFrame({name: series(values) for name, values in _table_columns(episodes)})


def _table_columns(episodes: Episodes) -> Iterator[tuple[str, Column]]:
    """The table's columns, each with one row per step."""
    episode, now = episodes.episode_of_step, episodes.rows_of_steps
    yield "episode", episode
    yield "t", episodes.time_of_step
    for column, values in episodes.columns().items():
        name = table_name(column)
        if isinstance(values, Ragged):
            yield name, values
        elif FIELDS[column[0]] == Rows.OBSERVATION:
            yield from _split(name, values[now])
            yield from _split(f"next_{name}", values[now + 1])
        else:
            yield from _split(name, values[episode] if FIELDS[column[0]] == Rows.EPISODE else values)


def _split(name: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if split(values.shape[1:]):
        yield from ((f"{name}[{i}]", values[:, i]) for i in range(values.shape[1]))
    else:
        yield name, values


def from_frame(frame: object) -> Episodes:
    """The inverse of `to_polars` and `to_pandas`, for any dataframe that narwhals knows. Rows may be in any order.

    Raises:
        UserError: a missing column, an unknown one, a step that is missing or there twice, a `next_…` value that is not the next row's,
            missing values, or any broken promise of `Episodes`.
    """
    data = as_frame(frame)
    for name in ("episode", "t"):
        if name not in data.columns:
            raise UserError(f"the table has no column {name!r}; needed: episode, t and the columns of Episodes.to_polars")
    read = _reader(data)
    order, offsets = _order(read("episode"), read("t"))
    columns: dict[ColumnName, Column] = {}
    for column, names in _find_columns(data.columns).items():
        values = _joined(names, read)
        where = FIELDS[column[0]]
        if where == Rows.OBSERVATION:
            nexts = [f"next_{name}" for name in names]
            missing = [name for name in nexts if name not in data.columns]
            if missing:
                raise UserError(f"the table has no column {missing[0]!r}; without it the final observation of every episode is lost")
            columns[column] = _with_final(column, values[order], _joined(nexts, read)[order], offsets)
        elif column[0] == "tokens":
            columns[column] = Ragged.from_list([values[i] for i in order], _integer(data, names[0]))
        elif where == Rows.EPISODE:
            columns[column] = values[order][offsets[:-1]]
        else:
            columns[column] = values[order]
    return Episodes.from_columns(columns, offsets)


def _find_columns(names: list[str]) -> dict[ColumnName, list[str]]:
    """Which table columns make up each of ours, components in order."""
    found: dict[ColumnName, dict[int | None, str]] = {}
    for name in names:
        parsed = parse_table_name(name)
        if parsed is not None:
            found.setdefault(parsed[0], {})[parsed[1]] = name
        elif name not in ("episode", "t") and not name.startswith("next_"):
            raise UserError(f"the table has a column {name!r} that no part of Episodes is called; rename it to info.{name} or drop it")
    for column, parts in found.items():
        whole = [None] if None in parts else list(range(len(parts)))
        if set(parts) != set(whole):
            raise UserError(
                f"components of {table_name(column)!r} must be numbered from [0] without holes; found: {', '.join(parts.values())}"
            )
    for field in REQUIRED:
        if all(field != column[0] for column in found):
            raise UserError(f"the table has no column {table_name((field, 'observation' if field == 'observations' else None))!r}")
    return {column: [parts[i] for i in sorted(parts, key=lambda i: i or 0)] for column, parts in sorted(found.items(), key=_field_order)}


def _field_order(item: tuple[ColumnName, Any]) -> int:
    return list(FIELDS).index(item[0][0])


def _reader(data: nw.DataFrame[Any]) -> Callable[[str], np.ndarray]:
    def read(name: str) -> np.ndarray:
        series = data[name]
        missing = np.asarray(series.is_null().to_numpy(), np.bool_)
        if missing.any() and not series.dtype.is_float():  # a float may be NaN, which pandas cannot tell from missing; checked later
            raise UserError(f"row {int(np.argmax(missing))}, column {name!r}: the value is missing")
        if isinstance(series.dtype, nw.String | nw.Categorical | nw.Enum):
            return as_column(series.to_list(), name) if len(series) else np.array([], np.dtypes.StringDType())
        values = series.to_numpy()
        if values.dtype.name in NUMBERS:
            return np.array(values)  # frames hand out read-only memory
        if name.startswith("tokens."):
            return _objects([np.asarray(row) for row in series.to_list()])
        return as_column([np.asarray(row) for row in values], name)

    return read


def _objects(rows: list[np.ndarray]) -> np.ndarray:
    packed = np.empty(len(rows), object)
    for i, row in enumerate(rows):  # one by one: NumPy would stack rows of equal length
        packed[i] = row
    return packed


def _integer(data: nw.DataFrame[Any], name: str) -> Any:
    """The integer dtype a list column declares; None where it declares none (pandas objects)."""
    inner = getattr(data[name].dtype, "inner", None)
    return None if inner is None else str(inner).lower()


def _joined(names: list[str], read: Callable[[str], np.ndarray]) -> np.ndarray:
    return read(names[0]) if "[" not in names[0] else np.stack([read(name) for name in names], axis=1)


def _order(episode: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row order by (episode, t) and the offsets; every episode must count its steps from 0."""
    for name, values in (("episode", episode), ("t", t)):
        if values.dtype.kind not in "iu":
            raise UserError(f"column {name!r} has dtype {values.dtype}; it must hold integers")
    order = np.lexsort((t, episode))
    numbers, lengths = np.unique(episode, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    expected = np.arange(len(t)) - np.repeat(offsets[:-1], lengths)
    wrong = np.flatnonzero(t[order] != expected)
    if len(wrong):
        row = int(order[wrong[0]])
        found, due = int(t[row]), int(expected[wrong[0]])
        what = f"step {found} is there twice" if found < due else f"step {due} is missing"
        raise UserError(f"row {row}: episode {episode[row]}, t={found}: {what}; an episode's steps are numbered 0, 1, 2, …")
    del numbers
    return order, offsets


def _with_final(column: ColumnName, now: np.ndarray, following: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(N + E, …) from the observation before and after every step, which must agree with each other."""
    if now.dtype != following.dtype or now.shape != following.shape:
        raise UserError(f"{label(column)}: the columns of this and of the next observation have different dtypes or shapes")
    last = np.zeros(len(now), np.bool_)
    last[offsets[1:] - 1] = True
    inner = np.flatnonzero(~last)
    differs = (now[inner + 1] != following[inner]).any(axis=tuple(range(1, now.ndim)))
    if differs.any():
        step = int(inner[np.argmax(differs)])
        episode = int(np.searchsorted(offsets, step, side="right")) - 1
        raise UserError(
            f"next_{table_name(column)} at episode {episode}, t={step - offsets[episode]} is not the observation of the next row"
        )
    out = np.empty((len(now) + len(offsets) - 1, *now.shape[1:]), now.dtype)
    rows = np.arange(len(now)) + np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    out[rows] = now
    out[offsets[1:] + np.arange(len(offsets) - 1)] = following[last]
    return out
