"""`unseen.train`: an experiment into a run directory, resumed if it was interrupted, bit for bit."""

from __future__ import annotations

import os
import signal
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unseen.errors import UserError
from unseen.experiments.settings import Experiment
from unseen.experiments.toml import from_toml, to_toml
from unseen.runs import RunDirectory, checkpoints, sources, versions
from unseen.runs.directory import refuse_foreign, refuse_other_experiment
from unseen.runs.files import local_path
from unseen.runs.sinks import open_sinks

SAVE_EVERY_S = 60.0
# Settings under which a finished run may be taken further: the trajectory up to the old budget is the same.
EXTENDABLE = ("env_steps", "report_every")


class Interval(NamedTuple):
    """What a callback is told after each interval.

    Attributes:
        env_steps: environment steps of each seed, (seeds,).
        metrics: name -> (seeds,).
        steps_per_s: real environment steps per second over all seeds, in this interval.
        fraction: how much of the budget is done.
    """

    env_steps: np.ndarray
    metrics: dict[str, np.ndarray]
    steps_per_s: float
    fraction: float


class NotFinite(UserError):
    """Training met a number that is not finite and stopped; the last good checkpoint is kept."""


Callback = Callable[[Interval], None]


def train(
    experiment: Experiment,
    directory: str | os.PathLike[str],
    *,
    callbacks: Sequence[Callback] = (),
    extend: int | None = None,
    environment: Any = None,
    sinks: Sequence[str] = (),
    save_every_s: float = SAVE_EVERY_S,
) -> Any:
    """Train an experiment, or go on with the run that the directory holds.

    Args:
        experiment: what to train.
        directory: new, empty, or of a run of the same experiment, which is then resumed.
        callbacks: called with an `Interval` after each interval; one that raises `StopIteration` ends training, resumably.
            One with a method `compiled(seconds, bytes)` is told what the compiled program took and needs, before it starts.
        extend: a larger budget of environment steps for the run in the directory, which keeps its interval.
        environment: the environment itself, where it is not registered under `experiment.environment`.
        sinks: further places for the metrics, such as "tensorboard".
        save_every_s: seconds between checkpoints; one is always written at the end.

    Returns:
        The `Run`.

    Raises:
        UserError: for settings that cannot be run or a directory of another experiment, before anything is compiled.
        NotFinite: when a loss, gradient or reward stopped being finite.
    """
    from unseen.experiments.platform import prepare
    from unseen.experiments.run import Run

    prepare()
    if extend is not None:
        experiment = _extended(experiment, directory, extend)
    experiment.check()
    ignore = EXTENDABLE if extend is not None else ()
    _refuse_directory(directory, experiment, ignore)
    if _finished(directory, experiment):
        return Run(Path(directory), environment=environment)
    source = sources.read(directory, experiment.environment) if environment is None else None
    engine = _engine(experiment, environment, directory)
    import jax

    found = versions.collect(
        [str(d) for d in jax.devices()], {"XLA_FLAGS": os.environ.get("XLA_FLAGS", ""), "x64": jax.config.read("jax_enable_x64")}
    )
    with (
        closing(engine),
        RunDirectory.create(directory, to_toml(experiment), found, ignore=ignore, source=source) as folder,
        _interrupts() as interrupted,
    ):
        extra = open_sinks(sinks, folder.path)
        try:
            _loop(experiment, engine, folder, [*callbacks, *(_to_sink(s) for s in extra)], interrupted, save_every_s)
        finally:
            for sink in extra:
                sink.close()
    return Run(Path(directory), environment=environment)


def _extended(experiment: Experiment, directory: str | os.PathLike[str], env_steps: int) -> Experiment:
    """The experiment with a larger budget, and rows of metrics as far apart as those that the directory holds."""
    stored = from_toml(RunDirectory.open(directory).experiment_toml, str(directory))
    if env_steps < stored.env_steps:
        raise UserError(f"extend = {env_steps}; the run's budget is already {stored.env_steps} environment steps: name a larger one")
    return replace(experiment, env_steps=env_steps, report_every=stored.interval)


def _refuse_directory(directory: str | os.PathLike[str], experiment: Experiment, ignore: Sequence[str]) -> None:
    """What `RunDirectory.create` refuses; it comes after compiling, so that settings that do not compile leave no directory."""
    folder = local_path(directory)
    refuse_foreign(folder)
    refuse_other_experiment(folder, tomllib.loads(to_toml(experiment)), ignore)


def _finished(directory: str | os.PathLike[str], experiment: Experiment) -> bool:
    """Whether the run in the directory has reached the budget it was given, which is this one."""
    folder = local_path(directory)
    if not (folder / "experiment.toml").exists() or checkpoints.latest(folder / "checkpoints") is None:
        return False
    run = RunDirectory.open(directory)
    return run.experiment["env_steps"] == experiment.env_steps <= int(run.load().arrays["env_steps"].min())


def extend(directory: str | os.PathLike[str], env_steps: int, *, trust: bool = False, **options: Any) -> Any:
    """Take the run in a directory on to `env_steps` environment steps.

    Args:
        directory, env_steps: whose run, and its new budget.
        trust: whether a module that the run names may be imported: it may be a stranger's.
        options: of `train`.
    """
    from unseen.environments.adapters.gymnasium_ids import module_imports

    folder = RunDirectory.open(directory)
    with module_imports(trust):
        return train(from_toml(folder.experiment_toml), directory, extend=env_steps, **options)


def _engine(experiment: Experiment, environment: Any, directory: str | os.PathLike[str]) -> Any:
    """What advances all seeds: compiled for environments in JAX, a host loop for external ones."""
    from unseen.experiments.compiled import CompiledSeeds
    from unseen.experiments.host import HostSeeds
    from unseen.experiments.run import make_environment

    if experiment.environment.startswith("gym:") and environment is None:
        return HostSeeds(experiment)
    if environment is None:
        environment = make_environment(experiment, directory)
    return CompiledSeeds(experiment, environment)


def _loop(
    experiment: Experiment, engine: Any, folder: RunDirectory, callbacks: list[Callback], interrupted: list[int], save_every_s: float
) -> None:
    checkpoint = folder.resume()
    intervals, wall_s = 0, 0.0
    if checkpoint is not None:
        for step, reason in checkpoint.skipped:
            print(f"checkpoint {step} is damaged and was passed over: {reason}")
        engine.restore(checkpoint.arrays)
        intervals, wall_s = int(checkpoint.meta["intervals"]), float(checkpoint.meta["wall_s"])
    else:
        engine.start()
    wall_s += _tell_compiled(engine, callbacks)
    seeds = np.arange(experiment.first_seed, experiment.first_seed + experiment.seeds)
    saved_at, before = time.monotonic(), engine.env_steps()
    if checkpoint is None:
        folder.save(0, engine.arrays(), {"intervals": 0, "wall_s": 0.0})
    while before.min() < experiment.env_steps:
        begun = time.monotonic()
        metrics = engine.advance(_next_mark(experiment, before))
        engine.refuse_not_finite()
        spent = time.monotonic() - begun
        wall_s += spent
        intervals += 1
        env_steps = engine.env_steps()
        steps_per_s = float((env_steps - before).sum() / spent)
        moved = env_steps > before  # a seed whose last update took it past this mark has nothing new to tell
        before = env_steps
        values = {name: value[moved] for name, value in metrics.items()} | {"steps_per_s": steps_per_s}
        folder.metrics.append(seed=seeds[moved], env_steps=env_steps[moved], wall_s=wall_s, values=values)
        done = env_steps.min() >= experiment.env_steps
        stop = bool(interrupted)
        for callback in callbacks:
            try:
                callback(Interval(env_steps, metrics, steps_per_s, min(1.0, float(env_steps.min()) / experiment.env_steps)))
            except StopIteration:
                stop = True
        if done or stop or time.monotonic() - saved_at > save_every_s:
            folder.save(intervals, engine.arrays(), {"intervals": intervals, "wall_s": wall_s})
            saved_at = time.monotonic()
        if stop and not done:
            break
    if interrupted:
        raise KeyboardInterrupt(f"stopped by {signal.Signals(interrupted[0]).name}; the run in {folder.path} can be resumed")


def _tell_compiled(engine: Any, callbacks: list[Callback]) -> float:
    """Seconds that compiling took, once every callback that wants to know does."""
    if not hasattr(engine, "compile_s"):
        return 0.0  # an external environment's learner is compiled in its first update, and counted there
    for callback in callbacks:
        if (tell := getattr(callback, "compiled", None)) is not None:
            tell(engine.compile_s, engine.memory)
    return engine.compile_s


def _next_mark(experiment: Experiment, env_steps: np.ndarray) -> int:
    """The first multiple of the interval that some seed has not reached.

    It depends on nothing but where the run is, so a resumed or extended run has the marks of an uninterrupted one.
    """
    return min((int(env_steps.min()) // experiment.interval + 1) * experiment.interval, experiment.env_steps)


def _to_sink(sink: Any) -> Callback:
    def write(interval: Interval) -> None:
        sink.write(int(interval.env_steps.min()), {name: float(np.nanmean(v)) for name, v in interval.metrics.items()})

    return write


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Signals that ask to stop are noted, and answered at the end of the interval, with a checkpoint."""
    seen: list[int] = []

    def note(number: int, _: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are somebody else's business
        old = {}
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
