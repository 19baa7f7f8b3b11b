"""The slot: whose plan it is, how old it is, and for how long the model must keep it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.planning.slot import EMPTY, Slot


def test_an_empty_slot_holds_nothing():
    assert Slot(None, "nobody", 0, 0.0) == EMPTY
    assert EMPTY.age(7) is None
    assert not EMPTY.locked(7)
    assert not EMPTY._replace(held_until=math.inf).locked(7)


@given(st.integers(0, 50), st.integers(0, 9), st.integers(0, 80))
def test_a_plan_is_kept_for_exactly_the_steps_it_is_held_for(written, hold, later):
    held = EMPTY.replaced("  find water\n", "script", written, float(hold))
    assert (held.plan, held.owner) == ("find water", "script")
    step = written + later
    assert held.age(step) == later
    assert held.locked(step) == (later < hold)
    assert not held.released().locked(step)
    assert held.released()._replace(held_until=held.held_until) == held


def test_a_plan_may_be_held_until_it_is_released():
    held = EMPTY.replaced("wait", "human", 3, math.inf)
    assert held.locked(10**9)
    assert not held.released().locked(3)
    assert not held.replaced("go", "model", 4).locked(4)
    assert held.replaced("go", "model", 4) == Slot("go", "model", 4, 0.0)


@pytest.mark.parametrize(
    ("plan", "hold", "says"), [("", 0.0, "say something"), (" \n", 0.0, "say something"), ("a", -1.0, "-1"), ("a", math.nan, "nan")]
)
def test_what_is_no_plan_or_no_hold(plan, hold, says):
    with pytest.raises(UserError, match=says):
        EMPTY.replaced(plan, "script", 0, hold)
