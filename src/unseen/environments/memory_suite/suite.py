"""The thirteen tasks by name, in either embodiment: what `unseen.make("memory/...")` and `unseen.make("memory-fp/...")` call."""

from __future__ import annotations

import importlib
from typing import Any

from unseen.errors import UserError, unknown

_HERE = "unseen.environments.memory_suite"
_SCREENS, _LANDS, _CHAMBERS, _ORDERING = "screen", "land", "chambers", "ordering"

# Task -> its family, which decides the embodiments; its module; its class.
TASKS: dict[str, tuple[str, str, str]] = {
    "arbitrary-visuomotor-mapping": (_SCREENS, "visuomotor", "VisuomotorMapping"),
    "continuous-recognition": (_SCREENS, "recognition", "ContinuousRecognition"),
    "change-detection": (_SCREENS, "change_detection", "ChangeDetection"),
    "what-then-where": (_SCREENS, "what_then_where", "WhatThenWhere"),
    "spot-diff": (_CHAMBERS, "spot_diff", "SpotDiff"),
    "spot-diff-passive": (_CHAMBERS, "spot_diff_passive", "SpotDiffPassive"),
    "spot-diff-multi": (_CHAMBERS, "spot_diff_multi", "SpotDiffMulti"),
    "spot-diff-motion": (_CHAMBERS, "spot_diff_motion", "SpotDiffMotion"),
    "visible-goal-with-buildings": (_LANDS, "visible_goal_with_buildings", "VisibleGoalWithBuildings"),
    "invisible-goal-with-buildings": (_LANDS, "invisible_goal_with_buildings", "InvisibleGoalWithBuildings"),
    "invisible-goal-empty-arena": (_LANDS, "invisible_goal_empty_arena", "InvisibleGoalEmptyArena"),
    "explore-goal-locations": (_LANDS, "explore_goal_locations", "ExploreGoalLocations"),
    "transitive-inference": (_ORDERING, "transitive_inference", "TransitiveInference"),
}
_COMPACT = {
    _SCREENS: "compact_screen:CompactScreen",
    _LANDS: "compact_land:CompactLand",
    _CHAMBERS: "compact_chambers:CompactChambers",
    _ORDERING: "compact_ordering:CompactOrdering",
}
_FIRST_PERSON = {
    _SCREENS: "screen_view:FirstPersonScreen",
    _LANDS: "land_view:FirstPersonLand",
    _CHAMBERS: "chambers_view:FirstPersonChambers",
    _ORDERING: "ordering_view:FirstPersonOrdering",
}


def task(name: str, **options: Any) -> Any:
    """The logic of a task, which both embodiments share.

    Args:
        name: of the task, without the embodiment.
        options: the task's own, as `first_person` gives them.

    Raises:
        UserError: unknown name, with the nearest one.
    """
    _require_known(name)
    _, module, attribute = TASKS[name]
    return _import(f"{module}:{attribute}")(**options)


def compact(name: str) -> Any:
    """`memory/NAME`: turns, a small grid or the screen in categories.

    Raises:
        UserError: unknown name, with the nearest one.
    """
    logic = task(name)
    return _import(_COMPACT[TASKS[name][0]])(logic)


def first_person(name: str, *, width: int = 96, height: int = 72, photographs: str | None = None, mnist: str | None = None) -> Any:
    """`memory-fp/NAME`: RGB pictures, 60 frames a second.

    Args:
        name: of the task.
        width, height: of the picture in pixels.
        photographs: folder of the 2,400 object photographs, for visuomotor mapping and recognition.
        mnist: file or folder of MNIST's training images, for what-then-where.

    Raises:
        UserError: an option that is not this task's, or a folder or file that is not what it should be.
    """
    _require_known(name)
    options: dict[str, Any] = {}
    if photographs is not None:
        _require_task(name, "photographs", ("arbitrary-visuomotor-mapping", "continuous-recognition"))
        options["pictures"] = _import("images:Photographs")(photographs)
    if mnist is not None:
        _require_task(name, "mnist", ("what-then-where",))
        options["exemplars"] = _import("digits:Mnist")(mnist)
    return _import(_FIRST_PERSON[TASKS[name][0]])(task(name, **options), width=width, height=height)


def _require_known(name: str) -> None:
    if name not in TASKS:
        raise unknown("task of the memory suite", name, TASKS)


def _require_task(name: str, option: str, tasks: tuple[str, ...]) -> None:
    if name not in tasks:
        raise UserError(f"memory-fp/{name} takes no {option}, which is for {' and '.join(tasks)}")


def _import(home: str) -> Any:
    module, _, attribute = home.partition(":")
    return getattr(importlib.import_module(f"{_HERE}.{module}"), attribute)
