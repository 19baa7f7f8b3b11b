"""Ways, maps and tours of the reference players against slow plain Python: breadth-first search, sight by hand, a tour walked."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quickly import jit

from unseen.environments import make
from unseen.environments.memory_suite.land import SIZE
from unseen.environments.memory_suite.players import chart, routes, walking, wanderers
from unseen.environments.memory_suite.sight import HEADINGS
from unseen.environments.memory_suite.walker import RADIUS, Pose

EMPTY, BUILT, MAZE = "memory/invisible-goal-empty-arena", "memory/visible-goal-with-buildings", "memory/explore-goal-locations"
H, W = 7, 9
route = jit(routes.route, static_argnums=5)
equal = jnp.zeros((4,), jnp.int32)


def steps_to(walls: np.ndarray, targets: np.ndarray) -> dict[tuple[int, int], int]:
    """Steps from each cell to the nearest target, by breadth-first search."""
    starts = [(int(r), int(c)) for r, c in np.argwhere(targets & ~walls)]
    steps, queue = dict.fromkeys(starts, 0), deque(starts)
    while queue:
        cell = queue.popleft()
        for down, right in HEADINGS.tolist():
            after = cell[0] + down, cell[1] + right
            if 0 <= after[0] < walls.shape[0] and 0 <= after[1] < walls.shape[1] and not walls[after] and after not in steps:
                steps[after] = steps[cell] + 1
                queue.append(after)
    return steps


# ---- shortest ways -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.6))
@settings(max_examples=150)
def test_every_step_of_a_route_comes_one_nearer_to_the_nearest_target(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    walls = np.pad(rng.random((H - 2, W - 2)) < density, 1, constant_values=True)
    targets = rng.random((H, W)) < 0.05
    start = int(rng.integers(1, H - 1)), int(rng.integers(1, W - 1))
    walls[start] = False
    cells, goes = route(jnp.asarray(walls), jnp.asarray(targets), jnp.int32(start[0]), jnp.int32(start[1]), equal, 5)
    steps = steps_to(walls, targets)
    assert bool(goes) == (steps.get(start, 0) > 0)
    way = [start, *(tuple(cell) for cell in np.asarray(cells).tolist())]
    for k, cell in enumerate(way):
        assert cell == start if not goes else steps[cell] == max(steps[start] - k, 0)


def test_of_equally_short_routes_the_one_liked_best_is_taken() -> None:
    """Three columns and three rows away: two first steps are as short, and each is taken if liked better."""
    walls = np.pad(np.zeros((H - 2, W - 2), bool), 1, constant_values=True)
    targets = np.zeros((H, W), bool)
    targets[4, 5] = True
    for direction, cell in ((2, [2, 2]), (1, [1, 3])):
        liking = jnp.zeros((4,), jnp.int32).at[direction].set(1)
        cells, _ = route(jnp.asarray(walls), jnp.asarray(targets), jnp.int32(1), jnp.int32(2), liking, 5)
        np.testing.assert_array_equal(cells[0], cell)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_a_clear_way_is_one_on_which_a_square_fits_everywhere(seed: int) -> None:
    """Against a hundred places along the way; only that it never says clear where a body's circle would be held up."""
    rng = np.random.default_rng(seed)
    walls = np.pad(rng.random((H - 2, W - 2)) < 0.2, 1, constant_values=True)
    here, there = (rng.uniform((1, 1), (W - 1, H - 1)).astype(np.float32) for _ in range(2))
    says = bool(clear(jnp.asarray(walls), jnp.asarray(here), jnp.asarray(there)))
    places = here + np.linspace(0, 1, 100)[:, None] * (there - here)
    solid = [(r, c) for r, c in np.argwhere(walls)]
    near = [min(np.hypot(*(np.clip(p[::-1], cell, np.add(cell, 1)) - p[::-1])) for cell in solid) for p in places]
    beyond = [d for d, p in zip(near, places, strict=True) if np.hypot(*(p - here)) >= routes.APART]
    if says and beyond:
        assert min(beyond) > 0.27 - 0.13  # between two places tried, half of APART
    if not says and beyond:
        assert min(near) < 0.27 * np.sqrt(2) + 1e-5  # the corner of the square


clear = jit(lambda walls, here, there: routes.clear(walls, here, there, 0.27, 16.0))


# ---- what is known of a land -------------------------------------------------------------------------------------------


@lru_cache
def places(name: str, count: int = 40) -> Any:
    """States of many episodes, the agent at its first start and after some random steps, with what is seen."""
    environment = make(name)

    def one(key: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)
        _, state = environment.reset(k_reset, environment.levels["train_small"][0][1])
        walk = lambda state, key: (environment.step(key, state, jax.random.randint(key, (), 0, 6)).state, None)  # noqa: E731
        state, _ = jax.lax.scan(walk, state, jax.random.split(k_steps, 15))
        return state, chart.sighting(environment.observe(state), state.row, state.column)

    return jax.tree.map(np.asarray, jit(jax.vmap(one))(jax.random.split(jax.random.key(8), count)))


@pytest.mark.parametrize("name", [BUILT, MAZE])
def test_what_is_laid_on_the_map_is_true(name: str) -> None:
    """Seen free is free, seen solid is solid; the goal is seen where it is or not at all; and in sight there are both."""
    state, view = places(name)
    solid = state.land.cells > 0
    assert not (view.free & solid).any()
    assert not (view.solid & ~solid).any()
    goals = view.goal.reshape(len(solid), -1).sum(axis=1)
    assert set(goals.tolist()) <= {0, 1}
    assert goals.sum() > 0
    for k in np.flatnonzero(goals):
        np.testing.assert_array_equal(np.argwhere(view.goal[k])[0], state.land.goal[k])
    assert (view.free.reshape(len(solid), -1).sum(axis=1) >= 1).all()
    assert (view.solid.reshape(len(solid), -1).sum(axis=1) >= 3).all()


@pytest.mark.parametrize("name", [BUILT, MAZE])
def test_the_goal_lies_where_the_level_may_put_it(name: str) -> None:
    params = make(name).levels["train_small"][0][1]
    state, _ = places(name)
    band, inside = np.asarray(chart.band(params)), np.asarray(chart.inside(params))
    assert all(band[row, column] for row, column in state.land.goal)
    assert not (~inside & (state.land.cells == 0)).any()
    assert band.sum() < inside.sum()


def test_distances_to_cells_by_hand() -> None:
    x, y = jnp.float32(5.5), jnp.float32(3.25)
    apart, within = np.asarray(chart.apart(x, y)), np.asarray(chart.within(x, y, 1.0))
    assert apart[3, 5] == 0
    np.testing.assert_allclose([apart[2, 5], apart[4, 5], apart[3, 6], apart[2, 4]], [0.25, 0.75, 0.5, np.hypot(0.5, 0.25)])
    assert sorted(map(tuple, np.argwhere(within).tolist())) == [(2, 5), (3, 5)]  # the middles of both are 0.75 and 0.25 away
    assert within.shape == (SIZE, SIZE)


# ---- the tour without memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "level", ["train_small", "train_large", "holdout_interpolate", "holdout_extrapolate", "interpolate", "extrapolate"]
)
@pytest.mark.parametrize("apart", [2, 3])
def test_the_tour_is_round_and_comes_within_reach_of_every_cell(level: str, apart: int) -> None:
    """From every cell it ends on the same tour; three rows apart, each cell that may hold the goal is within a step of it."""
    params = make(EMPTY).levels[level][0][1]
    side, first, last = int(params.side), int(params.first_row), int(params.last_row)
    cells = [(r, c) for r in range(1, side + 1) for c in range(1, side + 1)]
    rows, columns = jnp.asarray(cells, jnp.int32).T
    goes = np.asarray(jit(jax.vmap(lambda r, c: wanderers.tour(r, c, params, apart)))(rows, columns))
    after = {cell: (cell[0] + HEADINGS[d][0], cell[1] + HEADINGS[d][1]) for cell, d in zip(cells, goes, strict=True)}
    cycles = set()
    for cell in cells:
        for _ in range(side * side):
            cell = after[cell]
        cycle = [cell]
        while after[cycle[-1]] != cell:
            cycle.append(after[cycle[-1]])
        cycles.add(frozenset(cycle))
    (cycle,) = cycles
    assert all(abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1 for a, b in ((cell, after[cell]) for cell in cycle))
    band = {(r, c) for r in range(first, last + 1) for c in range(1, side + 1)}
    reached = {(r + dr, c + dc) for r, c in cycle for dr, dc in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))}
    assert band <= reached


def test_an_empty_arena_tells_where_one_stands() -> None:
    environment = make(EMPTY)
    state, _ = places(EMPTY)
    side = environment.levels["train_small"][0][1].side
    words = jit(jax.vmap(environment.observe))(jax.tree.map(jnp.asarray, state))
    row, column = jit(jax.vmap(lambda w: wanderers.standing(wanderers.read(w), side)))(words)
    np.testing.assert_array_equal(row, state.row)
    np.testing.assert_array_equal(column, state.column)
    assert len(set(state.heading.tolist())) == 4


# ---- steering ----------------------------------------------------------------------------------------------------------


def test_a_body_steers_to_every_place_of_a_room() -> None:
    """From many poses to many places of an open room: to half a metre in a fifth more than the straight way's time, and three turns."""
    walls = jnp.asarray(np.pad(np.zeros((9, 9), bool), 1, constant_values=True))

    def walk(key: Any) -> Any:
        k_from, k_to, k_heading = jax.random.split(key, 3)
        here, to = (jax.random.uniform(k, (2,), minval=1.3, maxval=9.7) for k in (k_from, k_to))
        pose = Pose(here[0], here[1], jax.random.uniform(k_heading, (), maxval=2 * jnp.pi))

        def step(pose: Pose, _: None) -> Any:
            action = walking.steer(pose, to, walls)
            x, y = walking.led(pose, action, walls)
            turn = jnp.asarray([0, 0, 0, 0, -1, 1, -1, 1], jnp.float32)[action] * walking.SWING
            after = Pose(x, y, (pose.heading + turn) % (2 * jnp.pi))
            return after, jnp.hypot(x - to[0], y - to[1])

        _, apart = jax.lax.scan(step, pose, None, length=120)
        return jnp.linalg.norm(to - here), apart

    metres, apart = jax.tree.map(np.asarray, jit(jax.vmap(walk))(jax.random.split(jax.random.key(1), 200)))
    assert (apart.min(axis=1) < 0.5).all()
    arrived = (apart < 0.5).argmax(axis=1) + 1
    assert (arrived <= 1.2 * metres / walking.STRIDE + 3).all()


def test_steps_keep_the_heading() -> None:
    """The compact action for each direction, against the environment: the cell there is entered, the heading stays."""
    environment = make(EMPTY)
    state, _ = places(EMPTY)

    def after(state: Any, direction: Any) -> Any:
        return environment.step(jax.random.key(0), state, walking.step(direction, state.heading)).state

    each = jit(jax.vmap(jax.vmap(after, (None, 0)), (0, None)))(jax.tree.map(jnp.asarray, state), jnp.arange(4, dtype=jnp.int32))
    moved = np.stack([np.asarray(each.row) - state.row[:, None], np.asarray(each.column) - state.column[:, None]], axis=-1)
    stayed = np.asarray(each.visits) == state.visits[:, None]
    side = int(environment.levels["train_small"][0][1].side)
    for k, direction in np.argwhere(stayed):
        there = np.add((state.row[k], state.column[k]), HEADINGS[direction])
        inside = (there >= 1).all() and (there <= side).all()
        np.testing.assert_array_equal(moved[k, direction], HEADINGS[direction] * inside)
    assert (np.asarray(each.heading)[stayed] == np.broadcast_to(state.heading[:, None], stayed.shape)[stayed]).all()


def test_a_radius_fits_between_two_strides() -> None:
    """No frame's step is longer than the body is wide, and an action's stride is what steering reckons with."""
    walls = jnp.asarray(np.pad(np.zeros((5, 5), bool), 1, constant_values=True))
    at = [Pose(jnp.float32(3), jnp.float32(3), jnp.float32(0.0))]
    for _ in range(3):
        at.append(Pose(*walking.led(at[-1], jnp.int32(walking.FORWARD), walls), at[-1].heading))
    for a, b in pairwise(at):
        assert float(a.y - b.y) == pytest.approx(walking.STRIDE, abs=1e-5)
    assert walking.STRIDE / 4 < RADIUS
