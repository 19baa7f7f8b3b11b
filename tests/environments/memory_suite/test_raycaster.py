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
from unseen.environments.memory_suite.panorama import Landmark
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
    ("rows", "columns", "number", "width", "height", "style", "allowed"),
    [
        (9, 12, 500, 12, 10, STYLE, 0.001),
        (21, 9, 350, 12, 10, dataclasses.replace(STYLE, eye=0.6, view=75.0, reach=4), 0.001),
        (40, 33, 97, 17, 15, dataclasses.replace(STYLE, reach=40), 0.001),  # two words of bits, an odd number of rows
        (7, 8, 3, 30, 300, dataclasses.replace(STYLE, view=12.0), 0.005),  # row numbers beyond a byte
        (29, 29, 20, 96, 72, STYLE, 0.001),
        (13, 14, 30, 64, 64, STYLE, 0.001),
    ],
)
def test_pictures_are_those_of_the_slow_renderer(
    rows: int, columns: int, number: int, width: int, height: int, style: Style, allowed: float
) -> None:
    """1,000 scenes. Pixels whose middle lies within rounding of an edge may fall on its other side: single precision here, 1 / 32,768 m on
    the floor, and on walls 1 / 65,536 m for every half row away from the horizon, which is why more is allowed for 300 rows. Colours are
    cut to whole numbers, so that one step of 256 is no difference."""
    world, camera = scenes(rows, columns, 6, number, seed=rows)
    fast = jax.jit(jax.vmap(partial(render, style=style, width=width, height=height)))(*jax.tree.map(jnp.asarray, (world, camera)))
    fast = np.asarray(fast).astype(int)
    slow = np.empty_like(fast)
    for k in range(number):
        objects = Objects(*(field[k] for field in world.objects))
        x, y = camera.position[k].astype(float)
        slow[k] = slow_renderer.render(world.cells[k], objects, x, y, float(camera.heading[k]), style, width, height)

    def differing(pictures: np.ndarray) -> np.ndarray:
        return (np.abs(slow - pictures).max(axis=-1) > 1).mean(axis=(1, 2))

    assert differing(fast).mean() < allowed
    assert differing(fast).max() < 0.02  # of any picture
    assert differing(fast[:, :, ::-1]).mean() > 0.05  # a mirrored world would be noticed


@pytest.mark.parametrize("distance", [0.8, 1.5, 3.0, 6.0, 11.0])
def test_walls_are_as_tall_as_their_distance_says(distance: float) -> None:
    """A wall of height h at a distance d covers h f / d rows, f = 48 pixels; and a flat wall is as tall everywhere."""
    style = dataclasses.replace(STYLE, materials=(STYLE.materials[0], Material((200, 0, 200), (0, 0, 0), height=0.9)))
    cells = np.zeros((15, 40), np.uint8)
    cells[0] = 1
    picture = look(cells, NOTHING, 20.0, 1 + distance, NORTH, style=style).astype(int)
    wall = picture[..., 0] > picture[..., 1] + 20  # nothing else is purple
    assert abs(wall[:, 48].sum() - min(72, 0.9 * 48 / distance)) <= 1
    assert (wall == wall[:, :1]).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_headings_are_compass_directions(direction: str) -> None:
    """Each wall and each landmark is seen when one looks there, and what is to the right of it on the right."""
    plain = [Material(colour, colour) for colour in (RED, GREEN, BLUE, YELLOW)]
    landmarks = tuple(Landmark("pyramid", 90 * k, 40, 0.6, m.colour, m.colour) for k, m in enumerate(plain))
    style = dataclasses.replace(STYLE, materials=(plain[0], *plain), landmarks=landmarks)
    cells = arena(31)
    cells[0], cells[:, -1], cells[-1], cells[1:-1, 0] = 1, 2, 3, 4
    k = [*DIRECTIONS].index(direction)
    heading = DIRECTIONS[direction][0]
    picture = look(cells, NOTHING, 15.5, 15.5, heading, style=style)
    assert tuple(picture[25, 48]) == plain[k].colour  # the landmark, above the wall
    wall = picture[36, 48].astype(int)
    assert np.argmin([np.abs(wall - m.colour).sum() for m in plain]) == k  # the wall, hazy
    halfway = look(cells, NOTHING, 15.5, 15.5, heading + math.pi / 4, style=style)
    right = plain[(k + 1) % 4].colour
    assert count(halfway[:30, 48:], right) > 20
    assert count(halfway[:30, :48], right) == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_ball_is_seen_where_it_is(direction: str) -> None:
    heading, (east, south) = DIRECTIONS[direction]
    ball = things((7.5 + 3 * east, 7.5 + 3 * south, 0.35, 0.0, 0.7, "ball", RED))
    seen = {name: look(arena(), ball, 7.5, 7.5, towards) for name, (towards, _) in DIRECTIONS.items()}
    assert count(seen.pop(direction)[:, 40:56], RED) > 60
    assert all(count(picture, RED) == 0 for picture in seen.values())
    from_its_left = look(arena(), ball, 7.5, 7.5, heading - 0.4)
    assert count(from_its_left[:, :48], RED) == 0
    assert count(from_its_left[:, 48:], RED) > 60


def test_buildings_hide_what_is_behind_them() -> None:
    ball = things((7.5, 3.5, 0.35, 0.0, 0.7, "ball", RED))
    alone = look(arena(), ball, 7.5, 9.5, NORTH)
    before, behind = arena(), arena()
    before[6, 7], behind[2, 7] = 6, 6
    assert count(alone, RED) > 20
    assert count(look(before, ball, 7.5, 9.5, NORTH), RED) == 0
    assert count(look(behind, ball, 7.5, 9.5, NORTH), RED) == count(alone, RED)


def test_the_nearer_object_hides_the_further() -> None:
    near, far = (7.5, 5.5, 0.3, 0.0, 0.6, "box", GREEN), (7.5, 3.5, 0.3, 0.0, 0.6, "box", RED)
    for order in ((near, far), (far, near)):
        picture = look(arena(), things(*order), 7.5, 8.5, NORTH)
        assert count(picture, RED) == 0
        assert count(picture, GREEN) > 30
    assert count(look(arena(), things(near, far), 7.5, 2.2, SOUTH), RED) > 30


def test_doors_shut_and_open() -> None:
    cells = arena()
    cells[7] = 3
    shut, opened = cells.copy(), cells.copy()
    shut[7, 7], opened[7, 7] = STYLE.materials.index(DOOR), 0
    box = things((7.5, 5.0, 0.3, 0.0, 0.6, "box", GREEN))
    one, other = look(shut, box, 7.5, 9.5, NORTH), look(opened, box, 7.5, 9.5, NORTH)
    assert count(one, GREEN) == 0
    assert count(other, GREEN) > 20
    middle = one[36, 40:56].astype(int)
    assert (np.abs(middle - DOOR.colour).max(axis=1) < 40).mean() > 0.6  # brown, little hazy


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("width", "height"), [(96, 72), (64, 64)])
def test_objects_keep_their_colour_and_shape(shape: str, width: int, height: int) -> None:
    """Half the picture's width across, the object is its mask, and most of it has exactly its colour, near and far."""
    empty = look(arena(), NOTHING, 7.5, 7.5, NORTH, width=width, height=height)
    for distance in (1.0, 2.0, 4.0):
        thing = things((7.5, 7.5 - distance, 0.5, 0.0, 1.0, shape, (194, 0, 136)))
        picture = look(arena(), thing, 7.5, 7.5, NORTH, width=width, height=height)
        changed = (picture != empty).any(axis=-1)
        assert count(picture, (194, 0, 136)) > 0.6 * changed.sum()
        assert changed.sum() > 8
        if distance == 1.0:
            side = width // 2
            top = (height - side) // 2
            mask = outline_mask(shape, side) > 0
            inside = changed[top : top + side, side // 2 : side // 2 + side]
            assert (inside != mask).mean() < 0.02  # slopes may pass through the middles of pixels
            assert changed.sum() == inside.sum()


def test_absent_objects_and_those_behind_are_not_drawn() -> None:
    empty = look(arena(), NOTHING, 7.5, 7.5, NORTH)
    thing = things((7.5, 5.5, 0.5, 0.0, 1.0, "box", RED))
    np.testing.assert_array_equal(look(arena(), thing._replace(present=jnp.zeros(1, bool)), 7.5, 7.5, NORTH), empty)
    np.testing.assert_array_equal(look(arena(), things((7.5, 9.5, 0.5, 0.0, 1.0, "box", RED)), 7.5, 7.5, NORTH), empty)


def test_walls_beyond_reach_are_not_drawn() -> None:
    cells = np.zeros((20, 20), np.uint8)
    cells[2] = 1
    far, near = (dataclasses.replace(STYLE, reach=reach) for reach in (7, 6))
    nothing = look(np.zeros((20, 20), np.uint8), NOTHING, 10.5, 9.5, NORTH, style=far)
    np.testing.assert_array_equal(look(cells, NOTHING, 10.5, 9.5, NORTH, style=near), nothing)
    assert (look(cells, NOTHING, 10.5, 9.5, NORTH, style=far) != nothing).any(axis=-1).mean() > 0.05


def test_one_picture_is_the_same_as_in_a_batch() -> None:
    width, height = 33, 19
    world, camera = jax.tree.map(jnp.asarray, scenes(11, 11, 3, 4, seed=2))
    batch = jax.jit(jax.vmap(partial(render, style=STYLE, width=width, height=height)))(world, camera)
    assert batch.dtype == jnp.uint8
    assert batch.shape == (4, height, width, 3)
    for k in range(4):
        alone = picture_of(*jax.tree.map(lambda x, k=k: x[k], (world, camera)), STYLE, width=width, height=height)
        assert (np.asarray(alone) == np.asarray(batch[k])).all(axis=-1).mean() > 0.995  # single precision may be fused differently


@pytest.mark.parametrize(
    ("change", "message"),
    [({"view": 180}, "view=180"), ({"reach": 0}, "reach=0"), ({"materials": (DOOR,)}, "unused entry 0")],
)
def test_styles_that_cannot_be_drawn_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(STYLE, **change)
