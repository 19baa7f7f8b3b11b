"""What `unseen plan` shows in a terminal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from unseen.data.episodes import Episodes


@contextmanager
def noted() -> Iterator[None]:
    """Warnings as notes of one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for each in caught:
        print(f"unseen: note: {each.message}", file=sys.stderr)


def counting(episodes: int, label: str) -> Any:
    """A bar of ended episodes; it is given to `watch`."""
    from rich.progress import Progress

    @contextmanager
    def bar() -> Any:
        with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
            task = progress.add_task(label, total=episodes)
            yield lambda live: progress.advance(task)

    return bar()


@contextmanager
def updates(updates: int, shown: bool) -> Iterator[tuple[Callable[[str], None], Callable[[Mapping[str, Any]], None]]]:
    """A bar of updates with what the last one brought; it is given to `say` and to `watch`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("update"), MofNCompleteColumn(), BarColumn(bar_width=20), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, transient=True, disable=not shown) as progress:
        task = progress.add_task("", total=updates)

        def watch(row: Mapping[str, Any]) -> None:
            reached = "no episode ended" if row["return"] is None else f"return {row['return']:.3g}"
            progress.update(task, completed=row["update"] + 1, description=f"{reached}, planned {row['planning_frequency']:.0%}")

        yield (lambda line: progress.console.print(line, markup=False, highlight=False, soft_wrap=True)) if shown else print, watch


def print_summary(played: Episodes) -> None:
    import polars as pl

    from unseen.planning.accounting import summary

    print_frame(summary(played).filter((pl.col("mean") != 0) | pl.col("figure").is_in(("return", "success"))))


def print_frame(frame: Any) -> None:
    from rich.console import Console

    from unseen.commands.table import as_table

    Console().print(as_table(frame))
