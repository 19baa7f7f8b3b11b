"""The memory suite: thirteen tasks with levels to train on and levels held out, compact and first-person."""

from unseen._lazy import lazy

_HOMES = {
    "task": "unseen.environments.memory_suite.suite",
    "compact": "unseen.environments.memory_suite.suite",
    "first_person": "unseen.environments.memory_suite.suite",
    "CompactScreen": "unseen.environments.memory_suite.compact_screen",
    "FirstPersonScreen": "unseen.environments.memory_suite.screen_view",
    "CompactLand": "unseen.environments.memory_suite.compact_land",
    "FirstPersonLand": "unseen.environments.memory_suite.land_view",
    "CompactChambers": "unseen.environments.memory_suite.compact_chambers",
    "FirstPersonChambers": "unseen.environments.memory_suite.chambers_view",
    "CompactOrdering": "unseen.environments.memory_suite.compact_ordering",
    "FirstPersonOrdering": "unseen.environments.memory_suite.ordering_view",
    "VisuomotorMapping": "unseen.environments.memory_suite.visuomotor",
    "ContinuousRecognition": "unseen.environments.memory_suite.recognition",
    "ChangeDetection": "unseen.environments.memory_suite.change_detection",
    "WhatThenWhere": "unseen.environments.memory_suite.what_then_where",
    "SpotDiff": "unseen.environments.memory_suite.spot_diff",
    "SpotDiffPassive": "unseen.environments.memory_suite.spot_diff_passive",
    "SpotDiffMulti": "unseen.environments.memory_suite.spot_diff_multi",
    "SpotDiffMotion": "unseen.environments.memory_suite.spot_diff_motion",
    "VisibleGoalWithBuildings": "unseen.environments.memory_suite.visible_goal_with_buildings",
    "InvisibleGoalWithBuildings": "unseen.environments.memory_suite.invisible_goal_with_buildings",
    "InvisibleGoalEmptyArena": "unseen.environments.memory_suite.invisible_goal_empty_arena",
    "ExploreGoalLocations": "unseen.environments.memory_suite.explore_goal_locations",
    "TransitiveInference": "unseen.environments.memory_suite.transitive_inference",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
