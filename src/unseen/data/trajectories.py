"""Rows of a log put into trajectories, with every broken sequence named by its rows."""

# pyright: strict
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from jaxtyping import Bool, Int64, Shaped

from unseen.data.table import fail, labels, numbers, require_present


@dataclass(frozen=True)
class Trajectories:
    """N trajectories over n rows.

    Attributes:
        ids: (N,) what each trajectory is called, in order of first appearance.
        of_row: (n,) the trajectory of each row.
        time: (n,) the step number of each row.
        order: (n,) rows by trajectory, then time.
        following: (n,) the next row of the same trajectory, -1 behind the last.
    """

    ids: Shaped[np.ndarray, " N"]
    of_row: Int64[np.ndarray, " n"]
    time: Int64[np.ndarray, " n"]
    order: Int64[np.ndarray, " n"]
    following: Int64[np.ndarray, " n"]

    def describe(self, row: int) -> str:
        """As in "'p3' at step 4"."""
        return f"{self.ids[self.of_row[row]]!r} at step {self.time[row]}"

    @property
    def first_rows(self) -> Int64[np.ndarray, " N"]:
        """(N,) the first row of each trajectory."""
        of_ordered = self.of_row[self.order]
        return self.order[np.flatnonzero(np.diff(of_ordered, prepend=-1) != 0)]


def arrange(ids: nw.Series[Any], time: nw.Series[Any], id_name: str, time_name: str) -> Trajectories:
    """Sort rows into trajectories of consecutive steps.

    Raises:
        UserError: a missing id or time, a time that is no whole number, a step that is there twice, a gap; with row and column.
    """
    require_present(ids, id_name, "id")
    names = labels(ids, id_name, "id")
    position: dict[Any, int] = {}
    of_row = np.fromiter((position.setdefault(name, len(position)) for name in names), np.int64, len(names))
    steps = _whole(time, time_name)
    order = np.lexsort((steps, of_row)).astype(np.int64)
    same = np.diff(of_row[order]) == 0
    following = np.full(len(order), -1, np.int64)
    following[order[:-1][same]] = order[1:][same]
    called = np.empty(len(position), object)
    called[:] = list(position)
    trajectories = Trajectories(called, of_row, steps, order, following)
    _check_steps(trajectories, time_name)
    return trajectories


def _whole(time: nw.Series[Any], name: str) -> Int64[np.ndarray, " n"]:
    if time.dtype.is_temporal():
        raise fail(name, 0, "time is a date; it must be a whole step number, such as the day since the trajectory began")
    values = numbers(time, name, "time")
    odd = (values != np.rint(values)) | (np.abs(values) > 2**53)
    if odd.any():
        row = int(np.argmax(odd))
        raise fail(name, row, f"time is {values[row]:g}; it must be a whole step number")
    return values.astype(np.int64)


def _check_steps(trajectories: Trajectories, time_name: str) -> None:
    rows = np.flatnonzero(trajectories.following >= 0)
    nexts = trajectories.following[rows]
    wrong = trajectories.time[nexts] - trajectories.time[rows] != 1
    if not wrong.any():
        return
    row, following = int(rows[np.argmax(wrong)]), int(nexts[np.argmax(wrong)])
    if trajectories.time[row] == trajectories.time[following]:
        raise fail(
            time_name, max(row, following), f"{trajectories.describe(row)} is there twice, also in row {min(row, following)}; drop one"
        )
    place = f"{trajectories.describe(following)} comes after step {trajectories.time[row]} (row {row})"
    advice = "renumber or fill them in (a new id behind the gap would count as another, independent trajectory)"
    raise fail(time_name, following, f"gap: {place}; steps must rise by 1: {advice}")


def check_endings(
    trajectories: Trajectories,
    terminated: Bool[np.ndarray, " n"],
    truncated: Bool[np.ndarray, " n"],
    decision: Bool[np.ndarray, " n"],
    name: str,
) -> None:
    """No row both terminated and truncated, and no decision after either; raises `UserError` with the row."""
    both = terminated & truncated
    if both.any():
        raise fail(name, int(np.argmax(both)), "the row is both terminated and truncated; an ending is one or the other")
    rows = np.flatnonzero((terminated | truncated) & (trajectories.following >= 0))
    late = rows[decision[trajectories.following[rows]]]
    if len(late):
        row = int(late[0])
        how = "termination" if terminated[row] else "truncation"
        after = int(trajectories.following[row])
        raise fail(name, after, f"{trajectories.describe(after)} has an action and a reward after {how} in row {row}; begin a new id there")
