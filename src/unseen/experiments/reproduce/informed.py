"""`reproduce informed`: trains the grid cell by cell, tests every signal before, and gathers what came out as plain data.

A directory holds what `cells` keeps of each cell, and `criteria/TASK.json`, which is made anew when its settings change.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from unseen.environments.registry import make
from unseen.errors import UserError
from unseen.experiments.reproduce.cells import Say, failure, kept, trained
from unseen.experiments.reproduce.directory import Clock, claim
from unseen.experiments.reproduce.informed_grid import NONE, Cell, Scale, Task, cells, scale_named
from unseen.runs.files import local_path, make_directory, write_atomic
from unseen.signals import rank
from unseen.signals.prediction import Prediction
from unseen.signals.residual import Residual

CRITERIA = ("kci", "standardised", "prediction")


class Outcome(NamedTuple):
    """One cell.

    Attributes:
        cell: which.
        metrics: its metrics, long form; None where it was not finished.
        failure: why it cannot be: a number that stopped being finite; empty otherwise.
    """

    cell: Cell
    metrics: pl.DataFrame | None
    failure: str = ""


class Effect(NamedTuple):
    """What a criterion says about one signal of one task before any training; `normalised` and `p` are None where untestable."""

    task: str
    signal: str
    criterion: str
    normalised: float | None
    p: float | None
    verdict: str


@dataclass(frozen=True)
class Results:
    """Everything that a report needs.

    Attributes:
        scale: its name.
        outcomes: of every cell of the grid, finished or not.
        effects: of every criterion on every told signal.
    """

    scale: str
    outcomes: tuple[Outcome, ...]
    effects: tuple[Effect, ...]


def run(directory: str | os.PathLike[str], scale_name: str, *, minutes: float | None = None, say: Say = print) -> Results:
    """Train what is missing, as far as the time goes, and return what there is.

    Args:
        directory: where everything is kept; give the same one again to go on.
        scale_name: "smoke", "laptop" or "paper".
        minutes: another limit than the scale's own.
        say: told what is being done, line by line.

    Raises:
        UserError: an unknown scale, minutes that are not positive, or a directory of another scale.
    """
    from unseen.experiments.platform import prepare

    scale = scale_named(scale_name)
    clock = Clock(scale.minutes if minutes is None else minutes)
    folder = local_path(directory)
    claim(folder, scale_name)
    prepare()
    tested: set[str] = set()
    for cell in cells(scale):
        if cell.task.environment not in tested and not clock.over:
            _criteria(folder, cell.task, scale, say)
            tested.add(cell.task.environment)
        if kept(folder, cell) is None and not failure(folder, cell) and not clock.over:
            trained(folder, cell, clock, say)
    return gathered(folder, scale_name)


def gathered(directory: str | os.PathLike[str], scale_name: str) -> Results:
    """What a directory holds so far."""
    folder, scale = local_path(directory), scale_named(scale_name)
    outcomes = tuple(Outcome(cell, kept(folder, cell), failure(folder, cell)) for cell in cells(scale))
    effects = tuple(effect for task in scale.tasks for effect in _known_criteria(folder, task, scale) or [])
    return Results(scale_name, outcomes, effects)


def _criteria_file(folder: Path, task: Task) -> Path:
    return folder / "criteria" / f"{task.environment}.json"


def _criteria(folder: Path, task: Task, scale: Scale, say: Say) -> None:
    """Both criteria on every signal that a critic of this task is told, under random play."""
    path = _criteria_file(folder, task)
    if _known_criteria(folder, task, scale) is not None:
        return
    begun = time.monotonic()
    environment = make(task.environment, **task.options)
    sets = [(name,) for name in task.told]
    effects = []
    for criterion in CRITERIA:
        prediction = criterion == "prediction"
        settings: Any = _prediction(scale) if prediction else _residual(criterion, scale)
        episodes = scale.prediction_episodes if prediction else scale.episodes
        method: Literal["residual", "prediction"] = "prediction" if prediction else "residual"
        try:
            ranking = rank(environment, method=method, settings=settings, episodes=episodes, sets=sets, most=0)
        except UserError as error:  # such as returns that are all the same under random play
            effects += [Effect(task.environment, name, criterion, None, None, f"not testable: {error}") for name in task.told]
            continue
        for row in ranking.rows:
            known = row.p == row.p
            figures = (row.normalised, row.p) if known else (None, None)
            effects.append(Effect(task.environment, row.signals[0], criterion, *figures, row.verdict))
    make_directory(path.parent)
    stored = {"settings": _criteria_settings(task, scale), "effects": [effect._asdict() for effect in effects]}
    write_atomic(path, (json.dumps(stored, indent=1) + "\n").encode())
    say(f"{task.environment}: criteria on {len(sets)} signals, {time.monotonic() - begun:.0f} s")


def _prediction(scale: Scale) -> Prediction:
    return Prediction(folds=2, updates=60) if scale.small else Prediction()


def _residual(criterion: str, scale: Scale) -> Residual:
    """Trees with random thresholds below paper scale: a fifth of the time."""
    regressor = "forest" if scale.minutes is None else "extra-trees"
    return Residual(variant=criterion, regressor=regressor, draws=scale.permutations)  # type: ignore[arg-type]


def _criteria_settings(task: Task, scale: Scale) -> str:
    """Everything that the criteria's results depend on but the code."""
    settings = [_prediction(scale) if criterion == "prediction" else _residual(criterion, scale) for criterion in CRITERIA]
    return f"{task.environment} {dict(task.options)} {task.told} {scale.episodes} {scale.prediction_episodes} {settings}"


def _known_criteria(folder: Path, task: Task, scale: Scale) -> Sequence[Effect] | None:
    """What is known under these very settings; None where nothing is."""
    path = _criteria_file(folder, task)
    if not path.exists():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [Effect(**row) for row in stored["effects"]] if stored["settings"] == _criteria_settings(task, scale) else None


def baseline(results: Results, task: str) -> Outcome | None:
    """The finished cell without a signal."""
    found = [o for o in results.outcomes if o.cell.task.environment == task and o.cell.critic == NONE and o.metrics is not None]
    return found[0] if found else None
