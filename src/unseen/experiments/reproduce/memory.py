"""`reproduce memory`: trains the matrix cell by cell, scores every finished one on every kind of level, and gathers plain data.

A directory holds what `cells` keeps of each cell, `scores/NAME.json` beside it, and `rates/TASK-AGENT.json` where a learning rate was
chosen. The choice sees training scores of pilots and nothing else.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from unseen.errors import UserError
from unseen.experiments.generalisation import ROLES, scores
from unseen.experiments.reproduce.cells import Say, failure, kept, run_directory, trained
from unseen.experiments.reproduce.directory import Clock, claim
from unseen.experiments.reproduce.memory_grid import PILOT, Cell, Scale, cells, counted, scale_named, slug
from unseen.experiments.run import Run, load
from unseen.runs.files import local_path, make_directory, write_atomic

LAST = 0.1  # of a pilot: over which its training score is averaged


class Outcome(NamedTuple):
    """One cell.

    Attributes:
        cell: which.
        metrics: of training, long form; None where it was not finished.
        scores: of `generalisation.scores`; None likewise.
        failure: why it cannot be finished; empty otherwise.
    """

    cell: Cell
    metrics: pl.DataFrame | None
    scores: pl.DataFrame | None
    failure: str = ""


class TrainScore(NamedTuple):
    """All that the choice of a learning rate may see: its mean return at the end of a pilot on the training level."""

    rate: float
    score: float


@dataclass(frozen=True)
class Results:
    """Everything that a report needs.

    Attributes:
        scale: its name.
        outcomes: of every cell of the grid, finished or not.
        parameters: agent -> {"agent", "memory"} -> how many, on the first task.
    """

    scale: str
    outcomes: tuple[Outcome, ...]
    parameters: Mapping[str, Mapping[str, int]]

    def table(self) -> pl.DataFrame:
        """All scores: those of `generalisation.scores`, with the columns task and agent; empty where nothing is finished."""
        tables = [
            o.scores.with_columns(task=pl.lit(o.cell.task.name), agent=pl.lit(o.cell.agent)) for o in self.outcomes if o.scores is not None
        ]
        return pl.concat(tables) if tables else pl.DataFrame()


def run(directory: str | os.PathLike[str], scale_name: str, *, minutes: float | None = None, say: Say = print) -> Results:
    """Train and score what is missing, as far as the time goes, and return what there is.

    Args:
        directory: where everything is kept; give the same one again to go on.
        scale_name: "smoke", "laptop", "paper" or "paper-first-person".
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
    for agent, count in _parameters(scale).items():
        say(f"{agent}: {count['agent']:,} parameters, {count['memory']:,} of them in its memory")
    for cell in cells(scale):
        if clock.over:
            break
        tuned = _tuned(folder, cell, scale, clock, say)
        if tuned is not None and kept(folder, tuned) is None and not failure(folder, tuned):
            _quietly_trained(folder, tuned, clock, say, lambda run, cell=tuned: _score(folder, cell, run, scale))
        elif tuned is not None and kept(folder, tuned) is not None and _scored(folder, tuned, scale) is None:
            say(f"{tuned.name}: scored anew")
            _score(folder, tuned, load(run_directory(folder, tuned)), scale)
    return gathered(folder, scale_name)


def _quietly_trained(*arguments: Any) -> None:
    """`trained`, without being told that slots are fewer than the steps that a time limit allows (see `Task.capacity`)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="agent.memory.capacity")
        trained(*arguments)


def gathered(directory: str | os.PathLike[str], scale_name: str) -> Results:
    """What a directory holds so far."""
    folder, scale = local_path(directory), scale_named(scale_name)
    outcomes = []
    for cell in cells(scale):
        tuned = _tuned(folder, cell, scale, None, print)
        metrics = None if tuned is None else kept(folder, tuned)
        scored = None if tuned is None or metrics is None else _scored(folder, tuned, scale)
        outcomes.append(Outcome(tuned or cell, metrics, scored, "" if tuned is None else failure(folder, tuned)))
    return Results(scale_name, tuple(outcomes), _parameters(scale))


def _parameters(scale: Scale) -> dict[str, dict[str, int]]:
    first = {cell.agent: cell for cell in reversed(cells(scale))}
    return {agent: counted(first[agent].experiment) for agent in scale.agents}


def _score_file(folder: Path, cell: Cell) -> Path:
    return folder / "scores" / f"{cell.name}.json"


def _score(folder: Path, cell: Cell, run: Run, scale: Scale) -> None:
    path = _score_file(folder, cell)
    make_directory(path.parent)
    stored = {"how": _how(cell, scale), "rows": scores(run, episodes=scale.episodes).to_dicts()}
    write_atomic(path, (json.dumps(stored, indent=1) + "\n").encode())


def _how(cell: Cell, scale: Scale) -> str:
    """What scores depend on besides the code: settings of the run, episodes, levels."""
    return f"{run_directory(Path(), cell).name} {scale.episodes} {ROLES}"


def _scored(folder: Path, cell: Cell, scale: Scale) -> pl.DataFrame | None:
    """The scores of a finished cell, made under these very settings."""
    path = _score_file(folder, cell)
    if not path.exists():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    return pl.DataFrame(stored["rows"]) if stored["how"] == _how(cell, scale) else None


def _tuned(folder: Path, cell: Cell, scale: Scale, clock: Clock | None, say: Say) -> Cell | None:
    """The cell with the learning rate that its agent's pilots chose on its task; None while they are not finished.

    Args:
        folder, cell, scale: what of where.
        clock: lets missing pilots be trained until it is over; None: only what is on record counts.
        say: told what is being done.
    """
    if not scale.rates:
        return cell
    found = []
    for rate in scale.rates:
        pilot = _pilot(cell, rate)
        if clock is not None and kept(folder, pilot) is None and not failure(folder, pilot) and not clock.over:
            _quietly_trained(folder, pilot, clock, say)
        metrics = kept(folder, pilot)
        if metrics is None and not failure(folder, pilot):
            return None
        if metrics is not None:
            found.append(TrainScore(rate, train_score(metrics)))
    if not found:
        return cell
    if clock is not None:
        note = folder / "rates" / f"{cell.task.name}-{slug(cell.agent)}.json"
        make_directory(note.parent)
        write_atomic(note, (json.dumps([score._asdict() for score in found], indent=1) + "\n").encode())
    return _with_rate(cell, chosen(found))


def _pilot(cell: Cell, rate: float) -> Cell:
    """A short run of the agent's first seed."""
    short = replace(cell.experiment, env_steps=max(1, cell.experiment.env_steps // PILOT), first_seed=0)
    return _with_rate(cell._replace(experiment=short, agent=f"{slug(cell.agent)}-pilot-{rate:g}", seed=0), rate)


def _with_rate(cell: Cell, rate: float) -> Cell:
    algorithm: Any = replace(cell.experiment.algorithm, learning_rate=rate)
    return cell._replace(experiment=replace(cell.experiment, algorithm=algorithm))


def train_score(metrics: pl.DataFrame) -> float:
    """The mean return over the last tenth of training; minus infinity where no episode ended.

    Metrics are of the level that was trained on: there are no others.
    """
    returns = metrics.filter((pl.col("metric") == "return") & pl.col("value").is_finite())
    last = returns.filter(pl.col("env_steps") >= (1 - LAST) * pl.col("env_steps").max())
    return float(last["value"].mean()) if len(last) else -math.inf  # type: ignore[arg-type]


def chosen(found: Sequence[Any]) -> float:
    """The learning rate with the best training score; the smaller one where two are equal.

    Raises:
        UserError: nothing to choose among, or something that is no training score: holdout scores may not choose anything.
    """
    if not found or not all(isinstance(score, TrainScore) for score in found):
        raise UserError(f"a learning rate is chosen among training scores only, and {found!r} are none")
    return max(sorted(found, key=lambda s: s.rate), key=lambda s: s.score).rate
