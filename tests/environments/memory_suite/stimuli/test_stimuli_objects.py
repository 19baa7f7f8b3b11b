"""Pictures of objects: against plain Python pixel by pixel, areas in closed form, and how far apart all 2,400 are."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments.memory_suite.stimuli import objects
from unseen.environments.memory_suite.stimuli.catalogue import attributes
from unseen.environments.memory_suite.stimuli.objects import COLOURS, SECOND, compose, picture, shape_masks, texture_masks
from unseen.errors import UserError

WHITE = (255, 255, 255)
SIDES = [20, 33, 45]


def every_picture(side: int) -> np.ndarray:
    return np.stack([picture(number, side) for number in range(1, 2401)])


@pytest.mark.parametrize("side", SIDES)
def test_pictures_are_filled_as_stated_pixel_by_pixel(side: int) -> None:
    shapes, textures = shape_masks(side).tolist(), texture_masks(side).tolist()
    for number in range(7, 2401, 97):
        shape, texture, colour, second = attributes(number)
        expected = [
            [
                (tuple(SECOND[second].tolist()) if textures[texture][r][c] else tuple(COLOURS[colour].tolist()))
                if shapes[shape][r][c]
                else WHITE
                for c in range(side)
            ]
            for r in range(side)
        ]
        np.testing.assert_array_equal(picture(number, side), np.asarray(expected, np.uint8))


@pytest.mark.parametrize("side", SIDES)
def test_any_two_of_the_2400_pictures_differ_in_many_pixels(side: int) -> None:
    """At least 8 in 100 pixels; the smallest differences are 40 of 400, 126 of 1,089 and 214 of 2,025."""
    packed = every_picture(side).reshape(2400, side * side, 3).astype(np.int32) @ np.asarray([65536, 256, 1], np.int32)
    colours = np.unique(packed)
    assert len(colours) == 12  # six, five and white
    same = np.zeros((2400, 2400), np.float32)
    for colour in colours:
        on = (packed == colour).astype(np.float32)
        same += on @ on.T
    assert (np.diag(same) == side * side).all()
    differing = side * side - same
    np.fill_diagonal(differing, side * side)
    assert differing.min() >= 0.08 * side * side


@pytest.mark.parametrize("side", [16, *SIDES])
def test_shapes_are_told_apart(side: int) -> None:
    masks = shape_masks(side)
    assert masks.shape == (10, side, side)
    for one, other in itertools.combinations(masks, 2):
        assert (one ^ other).sum() >= 0.15 * (one | other).sum()


@pytest.mark.parametrize(("side", "least"), [(16, 0.2), (20, 0.3), (33, 0.3), (45, 0.3)])
def test_every_texture_shows_both_colours_in_every_shape_and_no_two_look_alike(side: int, least: float) -> None:
    shapes, textures = shape_masks(side), texture_masks(side)
    assert textures.shape == (8, side, side)
    for shape in shapes:
        for texture in textures:
            assert 0.2 < (shape & texture).sum() / shape.sum() < 0.8
        for one, other in itertools.combinations(textures, 2):
            assert (shape & (one ^ other)).sum() >= least * shape.sum()


def test_a_texture_without_the_second_colour_would_make_two_images_one_picture() -> None:
    shape, nowhere = shape_masks(20)[0], np.zeros((20, 20), bool)
    np.testing.assert_array_equal(compose(shape, nowhere, COLOURS[0], SECOND[0]), compose(shape, nowhere, COLOURS[0], SECOND[1]))


def triangle(base: float, height: float) -> float:
    return base * height / 2


# Areas of outlines in a square of side 2, worked out by hand from the outlines' measures.
AREAS = {
    "disc": math.pi * 0.92**2,
    "square": 1.8**2,
    "triangle": triangle(1.94, 1.75),
    "star": 10 * triangle(1.0, 0.42 * math.sin(math.pi / 5)),
    "cross": 2 * 0.68 * 1.9 - 0.68**2,
    "ring": math.pi * (0.95**2 - 0.5**2),
    "arrow": 0.6 * (0.95 + 0.0) + triangle(1.7, 0.97),
}


@pytest.mark.parametrize("name", AREAS)
def test_areas_are_those_of_the_outlines(name: str) -> None:
    mask = shape_masks(800)[objects.SHAPE_NAMES.index(name)]
    assert 4 * mask.mean() == pytest.approx(AREAS[name], rel=5e-3)


def test_symmetric_things_are_symmetric() -> None:
    masks = dict(zip(objects.SHAPE_NAMES, shape_masks(45), strict=True))
    for name in ("disc", "square", "triangle", "star", "heart", "cross", "ring"):
        np.testing.assert_array_equal(masks[name], masks[name][:, ::-1])
    for name in ("disc", "square", "cross", "ring", "arrow", "crescent", "mug"):
        np.testing.assert_array_equal(masks[name], masks[name][::-1])
    assert (masks["arrow"] != masks["arrow"][:, ::-1]).any()
    assert (masks["heart"] != masks["heart"][::-1]).any()


def lab(colours: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of sRGB under D65."""
    share = colours / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    to_xyz = np.asarray([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def test_colours_are_far_apart_in_colour_and_in_grey() -> None:
    colours = np.concatenate([COLOURS, SECOND, np.asarray([WHITE], np.uint8)]).astype(np.float64)
    assert lab(colours[-1:])[0] == pytest.approx([100, 0, 0], abs=0.1)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab(colours), 2)) > 36
    assert np.diff(np.sort(colours @ [0.299, 0.587, 0.114])).min() >= 13


def test_the_compiled_environment_composes_the_same_pictures() -> None:
    side = 20
    shapes, textures = jnp.asarray(shape_masks(side)), jnp.asarray(texture_masks(side))

    def draw(number: jax.Array) -> jax.Array:
        shape, texture, colour, second = attributes(number)
        return compose(shapes[shape], textures[texture], jnp.asarray(COLOURS)[colour], jnp.asarray(SECOND)[second])

    drawn = jax.jit(jax.vmap(draw))(jnp.arange(1, 2401, dtype=jnp.int32))
    assert drawn.dtype == jnp.uint8
    np.testing.assert_array_equal(drawn, every_picture(side))


@pytest.mark.parametrize("number", [0, 2401, -1, True])
def test_other_ids_are_refused(number: int) -> None:
    with pytest.raises(UserError, match=f"image_id={number} is not allowed; give a whole number from 1 to 2400"):
        picture(number, 20)


@pytest.mark.parametrize("side", [0, 15, 1025])
def test_other_sides_are_refused(side: int) -> None:
    for call in (shape_masks, texture_masks, lambda side: picture(1, side)):
        with pytest.raises(UserError, match=f"side={side} is not allowed; give a whole number from 16 to 1024"):
            call(side)
