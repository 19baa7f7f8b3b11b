"""A run directory: everything one experiment needs to be read, resumed and run again.

experiment.toml   metrics/part-*.parquet   checkpoints/   episodes/   versions.json   report.html
environment.pomdp   environment.json   where the environment is a file; see `unseen.runs.sources`
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from unseen.errors import UserError
from unseen.runs import checkpoints, metrics, sources
from unseen.runs.differences import first_difference
from unseen.runs.files import local_path, make_directory, remove_leftovers, write_atomic, writing
from unseen.runs.lock import lock

_EXPERIMENT = "experiment.toml"
_VERSIONS = "versions.json"
_LOCK = ".lock"
_OURS = (_EXPERIMENT, _VERSIONS, "metrics", "checkpoints", "episodes", sources.COPY, sources.RECORD)
_WRITTEN = (*_OURS, "report.html", "tensorboard")  # what is written into a run directory, by whomever


class RunDirectory:
    """A run on disk; `create` to train into it, `open` to read it.

    Attributes:
        path: the directory.
        experiment: `experiment.toml` as a dictionary.
        checkpoints: folder for `unseen.runs.checkpoints`.
        episodes: folder for recorded episodes.
        report: where the HTML report goes.
    """

    def __init__(self, path: Path, experiment: dict[str, Any], release: Callable[[], object] | None) -> None:
        self.path = path
        self.experiment = experiment
        self.checkpoints = path / "checkpoints"
        self.episodes = path / "episodes"
        self.report = path / "report.html"
        self._release = release
        self._writer = metrics.MetricsWriter(path / "metrics")

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        experiment_toml: str,
        versions: Mapping[str, Any] | None = None,
        *,
        ignore: Collection[str] = (),
        source: sources.Source | None = None,
    ) -> RunDirectory:
        """Make a run directory, or take up the one that holds the same experiment; no other process may write to it until `close`.

        Args:
            path: the directory; new, empty, or of the same experiment.
            experiment_toml: the complete experiment.
            versions: what `versions.collect` gave; a change since the last start is added, not written over.
            ignore: dotted fields that may differ, as in `("env_steps",)` when extending; the new values are kept.
            source: the file the environment is made of; copied when the run begins, and the same ever after.

        Raises:
            UserError: when the directory holds something else, naming the first field that differs, or is in use, or has links
                that would have us write outside of it.
            DiskFull: when there is no room.
        """
        folder = local_path(path)
        wanted = _parse(experiment_toml, "the experiment")
        refuse_foreign(folder)
        make_directory(folder)
        _refuse_ways_out(folder)
        release = lock(folder / _LOCK)
        try:
            remove_leftovers(folder)
            refuse_other_experiment(folder, wanted, ignore)
            for name in ("metrics", "checkpoints", "episodes"):
                make_directory(folder / name)
            if source is not None:
                sources.keep(folder, source)
            _add_versions(folder / _VERSIONS, versions or {})
            text = experiment_toml.encode()
            file = folder / _EXPERIMENT
            if not file.exists() or file.read_bytes() != text:
                write_atomic(file, text)  # last: it is what makes the folder a run directory
        except BaseException:
            release()
            raise
        return cls(folder, wanted, release)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunDirectory:
        """Open a run to read it, also while it is training.

        Raises:
            UserError: when there is no run there, or its experiment cannot be read.
        """
        folder = local_path(path)
        return cls(folder, _read_experiment(folder), None)

    @property
    def metrics(self) -> metrics.MetricsWriter:
        """Where to append metrics."""
        self._require_writer()
        return self._writer

    @property
    def experiment_toml(self) -> str:
        """The experiment as it was written."""
        return (self.path / _EXPERIMENT).read_text(encoding="utf-8")

    @property
    def versions(self) -> dict[str, Any]:
        """What the last start ran on; what earlier ones ran on, where it differed, under "earlier"."""
        return _read_versions(self.path / _VERSIONS)

    def read_metrics(self) -> pl.DataFrame:
        """All metrics written so far; see `unseen.runs.metrics.read`."""
        return metrics.read(self.path / "metrics")

    def save(self, step: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None, *, keep: int = 3) -> Path:
        """Flush the metrics, then save a checkpoint: a checkpoint that can be seen has its metrics on disk.

        Raises:
            DiskFull: everything saved before is untouched.
        """
        self.metrics.flush(step)
        return checkpoints.save(self.checkpoints, step, arrays, meta, keep=keep)

    def load(self, step: int | None = None) -> checkpoints.Checkpoint:
        """The newest good checkpoint, or that of `step`; see `unseen.runs.checkpoints.load`."""
        return checkpoints.load(self.checkpoints, step)

    def resume(self, step: int | None = None) -> checkpoints.Checkpoint | None:
        """The checkpoint to go on from, with whatever came after it undone; None, and an empty run, when there is none yet.

        Metrics flushed after it are dropped; later checkpoints, damaged or unwanted, are set aside.

        Raises:
            CheckpointError: when there are checkpoints but none is good.
        """
        self._require_writer()
        if step is None and checkpoints.latest(self.checkpoints) is None:
            self._writer.discard_after(-1)
            return None
        checkpoint = self.load(step)
        checkpoints.discard_after(self.checkpoints, checkpoint.step)
        self._writer.discard_after(checkpoint.step)
        return checkpoint

    def close(self) -> None:
        """Let other processes write here; rows of metrics not flushed are forgotten, as a kill would have it."""
        if self._release is not None:
            self._release()
            self._release = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_writer(self) -> None:
        if self._release is None:
            raise UserError(f"run directory {self.path} is open for reading only; RunDirectory.create opens it for writing")


def _parse(text: str, what: object) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} is not valid TOML: {error}") from error


def _read_experiment(folder: Path) -> dict[str, Any]:
    file = folder / _EXPERIMENT
    try:
        return _parse(file.read_text(encoding="utf-8"), file)
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not valid TOML: {error}") from error
    except OSError as error:
        raise UserError(f"no run directory at {folder}: {_EXPERIMENT}: {error.strerror}") from error


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds anything but a run; what a start killed before `experiment.toml` left is fine."""
    with writing(folder):
        if not folder.is_dir() or (folder / _EXPERIMENT).exists():
            return
        foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OURS and not entry.name.startswith("."))
    if foreign:
        raise UserError(f"{folder} is not empty and not a run directory (it holds {foreign[0]!r}); choose another directory")


def _refuse_ways_out(folder: Path) -> None:
    """Refuse links that lead out of the folder: resuming a stranger's run must not touch files elsewhere."""
    for name in _WRITTEN:
        entry = folder / name
        target = Path(os.path.realpath(entry))
        if entry.is_symlink() and not target.is_relative_to(os.path.realpath(folder)):
            raise UserError(
                f"{entry} is a link that leads out of the run directory, to {target}; "
                "put what it leads to in its place, or choose another directory"
            )


def refuse_other_experiment(folder: Path, wanted: Mapping[str, Any], ignore: Collection[str]) -> None:
    if not (folder / _EXPERIMENT).exists():
        return
    difference = first_difference(_read_experiment(folder), wanted, ignore)
    if difference:
        field, there, here = difference
        raise UserError(
            f"run directory {folder} holds another experiment: {field} is {there} there and {here} here; "
            "use another directory, or the same settings to resume"
        )


def _read_versions(file: Path) -> dict[str, Any]:
    try:
        versions = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # it explains results, nothing depends on it
    return versions if isinstance(versions, dict) else {}


def _add_versions(file: Path, versions: Mapping[str, Any]) -> None:
    previous = _read_versions(file)
    earlier = previous.pop("earlier", [])
    current = json.loads(json.dumps(dict(versions)))
    if previous and previous != current:
        earlier = [*earlier, previous]
    text = json.dumps(current | ({"earlier": earlier} if earlier else {}), indent=1)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_atomic(file, text.encode())
