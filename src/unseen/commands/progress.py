"""A progress bar for training: what compiling took, steps per second, time left, current return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress(experiment: Any, label: str = "") -> Iterator[Shown]:
    """A callback for `unseen.train` that shows how far it is; a line every tenth where there is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TextColumn("{task.fields[score]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        shown = Shown(bar, label or experiment.environment)
        yield shown
        if not shown.any:
            bar.update(shown.task, visible=False)
            console.print(f"{shown.label}: already trained, nothing left to do")


class Shown:
    """Shows what `unseen.train` tells a callback."""

    def __init__(self, bar: Progress, label: str) -> None:
        self.bar, self.label = bar, label
        self.task = bar.add_task(f"{label}: compiling", total=1.0, speed="", score="")
        self.any = False
        self._tenths = 0

    def compiled(self, seconds: float, memory: int | None) -> None:
        """Called once, before training."""
        needs = "" if memory is None else f", needs {decimal(memory)} of memory"
        self.bar.console.print(f"{self.label}: compiled in {seconds:.1f} s{needs}", highlight=False)
        self.bar.update(self.task, description=self.label)

    def __call__(self, interval: Any) -> None:
        """Called after each interval."""
        self.any = True
        scores = interval.metrics["return"]
        score = "return –" if np.isnan(scores).all() else f"return {np.nanmean(scores):.3g}"
        speed = f"{interval.steps_per_s:,.0f} steps/s"
        self.bar.update(self.task, description=self.label, completed=interval.fraction, speed=speed, score=score)
        if not self.bar.console.is_terminal and int(10 * interval.fraction) > self._tenths:
            self._tenths = int(10 * interval.fraction)
            self.bar.console.print(f"{self.label}: {interval.fraction:4.0%}  {speed}  {score}")
