"""Frames as tables for a terminal."""

from __future__ import annotations

from typing import Any

import polars as pl
from rich.box import SIMPLE
from rich.table import Column, Table

from unseen.reports.text import number

LONG = 24  # letters of a word that goes on in the next line, so that numbers keep their place in 80 columns


def as_table(frame: pl.DataFrame) -> Table:
    """A frame for a terminal of any width: names of columns may take several lines, numbers have three significant digits or more.

    ± is the standard error, ended the share of episodes that were not cut by a time limit.
    """

    def shown(value: Any) -> str:
        return number(value) if isinstance(value, int | float) else str(value if value is not None else "–")

    words = {name: frame[name].dtype.is_numeric() for name in frame.columns}
    short = {"standard_error": "±", "terminated": "ended", "discounted_return": "discounted"}
    columns = [
        Column(short.get(n, n), justify="right", overflow="fold") if right else _of_words(short.get(n, n), frame[n])
        for n, right in words.items()
    ]
    table = Table(*columns, box=SIMPLE, padding=(0, 1, 0, 0))
    for row in frame.iter_rows():
        table.add_row(*map(shown, row))
    return table


def _of_words(name: str, values: pl.Series) -> Column:
    longest = max((len(str(value)) for value in values), default=0)
    return Column(name, no_wrap=longest <= LONG, max_width=None if longest <= LONG else LONG, overflow="fold")
