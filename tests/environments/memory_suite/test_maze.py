"""Mazes: what holds for each of them, in the shapes of the specification's table (3.12), and how often each kind of thing is drawn.

test_maze_labmaze.py compares them with the original's.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from unseen.environments.memory_suite import maze
from unseen.environments.memory_suite.maze import REGIONS, SIDE, generate, lay_out, maze_shape
from unseen.errors import UserError

SHAPES = [(11, 9, 3, 5), (15, 11, 5, 10), (21, 13, 7, 15), (27, 15, 9, 20)]  # side, rooms, longest side of a room, goals
COUNT = 400
STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))


@cache
def mazes(shape: tuple[int, int, int, int]) -> Any:
    return drawn([shape] * COUNT)


def drawn(shapes: list[tuple[int, int, int, int]]) -> Any:
    """A maze of each shape; one compiled program for all of them."""
    stacked = jax.tree.map(lambda *numbers: jnp.stack(numbers), *(maze_shape(*shape) for shape in shapes))
    return jax.tree.map(np.asarray, _generate(jax.random.split(jax.random.key(0), COUNT), stacked))


_generate = jax.jit(jax.vmap(generate))
_lay_out = jax.jit(jax.vmap(lay_out, in_axes=(0, None)))


def labelled(cells: np.ndarray) -> Any:
    """Every connected piece with a number from 1 on, and how many there are."""
    return ndimage.label(cells)


def beside(cells: np.ndarray) -> np.ndarray:
    """How many of the four neighbours of each cell are marked, in a batch of grids."""
    padded = np.pad(cells.astype(int), ((0, 0), (1, 1), (1, 1)))
    return padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]


@pytest.mark.parametrize("shape", SHAPES)
def test_rooms_are_odd_rectangles_on_odd_cells_that_do_not_touch(shape: tuple[int, int, int, int]) -> None:
    side, most, longest, _ = shape
    made = mazes(shape)
    short = 1 + 2 * ((1 + longest // 2) // 2)  # the mean of shortest and longest, on the lattice
    counts = set()
    for rooms, walls in zip(made.rooms, made.walls, strict=True):
        numbers = np.unique(rooms[rooms >= 0])
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)))
        counts.add(len(numbers))
        for number in numbers:
            rows, columns = np.nonzero(rooms == number)
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert len(rows) == height * width
            assert rows.min() % 2 == columns.min() % 2 == height % 2 == width % 2 == 1
            assert max(rows.max(), columns.max()) <= side - 2
            assert min(height, width) >= 3
            assert max(height, width) <= longest
            assert min(height, width) <= short
            around = rooms[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2]
            assert set(np.unique(around)) <= {-1, number}
        assert not walls[rooms >= 0].any()
    assert max(counts) <= most
    assert min(counts) >= 2


@pytest.mark.parametrize("shape", SHAPES)
def test_free_cells_are_connected_without_dead_ends_inside_walls(shape: tuple[int, int, int, int]) -> None:
    side, walls = shape[0], mazes(shape).walls
    assert walls[:, [0, side - 1]].all()
    assert walls[:, :, [0, side - 1]].all()
    assert walls[:, side:].all()
    assert walls[:, :, side:].all()
    assert all(labelled(~grid)[1] == 1 for grid in walls)
    assert (beside(~walls)[~walls] >= 2).all()
    assert walls[:, 2:-1:2, 2:-1:2].mean() > 0.5  # posts between lattice points stand, but for those in rooms


@pytest.mark.parametrize("shape", SHAPES)
def test_every_room_has_its_spawns_and_its_goals(shape: tuple[int, int, int, int]) -> None:
    goals, made = shape[3], mazes(shape)
    assert not (made.spawns & made.goals).any()
    assert (made.rooms[made.spawns | made.goals] >= 0).all()
    for k in range(COUNT):
        for number in range(made.rooms[k].max() + 1):
            room = made.rooms[k] == number
            assert made.spawns[k][room].sum() == 5
            assert made.goals[k][room].sum() == min(goals, room.sum() - 5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tenth_of_the_walls_that_can_be_seen_carry_decals(shape: tuple[int, int, int, int]) -> None:
    made = mazes(shape)
    seen = made.walls & (beside(~made.walls) > 0)
    assert not (made.decals & ~seen).any()
    np.testing.assert_array_equal(made.decals.sum(axis=(1, 2)), np.floor(0.5 + 0.1 * seen.sum(axis=(1, 2))))


def test_every_place_of_a_room_is_a_spawn_as_often_as_any_other() -> None:
    """Rooms of nine cells, five spawns: 5/9 each; goals take what is left."""
    made = mazes(SHAPES[0])
    counts, rooms = np.zeros((3, 3)), 0
    for k in range(COUNT):
        for number in range(made.rooms[k].max() + 1):
            counts += made.spawns[k][made.rooms[k] == number].reshape(3, 3)
            rooms += 1
    expected, spread = rooms * 5 / 9, np.sqrt(rooms * 5 / 9 * 4 / 9)
    assert (abs(counts - expected) < 5 * spread).all()


def test_the_same_key_gives_the_same_maze_also_among_mazes_of_other_shapes() -> None:
    shapes = [SHAPES[k % 4] for k in range(COUNT)]
    mixed = drawn(shapes)
    for k, shape in enumerate(shapes):
        jax.tree.map(lambda one, other, k=k: np.testing.assert_array_equal(one[k], other[k]), mixed, mazes(shape))
    assert len({grid.tobytes() for shape in SHAPES for grid in mazes(shape).walls}) > 3.9 * COUNT


@pytest.mark.parametrize("shape", SHAPES)
def test_corridors_are_trees_that_fill_what_rooms_leave(shape: tuple[int, int, int, int]) -> None:
    side = shape[0]
    layout: Any = jax.tree.map(np.asarray, _lay_out(jax.random.split(jax.random.key(1), 100), maze_shape(*shape)))
    points = np.zeros((SIDE, SIDE), bool)
    points[1:side:2, 1:side:2] = True
    for rooms, corridors in zip(layout.rooms, layout.corridors, strict=True):
        np.testing.assert_array_equal(corridors & points, points & (rooms < 0))
        assert not (corridors & (rooms >= 0)).any()
        lattice = rooms[1:side:2, 1:side:2] < 0
        pieces = labelled(lattice)[1]
        assert labelled(corridors)[1] == pieces
        # A tree has a passage fewer than points; the passages are the corridor cells off the lattice.
        assert (corridors & ~points).sum() == lattice.sum() - pieces


def test_a_corridor_turns_every_way_as_often() -> None:
    """A stem leads into the middle of a block of three by two points: the first way on from there is the only one ever taken."""
    regions, count = np.full((13, 13), REGIONS, np.int32), 6_000
    regions[0, 6], regions[1:3, 5:8] = -1, -1
    dig = jax.jit(jax.vmap(maze.dig_corridors, in_axes=(0, None)))
    cells = np.asarray(dig(jax.random.split(jax.random.key(8), count), jnp.asarray(regions))[0])
    left, right, down = cells[:, 3, 12], cells[:, 3, 14], cells[:, 4, 13]
    assert (left.astype(int) + right + down == 1).all()
    for way in (left, right, down):
        assert abs(way.sum() - count / 3) < 5 * np.sqrt(count * 2 / 9)


@pytest.mark.parametrize("shape", SHAPES)
def test_two_regions_that_touch_are_joined_once(shape: tuple[int, int, int, int]) -> None:
    layout: Any = jax.tree.map(np.asarray, _lay_out(jax.random.split(jax.random.key(2), 100), maze_shape(*shape)))
    for rooms, corridors, joins in zip(layout.rooms, layout.corridors, layout.joins, strict=True):
        region = np.where(rooms >= 0, rooms + 1, 0) + np.where(corridors, 100 + labelled(corridors)[0], 0)
        touching: set[frozenset[int]] = set()
        joined: Counter[frozenset[int]] = Counter()
        for row, column in np.argwhere(region == 0):
            for down, right in ((1, 0), (0, 1)):
                if (row % 2 == down and column % 2 == right) or not (0 < row < SIDE - 1 and 0 < column < SIDE - 1):
                    continue
                pair = frozenset({int(region[row - down, column - right]), int(region[row + down, column + right])})
                if len(pair) == 2 and 0 not in pair:
                    touching.add(pair)
                    joined[pair] += int(joins[row, column])
        assert set(joined) == touching
        assert set(joined.values()) == {1}
        assert sum(joined.values()) == joins.sum()


def test_every_cell_between_two_regions_joins_them_as_often_as_any_other() -> None:
    regions, count = np.zeros((13, 13), np.int32), 13_000
    regions[:, 6:], regions[:, 10:] = 1, REGIONS
    joins = np.asarray(jax.vmap(maze.join_regions, in_axes=(0, None))(jax.random.split(jax.random.key(3), count), jnp.asarray(regions)))
    cells = joins.sum(axis=0)
    assert set(np.argwhere(cells)[:, 1]) == {12}
    assert cells.sum() == count
    assert (abs(cells[1::2, 12] - 1_000) < 5 * np.sqrt(1_000)).all()


def slow_rooms(drawn: np.ndarray, most: int, tries: int) -> set[tuple[int, ...]]:
    """Place (top, bottom, left, right) one after the other until there are enough, or too many did not fit."""
    placed: list[tuple[int, ...]] = []
    failures = 0
    for top, bottom, left, right in drawn.tolist():
        if failures == tries or len(placed) == most:
            break
        if all(top > other[1] or bottom < other[0] or left > other[3] or right < other[2] for other in placed):
            placed.append((top, bottom, left, right))
        else:
            failures += 1
    return set(placed)


@pytest.mark.parametrize("tries", [3, 40, 1_000])
@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[3]])
def test_rooms_are_placed_in_turn_until_too_many_do_not_fit(
    shape: tuple[int, int, int, int], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maze, "TRIES", tries)
    numbers = maze_shape(*shape)

    def both(key: Any) -> Any:
        uniform = jax.random.uniform(jax.random.split(key)[0], (6, tries + maze.ROOMS))
        return maze._draw_rectangles(uniform, numbers), maze.place_rooms(key, numbers)

    drawn, (rectangles, placed) = jax.tree.map(np.asarray, jax.jit(jax.vmap(both))(jax.random.split(jax.random.key(4), 200)))
    for k in range(200):
        chosen = {tuple(edge[k][number].item() for edge in rectangles) for number in np.flatnonzero(placed[k])}
        assert chosen == slow_rooms(np.stack([edge[k] for edge in drawn], axis=1), shape[1], tries)
        assert len(chosen) == placed[k].sum()


def test_sides_and_places_of_rectangles_have_the_stated_law() -> None:
    """On the lattice with 13 points and rooms up to 9 cells: both sides 1 or 2 steps, one of them 0, 1 or 2 longer."""
    count = 200_000
    uniform = jax.random.uniform(jax.random.key(5), (6, count))
    top, bottom, left, right = (np.asarray(edge) for edge in maze._draw_rectangles(uniform, maze_shape(*SHAPES[3])))
    law: Counter[tuple[int, int]] = Counter()
    for height, width, more, wide in product((1, 2), (1, 2), (0, 1, 2), (False, True)):
        law[height + (0 if wide else more), width + (more if wide else 0)] += 1
    seen = Counter(zip((bottom - top).tolist(), (right - left).tolist(), strict=True))
    assert set(seen) == set(law)
    for sides, weight in law.items():
        expected = count * weight / 24
        assert abs(seen[sides] - expected) < 5 * np.sqrt(expected)
    for low, high in ((top, bottom), (left, right)):
        places = np.bincount(low[high - low == 1], minlength=12)
        assert len(places) == 12
        assert (abs(places - places.mean()) < 5 * np.sqrt(places.mean())).all()


def test_the_number_of_a_room_says_nothing_about_its_size() -> None:
    """Large rooms are placed early; numbered in that order the first would be far larger than the eighth."""
    rooms = mazes(SHAPES[2]).rooms
    first, eighth = ((rooms == number).sum(axis=(1, 2)).astype(float) for number in (0, 7))
    spread = np.sqrt((first.var() + eighth.var()) / COUNT)
    assert abs(first.mean() - eighth.mean()) < 4 * spread


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": 29}, "side=29 is not allowed; give a whole number from 5 to 27"),
        ({"side": 14}, "side=14 is not allowed; give an odd number"),
        ({"rooms": 0}, "rooms=0 is not allowed; give a whole number from 1 to 15"),
        ({"rooms": 16}, "rooms=16 is not allowed"),
        ({"room_side": 4}, "room_side=4 is not allowed; give an odd number"),
        ({"room_side": 15}, "room_side=15 is not allowed; give a whole number from 3 to 13"),
        ({"goals": -1}, "goals=-1 is not allowed; give a whole number, 0 or more"),
    ],
)
def test_shapes_that_cannot_be_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        maze_shape(**{"side": 15, "rooms": 11, "room_side": 5, "goals": 10, **change})
