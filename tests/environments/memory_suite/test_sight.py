"""What is seen of a grid: lines of sight with fractions, steps counted in a loop, the window turned by hand."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quickly import jit

from unseen.environments.memory_suite import sight

FRONT = {0: (-1, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1)}  # north, east, south, west as (down, right)
WINDOW = [(4 - k // 5, k % 5 - 2) for k in range(25)]  # (ahead, to the right) of each cell, row by row from the furthest
visible = jit(sight.visible)


def between(ahead: int, right: int) -> set[tuple[int, int]]:
    """Cells on the straight line to a cell, one for each step along its longer side; exactly between two, the agent's side."""
    steps = max(ahead, abs(right))
    found = set()
    for k in range(1, steps):
        places = []
        for part in (ahead, right):
            exact = Fraction(abs(part) * k, steps)
            nearest = int(exact) + (exact - int(exact) > Fraction(1, 2))
            places.append(nearest if part >= 0 else -nearest)
        found.add((places[0], places[1]))
    return found


def slow_visible(solid: np.ndarray) -> list[bool]:
    walls = {cell for cell, hit in zip(WINDOW, solid, strict=True) if hit}
    return [not between(*cell) & walls for cell in WINDOW]


@given(bits=st.integers(0, 2**25 - 1))
@settings(max_examples=300)
def test_a_cell_is_seen_when_nothing_solid_is_on_the_line_to_it(bits: int) -> None:
    solid = np.array([bits >> k & 1 for k in range(25)], bool)
    assert visible(jnp.asarray(solid)).tolist() == slow_visible(solid)


def test_each_single_obstacle_hides_what_is_behind_it_and_nothing_else() -> None:
    hidden_somewhere = set()
    for k in range(25):
        solid = np.arange(25) == k
        seen = np.asarray(visible(jnp.asarray(solid)))
        assert seen.tolist() == slow_visible(solid)
        assert seen[k]  # what hides is itself seen
        mirrored = solid.reshape(5, 5)[:, ::-1].reshape(-1)
        np.testing.assert_array_equal(np.asarray(visible(jnp.asarray(mirrored))).reshape(5, 5)[:, ::-1].reshape(-1), seen)
        hidden_somewhere |= set(np.flatnonzero(~seen).tolist())
    assert hidden_somewhere == {k for k, cell in enumerate(WINDOW) if between(*cell)}
    assert [cell for cell in WINDOW if between(*cell)] == [cell for cell in WINDOW if max(cell[0], abs(cell[1])) > 1]


def test_where_the_agent_stands_hides_nothing() -> None:
    assert WINDOW[sight.STANDS] == (0, 0)
    assert np.asarray(visible(jnp.arange(25) == sight.STANDS)).all()


@pytest.mark.parametrize("heading", FRONT)
def test_the_window_looks_ahead_of_the_agent(heading: int) -> None:
    front, right = FRONT[heading], FRONT[(heading + 1) % 4]
    rows, columns = sight.window(jnp.int32(10), jnp.int32(20), jnp.int32(heading))
    expected = [(10 + a * front[0] + r * right[0], 20 + a * front[1] + r * right[1]) for a, r in WINDOW]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
    assert expected[0] == {0: (6, 18), 1: (8, 24), 2: (14, 22), 3: (12, 16)}[heading]  # far left


SHAPES = [(29, 29), (9, 21), (5, 32), (3, 3)]


@jit
def every_count(solid: jax.Array) -> jax.Array:
    """(rows, columns, 4): steps ahead from every cell in every direction."""
    rows, columns = sight.lines(solid)
    count = lambda row, column, heading: sight.steps_ahead(rows, columns, row, column, heading)  # noqa: E731
    down, across = (jnp.arange(n, dtype=jnp.int32) for n in solid.shape)
    over = jax.vmap(jax.vmap(jax.vmap(count, (None, None, 0)), (None, 0, None)), (0, None, None))
    return over(down, across, jnp.arange(4, dtype=jnp.int32))


@given(shape=st.sampled_from(SHAPES), share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_steps_to_the_first_solid_cell_are_those_of_a_loop(shape: tuple[int, int], share: float, seed: int) -> None:
    solid = np.random.default_rng(seed).random(shape) < share
    solid[[0, -1]] = solid[:, [0, -1]] = True
    found = np.asarray(every_count(jnp.asarray(solid)))
    for row, column in np.argwhere(~solid):
        for heading, (down, right) in FRONT.items():
            steps = 1
            while not solid[row + steps * down, column + steps * right]:
                steps += 1
            assert found[row, column, heading] == steps
