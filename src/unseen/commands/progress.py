"""A progress bar for training: steps per second, time left, current return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress(experiment: Any, label: str = "") -> Iterator[Callable[[Any], None]]:
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
    label = label or experiment.environment
    tenths = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{label}: compiling", total=1.0, speed="", score="")

        def show(interval: Any) -> None:
            nonlocal tenths
            scores = interval.metrics["return"]
            score = "return –" if np.isnan(scores).all() else f"return {np.nanmean(scores):.3g}"
            speed = f"{interval.steps_per_s:,.0f} steps/s"
            bar.update(task, description=label, completed=interval.fraction, speed=speed, score=score)
            if not console.is_terminal and int(10 * interval.fraction) > tenths:
                tenths = int(10 * interval.fraction)
                console.print(f"{label}: {interval.fraction:4.0%}  {speed}  {score}")

        yield show
