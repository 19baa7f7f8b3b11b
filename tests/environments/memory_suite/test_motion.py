"""A round body among solid cells against plain Python, and random walks that must never end up inside a wall."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.environments.memory_suite.motion import free, moved

RADIUS = 0.25

free_at = jax.jit(lambda cells, position: free(cells, position, RADIUS))
walked = jax.jit(
    lambda cells, position, steps: jax.lax.scan(lambda p, step: (moved(cells, p, step, RADIUS),) * 2, position, steps)[1],
)


def distance(cells: np.ndarray, x: float, y: float) -> float:
    """From a point to the nearest solid cell or to the outside, in plain Python."""
    rows, columns = cells.shape
    apart = min(x, y, columns - x, rows - y)
    for row, column in np.argwhere(cells > 0):
        apart = min(apart, math.hypot(max(column - x, 0, x - column - 1), max(row - y, 0, y - row - 1)))
    return apart


def test_free_is_being_a_radius_away() -> None:
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(2000):
        cells = (rng.random((5, 7)) < 0.2).astype(np.uint8)
        x, y = rng.uniform(-0.5, 7.5), rng.uniform(-0.5, 5.5)
        apart = distance(cells, x, y)
        if abs(apart - RADIUS) > 1e-5:
            answers.append(apart > RADIUS)
            assert bool(free_at(jnp.asarray(cells), jnp.asarray([x, y], jnp.float32))) == answers[-1]
    assert 0.2 < np.mean(answers) < 0.8


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0, 0.4), stride=st.floats(0.01, 0.99))
def test_random_walks_never_enter_a_wall(seed: int, density: float, stride: float) -> None:
    """Steps of up to the radius along each axis, from a free start; the grid has no border of its own."""
    rng = np.random.default_rng(seed)
    cells = (rng.random((6, 8)) < density).astype(np.uint8)
    cells[3, 4] = 0
    steps = rng.uniform(-1, 1, (60, 2)) * stride * RADIUS + rng.choice([-1, 0, 1], 2) * 0.5 * RADIUS * (1 - stride)
    path = np.asarray(walked(jnp.asarray(cells), jnp.asarray([4.5, 3.5], jnp.float32), jnp.asarray(steps, jnp.float32)))
    assert min(distance(cells, float(x), float(y)) for x, y in path) >= RADIUS - 1e-5


@pytest.mark.parametrize("turns", range(4))
def test_walls_are_slid_along(turns: int) -> None:
    """Walking obliquely into a wall: the step along it is made in full, the one into it not; seen from all four sides."""
    cells = np.zeros((10, 10), np.uint8)
    cells[0] = 1
    cells = np.rot90(cells, -turns).copy()
    along, into = np.asarray([(1, 0), (0, 1), (-1, 0), (0, -1)])[turns], np.asarray([(0, -1), (1, 0), (0, 1), (-1, 0)])[turns]
    start = np.asarray([5.0, 5.0]) + 3.7 * into - 3 * along
    steps = np.tile(0.1 * (along + into), (50, 1))
    path = np.asarray(walked(jnp.asarray(cells), jnp.asarray(start, jnp.float32), jnp.asarray(steps, jnp.float32)))
    gone = path - start
    np.testing.assert_allclose(gone @ along, 0.1 * np.arange(1, 51), atol=1e-4)
    assert (gone @ into).max() <= 4 - RADIUS - 3.7 + 1e-5


def test_steps_are_made_in_full_where_there_is_room() -> None:
    cells = jnp.zeros((5, 5), jnp.uint8)
    after = moved(cells, jnp.asarray([2.5, 2.5], jnp.float32), jnp.asarray([0.1, -0.2], jnp.float32), RADIUS)
    np.testing.assert_allclose(after, [2.6, 2.3], rtol=1e-6)


def test_corridors_one_cell_wide_are_walked_through() -> None:
    """A body of radius 0.25 in the middle of a corridor with a bend walks to its end."""
    cells = np.ones((5, 5), np.uint8)
    cells[1, 1:4] = cells[1:4, 3] = 0
    steps = np.asarray([(0.1, 0.0)] * 20 + [(0.0, 0.1)] * 20)
    path = np.asarray(walked(jnp.asarray(cells), jnp.asarray([1.5, 1.5], jnp.float32), jnp.asarray(steps, jnp.float32)))
    np.testing.assert_allclose(path[-1], [3.5, 3.5], atol=1e-4)
