"""The raycaster against a slow renderer in double precision, pixel by pixel; then what a player relies on, one thing at a time."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_renderer

from unseen.environments.memory_suite.materials import DOOR, Material
from unseen.environments.memory_suite.panorama import LANDMARKS, Landmark
from unseen.environments.memory_suite.raycaster import SHAPES, Camera, Objects, Style, World, outline_mask, render
from unseen.errors import UserError

STYLE = Style()
RED, GREEN, BLUE, YELLOW = (230, 40, 40), (40, 190, 70), (40, 90, 230), (255, 220, 0)
NORTH, EAST, SOUTH, WEST = (math.pi / 2 * k for k in range(4))
DIRECTIONS = {"north": (NORTH, (0, -1)), "east": (EAST, (1, 0)), "south": (SOUTH, (0, 1)), "west": (WEST, (-1, 0))}

picture_of = jax.jit(render, static_argnames=("style", "width", "height"))


def things(*rows: tuple[float, float, float, float, float, str, tuple[int, int, int]]) -> Objects:
    """Objects from (x, y, radius, bottom, top, shape, colour)."""
    x, y, radius, bottom, top = np.asarray([row[:5] for row in rows], np.float32).T
    shape = np.asarray([SHAPES.index(row[5]) for row in rows], np.int32)
    colour = np.asarray([row[6] for row in rows], np.uint8)
    return jax.tree.map(jnp.asarray, Objects(np.stack([x, y], 1), radius, bottom, top, shape, colour, np.ones(len(rows), bool)))


NOTHING = things((0, 0, 0.5, 0, 1, "box", RED))._replace(present=jnp.zeros(1, bool))


def look(cells: np.ndarray, objects: Objects, x: float, y: float, heading: float, **options: Any) -> np.ndarray:
    world = World(jnp.asarray(cells, jnp.uint8), objects)
    camera = Camera(jnp.asarray([x, y], jnp.float32), jnp.asarray(heading, jnp.float32))
    return np.asarray(picture_of(world, camera, options.pop("style", STYLE), **options))


def arena(side: int = 15, material: int = 1) -> np.ndarray:
    cells = np.zeros((side, side), np.uint8)
    cells[[0, -1]] = cells[:, [0, -1]] = material
    return cells


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.asarray(colour)).all(axis=-1).sum())


def scenes(rows: int, columns: int, objects: int, number: int, seed: int) -> tuple[World, Camera]:
    """Random worlds, open and walled, empty and crowded; cameras anywhere in a free cell, one in ten looking along an axis."""
    rng = np.random.default_rng(seed)
    density = rng.choice([0.02, 0.1, 0.3], (number, 1, 1))
    cells = np.where(rng.random((number, rows, columns)) < density, rng.integers(1, len(STYLE.materials), (number, rows, columns)), 0)
    walled = rng.random(number) < 0.5
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        cells[edge] = np.where(walled[:, None], 1, cells[edge])
    places = [np.argwhere(c == 0)[:, ::-1] for c in cells]
    here = np.stack([p[rng.integers(len(p))] for p in places]) + rng.uniform(0.02, 0.98, (number, 2))
    heading = np.where(rng.random(number) < 0.1, rng.integers(0, 4, number) * math.pi / 2, rng.uniform(-7, 7, number))
    bottom = rng.choice([0.0, 0.3], (number, objects))
    stands = here[:, None] + rng.normal(0, 3, (number, objects, 2))
    world = World(
        cells.astype(np.uint8),
        Objects(
            stands.astype(np.float32),
            rng.uniform(0.1, 0.7, (number, objects)).astype(np.float32),
            bottom.astype(np.float32),
            (bottom + rng.uniform(0.2, 1.2, (number, objects))).astype(np.float32),
            rng.integers(0, len(SHAPES), (number, objects)).astype(np.int32),
            rng.integers(0, 256, (number, objects, 3)).astype(np.uint8),
            rng.random((number, objects)) < 0.8,
        ),
    )
    return world, Camera(here.astype(np.float32), heading.astype(np.float32))


@pytest.mark.parametrize(
    ("rows", "columns", "number", "width", "height", "style"),
    [
        (9, 12, 500, 24, 18, STYLE),
        (21, 9, 330, 24, 18, dataclasses.replace(STYLE, eye=0.6, view=75.0)),
        (40, 33, 100, 21, 15, dataclasses.replace(STYLE, reach=40)),
        (29, 29, 40, 96, 72, STYLE),
        (13, 13, 30, 64, 64, STYLE),
    ],
)
def test_pictures_are_those_of_the_slow_renderer(rows: int, columns: int, number: int, width: int, height: int, style: Style) -> None:
    """Pixels whose middle lies within rounding of an edge may fall on its other side: single precision here, 1 / 32,768 m on the floor,
    1 / 65,536 m on walls, and colours are cut to whole numbers. That is 1 in 200 pixels at most, and 1 in 20 of a picture."""
    world, camera = scenes(rows, columns, 6, number, seed=rows)
    fast = np.asarray(jax.jit(jax.vmap(partial(render, style=style, width=width, height=height)))(*jax.tree.map(jnp.asarray, (world, camera))))
    wrong = np.empty(number)
    for k in range(number):
        objects = Objects(*(field[k] for field in world.objects))
        x, y = camera.position[k].astype(float)
        slow = slow_renderer.render(world.cells[k], objects, x, y, float(camera.heading[k]), style, width, height)
        wrong[k] = (slow != fast[k]).any(axis=-1).mean()
    print(rows, wrong.mean(), wrong.max(), np.argsort(-wrong)[:5], np.sort(-wrong)[:5])
    assert wrong.mean() < 0.005
    assert wrong.max() < 0.05
