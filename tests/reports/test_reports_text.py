"""Words and numbers, and text that is safe on a page."""

import html
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.reports.statistics import Interval
from unseen.reports.text import duration, escape, interval, number, plain, readable


@given(st.text())
def test_escaped_text_holds_no_markup_and_comes_back(text):
    escaped = escape(text)
    assert not set(escaped) & set("<>\"'")
    assert html.unescape(escaped) == readable(text)
    assert escaped.encode().decode() == escaped  # lone surrogates would not encode


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x7f", "\ud800", "\u202e", "\u2066", "\uffff"])
def test_what_cannot_be_shown_is_replaced(bad):
    assert readable(f"a{bad}b") == "a\ufffdb"


@given(st.text(), st.integers(3, 60))
def test_plain_text_is_one_short_line(text, limit):
    line = plain(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_plain_leaves_out_the_middle():
    assert plain("beginning-" + "x" * 100 + "-end", 15) == "beginni…xxx-end"
    assert plain("a\n b") == "a b"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-0.02, "−0.02"),
        (0.86894, "0.869"),
        (12.0, "12"),
        (123.45, "123.5"),
        (1234.56, "1,235"),
        (1_000_000, "1,000,000"),
        (1e-5, "1e−05"),
        (1.23e20, "1.23e+20"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers(value, shown):
    assert number(value) == shown


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_three_digits(value):
    shown = float(number(value).replace("−", "-").replace(",", ""))
    assert shown == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Interval(0.91, 0.8432, 0.96), "0.91 [0.84, 0.96]"),
        (Interval(-0.0107, -0.0222, -0.0000772), "−0.011 [−0.022, 0.000]"),
        (Interval(1234.5, 1000.0, 1500.0), "1,234 [1,000, 1,500]"),
        (Interval(1, 1, 1), "1 [1, 1]"),
        (Interval(0.91234, math.nan, math.nan), "0.912"),
    ],
)
def test_intervals(value, shown):
    assert interval(value) == shown


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(0, 1))
def test_intervals_are_shown_to_a_twentieth_of_their_width(low, width, where):
    value = Interval(low + where * width, low, low + width)
    parts = interval(value).replace("−", "-").replace("[", "").replace("]", "").replace(", ", " ").replace(",", "").split()
    shown = [float(x) for x in parts]
    assert shown == pytest.approx(list(value), abs=0.051 * (value.high - value.low))


def test_durations():
    shown = [duration(s) for s in (0.12345, 59, 60, 3_599, 7_500)]
    assert shown == ["0.123 s", "59 s", "1 min", "1 h 00 min", "2 h 05 min"]
