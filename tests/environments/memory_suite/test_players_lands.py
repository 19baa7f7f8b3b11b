"""Players of arenas and mazes: the oracle takes as many goals as shortest ways allow, and who remembers the goal is close behind."""

from __future__ import annotations

from functools import lru_cache

import jax
import numpy as np
import pytest

from unseen.environments import make
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import EVALUATION, Played, played

TASKS = ("visible-goal-with-buildings", "invisible-goal-with-buildings", "invisible-goal-empty-arena", "explore-goal-locations")
KEY = jax.random.key(37)
STEPS, PRIZE, EPISODES = 225, 10, 40


@lru_cache
def of(name: str, who: str, level: str = "train_small", episodes: int = EPISODES) -> Played:
    environment = make(name)
    return played(environment, level, players(environment)[who], episodes, KEY)


@lru_cache
def drawn(task: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Which cells are solid, the goal and the starts of the same episodes, as anyone can draw them with their keys."""
    environment = make(f"memory/{task}")
    keys = jax.random.split(jax.random.fold_in(KEY, EVALUATION), EPISODES)
    k_reset = jax.vmap(lambda key: jax.random.split(key, 3)[1])(keys)
    [(_, params)] = environment.levels["train_small"]
    land = jax.jit(jax.vmap(lambda key: environment.reset(key, params)[1].land))(k_reset)
    cells, goals, starts = (np.asarray(part) for part in (land.cells, land.goal, land.starts))
    return [(cells[k] > 0, goals[k], starts[k]) for k in range(EPISODES)]


def steps_to_reach(solid: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Steps from every cell to the nearest one at most a metre from the goal, by breadth-first search."""
    rows, columns = np.indices(solid.shape)
    within = ~solid & ((rows - goal[0]) ** 2 + (columns - goal[1]) ** 2 <= 1)
    steps = np.full(solid.shape, 10_000)
    steps[within] = 0
    front = list(zip(*np.nonzero(within), strict=True))
    while front:
        after = []
        for row, column in front:
            for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1)):
                beside = row + down, column + right
                if not solid[beside] and steps[beside] == 10_000:
                    steps[beside] = steps[row, column] + 1
                    after.append(beside)
        front = after
    return steps


def best(solid: np.ndarray, goal: np.ndarray, starts: np.ndarray) -> int:
    """Goals that fit into an episode. A step to any cell is needed even from a start that is within reach."""
    steps, left, visits = steps_to_reach(solid, goal), STEPS, 0
    while True:
        row, column, _ = starts[visits % len(starts)]
        left -= max(int(steps[row, column]), 1)
        if left < 0:
            return visits
        visits += 1


@pytest.mark.parametrize("task", TASKS)
def test_the_oracle_takes_as_many_goals_as_shortest_ways_allow(task: str) -> None:
    result = of(f"memory/{task}", "oracle")
    expected = [best(*each) for each in drawn(task)]
    assert min(expected) > 5
    np.testing.assert_array_equal(result.trials, expected)
    np.testing.assert_array_equal(result.returns, PRIZE * result.trials)


@pytest.mark.parametrize("task", TASKS)
def test_no_player_does_better_and_they_come_in_order(task: str) -> None:
    random, memoryless, memory, oracle = (of(f"memory/{task}", who).returns for who in ("random", "memoryless", "perfect_memory", "oracle"))
    assert (memory <= oracle).all()
    assert (memoryless <= oracle).all()
    assert random.mean() < memoryless.mean() < 0.6 * memory.mean()
    assert memory.mean() > 0.9 * oracle.mean()  # it loses little but the time until it has found the goal once


def test_in_first_person_they_come_in_the_same_order() -> None:
    random, memory, oracle = (
        of("memory-fp/visible-goal-with-buildings", who, episodes=8).returns.mean() for who in ("random", "perfect_memory", "oracle")
    )
    assert random < 0.3 * memory
    assert 0.7 * oracle < memory <= oracle
