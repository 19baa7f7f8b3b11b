"""The checker names everything that is wrong, with all rows, and never passes a table that `from_table` refuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.data import Transitions, check_table
from unseen.errors import UserError

NAMES = {"id": "id", "time": "t", "state": ["x", "stage"], "action": "a", "reward": "r", "terminated": "end"}


def log(trajectories=12, steps=4):
    rng = np.random.default_rng(0)
    n = trajectories * steps
    return {
        "id": np.repeat(np.arange(trajectories), steps).tolist(),
        "t": np.tile(np.arange(steps), trajectories).tolist(),
        "x": rng.normal(size=n).tolist(),
        "stage": rng.choice(["I", "II"], n).tolist(),
        "a": rng.choice(["no", "yes"], n).tolist(),
        "r": rng.normal(size=n).tolist(),
        "end": np.tile([False] * (steps - 1) + [True], trajectories).tolist(),
    }


def said(table, **options):
    return {(f.level, f.column): f for f in check_table(pl.DataFrame(table, strict=False), **(NAMES | options))}


def test_a_clean_table():
    findings = check_table(log(), **NAMES)
    assert findings.ok
    assert len(findings) == 0
    assert str(findings) == "nothing to complain of"
    assert findings.table().height == 0


CHANGES = {
    "gap": (lambda t: t["t"].__setitem__(3, 9), "t", "steps are missing before this row", (3,)),
    "twice": (lambda t: t["t"].__setitem__(2, 1), "t", "there twice", (2,)),
    "fraction": (lambda t: t.__setitem__("t", [*map(float, t["t"][:-1]), 2.5]), "t", "no whole step number", (47,)),
    "missing id": (lambda t: t["id"].__setitem__(5, None), "id", "missing", (5,)),
    "missing state": (lambda t: t["stage"].__setitem__(7, None), "stage", "missing", (7,)),
    "nan": (lambda t: t["x"].__setitem__(7, float("nan")), "x", "missing", (7,)),
    "infinite state": (lambda t: t["x"].__setitem__(7, float("inf")), "x", "infinite", (7,)),
    "infinite reward": (lambda t: t["r"].__setitem__(8, float("-inf")), "r", "infinite", (8,)),
    "missing reward": (lambda t: t["r"].__setitem__(8, None), "r", "missing", (8,)),
    "after the end": (lambda t: t["end"].__setitem__(1, True), "r", "after the end", (2,)),
    "flag": (lambda t: t.__setitem__("end", [int(x) for x in t["end"][:-1]] + [2]), "end", "neither true nor false", (47,)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_error_with_its_rows(name):
    change, column, words, rows = CHANGES[name]
    table = log()
    change(table)
    findings = check_table(pl.DataFrame(table, strict=False), **NAMES)
    assert not findings.ok
    found = next(f for f in findings if f.column == column and words in f.says)
    assert found.level == "error"
    assert found.rows == rows
    assert f"column {column!r}" in str(found)
    with pytest.raises(UserError):
        Transitions.from_table(pl.DataFrame(table, strict=False), **NAMES)


def test_all_rows_are_named_not_the_first_only():
    table = log()
    for row in (3, 10, 20, 30, 33, 40, 41):
        table["r"][row] = float("inf")
    found = said(table)["error", "r"]
    assert found.rows == (3, 10, 20, 30, 33, 40, 41)
    assert "and 2 more" in str(found)


def test_text_where_numbers_are_due():
    table = log() | {"r": ["good"] * 48}
    assert "no number" in said(table)["error", "r"].says


def test_warnings():
    table = log()
    order = [1, 0, *range(2, 48)]
    shuffled = {name: [values[i] for i in order] for name, values in table.items()}
    assert "not in the order of time" in said(shuffled)["warning", "t"].says
    assert "worth the same" in said(log() | {"r": [1.0] * 48})["warning", "r"].says
    assert "ever taken" in said(log() | {"a": ["no"] * 48})["warning", "a"].says
    assert said(log() | {"a": ["rare", *log()["a"][1:]]})["warning", "a"].rows == (0,)
    assert "never taken" in said(log(), actions=["no", "yes", "other"])["warning", "a"].says
    assert said(log(), actions=["no"])["error", "a"].rows == tuple(i for i, a in enumerate(log()["a"]) if a == "yes")
    assert "one trajectory" in said({name: values[:4] for name, values in log().items()})["warning", "id"].says


def test_rows_that_will_be_left_out():
    table = log()
    table["end"] = [x and i < 24 for i, x in enumerate(table["end"])]
    found = said(table)["warning", "end"]
    assert found.rows == (27, 31, 35, 39, 43, 47)
    assert "6 last rows that terminated are kept" in found.says
    assert Transitions.from_table(table, **NAMES).dropped == 6


def test_propensities():
    table = log() | {"p": [0.5] * 44 + [0.0, 1.5, 0.005, None]}
    names = {"propensity": "p"}
    found = check_table(pl.DataFrame(table), **(NAMES | names))
    assert {f.rows for f in found if f.level == "error"} == {(44, 45), (47,)}
    assert [f.rows for f in found if f.level == "warning"] == [(46,)]
    both = log() | {"p_no": [0.5] * 48, "p_yes": [0.5] * 47 + [0.4]}
    assert said(both, propensity={"no": "p_no", "yes": "p_yes"})["error", "p_no"].rows == (47,)


def test_columns_that_are_not_there_and_empty_tables():
    assert {f.column for f in check_table(log(), **(NAMES | {"state": ["y", "z"]}))} == {"y", "z"}
    assert "no rows" in str(check_table({name: [] for name in log()}, **NAMES))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_what_passes_is_taken(data):
    table = log(4, 3)
    for _ in range(data.draw(st.integers(0, 3))):
        column = data.draw(st.sampled_from(sorted(table)))
        row = data.draw(st.integers(0, 11))
        table[column][row] = data.draw(st.sampled_from([None, table[column][data.draw(st.integers(0, 11))]]))
    frame = pl.DataFrame(table, strict=False)
    ok = check_table(frame, **NAMES).ok
    try:
        Transitions.from_table(frame, **NAMES)
        taken = True
    except UserError as error:
        taken = "no transition is left" in str(error)
    assert taken or not ok


def test_one_reward_that_is_no_number_is_named_alone():
    table = {
        "id": [0, 0, 0],
        "t": [0, 1, 2],
        "s": [1.0, 2.0, 3.0],
        "a": ["x", "y", "x"],
        "r": ["1.5", "12,50", "2"],
        "end": [False, False, True],
    }
    found = check_table(table, id="id", time="t", state="s", action="a", reward="r", terminated="end")
    assert [f.rows for f in found if "the reward is no number" in f.says] == [(1,)]
