"""The stored reference scores: complete, in agreement with what can be derived, and with a measurement made now."""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import pytest
from marks import CEILINGS, MARKS

from unseen.environments import make
from unseen.environments.contract import Score
from unseen.environments.memory_suite import scores
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import played
from unseen.environments.memory_suite.suite import TASKS

NAMES = [f"{embodiment}/{task}" for embodiment in ("memory", "memory-fp") for task in TASKS]


def test_every_player_is_measured_on_every_level_of_every_environment() -> None:
    assert set(scores.table()) == set(NAMES)
    for name in NAMES:
        environment = make(name)
        measured = scores.table()[name]
        assert set(measured) == set(environment.levels)
        for level in environment.levels:
            assert set(measured[level]) == set(players(environment)), (name, level)


@pytest.mark.parametrize("name", NAMES)
def test_players_come_in_the_order_of_what_they_know(name: str) -> None:
    for level in make(name).levels:
        random, memoryless, perfect_memory, oracle = stored(name, level)
        assert not_above(random, memoryless), level
        assert memoryless.mean < 0.75 * perfect_memory.mean, level
        # In first person nobody steers quite the shortest way: knowing more may cost a detour around what others do not see.
        slack = 0.02 * oracle.mean if name.startswith("memory-fp") else 0.0
        assert not_above(perfect_memory, replace(oracle, mean=oracle.mean + slack)), level


def stored(name: str, level: str) -> list[Score]:
    """Scores of the four players, as an environment tells them."""
    found = make(name).references(level)
    four = [found.random, found.memoryless, found.perfect_memory, found.oracle]
    assert all(isinstance(score, Score) for score in four)
    return [score for score in four if score is not None]


def not_above(lower: Score, higher: Score) -> bool:
    """Up to four standard errors of the difference of two independent means."""
    return lower.mean - higher.mean <= 4 * math.hypot(lower.standard_error, higher.standard_error) + 1e-9


@pytest.mark.parametrize("task", MARKS)
def test_marks_of_the_specification_are_met_within_three_standard_errors(task: str) -> None:
    for level in make(f"memory/{task}").levels:
        scale = level.removeprefix("holdout_")
        _, memoryless, perfect_memory, oracle = stored(f"memory/{task}", level)
        assert abs(memoryless.mean - MARKS[task][scale]) <= 3 * memoryless.standard_error + 0.05, level
        assert (perfect_memory.mean, oracle.mean) == (CEILINGS[task][scale],) * 2, level


@pytest.mark.parametrize(
    ("name", "level", "who"),
    [
        ("memory/arbitrary-visuomotor-mapping", "interpolate", "memoryless"),
        ("memory/spot-diff-motion", "holdout_small", "perfect_memory"),
        ("memory/invisible-goal-empty-arena", "train_small", "perfect_memory"),
        ("memory/explore-goal-locations", "holdout_large", "memoryless"),
        ("memory/transitive-inference", "train_large", "lit_counter"),
        ("memory-fp/invisible-goal-with-buildings", "train_small", "oracle"),
    ],
)
def test_a_measurement_made_now_agrees(name: str, level: str, who: str) -> None:
    """Other episodes than the stored ones, so that only the distribution can agree."""
    environment = make(name)
    now = played(environment, level, players(environment)[who], 16 if "fp" in name else 100, jax.random.key(43)).score
    then = scores.table()[name][level][who]
    assert abs(now.mean - then["mean"]) <= 4 * math.hypot(now.standard_error, then["standard_error"])
