"""Logs that were right until one cell, row, column or byte was changed: each is refused in one line that says where."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.data import Transitions
from unseen.errors import UserError

NAMES: dict[str, Any] = {
    "id": "patient",
    "time": "day",
    "state": ["stage", "tumour"],
    "action": "dose",
    "reward": "benefit",
    "terminated": "died",
    "truncated": "left",
    "propensity": {"low": "p_low", "high": "p_high"},
}


@st.composite
def logs(draw: st.DrawFn) -> pd.DataFrame:
    """A log in random row order, as objects so that any cell can hold anything; every trajectory has at least two rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows: list[dict[str, Any]] = []
    for patient in range(draw(st.integers(1, 4))):
        steps, ending = int(rng.integers(2, 6)), rng.integers(3)
        for day in range(steps):
            low, last = float(rng.uniform(0.1, 0.9)), day == steps - 1
            rows.append(
                {
                    "patient": f"p{patient}",
                    "day": 10 + day,
                    "stage": str(rng.choice(["I", "II", "III"])),
                    "tumour": float(rng.normal()),
                    "dose": str(rng.choice(["low", "high"])),
                    "benefit": float(rng.normal()),
                    "died": bool(last and ending == 0),
                    "left": bool(last and ending == 1),
                    "p_low": low,
                    "p_high": 1.0 - low,
                }
            )
    return pd.DataFrame(rows, dtype=object).iloc[rng.permutation(len(rows))].reset_index(drop=True)


def test_a_sound_log_is_read():
    data = Transitions.from_table(_sound(), **NAMES)
    assert len(data) == 3
    assert data.dropped == 0
    assert [c.kind for c in data.state_columns] == ["categorical", "numeric"]


def _sound() -> pd.DataFrame:
    half = [0.5] * 3
    return pd.DataFrame(
        {
            "patient": ["p0"] * 3,
            "day": [1, 2, 3],
            "stage": ["I", "II", "I"],
            "tumour": [1.0, 2.0, 3.0],
            "dose": ["low", "high", "low"],
            "benefit": [0.0, 1.0, 2.0],
            "died": [False, False, True],
            "left": [False] * 3,
            "p_low": half,
            "p_high": half,
        },
        dtype=object,
    )


CELLS: dict[str, list[Any]] = {
    "patient": [None],
    "day": [None, float("nan"), 0.5, "monday", float("inf"), 1000],
    "stage": [None, 3],
    "tumour": [None, float("nan"), float("-inf"), "n/a", [1]],
    "dose": [None, "medium", 3],
    "benefit": [None, float("nan"), float("inf"), "much", ""],
    "died": [None, 2, "perhaps", float("nan")],
    "left": [None, -1, "perhaps"],
    "p_low": [None, float("nan"), -0.25, 1.5, 0.95, "half"],
}


@given(logs(), st.data())
@settings(max_examples=200, deadline=None)
def test_one_bad_cell_is_named_by_row_and_column(log, data):
    Transitions.from_table(log, **NAMES)  # sound before
    name = data.draw(st.sampled_from(sorted(CELLS)))
    row = data.draw(st.integers(0, len(log) - 1))
    value = data.draw(st.sampled_from(CELLS[name]))
    if value == 0.95 and abs(log.at[row, "p_low"] - 0.95) < 0.01:
        value = 0.05
    log.at[row, name] = value
    others = log[log["patient"] == log.at[row, "patient"]]
    with pytest.raises(UserError) as caught:
        Transitions.from_table(log, **NAMES)
    message = str(caught.value)
    assert "\n" not in message
    assert name in message
    if value == 1000:  # a time far off opens a gap before itself or, at the beginning, behind the row that now comes first
        assert any(f"row {i}" in message for i in others.index)
    elif (name, value) in (("stage", 3), ("dose", 3), ("tumour", "n/a")):  # of two types in a column, either may be the wrong one
        assert "row " in message
    else:
        assert f"row {row}," in message


def spoiled(log: pd.DataFrame, how: str, row: int) -> pd.DataFrame:
    """The log with one row's place in its trajectory broken."""
    if how == "twice":
        return pd.concat([log, log.iloc[[row]]], ignore_index=True)
    same = log[log["patient"] == log.at[row, "patient"]].sort_values("day")
    first, last = same.index[0], same.index[-1]
    if how == "gap":
        log.loc[same.index[1:], "day"] = [day + 1 for day in same["day"][1:]]
    if how == "after termination":
        log.at[first, "died"] = True
    if how == "after truncation":
        log.at[first, "left"] = True
    if how == "both":
        log.loc[last, ["died", "left"]] = True
    return log


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("twice", "is there twice"),
        ("gap", "gap: "),
        ("after termination", "after termination"),
        ("after truncation", "after truncation"),
        ("both", "both"),
    ],
)
@given(logs(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_broken_sequence_is_named_by_its_rows(how, said, log, data):
    row = data.draw(st.integers(0, len(log) - 1))
    patient = log.at[row, "patient"]
    log = spoiled(log, how, row)
    with pytest.raises(UserError) as caught:
        Transitions.from_table(log, **NAMES)
    message = str(caught.value)
    assert said in message
    assert any(f"row {i}, column" in message for i in log.index[log["patient"] == patient])


@given(logs(), st.sampled_from(["patient", "day", "stage", "tumour", "dose", "benefit", "died", "left", "p_low"]))
@settings(max_examples=20, deadline=None)
def test_a_missing_column_is_named_with_the_nearest(log, name):
    with pytest.raises(UserError, match=f"unknown column .* '{name}'; did you mean '{name}s'"):
        Transitions.from_table(log.rename(columns={name: f"{name}s"}), **NAMES)


@given(st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_torn_file_is_refused_or_read_as_it_stands(tmp_path_factory, suffix, data):
    path = tmp_path_factory.getbasetemp() / f"torn.{suffix}"
    frame = pl.DataFrame(_sound().to_dict("list"))
    frame.write_parquet(path) if suffix == "parquet" else frame.write_csv(path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        Transitions.from_table(path, **NAMES)
    except UserError as error:
        message = str(error)
    else:
        message = "read"  # another number or name is a sound table all the same
    assert "\n" not in message


SOUND = _sound()
WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no rows": (SOUND.iloc[:0], {}, "no rows"),
    "nothing left": (SOUND.assign(died=False).iloc[:1], {}, "no transition is left"),
    "numbers as text": (SOUND.assign(tumour=["1", "2", "3"]), {}, "row 0, column 'tumour': '1' is a number stored as text"),
    "one n/a": (SOUND.assign(tumour=["1", "n/a", "3"]), {}, "row 1, column 'tumour': 'n/a' is not a number"),
    "dates as time": (SOUND.assign(day=pd.date_range("2020-01-01", periods=3)), {}, "time is a date"),
    "dates as state": (SOUND.assign(stage=pd.date_range("2020-01-01", periods=3)), {}, r"'stage' \(state\) has dtype"),
    "zero propensity": (SOUND.assign(p_low=0.0, p_high=1.0), {}, "row 0, column 'p_low': the propensity of the action taken is 0"),
    "zero propensity taken": (SOUND.assign(p_low=0.0), {"propensity": "p_low"}, "row 0, column 'p_low'"),
    "rows that do not sum": (SOUND.assign(p_low=0.4), {}, "row 0, column 'p_low, p_high': .* add up to 0.9"),
    "an action without column": (SOUND, {"propensity": {"low": "p_low"}}, "row 1, column 'dose': unknown action 'high'"),
    "unknown action": (
        SOUND,
        {"propensity": None, "actions": ["low", "hi"]},
        "row 1, column 'dose': unknown action 'high'; did you mean 'hi'",
    ),
    "column of no action": (
        SOUND,
        {"actions": ["low", "high"], "propensity": {"low": "p_low", "high": "p_high", "x": "p_low"}},
        "no action",
    ),
    "an action without probability": (SOUND, {"actions": ["low", "high", "none"]}, "no column for action 'none'"),
    "actions twice": (SOUND, {"propensity": None, "actions": ["low", "low"]}, "named once"),
    "state twice": (SOUND, {"state": ["stage", "stage"]}, "each once"),
    "no state": (SOUND, {"state": []}, "at least one column"),
    "measured action": (
        pd.DataFrame({**{n: [SOUND[n][0]] * 60 for n in SOUND}, "day": range(60), "dose": np.linspace(0.1, 1, 60)}),
        {"propensity": None},
        "bin it first",
    ),
    "ragged mapping": ({"patient": [1, 2], "day": [1]}, {}, "do not make a table"),
    "no table": (3, {}, "int is no table"),
    "no file": ("nowhere.csv", {}, "no file"),
    "another kind of file": ("log.xlsx", {}, "unknown kind of table"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_table_is_explained(name):
    table, changes, message = WRONG[name]
    with pytest.raises(UserError, match=message):
        Transitions.from_table(table, **{**NAMES, **changes})


def test_a_number_stored_as_text_may_be_declared_a_category():
    data = Transitions.from_table(SOUND.assign(tumour=["1", "2", "3"]), **{**NAMES, "state": {"tumour": "categorical"}})
    assert data.state_columns[0].levels == ("1", "2", "3")
