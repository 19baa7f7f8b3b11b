"""Cells of a grid: trained one by one into run directories, resumed when interrupted, kept as curves beside their settings when finished.

A directory holds `cells/NAME-HASH` (run directories; the hash is that of the settings) and `curves/NAME.parquet` beside `NAME.toml`: a
finished cell is not trained again while its settings are the same.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from unseen.errors import UserError
from unseen.experiments.reproduce.directory import Clock
from unseen.experiments.settings import Experiment
from unseen.experiments.toml import to_toml
from unseen.experiments.train import Interval, train
from unseen.runs.files import make_directory, write_atomic

METRICS = ("return", "length", "steps_per_s")
FAILURE = "failure.txt"
Say = Callable[[str], None]


@runtime_checkable
class Cell(Protocol):
    """Anything with a name, unique in its directory, and an experiment."""

    @property
    def name(self) -> str: ...

    @property
    def experiment(self) -> Experiment: ...


def trained(folder: Path, cell: Cell, clock: Clock, say: Say, finish: Callable[[Any], None] | None = None) -> None:
    """Train a cell to its end, or until the time is over; a finished one is kept as curves.

    Args:
        folder: the grid's directory.
        cell: what to train.
        clock: after which it is left to be resumed.
        say: told what happened, in a line.
        finish: what to do with the finished `Run` before it counts as kept, such as scoring it.
    """
    begun = time.monotonic()

    def stop(interval: Interval) -> None:
        if clock.over:
            raise StopIteration

    directory = run_directory(folder, cell)
    try:
        run = train(cell.experiment, directory, callbacks=[stop])
        metrics = run.metrics()
        if int(metrics.group_by("seed").agg(pl.col("env_steps").max())["env_steps"].min()) < cell.experiment.env_steps:  # type: ignore[arg-type]
            say(f"{cell.name}: not finished in time; it will be resumed")
            return
        if finish is not None:
            finish(run)
    except (UserError, RuntimeError, MemoryError) as error:  # not finite, or too large for the device: the other cells go on
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        make_directory(directory)
        write_atomic(directory / FAILURE, f"{first}\n".encode())
        say(f"{cell.name}: {first}; remove {directory / FAILURE} to try again")
        return
    curves = folder / "curves"
    make_directory(curves)
    shown = metrics.filter(pl.col("metric").is_in(METRICS)).select("seed", "env_steps", "wall_s", "metric", "value")
    file = io.BytesIO()
    shown.write_parquet(file)
    write_atomic(curves / f"{cell.name}.parquet", file.getvalue())
    write_atomic(curves / f"{cell.name}.toml", to_toml(cell.experiment).encode())
    say(f"{cell.name}: {time.monotonic() - begun:.0f} s")


def run_directory(folder: Path, cell: Cell) -> Path:
    """Of the cell's run; other settings get another one."""
    return folder / "cells" / f"{cell.name}-{hashlib.sha256(to_toml(cell.experiment).encode()).hexdigest()[:8]}"


def failure(folder: Path, cell: Cell) -> str:
    """Why a cell cannot be finished; empty where nothing is known to be wrong."""
    note = run_directory(folder, cell) / FAILURE
    return note.read_text(encoding="utf-8").strip() if note.exists() else ""


def kept(folder: Path, cell: Cell) -> pl.DataFrame | None:
    """The metrics of a finished cell with these very settings."""
    settings = folder / "curves" / f"{cell.name}.toml"
    if not settings.exists() or settings.read_text(encoding="utf-8") != to_toml(cell.experiment):
        return None
    return pl.read_parquet(settings.with_suffix(".parquet"))
