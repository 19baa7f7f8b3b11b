"""Who plays what: the reference players of every environment of the suite, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unseen.environments.memory_suite import screen
from unseen.environments.memory_suite.players import chambers, ordering, screens
from unseen.environments.memory_suite.players.player import Player, Uniform
from unseen.environments.memory_suite.screen import ScreenTask
from unseen.environments.memory_suite.suite import TASKS


def players(environment: Any) -> Mapping[str, Player]:
    """Reference players of a compact or first-person environment of the suite.

    Returns:
        "random", "memoryless", "perfect_memory" and "oracle"; in transitive inference "lit_counter" too.
    """
    family = TASKS[environment.task.name][0]
    return {"random": Uniform(int(environment.action_space().n)), **_OTHERS[family](environment)}


def _screens(environment: Any) -> Mapping[str, Player]:
    memoryless, memory = _minds(environment.task)
    return {
        "memoryless": screens.ScreenPlayer(environment, memoryless),
        "perfect_memory": screens.ScreenPlayer(environment, memory),
        "oracle": screens.ScreenOracle(environment),
    }


def _minds(task: ScreenTask) -> tuple[screens.Mind, screens.Mind]:
    looks = screen.looks(task)
    match task.name:
        case "arbitrary-visuomotor-mapping":
            return screens.ReadsTints(), screens.Associates(task.features)
        case "continuous-recognition":
            return screens.Constant(0), screens.Recognises(task.features)  # "new"
        case "change-detection":
            return screens.Constant(1), screens.Compares(len(task.features), looks.index("fixation cross"), looks.index("symbols"))
        case _:
            return screens.Constant(), screens.FindsAgain(len(task.features) // 5)


def _chambers(environment: Any) -> Mapping[str, Player]:
    return {
        "memoryless": chambers.NearestBlock(environment),
        "perfect_memory": chambers.Spotter(environment),
        "oracle": chambers.SpotOracle(environment),
    }


def _ordering(environment: Any) -> Mapping[str, Player]:
    return {
        "memoryless": ordering.OrderingPlayer(environment, ordering.AlwaysLeft()),
        "lit_counter": ordering.OrderingPlayer(environment, ordering.LitCounter()),
        "perfect_memory": ordering.OrderingPlayer(environment, ordering.FollowsLinks()),
        "oracle": ordering.OrderingOracle(environment),
    }


_OTHERS = {"screen": _screens, "chambers": _chambers, "ordering": _ordering}
