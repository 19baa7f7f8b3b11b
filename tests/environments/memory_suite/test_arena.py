"""Arenas: hundreds of draws of every level against what the specification says of goal, buildings and starts (§3.9-3.11)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import ndimage, stats

from unseen.environments.memory_suite import arena, land
from unseen.environments.memory_suite.invisible_goal_empty_arena import InvisibleGoalEmptyArena
from unseen.environments.memory_suite.invisible_goal_with_buildings import InvisibleGoalWithBuildings
from unseen.environments.memory_suite.visible_goal_with_buildings import VisibleGoalWithBuildings

TABLE = {"small": (11, 5), "large": (21, 15), "interpolate": (15, 10), "extrapolate": (27, 20)}
PLACES = [(scale, holdout) for scale in TABLE for holdout in (False, True)]
EACH = 100


@lru_cache
def draws(with_buildings: bool) -> dict[tuple[str, bool], Any]:
    """EACH lands of every level, in one program."""
    extents = arena.extents(with_buildings)
    params = [extents[scale].params(holdout) for scale, holdout in PLACES]
    stacked = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), EACH, axis=0), *params)
    draw = jit(jax.vmap(lambda key, params: arena.draw(key, params, with_buildings=with_buildings)))
    lands = jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(5), EACH * len(PLACES)), stacked))
    return {place: jax.tree.map(lambda x, k=k: x[EACH * k : EACH * (k + 1)], lands) for k, place in enumerate(PLACES)}


def pieces(cells: np.ndarray, corners: bool = False) -> np.ndarray:
    """The number of the connected piece that each cell belongs to, from 1; 0 for cells that are 0."""
    labelled: Any = ndimage.label(cells, structure=np.ones((3, 3)) if corners else None)
    return labelled[0]


@pytest.mark.parametrize("with_buildings", [False, True])
@pytest.mark.parametrize(("scale", "holdout"), PLACES)
def test_walls_goal_and_starts(with_buildings: bool, scale: str, holdout: bool) -> None:
    lands, side = draws(with_buildings)[scale, holdout], TABLE[scale][0]
    half = range((side + 3) // 2, side + 1) if holdout else range(1, (side + 1) // 2)
    for cells, goal, starts in zip(lands.cells, lands.goal, lands.starts, strict=True):
        inside = cells[1 : side + 1, 1 : side + 1]
        assert cells[side + 1 :].all()
        assert cells[:, side + 1 :].all()
        north, east, south, west = (
            cells[0, 1 : side + 1],
            cells[1 : side + 1, side + 1],
            cells[side + 1, 1 : side + 1],
            cells[1 : side + 1, 0],
        )
        assert [set(wall.tolist()) for wall in (north, east, south, west)] == [{1}, {2}, {3}, {4}]  # told from each other
        assert int(goal[0]) in half
        assert 1 <= int(goal[1]) <= side
        assert cells[goal[0], goal[1]] == 0
        assert pieces(inside == 0).max() == 1  # every free cell can be reached from every other
        rows, columns = starts[:, 0].astype(int), starts[:, 1].astype(int)
        assert (cells[rows, columns] == 0).all()
        assert ((rows - goal[0]) ** 2 + (columns - goal[1]) ** 2 > 1).all()  # further than a metre
        assert starts[:, 2].max() <= 3


@pytest.mark.parametrize(("scale", "holdout"), PLACES)
def test_buildings_are_apart_and_keep_off_walls_and_goal(scale: str, holdout: bool) -> None:
    lands, (side, most) = draws(True)[scale, holdout], TABLE[scale]
    numbers = []
    for cells, goal in zip(lands.cells, lands.goal, strict=True):
        inside = cells[1 : side + 1, 1 : side + 1]
        buildings = ndimage.find_objects(pieces(inside, corners=True))  # none touch, not even at a corner
        numbers.append(len(buildings))
        for rows, columns in buildings:
            colours = set(inside[rows, columns].ravel().tolist())
            assert len(colours) == 1  # a whole rectangle of one colour
            assert colours <= set(range(5, 13))
            height, width = rows.stop - rows.start, columns.stop - columns.start
            assert 1 <= height <= 3
            assert 1 <= width <= 3
            assert min(rows.start, columns.start) >= 1
            assert max(rows.stop, columns.stop) <= side - 1
            # Metres from the middle of the goal's cell to the nearest point of the building.
            y, x = goal[0] - 1 + 0.5, goal[1] - 1 + 0.5
            down, right = max(rows.start - y, y - rows.stop, 0), max(columns.start - x, x - columns.stop, 0)
            assert np.hypot(down, right) >= 1.5
    assert max(numbers) <= most
    # All of them, save now and then where one finds no room among the others.
    assert np.mean(np.array(numbers) == most) > 0.95
    assert min(numbers) >= most - 2


def test_without_buildings_there_are_none() -> None:
    for (scale, _), lands in draws(False).items():
        side = TABLE[scale][0]
        assert not lands.cells[:, 1 : side + 1, 1 : side + 1].any()


@lru_cache
def _empty() -> Any:
    return jit(jax.vmap(lambda key, params: arena.draw(key, params, with_buildings=False), (0, None)))


@pytest.mark.parametrize("holdout", [False, True])
def test_goals_and_starts_of_an_empty_arena_are_uniform(holdout: bool) -> None:
    params = arena.extents(False)["small"].params(holdout)
    lands = jax.tree.map(np.asarray, _empty()(jax.random.split(jax.random.key(6), 4_000), params))
    goals = np.zeros((13, 13), int)
    np.add.at(goals, tuple(lands.goal.T), 1)
    region = goals[7:12, 1:12] if holdout else goals[1:6, 1:12]
    assert region.sum() == 4_000
    assert stats.chisquare(region.ravel()).pvalue > 1e-4
    # Of starts given a goal in the middle of its half, which few cells are out of bounds of.
    at = (lands.goal == [9 if holdout else 3, 6]).all(axis=1)
    starts = lands.starts[at].reshape(-1, 3).astype(int)
    count = np.zeros((13, 13), int)
    np.add.at(count, tuple(starts[:, :2].T), 1)
    free = np.ones((11, 11), bool)
    row = 8 if holdout else 2
    free[row, 4:7] = free[row - 1 : row + 2, 5] = False
    assert not count[1:12, 1:12][~free].any()
    assert stats.chisquare(count[1:12, 1:12][free]).pvalue > 1e-4
    assert stats.chisquare(np.bincount(starts[:, 2], minlength=4)).pvalue > 1e-4


def test_another_goal_in_the_same_surroundings_obeys_the_same_rules() -> None:
    """What a pool of levels does at every use: cells stay, goal and starts are new."""
    lands = draws(True)["interpolate", True]
    settle = jit(jax.vmap(land.resettled))
    again = jax.tree.map(np.asarray, settle(jax.random.split(jax.random.key(7), EACH), jax.tree.map(jnp.asarray, lands)))
    np.testing.assert_array_equal(again.cells, lands.cells)
    assert (again.goal != lands.goal).any(axis=1).mean() > 0.9
    for cells, goal, starts in zip(again.cells, again.goal, again.starts, strict=True):
        assert 9 <= goal[0] <= 15
        around = cells[goal[0] - 1 : goal[0] + 2, goal[1] - 1 : goal[1] + 2]
        assert not (around >= 5).any()  # the eight cells around a goal would be nearer than 1.5 m
        rows, columns = starts[:, 0].astype(int), starts[:, 1].astype(int)
        assert (cells[rows, columns] == 0).all()
        assert ((rows - goal[0]) ** 2 + (columns - goal[1]) ** 2 > 1).all()


@pytest.mark.parametrize(
    ("task", "visible", "buildings"),
    [(VisibleGoalWithBuildings(), True, True), (InvisibleGoalWithBuildings(), False, True), (InvisibleGoalEmptyArena(), False, False)],
)
def test_the_three_tasks_are_these_arenas(task: Any, visible: bool, buildings: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert task.goal_visible is visible
    assert task.extents == arena.extents(buildings)
    params = task.extents["interpolate"].params(True)
    asked = []

    def draw(key: Any, params: Any, *, with_buildings: bool) -> Any:
        asked.append((key, params, with_buildings))
        return jax.tree.map(lambda x: jnp.asarray(x[0]), draws(False)["small", False])

    monkeypatch.setattr(arena, "draw", draw)
    key = jax.random.key(5)
    task.draw(key, params)
    assert asked == [(key, params, buildings)]
