"""Memory-four-rooms against slow plain Python: what is seen in 10,000 random states, every move, what lies where."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments.navigation import MemoryFourRooms
from unseen.environments.navigation.four_rooms import BEACON, COLOURS, EXIT, FLOOR, HIDDEN, WALL
from unseen.errors import UserError

SIZES = [7, 9]
FRONT = {0: (-1, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1)}


def states(size: int, count: int, seed: int = 0) -> Any:
    """Resets and then some random steps, so that agents stand in openings and corners, on beacons, at walls."""
    environment = MemoryFourRooms(size)

    def one(key: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)
        _, state = environment.reset(k_reset)

        def advance(state: Any, key: Any) -> Any:
            step = environment.step(key, state, jax.random.randint(key, (), 0, 6))
            return jax.tree.map(lambda old, new: jnp.where(step.terminated, old, new), state, step.state), None

        state, _ = jax.lax.scan(advance, state, jax.random.split(k_steps, 5))
        return environment._observe(state), state

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), count)))


def cells_of(state: Any, k: int, size: int) -> dict[tuple[int, int], tuple[int, int]]:
    """What is where, in plain Python: (row, column) -> (kind, colour)."""
    grid = {(r, c): (WALL if state.walls[k][r, c] else FLOOR, 0) for r in range(size) for c in range(size)}
    good, bad = int(state.good_colour[k]) + 1, int(state.bad_colour[k]) + 1
    for cell, what in ((state.good[k], (EXIT, good)), (state.bad[k], (EXIT, bad)), (state.beacon[k], (BEACON, good))):
        grid[divmod(int(cell), size)] = what
    return grid


def slow_view(state: Any, k: int, size: int) -> list[list[tuple[int, int]]]:
    """The window by two recursive floods in world coordinates."""
    grid, heading = cells_of(state, k, size), int(state.heading[k])
    here = int(state.row[k]), int(state.column[k])
    front, right = FRONT[heading], FRONT[(heading + 1) % 4]
    seen = set()
    for side in (-1, 1):
        frontier, visited = [(0, 0)], set()  # (ahead, to the right)
        while frontier:
            ahead, aside = frontier.pop()
            place = here[0] + ahead * front[0] + aside * right[0], here[1] + ahead * front[1] + aside * right[1]
            if (ahead, aside) in visited or ahead > 6 or abs(aside) > 3 or place not in grid:
                continue
            visited.add((ahead, aside))
            if grid[place][0] != WALL:
                frontier += [(ahead + 1, aside), (ahead, aside + side), (ahead + 1, aside + side)]
        seen |= visited
    window = []
    for r in range(7):
        row = []
        for c in range(7):
            ahead, aside = 6 - r, c - 3
            place = here[0] + ahead * front[0] + aside * right[0], here[1] + ahead * front[1] + aside * right[1]
            row.append(grid[place] if (ahead, aside) in seen else (HIDDEN, 0))
        window.append(row)
    return window


@pytest.mark.parametrize("size", SIZES)
def test_what_is_seen_is_what_the_slow_floods_see(size: int) -> None:
    observations, state = states(size, 5_000)
    for k in range(5_000):
        np.testing.assert_array_equal(observations[k], slow_view(state, k, size))
    assert 0.2 < (observations[..., 0] == HIDDEN).mean() < 0.9


@pytest.mark.parametrize("size", SIZES)
def test_every_action_moves_as_in_plain_python(size: int) -> None:
    environment = MemoryFourRooms(size)
    _, state = states(size, 600, seed=1)
    every = jax.jit(jax.vmap(lambda s: jax.vmap(lambda a: environment.step(jax.random.key(0), s, a))(jnp.arange(6))))
    steps = jax.tree.map(np.asarray, every(jax.tree.map(jnp.asarray, state)))
    for k in range(600):
        heading, here = int(state.heading[k]), (int(state.row[k]), int(state.column[k]))
        for action, quarter in enumerate((0, 2, 3, 1, None, None)):
            expected, faces = here, (heading + {4: -1, 5: 1}.get(action, 0)) % 4
            if quarter is not None:
                down, right = FRONT[(heading + quarter) % 4]
                target = here[0] + down, here[1] + right
                expected = here if state.walls[k][target] else target
            cell = expected[0] * size + expected[1]
            pay = 5.0 * (cell == state.good[k]) - 5.0 * (cell == state.bad[k]) - 0.05
            after = steps.state
            assert (int(after.row[k, action]), int(after.column[k, action]), int(after.heading[k, action])) == (*expected, faces)
            assert float(steps.reward[k, action]) == pytest.approx(pay)
            assert bool(steps.terminated[k, action]) == (cell in (state.good[k], state.bad[k]))


@pytest.mark.parametrize("size", SIZES)
def test_levels_are_drawn_as_stated(size: int) -> None:
    environment, count = MemoryFourRooms(size), 8_000
    _, state = jax.tree.map(np.asarray, jax.jit(jax.vmap(environment.reset))(jax.random.split(jax.random.key(2), count)))
    middle = size // 2
    walkable = (~state.walls).reshape(count, -1).sum(axis=1)
    assert set(walkable) == {20 if size == 7 else 40}
    for arm in (
        state.walls[:, middle, :middle],
        state.walls[:, middle, middle + 1 :],
        state.walls[:, :middle, middle],
        state.walls[:, middle + 1 :, middle],
    ):
        opened = ~arm
        assert (opened.sum(axis=1) == 1).all()
        places = Counter(np.argmax(opened, axis=1).tolist())
        assert len(places) == middle - 1
        assert max(places.values()) < 1.15 * count / (middle - 1)
    here = state.row * size + state.column
    for k in range(count):
        assert len({int(here[k]), int(state.beacon[k]), int(state.good[k]), int(state.bad[k])}) == 4
    for cell in (here, state.beacon, state.good, state.bad):
        assert not state.walls.reshape(count, -1)[np.arange(count), cell].any()
    assert (state.good_colour != state.bad_colour).all()
    pairs = Counter(zip(state.good_colour.tolist(), state.bad_colour.tolist(), strict=True))
    assert len(pairs) == 12
    assert max(pairs.values()) < 1.3 * count / 12
    assert max(Counter(state.heading.tolist()).values()) < 1.1 * count / 4


def test_signals_say_what_they_claim() -> None:
    """The good colour is the beacon's: counting which index occurs twice in the grid would find the exits' kind instead."""
    size = 7
    environment = MemoryFourRooms(size)
    _, state = states(size, 500, seed=3)
    told = jax.tree.map(np.asarray, jax.vmap(lambda s: environment.signals(jax.random.key(0), s))(jax.tree.map(jnp.asarray, state)))
    for k in range(500):
        grid = cells_of(state, k, size)
        (beacon,) = [colour for kind, colour in grid.values() if kind == BEACON]
        assert told["good_colour"][k] == beacon - 1
        exits = sorted((r * size + c, colour - 1) for (r, c), (kind, colour) in grid.items() if kind == EXIT)
        np.testing.assert_array_equal(told["exits"][k], [exits[0][0], exits[1][0], exits[0][1], exits[1][1]])
        assert (int(told["good_exit"][k]), int(told["good_colour"][k])) in exits
        np.testing.assert_array_equal(told["pose"][k], [state.row[k], state.column[k], state.heading[k]])
        for (r, c), what in grid.items():
            assert tuple(told["state"][k][r, c, :2]) == what
        agent = told["state"][k][..., 2]
        assert agent.sum() == state.heading[k] + 1 == agent[state.row[k], state.column[k]]
    assert len(COLOURS) == 4


@pytest.mark.parametrize("size", [0, 5, 8, 33])
def test_rooms_of_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(UserError, match=f"size={size} is not allowed"):
        MemoryFourRooms(size)
