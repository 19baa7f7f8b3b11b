"""Players of spot the difference: who remembers room 1 is always right, who does not is right by chance, and trials are forgotten."""

from __future__ import annotations

from functools import lru_cache

import jax
import numpy as np
import pytest

from unseen.environments import make
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import Played, played

TASKS = ("spot-diff", "spot-diff-passive", "spot-diff-multi", "spot-diff-motion")
DEVIATIONS = 4.5  # of a binomial: one run in 150,000 is further off


@lru_cache
def of(name: str, who: str, level: str, episodes: int) -> Played:
    environment = make(name)
    return played(environment, level, players(environment)[who], episodes, jax.random.key(31))


@pytest.mark.parametrize("task", TASKS)
def test_memory_is_always_right(task: str) -> None:
    """Many trials in an episode, so that what is kept from one to the next would be seen."""
    result = of(f"memory/{task}", "perfect_memory", "train_small", 12)
    assert result.right == 1.0
    assert result.trials.min() >= 8


@pytest.mark.parametrize("task", ["spot-diff-multi", "spot-diff-motion"])
def test_knowing_the_state_is_no_worse(task: str) -> None:
    oracle, memory = (of(f"memory/{task}", who, "train_small", 12) for who in ("oracle", "perfect_memory"))
    assert oracle.right == 1.0
    assert oracle.returns.mean() >= memory.returns.mean()


@pytest.mark.parametrize(("task", "level", "blocks"), [("spot-diff-motion", "train_small", 2), ("spot-diff-multi", "train_large", 5)])
def test_without_memory_it_is_right_by_chance(task: str, level: str, blocks: int) -> None:
    result, chance = of(f"memory/{task}", "memoryless", level, 20), 1 / blocks
    count = result.trials.sum()
    assert count > 200
    assert abs(result.right - chance) < DEVIATIONS * np.sqrt(chance * (1 - chance) / count)


def test_memory_is_right_in_first_person() -> None:
    result = of("memory-fp/spot-diff-motion", "perfect_memory", "train_small", 4)
    assert result.right == 1.0
    assert result.trials.min() >= 6
