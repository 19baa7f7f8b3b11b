"""The level tables are data: every number below is typed from the tables of the specification, none is read from the source."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from unseen.environments import make

SCREENS = ("arbitrary-visuomotor-mapping", "continuous-recognition", "change-detection", "what-then-where")
ARENAS = ("visible-goal-with-buildings", "invisible-goal-with-buildings", "invisible-goal-empty-arena")
DELAYED = ("spot-diff", "spot-diff-passive", "spot-diff-motion")
TASKS = (*SCREENS, *ARENAS, *DELAYED, "spot-diff-multi", "explore-goal-locations", "transitive-inference")

# Level -> (holdout stimuli?, scale), §1.2; train is a mixture where there are two training scales.
ONE_SCALE = {
    "train": (False, "train"),
    "holdout_interpolate": (True, "interpolate"),
    "holdout_extrapolate": (True, "extrapolate"),
    "interpolate": (False, "interpolate"),
    "extrapolate": (False, "extrapolate"),
    "holdout_train": (True, "train"),
}
TWO_SCALES = {
    "train_small": (False, "small"),
    "train_large": (False, "large"),
    "holdout_interpolate": (True, "interpolate"),
    "holdout_extrapolate": (True, "extrapolate"),
    "interpolate": (False, "interpolate"),
    "extrapolate": (False, "extrapolate"),
    "holdout_small": (True, "small"),
    "holdout_large": (True, "large"),
}

# §3.1 to §3.4: trials, time limit in frames, delays in frames.
SCREEN_TABLES = {
    "arbitrary-visuomotor-mapping": {"train": (50, 18_000, ()), "interpolate": (40, 18_000, ()), "extrapolate": (75, 27_000, ())},
    "continuous-recognition": {"train": (50, 18_000, ()), "interpolate": (40, 18_000, ()), "extrapolate": (75, 27_000, ())},
    "change-detection": {
        "train": (50, 18_000, (2, 4, 8, 64, 128)),
        "interpolate": (50, 18_000, (16, 32)),
        "extrapolate": (50, 18_000, (130, 150, 200, 250)),
    },
    "what-then-where": {
        "train": (50, 36_000, (4, 8, 32, 128)),
        "interpolate": (50, 36_000, (16, 64)),
        "extrapolate": (50, 36_000, (130, 150, 200, 250)),
    },
}
# §1.3: the delay tasks run 10 trials in the compact embodiment, in a fifth of the time; the others keep theirs. Clock: 8 frames.
COMPACT_TRIALS = {"change-detection": 10, "what-then-where": 10}

# §3.12: maze side, rooms, longest side of a room, goal candidates in a room, rows of the goal (1-based, walls included).
MAZES = {
    (False, "small"): (11, 9, 3, 5, 2, 5),
    (False, "large"): (21, 13, 7, 15, 2, 10),
    (False, "interpolate"): (15, 11, 5, 10, 2, 7),
    (False, "extrapolate"): (27, 15, 9, 20, 2, 13),
    (True, "small"): (11, 9, 3, 5, 7, 10),
    (True, "large"): (21, 13, 7, 15, 12, 20),
    (True, "interpolate"): (15, 11, 5, 10, 9, 14),
    (True, "extrapolate"): (27, 15, 9, 20, 15, 26),
}
ARENA_SIDES = {"small": (11, 5), "large": (21, 15), "interpolate": (15, 10), "extrapolate": (27, 20)}  # side in m, buildings
CORRIDOR_SECONDS = {"small": 2, "large": 8, "interpolate": 5, "extrapolate": 16}
BLOCKS = {"small": (2, 2), "large": (5, 5), "interpolate": (3, 4), "extrapolate": (6, 8)}
CHAINS = {"small": 5, "large": 7, "interpolate": 6, "extrapolate": 9}


def levels_of(task: str, compact: bool = True) -> Any:
    return make(f"memory/{task}" if compact else f"memory-fp/{task}").levels


def numbers(params: Any) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in params._asdict().items()}


@pytest.mark.parametrize("task", TASKS)
def test_level_names_weights_and_holdout_flags(task: str) -> None:
    levels, table = levels_of(task), ONE_SCALE if task in SCREENS else TWO_SCALES
    assert set(levels) == set(table) | {"train"}
    for level, (holdout, _) in table.items():
        ((weight, params),) = levels[level]
        assert weight == 1.0
        assert bool(params.holdout) is holdout
        assert params.holdout.dtype == bool
    if task not in SCREENS:
        (half, small), (other, large) = levels["train"]
        assert half == other == 0.5
        assert numbers(small) == numbers(levels["train_small"][0][1]) != numbers(levels["train_large"][0][1]) == numbers(large)
    assert next(iter(levels)) == "train"


@pytest.mark.parametrize("task", TASKS)
def test_all_levels_share_shapes_and_dtypes(task: str) -> None:
    forms = {
        (jax.tree.structure(params), *((x.shape, x.dtype.name) for x in jax.tree.leaves(params)))
        for mixture in levels_of(task).values()
        for _, params in mixture
    }
    assert len(forms) == 1
    assert {dtype for _, dtype in next(iter(forms))[1:]} <= {"bool", "int32"}


@pytest.mark.parametrize("task", SCREENS)
def test_screen_tables(task: str) -> None:
    compact, frames = make(f"memory/{task}"), make(f"memory-fp/{task}")
    for level, (_, scale) in ONE_SCALE.items():
        trials, time_limit, delays = SCREEN_TABLES[task][scale]
        ((_, params),) = frames.levels[level]
        assert (int(params.trials), int(params.time_limit)) == (trials, time_limit)
        assert tuple(params.delays[: int(params.delay_count)].tolist()) == delays
        assert not params.delays[int(params.delay_count) :].any()
        assert frames.horizon(params) == time_limit // 4  # an action lasts 4 frames

        fewer = COMPACT_TRIALS.get(task, trials)
        ((_, params),) = compact.levels[level]
        assert (int(params.trials), int(params.time_limit)) == (fewer, time_limit * fewer // trials)
        assert tuple(params.delays[: int(params.delay_count)].tolist()) == delays
        assert compact.horizon(params) == -(-time_limit * fewer // trials // 8)


def test_agent_steps_of_the_time_limits_are_those_of_the_specification() -> None:
    """§1.5: at 15 agent steps a second 300 s are 4,500 steps, 450 s 6,750, 600 s 9,000; 120 s are 1,800 (225 in the grid's turns)."""
    horizons = {
        (task, level): make(f"memory-fp/{task}").horizon(levels_of(task, compact=False)[level][0][1])
        for task in SCREENS
        for level in ("train", "extrapolate")
    }
    assert horizons["arbitrary-visuomotor-mapping", "train"] == 4_500
    assert horizons["arbitrary-visuomotor-mapping", "extrapolate"] == 6_750
    assert horizons["what-then-where", "train"] == 9_000
    assert make("memory/explore-goal-locations").horizon() == 225
    assert make("memory/spot-diff").horizon() == make("memory/transitive-inference").horizon() == 120 * 60 // 8


def test_the_maze_table() -> None:
    levels = levels_of("explore-goal-locations")
    for level, key in TWO_SCALES.items():
        ((_, params),) = levels[level]
        # Rows are kept counted from 0.
        found = (*(int(x) for x in (params.side, params.rooms, params.room_side, params.goals)), params.first_row + 1, params.last_row + 1)
        assert found == MAZES[key]


@pytest.mark.parametrize("task", ARENAS)
def test_the_arena_tables(task: str) -> None:
    levels = levels_of(task)
    for level, (holdout, scale) in TWO_SCALES.items():
        ((_, params),) = levels[level]
        side, buildings = ARENA_SIDES[scale]
        assert int(params.side) == side
        assert int(params.buildings) == (0 if task == "invisible-goal-empty-arena" else buildings)
        # Halves of the arena: rows 1 to side are inside; the middle one is in neither half.
        rows = range(int(params.first_row), int(params.last_row) + 1)
        assert rows == (range((side + 3) // 2, side + 1) if holdout else range(1, (side + 1) // 2))


@pytest.mark.parametrize("task", [*DELAYED, "spot-diff-multi"])
def test_the_spot_the_difference_tables(task: str) -> None:
    levels = levels_of(task)
    for level, (_, scale) in TWO_SCALES.items():
        ((_, params),) = levels[level]
        multi = task == "spot-diff-multi"
        assert int(params.delay) == 60 * (4 if multi else CORRIDOR_SECONDS[scale])
        assert (int(params.fewest), int(params.most)) == (BLOCKS[scale] if multi else (2, 2))


def test_the_chains_of_transitive_inference() -> None:
    levels = levels_of("transitive-inference")
    assert {level: int(levels[level][0][1].length) for level in TWO_SCALES} == {k: CHAINS[scale] for k, (_, scale) in TWO_SCALES.items()}
