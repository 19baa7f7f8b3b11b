"""`unseen.train`: an experiment into a run directory, resumed if it was interrupted, bit for bit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unseen.errors import UserError
from unseen.experiments.settings import Experiment
from unseen.experiments.toml import from_toml, to_toml
from unseen.runs import RunDirectory, versions
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
        extend: a larger budget of environment steps for the run in the directory.
        environment: the environment itself, where it is not registered under `experiment.environment`.
        sinks: further places for the metrics, such as "tensorboard".
        save_every_s: seconds between checkpoints; one is always written at the end.

    Returns:
        The `Run`.

    Raises:
        UserError: for settings that cannot be run, before anything is compiled, or a directory of another experiment.
        NotFinite: when a loss, gradient or reward stopped being finite.
    """
    from unseen.experiments.platform import prepare
    from unseen.experiments.run import Run

    prepare()
    if extend is not None:
        experiment = _extended(experiment, extend)
    experiment.check()
    engine = _engine(experiment, environment)
    import jax

    found = versions.collect(
        [str(d) for d in jax.devices()], {"XLA_FLAGS": os.environ.get("XLA_FLAGS", ""), "x64": jax.config.read("jax_enable_x64")}
    )
    ignore = EXTENDABLE if extend is not None else ()
    with RunDirectory.create(directory, to_toml(experiment), found, ignore=ignore) as folder, _interrupts() as interrupted:
        extra = open_sinks(sinks, folder.path)
        try:
            _loop(experiment, engine, folder, [*callbacks, *(_to_sink(s) for s in extra)], interrupted, save_every_s)
        finally:
            for sink in extra:
                sink.close()
            engine.close()
    return Run(Path(directory), environment=environment)


def _extended(experiment: Experiment, env_steps: int) -> Experiment:
    if env_steps < experiment.env_steps:
        raise UserError(f"extend = {env_steps}; the run's budget is already {experiment.env_steps} environment steps: name a larger one")
    return replace(experiment, env_steps=env_steps, report_every=experiment.interval)


def extend(directory: str | os.PathLike[str], env_steps: int, **options: Any) -> Any:
    """Take the run in a directory on to `env_steps` environment steps; options as of `train`."""
    folder = RunDirectory.open(directory)
    return train(from_toml(folder.experiment_toml), directory, extend=env_steps, **options)


def _engine(experiment: Experiment, environment: Any) -> Any:
    """What advances all seeds: compiled for environments in JAX, a host loop for external ones."""
    from unseen.environments.registry import make
    from unseen.experiments.compiled import CompiledSeeds
    from unseen.experiments.host import HostSeeds

    if experiment.environment.startswith("gym:") and environment is None:
        return HostSeeds(experiment)
    if environment is None:
        environment = make(experiment.environment, **experiment.environment_options)
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
    seeds = np.arange(experiment.first_seed, experiment.first_seed + experiment.seeds)
    saved_at, before = time.monotonic(), engine.env_steps()
    if checkpoint is None:
        folder.save(0, engine.arrays(), {"intervals": 0, "wall_s": 0.0})
    while before.min() < experiment.env_steps:
        begun = time.monotonic()
        mark = min((intervals + 1) * experiment.interval, experiment.env_steps)
        metrics = engine.advance(mark)
        engine.refuse_not_finite()
        spent = time.monotonic() - begun
        wall_s += spent
        intervals += 1
        env_steps = engine.env_steps()
        steps_per_s = float((env_steps - before).sum() / spent)
        before = env_steps
        folder.metrics.append(seed=seeds, env_steps=env_steps, wall_s=wall_s, values=metrics | {"steps_per_s": steps_per_s})
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
        raise KeyboardInterrupt(f"stopped by signal {interrupted[0]}; the run in {folder.path} can be resumed")


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
