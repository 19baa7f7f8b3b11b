"""Everything that is wrong or doubtful in a log of decisions, with all its rows, before `Transitions.from_table` stops at the first."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import numpy as np
from jaxtyping import Bool, Float64, Int64

from unseen.data.propensities import SLACK
from unseen.data.schema import is_number
from unseen.data.table import Frame, as_frame, missing

FEW = 10  # an action taken less often than this says next to nothing
UNLIKELY = 0.01  # probabilities of the action taken below this make weights above 100
SHOWN = 5
ADVICE = "add a row with the next step, the state then, and action and reward empty"
Flags = Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong ("error": the table is refused) or doubtful ("warning").

    Attributes:
        level: how bad it is.
        column: where, as the table calls it; "" where it concerns the whole table.
        says: what it is and what to do about it.
        rows: all rows concerned, counted from 0 as the table was given.
    """

    level: Literal["error", "warning"]
    column: str
    says: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f"column {self.column!r}: " if self.column else ""
        rows = ", ".join(map(str, self.rows[:SHOWN])) + (f" and {len(self.rows) - SHOWN} more" if len(self.rows) > SHOWN else "")
        return f"{self.level}: {where}{self.says}" + (f" (row{'s' if len(self.rows) > 1 else ''} {rows})" if rows else "")


@dataclass(frozen=True)
class Findings:
    """What `check_table` found, errors first."""

    found: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing forbids using the table; warnings do not."""
        return all(f.level != "error" for f in self.found)

    def __iter__(self) -> Any:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __str__(self) -> str:
        return "\n".join(map(str, self.found)) or "nothing to complain of"

    def table(self) -> Any:
        """A polars frame: level, column, what is said, number of rows, the first row."""
        import polars as pl

        return pl.DataFrame(
            [(f.level, f.column, f.says, len(f.rows), f.rows[0] if f.rows else None) for f in self.found],
            schema={"level": pl.String, "column": pl.String, "says": pl.String, "rows": pl.Int64, "first_row": pl.Int64},
            orient="row",
        )


def check_table(
    table: object,
    *,
    id: str,
    time: str,
    state: str | Sequence[str] | Mapping[str, str],
    action: str,
    reward: str,
    terminated: str,
    truncated: str | None = None,
    propensity: str | Mapping[Any, str] | None = None,
    next_state: str | Sequence[str] | None = None,
    actions: Sequence[Any] | None = None,
    modifiers: str | Sequence[str] | Mapping[str, str] = (),
) -> Findings:
    """Look for gaps, duplicates, disorder, values that are missing or impossible, endings that are none, and thin support.

    Args:
        table: as in `Transitions.from_table`, whose other arguments are these.
        id, time, state, action, reward, terminated, truncated, propensity, next_state, actions, modifiers: see there.

    Returns:
        All findings; without an error among them `Transitions.from_table` takes the table, up to declared kinds of state columns.
    """
    frame = as_frame(table)
    states = [state] if isinstance(state, str) else list(state)
    nexts = [] if next_state is None else [next_state] if isinstance(next_state, str) else list(next_state)
    given = [propensity] if isinstance(propensity, str) else [] if propensity is None else list(propensity.values())
    others = [modifiers] if isinstance(modifiers, str) else list(modifiers)
    named = [id, time, *states, *others, action, reward, terminated, *([truncated] if truncated else []), *given, *nexts]
    absent = [name for name in dict.fromkeys(named) if name not in frame.columns]
    if absent:
        return Findings(tuple(Finding("error", name, f"there is no such column; the table has {frame.columns}") for name in absent))
    if len(frame) == 0:
        return Findings((Finding("error", "", "the table has no rows"),))
    report = _Report(frame)
    for name in set(others) & {id, time, action, reward, terminated, truncated, *states, *nexts}:
        report.add("error", name, "the column has another role and cannot be a modifier")
    report.missing([id, time])
    known = ~(missing(frame[id]) | missing(frame[time]))
    steps, whole = _numbers(frame[time])
    report.add("error", time, "is no whole step number; number the steps of each trajectory", known & ~(whole & (steps == np.rint(steps))))
    usable = known & whole
    order, following, of_row = _arranged(frame[id].to_list(), np.where(usable, steps, -1.0), usable)
    empty = missing(frame[action]) & missing(frame[reward])
    decision = ~(empty & (following < 0)) if not nexts else np.ones(len(frame), np.bool_)
    report.missing([*states], np.ones(len(frame), np.bool_))
    report.missing([action, reward, terminated, *others], decision)
    _sequences(report, id, time, steps, following, order, of_row, usable)
    ended = _flags(report, frame, terminated, decision)
    cut = _flags(report, frame, truncated, decision) if truncated else np.zeros(len(frame), np.bool_)
    report.add("error", terminated, "the row is both terminated and truncated; an ending is one or the other", ended & cut)
    after = np.zeros(len(frame), np.bool_)
    has_next = following >= 0
    after[following[has_next]] = (ended | cut)[has_next]
    report.add("error", reward, "there is an action or a reward after the end; begin a new id there", after & decision)
    declared: Mapping[str, str] = state if isinstance(state, Mapping) else {}
    declared = {**declared, **(modifiers if isinstance(modifiers, Mapping) else {})}
    for name in (*states, *others):
        where, role = (np.ones(len(frame), np.bool_), "state") if name in states else (decision, "modifier")
        _finite(report, frame[name], name, where, role)
        _numbers_as_text(report, frame[name], name, declared.get(name))
    values = _finite(report, frame[reward], reward, decision, "reward", number=True)
    held = values[decision & np.isfinite(values)]
    if len(held) and np.ptp(held) == 0:
        report.add("warning", reward, f"every reward is {held[0]:g}: all policies are worth the same")
    _actions(report, frame[action], action, decision, actions)
    _propensities(report, frame, propensity, decision, frame[action].to_list())
    _support(report, id, terminated, of_row, usable, decision, ended, following, nexts)
    return Findings(tuple(sorted(report.found, key=lambda f: f.level)))


class _Report:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.found: list[Finding] = []

    def add(self, level: Literal["error", "warning"], name: str, says: str, where: Flags | None = None) -> None:
        """One finding; with `where`, only if it concerns a row."""
        if where is None or where.any():
            rows = () if where is None else tuple(int(i) for i in np.flatnonzero(where))
            self.found.append(Finding(level, name, says, rows))

    def missing(self, names: Sequence[str], where: Flags | None = None) -> None:
        for name in names:
            absent = missing(self.frame[name])
            self.add("error", name, "the value is missing; fill it in or drop the row", absent if where is None else absent & where)


def _numbers(series: nw.Series[Any]) -> tuple[Float64[np.ndarray, " n"], Flags]:
    """(n,) numbers, and where the column holds one."""
    if series.dtype.is_numeric() or series.dtype == nw.Boolean:
        values = np.array(series.cast(nw.Float64).fill_null(np.nan).to_numpy(), np.float64)
    else:
        values = np.array([float(v) if isinstance(v, int | float) else np.nan for v in series.to_list()], np.float64)
    return values, ~np.isnan(values)


def _arranged(
    ids: list[Any], steps: Float64[np.ndarray, " n"], usable: Flags
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Usable rows by trajectory and time; for each row the next of its trajectory, -1 behind the last; its trajectory."""
    position: dict[Any, int] = {}
    of_row = np.array([position.setdefault(name, len(position)) for name in ids], np.int64)
    rows = np.flatnonzero(usable)
    order = rows[np.lexsort((steps[rows], of_row[rows]))]
    following = np.full(len(steps), -1, np.int64)
    same = np.diff(of_row[order]) == 0
    following[order[:-1][same]] = order[1:][same]
    return order, following, of_row


def _sequences(
    report: _Report,
    id: str,
    time: str,
    steps: Float64[np.ndarray, " n"],
    following: Int64[np.ndarray, " n"],
    order: Int64[np.ndarray, " m"],
    of_row: Int64[np.ndarray, " n"],
    usable: Flags,
) -> None:
    rows = np.flatnonzero(following >= 0)
    rise = np.full(len(steps), 1.0)
    rise[following[rows]] = steps[following[rows]] - steps[rows]
    report.add("error", time, "the step is there twice in its trajectory; drop one of the rows", rise == 0)
    report.add("error", time, "steps are missing before this row; renumber or fill them in", rise > 1)
    place = np.flatnonzero(usable)
    by_trajectory = place[np.argsort(of_row[place], kind="stable")]
    falls = np.zeros(len(steps), np.bool_)
    same = np.diff(of_row[by_trajectory]) == 0
    falls[by_trajectory[1:][same & (np.diff(steps[by_trajectory]) < 0)]] = True
    report.add("warning", time, "the rows of a trajectory are not in the order of time; they are sorted when the table is read", falls)


def _flags(report: _Report, frame: Frame, name: str, decision: Flags) -> Flags:
    values, known = _numbers(frame[name])
    odd = decision & ~missing(frame[name]) & ~(known & np.isin(values, (0.0, 1.0)))
    report.add("error", name, "is neither true nor false; write booleans, or 0 and 1", odd)
    return decision & known & (values == 1.0)


def _finite(report: _Report, series: nw.Series[Any], name: str, where: Flags, role: str, number: bool = False) -> Float64[np.ndarray, " n"]:
    """The numbers of a column; text is an error where numbers are due."""
    if not number and not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        return np.full(len(series), np.nan)
    values, known = _numbers(series)
    if number:
        odd = where & ~known & ~missing(series)
        spelled = np.array([isinstance(value, str) and is_number(value) for value in series.to_list()], np.bool_)
        report.add("error", name, f"the {role} is no number", odd & ~spelled if (odd & ~spelled).any() else odd)
    report.add("error", name, f"the {role} is infinite; write a number or drop the row", where & np.isinf(values))
    return values


def _numbers_as_text(report: _Report, series: nw.Series[Any], name: str, declared: str | None) -> None:
    """One word turns a column of numbers into text, and every number into a category of its own."""
    if series.dtype.is_numeric() or series.dtype == nw.Boolean or declared == "categorical":
        return
    values = series.to_list()
    texts = np.array([isinstance(value, str) for value in values], np.bool_)
    odd = np.array([isinstance(value, str) and not is_number(value) for value in values], np.bool_)
    if declared == "numeric" or odd.sum() <= texts.sum() / 2:
        says = (
            f"{int((texts & ~odd).sum())} of {int(texts.sum())} are numbers, these are not; correct them, or declare the column categorical"
        )
        if odd.any():
            report.add("error", name, says, odd)
        elif texts.any():
            report.add("error", name, "numbers are stored as text; cast the column, or declare it categorical", texts)


def _actions(report: _Report, series: nw.Series[Any], name: str, decision: Flags, allowed: Sequence[Any] | None) -> None:
    taken = [value for value, used in zip(series.to_list(), decision & ~missing(series)) if used]
    counts: dict[Any, int] = {}
    for value in taken:
        counts[value] = counts.get(value, 0) + 1
    values = series.to_list()

    def rows(chosen: Callable[[Any], bool]) -> Flags:
        return np.array([bool(used) and chosen(v) for v, used in zip(values, decision & ~missing(series))], np.bool_)

    if allowed is not None:
        report.add("error", name, f"the action is none of {list(allowed)}", rows(lambda v: v not in allowed))
        never = [value for value in allowed if value not in counts]
        if never:
            report.add("warning", name, f"{', '.join(map(repr, never))} was never taken; nothing is known about it")
    if len(counts) == 1:
        report.add("warning", name, f"only {next(iter(counts))!r} was ever taken; no two actions can be compared")
    elif len(counts) <= FEW * 10:  # a column of measurements is refused elsewhere
        rare = [value for value, count in counts.items() if count < FEW]
        if rare:
            report.add("warning", name, f"{', '.join(map(repr, rare))} was taken less than {FEW} times", rows(lambda v: v in rare))


def _propensities(
    report: _Report, frame: Frame, propensity: str | Mapping[Any, str] | None, decision: Flags, actions: Sequence[Any]
) -> None:
    if propensity is None:
        return
    names = [propensity] if isinstance(propensity, str) else list(propensity.values())
    columns: list[Float64[np.ndarray, " n"]] = []
    for name in names:
        values, known = _numbers(frame[name])
        columns.append(values)
        report.add("error", name, "the probability is missing", decision & ~known)
        lowest = values <= 0 if isinstance(propensity, str) else values < 0
        bound = "above 0" if isinstance(propensity, str) else "at least 0"
        report.add("error", name, f"the probability must be {bound} and at most 1", decision & known & (lowest | (values > 1)))
        if isinstance(propensity, str):
            unlikely = decision & known & (values > 0) & (values < UNLIKELY)
            report.add("warning", name, f"what was done had a probability below {UNLIKELY}; its weight exceeds {1 / UNLIKELY:g}", unlikely)
    if not isinstance(propensity, str):
        total = np.sum(columns, axis=0)
        report.add("error", names[0], "the probabilities of all actions do not add up to 1", decision & (np.abs(total - 1) > SLACK))
        for (label, name), values in zip(propensity.items(), columns):
            here = np.array([value == label for value in actions], np.bool_)
            report.add("error", name, f"{label!r} was taken though its probability is 0", decision & here & (values == 0))


def _support(
    report: _Report,
    id: str,
    terminated: str,
    of_row: Int64[np.ndarray, " n"],
    usable: Flags,
    decision: Flags,
    ended: Flags,
    following: Int64[np.ndarray, " n"],
    nexts: Sequence[str],
) -> None:
    used = decision & usable
    if len(np.unique(of_row[used])) == 1:
        report.add("warning", id, "there is one trajectory only; intervals need many")
    if nexts:
        known = ~np.logical_and.reduce([missing(report.frame[name]) for name in nexts])
    else:
        known = following >= 0
    dropped = used & ~ended & ~known
    if dropped.any():
        kept = int((used & ended & (following < 0)).sum())
        beside = f"; {kept} last rows that terminated are kept, so what ends well or badly weighs too much" if kept else ""
        says = f"neither terminated nor followed by a known state, so the row is left out{beside}: {ADVICE}"
        report.add("warning", terminated, says, dropped)
