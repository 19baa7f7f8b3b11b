"""Words and numbers as people read them, and text that is safe to put on a page."""

from __future__ import annotations

import html
import math
import re

from unseen.reports.statistics import Interval

Number = int | float

# Control characters (which neither HTML nor XML may hold), lone surrogates, and marks that turn the reading direction around.
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def readable(text: str) -> str:
    """The text with every character that cannot or must not be shown replaced by U+FFFD."""
    return _UNREADABLE.sub("\ufffd", text)


def escape(text: str) -> str:
    """Text as HTML, safe between tags and in quoted attributes."""
    return html.escape(readable(text))


def plain(text: str, limit: int = 44) -> str:
    """Text on one line, its middle left out beyond `limit` characters."""
    text = " ".join(readable(text).split())
    half = (limit - 1) // 2
    return text if len(text) <= limit else f"{text[:half]}…{text[-half:]}"


def number(value: Number) -> str:
    """A number for people: integers with thousands separators, others to three significant digits or more."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    elif 1_000 <= abs(value) < 1e15:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"
    return text.replace("-", "−")


def several(n: int, noun: str) -> str:
    """A count with its noun, as in "1 task" or "3 tasks"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def interval(value: Interval) -> str:
    """An estimate with its interval, as in "0.71 [0.62, 0.78]": as many decimals as the interval's width deserves.

    The width keeps two significant digits; where no interval exists, or it has no width, the estimate is shown as a number.
    """
    if not value.exists:
        return number(value.estimate)
    width = value.high - value.low
    if not 1e-9 < width < 1e15:
        return f"{number(value.estimate)} [{number(value.low)}, {number(value.high)}]"
    decimals = max(0, 1 - math.floor(math.log10(width)))
    # Adding zero turns a rounded -0.0 into 0.0.
    estimate, low, high = (f"{round(x, decimals) + 0.0:,.{decimals}f}".replace("-", "−") for x in value)
    return f"{estimate} [{low}, {high}]"


def duration(seconds: Number) -> str:
    """A time for people, as in "2 h 05 min" or "12.3 s"."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
