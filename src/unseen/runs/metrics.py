"""Metrics: an append-only table (seed, env_steps, wall_s, metric, value) in many small files, each written whole."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
import pyarrow as pa

from unseen.errors import UserError
from unseen.runs import parts
from unseen.runs.files import DiskFull, local_path, make_directory, remove_leftovers, sync_directory, writing

_COLUMNS = ("seed", "env_steps", "wall_s", "metric", "value")
_MERGE = 32  # so many files of a size become one of the next size


class TornFile(UserWarning):
    """A file of metrics that cannot be read, and is left out."""


@runtime_checkable
class SupportsArray(Protocol):
    """A NumPy or JAX array or scalar."""

    def __array__(self) -> Any: ...


class MetricsWriter:
    """Collects rows in memory and writes them, a file at a time, so that a kill loses only what was not yet flushed.

    Args:
        directory: the folder of metrics; made at the first flush. It has one writer at a time.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = local_path(directory)
        self._pending: list[dict[str, np.ndarray]] = []
        self._next: int | None = None

    def append(
        self,
        *,
        seed: int | SupportsArray,
        env_steps: int | SupportsArray,
        wall_s: int | float,
        values: Mapping[str, int | float | SupportsArray],
    ) -> None:
        """Add one row per seed and metric; they reach the disk at the next `flush`.

        Args:
            seed: integer, () or (n,).
            env_steps: environment steps that seed has taken, () or (n,).
            wall_s: seconds since training began.
            values: metric -> number, () or (n,); stored as float64.

        Raises:
            ValueError: for shapes other than these.
        """
        shape = np.broadcast_shapes(np.shape(seed), np.shape(env_steps), *(np.shape(value) for value in values.values()), (1,))
        if len(shape) != 1:
            raise ValueError(f"metrics are numbers or arrays with one number per seed, not of shape {shape}")
        for metric, value in values.items():
            self._pending.append(
                {
                    "seed": np.broadcast_to(np.array(seed, np.int64), shape),  # copies: callers reuse their buffers
                    "env_steps": np.broadcast_to(np.array(env_steps, np.int64), shape),
                    "wall_s": np.full(shape, wall_s, np.float64),
                    "metric": np.full(shape, metric, object),
                    "value": np.broadcast_to(np.array(value).astype(np.float64), shape),
                }
            )

    def flush(self, step: int) -> Path | None:
        """Write the rows collected since the last flush as one new file; when this returns, they are on disk.

        Args:
            step: the step training has reached, on the scale of the checkpoints' steps. Flush before the checkpoint
                that ends the interval: a resumed run drops exactly the rows after the checkpoint it starts from.

        Returns:
            The file, or None when there was nothing to write.

        Raises:
            DiskFull: the rows stay in memory and everything written before stays readable.
        """
        if not self._pending:
            return None
        columns = {name: np.concatenate([rows[name] for rows in self._pending]) for name in _COLUMNS}
        columns["step"] = np.full(len(columns["seed"]), step, np.int64)
        number = self._open() if self._next is None else self._next
        path = parts.path_of(self.directory, number, number, step)
        parts.write(path, pa.table(columns, schema=parts.SCHEMA))
        self._pending.clear()
        self._next = number + 1
        with suppress(DiskFull):  # the rows are safe; merging can wait
            self._merge_tail()
        return path

    def discard_after(self, step: int) -> None:
        """Forget rows flushed after `step`, and those not yet flushed: the run goes on from the checkpoint of that step."""
        self._pending.clear()
        self._open()
        with writing(self.directory):
            for part in parts.find(self.directory)[0]:
                if part.step > step:
                    parts.cut(part, step)
            sync_directory(self.directory)
        self._next = None

    def _open(self) -> int:
        """Clear away what a killed writer left; returns the next part's number."""
        make_directory(self.directory)
        with writing(self.directory):
            remove_leftovers(self.directory)
            counting, superseded = parts.find(self.directory)
            for part in superseded:
                part.path.unlink()
        return counting[-1].last + 1 if counting else 0

    def _merge_tail(self) -> None:
        """Merge the newest files of one size when there are enough of them, and again at the next size."""
        while True:
            counting, _ = parts.find(self.directory)
            size = _size(counting[-1])
            tail = [part for part in counting[-_MERGE:] if _size(part) == size]
            if len(tail) < _MERGE or not parts.merge(self.directory, tail):
                return


def read(directory: str | os.PathLike[str]) -> pl.DataFrame:
    """All metrics, in the order they were written; safe while a run is writing.

    Args:
        directory: the folder of metrics.

    Returns:
        One row per seed, moment and metric, with columns seed, env_steps, wall_s, metric and value.

    Warns:
        TornFile: for a file that cannot be read; the others are returned.

    Raises:
        UserError: when there is no such folder.
    """
    folder = local_path(directory)
    if not folder.is_dir():
        raise UserError(f"no metrics in {folder}; is it a run directory's 'metrics' folder?")
    while True:
        tables, torn = [], []
        try:
            for part in parts.find(folder)[0]:
                try:
                    tables.append(parts.read(part.path))
                except ValueError as error:
                    torn.append(f"left out {part.path.name}, which cannot be read: {error}")
        except FileNotFoundError:
            continue  # merged into a larger one since we looked: look again
        break
    for note in torn:
        warnings.warn(note, TornFile, stacklevel=2)
    frame = pl.from_arrow(pa.concat_tables([parts.SCHEMA.empty_table(), *tables]))
    assert isinstance(frame, pl.DataFrame)
    return frame.select(_COLUMNS)


def _size(part: parts.Part) -> int:
    """0 for a single part, k for about _MERGE ** k of them."""
    count, size = part.last - part.first + 1, 0
    while count >= _MERGE:
        count, size = count // _MERGE, size + 1
    return size
