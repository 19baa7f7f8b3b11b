"""Who plays what: the reference players of every environment of the suite, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unseen.environments.memory_suite import screen
from unseen.environments.memory_suite.players import chambers, lands, ordering, screens, wanderers
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


def _lands(environment: Any) -> Mapping[str, Player]:
    empty, first_person = environment.task.name == "invisible-goal-empty-arena", hasattr(environment, "described")
    # In first person a body is not always exactly in the middle of a lane, so that fewer rows are within its reach.
    tourist = wanderers.Tourist(environment, apart=2 if first_person else 3)
    return {
        "memoryless": tourist if empty else wanderers.Wanderer(environment),
        "perfect_memory": lands.Explorer(environment),
        "oracle": lands.LandOracle(environment),
    }


def _chambers(environment: Any) -> Mapping[str, Player]:
    return {
        "memoryless": chambers.Toucher(environment),
        "perfect_memory": chambers.Comparer(environment),
        "oracle": chambers.ChamberOracle(environment),
    }


def _ordering(environment: Any) -> Mapping[str, Player]:
    minds = {"memoryless": ordering.AlwaysLeft(), "lit_counter": ordering.Counts(), "perfect_memory": ordering.Chains()}
    return {
        **{name: ordering.OrderingPlayer(environment, mind) for name, mind in minds.items()},
        "oracle": ordering.OrderingOracle(environment),
    }


_OTHERS = {"screen": _screens, "land": _lands, "chambers": _chambers, "ordering": _ordering}
