"""What a report needs to know about a run, as plain data; a run object can be summarised, and so can anything else."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl

from unseen.experiments.watched import Watched
from unseen.reports.text import Number

FRAMES = 60  # of the episode, in a strip or an animation

Reference = Number | tuple[Number, Number]  # a score, or a score with its standard error


@runtime_checkable
class ReportableRun(Protocol):
    """A run as `unseen.train` and `unseen.load` return it."""

    directory: Path
    experiment: Any  # settings: nested dataclasses

    @property
    def label(self) -> str: ...

    def metrics(self) -> pl.DataFrame:
        """Long form: seed, env_steps, wall_s, metric, value."""
        ...

    def references(self) -> Mapping[str, Reference]:
        """Player -> mean undiscounted return; keys "discounted/PLAYER" hold discounted returns, where they are known."""
        ...

    def bounds(self) -> tuple[Number, Number] | None:
        """Lower and upper bound on the optimal value of what the metric "discounted_return" is the mean of."""
        ...

    def frames(self) -> Sequence[tuple[np.ndarray, str]]:
        """Pictures of one episode, uint8 RGB, each with a caption; empty where nothing can be drawn."""
        ...

    def watched(self) -> Watched | None:
        """One episode with what stood behind every step; None where there is none, and `frames` are all that can be shown."""
        ...

    def versions(self) -> Mapping[str, object]: ...

    def notes(self) -> Sequence[str]:
        """What a reader must know, as in "resumed from an episode boundary: not bitwise"."""
        ...


@dataclass(frozen=True)
class RunSummary:
    """One run, ready to be reported."""

    name: str
    """Of the run directory."""

    label: str
    """What figures and tables call it."""

    experiment: Mapping[str, object]
    """Settings by dotted name, as in "agent.memory.size"."""

    metrics: pl.DataFrame
    """Long form: seed, env_steps, wall_s, metric, value."""

    references: Mapping[str, Reference] = field(default_factory=dict)
    """Player -> mean undiscounted return, or (mean, standard error)."""

    bounds: tuple[Number, Number] | None = None
    """Lower and upper bound on the optimal discounted return: the experiment's discount, episodes cut as the run's are."""

    discounted_references: Mapping[str, Reference] = field(default_factory=dict)
    """Player -> mean return under the experiment's discount."""

    frames: Sequence[np.ndarray] = ()
    """Pictures of one episode, uint8 RGB."""

    captions: Sequence[str] = ()
    """One per frame, or none."""

    watched: Watched | None = None
    """The same episode, to be played step by step."""

    versions: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()

    reproduce: str = ""
    """What to type to repeat the run."""

    @property
    def environment(self) -> str:
        return str(self.experiment.get("environment", "an environment without a name"))


def summarise(run: ReportableRun) -> RunSummary:
    """Read a run once: everything a report needs, with the pictures of one episode."""
    references = {player.replace("_", " "): score for player, score in run.references().items()}
    watched = run.watched()
    episode = list(run.frames()) if watched is None else watched.frames(FRAMES)
    return RunSummary(
        name=run.directory.name,
        label=run.label,
        experiment=flat(run.experiment),
        metrics=run.metrics(),
        references={player: score for player, score in references.items() if not player.startswith("discounted/")},
        bounds=run.bounds(),
        discounted_references={p.removeprefix("discounted/"): score for p, score in references.items() if p.startswith("discounted/")},
        frames=[frame for frame, _ in episode],
        captions=[caption for _, caption in episode],
        watched=watched,
        versions={name.removeprefix("packages."): version for name, version in flat(run.versions()).items() if name != "earlier"},
        notes=run.notes(),
        reproduce=f"unseen train {shlex.quote(_shown(run.directory) + '/experiment.toml')} --out again",
    )


def flat(settings: object, prefix: str = "") -> dict[str, object]:
    """Nested dataclasses and mappings as one mapping with dotted names; a dataclass inside is named by its class first."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        items = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    else:
        items = dict(settings)  # type: ignore[call-overload]
    rows: dict[str, object] = {}
    for key, value in items.items():
        name = f"{prefix}{key}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            rows |= {name: type(value).__name__, **flat(value, f"{name}.")}
        elif isinstance(value, Mapping):
            rows |= flat(value, f"{name}.")
        else:
            rows[name] = value
    return rows


def score(reference: Reference) -> tuple[float, float]:
    """A reference as (mean, standard error)."""
    mean, error = reference if isinstance(reference, tuple) else (reference, 0.0)
    return float(mean), float(error)


def _shown(directory: Path) -> str:
    """The directory as seen from here; a report that is passed on should not tell where its author keeps things."""
    try:
        return directory.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return directory.name
