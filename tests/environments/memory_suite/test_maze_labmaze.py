"""Mazes against the original's, from the package labmaze: what is taken out cell by cell, what is drawn in the mean."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments.memory_suite.maze import SIDE, generate, lay_out, maze_shape
from unseen.environments.memory_suite.maze_simplify import simplify
from unseen.environments.memory_suite.paths import FAR, distances

labmaze: Any = pytest.importorskip("labmaze")

SHAPES = [(11, 9, 3, 5), (15, 11, 5, 10), (21, 13, 7, 15), (27, 15, 9, 20)]  # side, rooms, longest side of a room, goals
COUNT = 400


def original(side: int, rooms: int, room_side: int, seed: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The characters of a maze and of its rooms, in the corner of a grid of walls."""
    drawn = labmaze.RandomMaze(
        height=side,
        width=side,
        max_rooms=rooms,
        room_min_size=3,
        room_max_size=room_side,
        retry_count=1_000,
        extra_connection_probability=0.0,
        random_seed=seed,
        **options,
    )
    entities, names = np.full((SIDE, SIDE), "*"), np.full((SIDE, SIDE), ".")
    entities[:side, :side], names[:side, :side] = drawn.entity_layer, drawn.variations_layer
    return entities, names


def figures(free: np.ndarray, rooms: np.ndarray, spawns: np.ndarray, goals: np.ndarray) -> dict[str, float]:
    """What a maze looks like, in numbers."""
    padded = np.pad(free.astype(int), 1)
    ways = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    corridor, count = free & (rooms < 0), len(np.unique(rooms[rooms >= 0]))
    walks = np.asarray(_distances(jnp.asarray(~free), jnp.int32(np.argmax(free))))
    return {
        "rooms": count,
        "free cells": free.sum(),
        "room cells": (rooms >= 0).sum(),
        "junctions": (corridor & (ways > 2)).sum(),
        "dead ends": (corridor & (ways < 2)).sum(),
        "spawns in a room": spawns.sum() / count,
        "goals in a room": goals.sum() / count,
        "farthest walk from the first cell": walks[walks < FAR].max(),
        "row of the goals": np.nonzero(goals)[0].mean(),
    }


_distances = jax.jit(distances)


@pytest.mark.parametrize("shape", [*SHAPES, (27, 2, 5, 0)])
def test_the_same_cells_are_taken_out(shape: tuple[int, int, int, int]) -> None:
    """Without simplification and with doors, the same seed gives the original's maze as it was before: doors are the joins."""
    before = np.stack([original(*shape[:3], seed, simplify=False, has_doors=True)[0] for seed in range(COUNT)])
    after = np.stack([original(*shape[:3], seed, simplify=True, has_doors=False)[0] for seed in range(COUNT)])
    joins = (before == "H") | (before == "I")
    free = np.asarray(jax.jit(jax.vmap(simplify))(jnp.asarray(before == " "), jnp.asarray(joins)))
    np.testing.assert_array_equal(free, after == " ")
    assert ((before != "*") != (after != "*")).any(axis=(1, 2)).mean() > 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_mazes_are_the_originals_in_the_mean(shape: tuple[int, int, int, int]) -> None:
    theirs = []
    for seed in range(COUNT):
        cells, names = original(*shape[:3], seed, max_variations=26, has_doors=False, spawns_per_room=5, objects_per_room=shape[3])
        rooms = np.where(names == ".", -1, names.astype("S1").view(np.uint8).reshape(names.shape).astype(int) - ord("A"))
        theirs.append(figures(cells != "*", rooms, cells == "P", cells == "G"))
    drawn = jax.jit(jax.vmap(generate, in_axes=(0, None)))(jax.random.split(jax.random.key(6), COUNT), maze_shape(*shape))
    drawn = jax.tree.map(np.asarray, drawn)
    ours = [figures(~drawn.walls[k], drawn.rooms[k], drawn.spawns[k], drawn.goals[k]) for k in range(COUNT)]
    agree(ours, theirs)


def test_corridors_wind_as_the_originals_do() -> None:
    """One room, before anything is taken out: other ways to draw a tree have other numbers of dead ends, turns and junctions."""
    shape = (27, 1, 3, 0)

    def winding(corridors: np.ndarray) -> dict[str, float]:
        padded = np.pad(corridors, 1)
        up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
        ways = up.astype(int) + down + left + right
        straight = (up & down) | (left & right)
        return {
            "dead ends": (corridors & (ways == 1)).sum(),
            "turns": (corridors & (ways == 2) & ~straight).sum(),
            "junctions": (corridors & (ways > 2)).sum(),
        }

    theirs = []
    for seed in range(COUNT):
        cells, names = original(*shape[:3], seed, simplify=False, has_doors=True)
        theirs.append(winding((cells == " ") & (names == ".")))
    layout = jax.jit(jax.vmap(lay_out, in_axes=(0, None)))(jax.random.split(jax.random.key(7), COUNT), maze_shape(*shape))
    agree([winding(corridors) for corridors in np.asarray(layout.corridors)], theirs)


def agree(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    """All means are within four standard errors of the difference."""
    for name in ours[0]:
        one, other = (np.asarray([figure[name] for figure in side], float) for side in (ours, theirs))
        print(f"{name}: ours {one.mean():.3f} ± {one.std():.3f}, theirs {other.mean():.3f} ± {other.std():.3f}")
        spread = np.sqrt((one.var() + other.var()) / COUNT)
        assert abs(one.mean() - other.mean()) <= 4 * spread, name
