"""Symmetric agents on every compact task of the memory suite: do they learn, and how far from the reference players?

    python benchmarks/memory_learning.py runs/memory                   # a GRU; trains what is missing; stop and start it as you like
    python benchmarks/memory_learning.py runs/memory --memory mem      # an LSTM with an episodic memory
    python benchmarks/memory_page.py                                   # the page, with what is finished

PPO, one setting for all tasks, nothing tuned on any of them, a GRU of 128: a few minutes a task on a GPU, about ten on two cores. Where
that shows no use of memory: an LSTM of 128 with an episodic memory, the same PPO. The curves of a finished task and its scores are kept in
docs/results/memory, beside its settings, and it is not trained again. `--train-only` leaves the scores to another call, on another machine
perhaps.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import polars as pl

import unseen
from figures import machine
from unseen.environments.memory_suite.suite import TASKS
from unseen.experiments.reproduce import memory_grid
from unseen.experiments.toml import to_toml

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "memory"
METRICS = ("return", "length", "steps_per_s")


ALGORITHM = unseen.PPO(environments=512, rollout=128, epochs=2, minibatches=8, learning_rate=7e-4, entropy=0.01, normalise_returns=True)


def experiment(task: str, memory: str, env_steps: int, seeds: int, environments: int) -> unseen.Experiment:
    if memory == "gru":
        agent = unseen.Agent(memory=unseen.GRU(128), embedding=128, head=(128,))
    elif memory == "shared":
        critic = unseen.Critic(shared_trunk=True)
        agent = unseen.Agent(unseen.GRU(128), critic=critic, embedding=16, layer=128, head=(128,), previous_reward=True)
    else:
        slots = next(each.capacity for each in memory_grid.TASKS if each.name == task)
        remembers = unseen.MEM(unseen.LSTM(128), capacity=slots, neighbours=10, key_size=64)
        critic = unseen.Critic(shared_trunk=True)
        agent = unseen.Agent(remembers, critic=critic, embedding=16, layer=128, head=(128,), previous_reward=True)
    return unseen.Experiment(f"memory/{task}", agent, replace(ALGORITHM, environments=environments), env_steps=env_steps, seeds=seeds)


def called(task: str, memory: str) -> str:
    """The name under which a task's curves are kept."""
    return task if memory == "gru" else f"{task}-{memory}"


def limit(minutes: float | None) -> list[Callable[[Any], None]]:
    """Callbacks that stop a run after so many minutes, compilation included; it can be resumed."""
    if minutes is None:
        return []
    end = time.monotonic() + 60 * minutes

    def stop(interval: Any) -> None:
        if time.monotonic() > end:
            raise StopIteration

    return [stop]


def kept(wanted: unseen.Experiment, task: str) -> bool:
    """Whether a finished task is on record with these settings, its scores too."""
    settings, record = RESULTS / f"{task}.toml", RESULTS / f"{task}.json"
    if not (settings.exists() and record.exists()) or settings.read_text(encoding="utf-8") != to_toml(wanted):
        return False
    return bool(json.loads(record.read_text())["scores"])


def keep(run: unseen.Run, task: str, episodes: int, levels: list[str] | None) -> None:
    """Curves, settings, where it was trained, and scores of the last policy on these levels; None: on every one."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    columns = ("seed", "env_steps", "wall_s", "metric", "value")
    run.metrics().filter(pl.col("metric").is_in(METRICS)).select(columns).write_parquet(RESULTS / f"{task}.parquet")
    scores = {}
    for level in levels or unseen.make(run.experiment.environment).levels:
        scores[level] = run.evaluate(level=level, episodes=episodes).sort("seed")["return"].to_list()
    record = {"device": device(), "scores": scores}
    (RESULTS / f"{task}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{task}.toml").write_text(to_toml(run.experiment), encoding="utf-8")


def device() -> str:
    """The accelerator's own name, or the processor."""
    kind = jax.devices()[0].device_kind
    return machine(["jax"])[0] if kind == "cpu" else kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", default=Path("runs/memory"))
    parser.add_argument("--memory", choices=("gru", "shared", "mem"), default="gru", help="shared: a GRU, one trunk")
    parser.add_argument("--environments", type=int, default=ALGORITHM.environments, help="at once; 2,048 fill a GPU")
    parser.add_argument("--minutes", type=float, help="of each task at most; default: until its budget is used up")
    parser.add_argument("--env-steps", type=int, default=6_000_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--episodes", type=int, default=200, help="of each level and seed, for the scores")
    parser.add_argument("--levels", nargs="+", help="to score the last policies on; default: all")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS), metavar="TASK", help="these only")
    parser.add_argument("--train-only", action="store_true", help="no scores, nothing kept but the run directories")
    parser.add_argument("--score-only", action="store_true", help="of run directories that are finished")
    options = parser.parse_args()
    for task in options.tasks:
        wanted, name = (
            experiment(task, options.memory, options.env_steps, options.seeds, options.environments),
            called(task, options.memory),
        )
        if kept(wanted, name):
            continue
        directory = options.root / name
        with warnings.catch_warnings():  # slots are fewer than the steps that a time limit allows, and as many as an episode has
            warnings.filterwarnings("ignore", message="agent.memory.capacity")
            run = (
                unseen.load(directory)
                if options.score_only
                else unseen.train(wanted, directory, callbacks=limit(options.minutes), save_every_s=60.0)
            )
        if not options.train_only:
            keep(run, name, options.episodes, options.levels)
            print(name, (RESULTS / f"{name}.json").read_text(), flush=True)


if __name__ == "__main__":
    main()
