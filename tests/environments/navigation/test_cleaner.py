"""The cleaner against slow robots in plain Python, and what is known of its maze."""

from __future__ import annotations

import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments.navigation.cleaner import MAZE, Cleaner, CleanerState

WAYS = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1)}
GRID = MAZE.split("\n")


class SlowCleaner:
    def __init__(self) -> None:
        self.robots = [(1, 1), (1, 1)]
        self.dirty = {(r, c) for r in range(13) for c in range(13) if GRID[r][c] == "."}

    def step(self, action: int) -> float:
        reward = 0.0
        for robot, move in enumerate(divmod(action, 4)):
            row, column = (a + b for a, b in zip(self.robots[robot], WAYS[move]))
            if GRID[row][column] != "#":
                self.robots[robot] = (row, column)
            if self.robots[robot] in self.dirty:
                self.dirty.remove(self.robots[robot])
                reward += 1.0
        return reward

    def observe(self) -> list[int]:
        seen = []
        for robot in range(2):
            row, column = self.robots[robot]
            for r in (row - 1, row, row + 1):
                for c in (column - 1, column, column + 1):
                    if (r, c) == (row, column):
                        seen += [1, 0, 0]
                    elif (r, c) == self.robots[1 - robot]:
                        seen += [0, 0, 1]
                    elif GRID[r][c] == "#":
                        seen += [0, 0, 0]
                    elif (r, c) in self.dirty:
                        seen += [0, 1, 0]
                    else:
                        seen += [1, 1, 1]
        return seen


def walk(actions: list[int]) -> tuple[Any, Any]:
    environment = Cleaner()
    _, start = environment.reset(jax.random.key(0))

    def advance(state: CleanerState, action: Any) -> Any:
        step = environment.step(jax.random.key(0), state, action)
        return step.state, (step, environment.signals(jax.random.key(0), step.state))

    _, (steps, signals) = jax.lax.scan(advance, start, jnp.asarray(actions, jnp.int32))
    return jax.tree.map(np.asarray, (steps, signals))


def wandering(seed: int, steps: int) -> list[int]:
    """Random moves that keep their direction for a while, so that the robots get about."""
    draw, moves = random.Random(seed), [0, 0]
    actions = []
    for _ in range(steps):
        moves = [move if draw.random() < 0.6 else draw.randrange(4) for move in moves]
        actions.append(4 * moves[0] + moves[1])
    return actions


@pytest.mark.parametrize("seed", range(10))
def test_walks_equal_the_slow_robots(seed: int) -> None:
    """1,500 steps each, without a reset: the maze gets mostly clean."""
    actions = wandering(seed, 1_500)
    steps, signals = walk(actions)
    slow = SlowCleaner()
    for t, action in enumerate(actions):
        reward = slow.step(action)
        assert steps.reward[t] == reward
        assert steps.observation[t].tolist() == slow.observe()
        assert signals["robots"][t].tolist() == [*slow.robots[0], *slow.robots[1]]
        dirty = np.zeros((13, 13))
        for place in slow.dirty:
            dirty[place] = 1
        assert (signals["dirty"][t] == dirty).all()
    assert not steps.terminated.any()
    assert steps.reward.sum() == 71 - len(slow.dirty)
    assert len(slow.dirty) < 45


def test_the_maze_is_a_tree_of_71_cells_inside_walls() -> None:
    free = {(r, c) for r in range(13) for c in range(13) if GRID[r][c] == "."}
    joined = sum(((r + 1, c) in free) + ((r, c + 1) in free) for r, c in free)
    assert len(free) == 71
    assert joined == 70
    assert all(1 <= r <= 11 and 1 <= c <= 11 for r, c in free)
    assert sum(r % 2 == 1 and c % 2 == 1 for r, c in free) == 36


@pytest.mark.parametrize("action", range(16))
def test_only_down_moves_from_the_start(action: int) -> None:
    _, start = Cleaner().reset(jax.random.key(0))
    step = Cleaner().step(jax.random.key(0), start, jnp.int32(action))
    down = [move == 1 for move in divmod(action, 4)]
    assert np.asarray(step.state.robots).tolist() == [27 if moved else 14 for moved in down]
    # Both down: robot 0 cleans the cell below and robot 1 finds it clean; both stay: the same with the start.
    assert float(step.reward) == (1.0 if down[0] == down[1] else 2.0)


def test_observation_channels_at_the_start() -> None:
    """Both robots at (1, 1), walls all around but for (2, 1) below, which is dirty."""
    observation, _ = Cleaner().reset(jax.random.key(0))
    around = np.asarray(observation).reshape(2, 3, 3, 3)
    expected = np.zeros((3, 3, 3))
    expected[1, 1] = [1, 0, 0]
    expected[2, 1] = [0, 1, 0]
    assert (around == expected).all()


def test_observation_of_a_team_mate_and_of_clean_floor() -> None:
    """Robot 0 waits at (1, 1), robot 1 went down to (2, 1): each sees the other; back up, robot 1 leaves clean floor below."""
    steps, _ = walk([0 * 4 + 1, 0 * 4 + 0])
    apart, together = steps.observation.reshape(2, 2, 3, 3, 3)
    assert apart[0, 2, 1].tolist() == [0, 0, 1]
    assert apart[1, 0, 1].tolist() == [0, 0, 1]
    assert together[:, 2, 1].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert together[:, 1, 1].tolist() == [[1, 0, 0], [1, 0, 0]]


def test_state_planes_partition_the_maze() -> None:
    _, signals = walk(wandering(3, 300))
    planes = signals["state"]
    clean, wall, dirty, first, second = (planes[..., i] for i in range(5))
    assert (clean + wall + dirty == 1).all()
    assert (wall == np.array([[cell == "#" for cell in row] for row in GRID])).all()
    assert (dirty == signals["dirty"]).all()
    for plane, place in ((first, signals["robots"][:, :2]), (second, signals["robots"][:, 2:])):
        assert (plane.sum((1, 2)) == 1).all()
        assert (plane[np.arange(300), place[:, 0], place[:, 1]] == 1).all()


def test_pictures_show_both_robots_and_the_dirt() -> None:
    environment = Cleaner()
    _, start = environment.reset(jax.random.key(0))
    cleaned = start._replace(dirty=jnp.zeros(169, jnp.bool_))
    moved = [start._replace(robots=jnp.asarray(robots, jnp.int32)) for robots in ([14, 27], [27, 14], [27, 27])]
    assert len({environment.draw(state).tobytes() for state in (start, cleaned, *moved)}) == 5
