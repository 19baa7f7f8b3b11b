"""The promises of `Episodes`, checked one by one; every message names the column, the episode and the step."""

# pyright: strict
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unseen.data.columns import Column, Ragged, supported
from unseen.data.layout import FIELDS, GROUPS, REQUIRED, ColumnName, Rows, check_name, label
from unseen.errors import UserError

REAL = ("float32", "float64")


def check_episodes(columns: Mapping[ColumnName, Column], offsets: np.ndarray) -> None:
    """Raise `UserError` with the first broken promise; silent when all hold."""
    _check_offsets(offsets)
    for field in REQUIRED:
        if all(name != field for name, _ in columns):
            raise UserError(f"episodes need {field}, and at least one column in it")
    for name, column in columns.items():
        _check_column(name, column, offsets)
    _check_flags(columns, offsets)


def _check_offsets(offsets: np.ndarray) -> None:
    if offsets.ndim != 1 or offsets.dtype != np.int64 or len(offsets) == 0 or offsets[0] != 0:
        raise UserError("offsets must be a one-dimensional int64 array that begins with 0: the first step of each episode, then N")
    empty = np.flatnonzero(np.diff(offsets) < 1)
    if len(empty):
        raise UserError(f"offsets: episode {empty[0]} has {np.diff(offsets)[empty[0]]} steps; every episode needs at least one")


def _check_column(column: ColumnName, values: Column, offsets: np.ndarray) -> None:
    field, name = column
    if name is not None and field in GROUPS:
        check_name(field, name)
    episodes, steps = len(offsets) - 1, int(offsets[-1])
    expected = {Rows.STEP: steps, Rows.OBSERVATION: steps + episodes, Rows.EPISODE: episodes}[FIELDS[field]]
    if isinstance(values, Ragged):
        _check_ragged(column, values)
    elif values.ndim == 0 or 0 in values.shape[1:] or not supported(values.dtype) or (values.dtype.kind == "T" and values.ndim > 1):
        raise UserError(
            f"{label(column)} has dtype {values.dtype} and shape {values.shape}; allowed: rows of numbers or booleans in native byte order "
            "without an empty dimension, or one numpy.dtypes.StringDType() text per row"
        )
    if len(values) != expected:
        needs = {
            Rows.STEP: f"{steps} steps need one row each",
            Rows.OBSERVATION: f"{steps} steps and {episodes} final observations need one row each",
            Rows.EPISODE: f"{episodes} episodes need one row each",
        }[FIELDS[field]]
        raise UserError(f"{label(column)} has {len(values)} rows, but {needs}")
    _check_kind(column, values)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and field != "info" and not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))
        bad = values[row].reshape(-1)
        raise UserError(f"{label(column)} is {bad[~np.isfinite(bad)][0]} at {_place(row, FIELDS[field], offsets)}; values must be finite")


def _check_kind(column: ColumnName, values: Column) -> None:
    field = column[0]
    if (field == "tokens") != isinstance(values, Ragged):
        raise UserError(f"{label(column)}: tokens, and only tokens, are stored as Ragged")
    if isinstance(values, Ragged):
        return
    if field in ("rewards", "behaviour_log_probability") and (values.ndim != 1 or values.dtype.name not in REAL):
        raise UserError(f"{label(column)} has dtype {values.dtype} and shape {values.shape}; it must be (N,) float32 or float64")
    if field in ("terminated", "truncated") and (values.ndim != 1 or values.dtype != np.bool_):
        raise UserError(f"{label(column)} has dtype {values.dtype} and shape {values.shape}; it must be (N,) bool")
    if field == "text" and (values.ndim != 1 or values.dtype.kind != "T"):
        raise UserError(f"{label(column)} has dtype {values.dtype} and shape {values.shape}; it must be (N,) numpy.dtypes.StringDType()")


def _check_ragged(column: ColumnName, values: Ragged) -> None:
    offsets = values.offsets
    sound = offsets.ndim == 1 and len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(values.values)
    if not sound or np.any(np.diff(offsets) < 0) or offsets.dtype != np.int64:
        raise UserError(f"{label(column)}: ragged offsets must be int64, rise from 0 and end at the number of values")
    if values.values.ndim != 1 or values.values.dtype.kind not in "iu":
        raise UserError(f"{label(column)} has values of dtype {values.values.dtype}; token ids must be integers")


def _check_flags(columns: Mapping[ColumnName, Column], offsets: np.ndarray) -> None:
    terminated, truncated = columns["terminated", None], columns["truncated", None]
    assert isinstance(terminated, np.ndarray)  # checked above; this tells the type checker
    assert isinstance(truncated, np.ndarray)
    both = np.flatnonzero(terminated & truncated)
    if len(both):
        place = _place(int(both[0]), Rows.STEP, offsets)
        raise UserError(
            f"terminated and truncated are both true at {place}; an ending is one or the other: terminated where the task ended"
        )
    last = np.zeros(len(terminated), np.bool_)
    last[offsets[1:] - 1] = True
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        early = np.flatnonzero(flag & ~last)
        if len(early):
            place = _place(int(early[0]), Rows.STEP, offsets)
            raise UserError(f"{name} is true at {place}, but the episode goes on: no reward comes after the end; start a new episode there")


def _place(row: int, rows: Rows, offsets: np.ndarray) -> str:
    if rows == Rows.EPISODE:
        return f"episode {row}"
    starts = offsets if rows == Rows.STEP else offsets + np.arange(len(offsets))
    episode = int(np.searchsorted(starts, row, side="right")) - 1
    return f"episode {episode}, step {row - int(starts[episode])} (row {row})"
