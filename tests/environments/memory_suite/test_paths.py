"""Shortest paths in grids against a queue in plain Python, and in a snake whose distances are known."""

from __future__ import annotations

from collections import deque
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments.memory_suite.paths import FAR, distances, neighbours, pack, unpack
from unseen.errors import UserError

STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))


def search(walls: np.ndarray, goal: int) -> np.ndarray:
    """Breadth-first search, a cell at a time."""
    height, width = walls.shape
    found = np.full(walls.shape, FAR)
    start = divmod(goal, width)
    queue: deque[tuple[int, int]] = deque()
    if not walls[start]:
        found[start] = 0
        queue.append(start)
    while queue:
        row, column = queue.popleft()
        for down, right in STEPS:
            to = row + down, column + right
            if 0 <= to[0] < height and 0 <= to[1] < width and not walls[to] and found[to] == FAR:
                found[to] = found[row, column] + 1
                queue.append(to)
    return found


@pytest.mark.parametrize("shape", [(27, 27), (32, 32), (40, 32), (5, 9), (9, 1), (1, 1)])
@pytest.mark.parametrize("density", [0.0, 0.3, 0.45])
def test_distances_are_those_of_a_breadth_first_search(shape: tuple[int, int], density: float) -> None:
    """No border is needed: a grid without walls is one, too."""
    count, generator = 60, np.random.default_rng(0)
    walls = generator.random((count, *shape)) < density
    goals = generator.integers(0, shape[0] * shape[1], count)
    found = np.asarray(jax.jit(jax.vmap(distances))(jnp.asarray(walls), jnp.asarray(goals, jnp.int32)))
    for k in range(count):
        np.testing.assert_array_equal(found[k], search(walls[k], int(goals[k])))
    assert found.dtype == np.int32


@pytest.mark.parametrize("side", [27, 31])
def test_the_way_through_a_snake_is_as_long_as_the_snake(side: int) -> None:
    walls = np.ones((side, side), bool)
    walls[1::2, 1:-1] = False
    way: list[tuple[int, int]] = []
    for row in range(1, side - 1, 2):
        columns = range(1, side - 1) if row % 4 == 1 else range(side - 2, 0, -1)
        way += [(row, column) for column in columns]
        if row + 2 < side - 1:
            walls[row + 1, way[-1][1]] = False
            way.append((row + 1, way[-1][1]))
    found = np.asarray(distances(jnp.asarray(walls), jnp.int32(side + 1)))
    np.testing.assert_array_equal(found[tuple(np.transpose(way))], np.arange(len(way)))
    assert (found[walls] == FAR).all()


def test_a_goal_in_a_wall_is_out_of_reach() -> None:
    walls = np.zeros((6, 7), bool)
    walls[2, 3] = True
    assert (np.asarray(distances(jnp.asarray(walls), jnp.int32(2 * 7 + 3))) == FAR).all()


@pytest.mark.parametrize("width", [1, 7, 31, 32])
def test_words_hold_the_grid_and_know_its_neighbours(width: int) -> None:
    grid = np.random.default_rng(width).random((8, width)) < 0.2
    rows: Any = pack(jnp.asarray(grid))
    np.testing.assert_array_equal(unpack(rows, width), grid)
    padded = np.pad(grid, 1)
    expected = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    np.testing.assert_array_equal(unpack(neighbours(rows), width), expected)


def test_a_grid_that_does_not_fit_into_words_is_refused() -> None:
    with pytest.raises(UserError, match="a grid of 33 columns is not allowed; give one of at most 32"):
        distances(jnp.zeros((4, 33), bool), jnp.int32(0))
