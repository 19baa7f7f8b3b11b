"""`reproduce outcomes`: estimates on simulated logs cell by cell, on all cores, and gathers how far from the truth they came.

A directory holds `cells/NAME.parquet`, a row for each data set and method, beside `cells/NAME.json`, the settings that they belong to;
other settings are begun anew. Data sets are drawn seed by seed over all cells, so that a cut run has as many everywhere.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import polars as pl

from unseen.errors import UserError
from unseen.experiments.reproduce.directory import Clock, claim
from unseen.experiments.reproduce.outcomes_fits import MEASURES, Row, fitted
from unseen.experiments.reproduce.outcomes_grid import Cell, cells, scale_named
from unseen.runs.files import local_path, make_directory, write_atomic

SCHEMA = {"seed": pl.Int64, "method": pl.String, "failure": pl.String} | dict.fromkeys(MEASURES, pl.Float64)
Say = Callable[[str], None]
Unit = tuple[Cell, int]


class Outcome(NamedTuple):
    """One cell.

    Attributes:
        cell: which.
        rows: a row for each data set and method, with columns seed, method, failure and `MEASURES`; without rows where nothing was run.
    """

    cell: Cell
    rows: pl.DataFrame

    @property
    def seeds(self) -> int:
        """Data sets so far."""
        return self.rows["seed"].n_unique()


@dataclass(frozen=True)
class Results:
    """Everything that a report needs.

    Attributes:
        scale: its name.
        outcomes: of every cell of the grid, run or not.
    """

    scale: str
    outcomes: tuple[Outcome, ...]


def run(
    directory: str | os.PathLike[str], scale_name: str, *, minutes: float | None = None, say: Say = print, workers: int | None = None
) -> Results:
    """Compute what is missing, as far as the time goes, and return what there is.

    Args:
        directory: where everything is kept; give the same one again to go on.
        scale_name: "smoke", "laptop" or "paper".
        minutes: another limit than the scale's own.
        say: told what is being done, line by line.
        workers: processes, one thread each; None: one for every core; 1: this process.

    Raises:
        UserError: an unknown scale, minutes that are not positive, or a directory of another scale.
    """
    scale = scale_named(scale_name)
    clock = Clock(scale.minutes if minutes is None else minutes)
    folder = local_path(directory)
    claim(folder, scale_name)
    make_directory(folder / "cells")
    every = cells(scale)
    if find_spec("lightgbm") is None and any("trees" in cell.group for cell in every):
        say("LightGBM is not installed, so its cells are left out: pip install 'unseen[trees]'")
        every = [cell for cell in every if "trees" not in cell.group]
    kept = {cell.name: _kept(folder, cell) for cell in every}
    missing = [
        (cell, seed)
        for seed in range(max(cell.seeds for cell in every))
        for cell in every
        if seed < cell.seeds and seed not in kept[cell.name]["seed"]
    ]
    for done, ((cell, seed), rows) in enumerate(_computed(missing, clock, workers), 1):
        kept[cell.name] = pl.concat([kept[cell.name], pl.DataFrame(rows, SCHEMA)]).sort("seed", maintain_order=True)
        _keep(folder, cell, kept[cell.name])
        if done % 50 == 0 or done == len(missing):
            say(f"{done} of {len(missing)} data sets; seed {seed}")
    if clock.over:
        say("out of time; the same command goes on")
    return gathered(folder, scale_name)


def gathered(directory: str | os.PathLike[str], scale_name: str) -> Results:
    """What a directory holds so far."""
    folder = local_path(directory)
    found = []
    for cell in cells(scale_named(scale_name)):
        rows = _kept(folder, cell)
        found.append(Outcome(cell, rows.filter(pl.col("seed") < cell.seeds)))
    return Results(scale_name, tuple(found))


def _computed(units: Sequence[Unit], clock: Clock, workers: int | None) -> Iterator[tuple[Unit, list[Row]]]:
    """Units as they are finished; when the time is over no further one is begun."""
    from unseen.experiments.platform import available_cores

    workers = available_cores() if workers is None else workers
    queue = itertools.takewhile(lambda unit: not clock.over, units)
    if workers == 1:
        yield from ((unit, fitted(*unit)) for unit in queue)
        return
    with _one_thread_each(), ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        running: dict[Future[list[Row]], Unit] = {}
        try:
            while True:
                # One more than there are workers, so that none waits while a result is written.
                for unit in itertools.islice(queue, workers + 1 - len(running)):
                    running[pool.submit(fitted, *unit)] = unit
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise UserError("a process was ended from outside, perhaps for want of memory; the same command goes on") from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """For processes begun inside: with more threads than cores they would wait for each other."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _files(folder: Path, cell: Cell) -> tuple[Path, Path]:
    return folder / "cells" / f"{cell.name}.json", folder / "cells" / f"{cell.name}.parquet"


def _kept(folder: Path, cell: Cell) -> pl.DataFrame:
    """The rows of a cell that were computed with these very settings."""
    settings, rows = _files(folder, cell)
    if settings.exists() and rows.exists() and settings.read_text(encoding="utf-8") == cell.settings:
        return pl.read_parquet(rows)
    return pl.DataFrame(schema=SCHEMA)


def _keep(folder: Path, cell: Cell, rows: pl.DataFrame) -> None:
    settings, file = _files(folder, cell)
    if not settings.exists() or settings.read_text(encoding="utf-8") != cell.settings:
        file.unlink(missing_ok=True)  # of other settings
        write_atomic(settings, cell.settings.encode())
    stream = io.BytesIO()
    rows.write_parquet(stream)
    write_atomic(file, stream.getvalue())
