"""Measures the reference scores of the memory suite and keeps them as data.

    python benchmarks/memory_references.py                       # what is not measured yet; can be stopped and started again
    python benchmarks/memory_references.py --only memory-fp/spot # environments whose name begins with or holds that
    python benchmarks/memory_references.py --again               # everything anew
    python benchmarks/memory_references.py --json FILE           # the stored figures, flat, as well

Writes src/unseen/environments/memory_suite/references.json after each level: environment -> level -> player -> mean, standard error and
source. Scores are undiscounted returns of whole episodes up to the horizon, 1,000 of them in the compact embodiment and 200 in first
person. All players of a level play the same episodes. Who they are and what each may see is told where they are defined, in
unseen.environments.memory_suite.players. Printed as well, not kept: how many trials (visits of the goal) an episode had, and the part
of them that paid.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import jax

import unseen.environments.memory_suite as suite
from unseen.environments import make
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import Played, played
from unseen.environments.memory_suite.scores import FILE
from unseen.environments.memory_suite.suite import TASKS

HOME = Path(suite.__path__[0]) / FILE
EPISODES = {"memory": 1_000, "memory-fp": 200}
SEED = 20_191_110
NAMES = tuple(f"{embodiment}/{task}" for embodiment in EPISODES for task in TASKS)  # compact first
PAYS_ALWAYS = "land"  # the family in which every visit pays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="environments whose name holds this")
    parser.add_argument("--episodes", type=int, help="instead of 1,000 compact and 200 first-person ones")
    parser.add_argument("--again", action="store_true", help="measure also what is there")
    parser.add_argument("--json", type=Path, help="write the stored figures, flat, to this file")
    arguments = parser.parse_args()
    for name in NAMES:
        if arguments.only in name:
            measure(name, arguments.episodes or EPISODES[name.split("/")[0]], arguments.again)
    if arguments.json:
        arguments.json.write_text(json.dumps(flat(stored()), indent=2), encoding="utf-8")


def measure(name: str, episodes: int, again: bool) -> None:
    """Measure one environment, level by level, and store each level at once."""
    environment = make(name)
    cast = players(environment)
    for level in environment.levels:
        if not again and set(cast) <= set(stored().get(name, {}).get(level, {})):
            continue
        entry = {}
        for player, plays in cast.items():
            began = time.perf_counter()
            result = played(environment, level, plays, episodes, key(name, level))
            score = result.score
            source = f"{episodes:,} episodes; python benchmarks/memory_references.py"
            entry[player] = {"mean": round(score.mean, 4), "standard_error": round(score.standard_error, 5), "source": source}
            report(name, level, player, result, time.perf_counter() - began)
        store(name, level, entry)


def key(name: str, level: str) -> Any:
    """A key of its own for every level, the same for all players."""
    return jax.random.fold_in(jax.random.key(SEED), zlib.crc32(f"{name} {level}".encode()))


def report(name: str, level: str, player: str, result: Played, seconds: float) -> None:
    paid = "" if TASKS[name.split("/")[1]][0] == PAYS_ALWAYS else f"{100 * result.right:6.2f} % paid"
    figures = f"{result.score.mean:9.3f} +- {result.score.standard_error:6.3f}   {result.trials.mean():6.2f} trials"
    print(f"{name:42s} {level:20s} {player:15s} {figures} {paid:14s} {seconds:6.1f} s", flush=True)


def stored() -> dict[str, Any]:
    return json.loads(HOME.read_text("utf-8")) if HOME.is_file() else {}


def store(name: str, level: str, entry: dict[str, Any]) -> None:
    """Write a level into the file, in the order of the suite, in one stroke."""
    table = stored()
    table.setdefault(name, {})[level] = entry
    ordered = {each: table[each] for each in NAMES if each in table}
    beside = HOME.with_suffix(".part")
    beside.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, HOME)


def flat(table: dict[str, Any]) -> dict[str, float]:
    """name/level/player -> mean."""
    scores = (
        (name, level, player, score) for name, levels in table.items() for level, by in levels.items() for player, score in by.items()
    )
    return {f"{name}/{level}/{player}": score["mean"] for name, level, player, score in scores}


if __name__ == "__main__":
    main()
