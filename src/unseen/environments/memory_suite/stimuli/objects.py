"""Pictures of the 2,400 procedural images: a silhouette, filled with two colours by a texture, on white."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from unseen.environments import options
from unseen.environments.memory_suite.stimuli import catalogue

# Chosen so that any two of the eleven, and white, are far apart (CIE 1976 distance above 36) and 13 or more grey levels apart.
COLOUR_NAMES = ("red", "green", "blue", "yellow", "purple", "cyan")
COLOURS = np.asarray([(225, 25, 30), (0, 165, 40), (20, 62, 230), (255, 238, 30), (170, 75, 210), (60, 220, 240)], np.uint8)
SECOND_NAMES = ("black", "brown", "orange", "pink", "grey")
SECOND = np.asarray([(15, 15, 15), (90, 45, 10), (255, 140, 20), (255, 172, 200), (140, 140, 140)], np.uint8)
WHITE = 255
SMALLEST, LARGEST = 16, 1024  # pixels of a side

Plane = Float[np.ndarray, "side side"]
Mask = Bool[np.ndarray, "side side"]
Points = list[tuple[float, float]]


def picture(image_id: int, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The picture of one id.

    Args:
        image_id: 1 to 2400, see `catalogue.attributes`.
        side: of the picture, 16 to 1024 pixels.

    Raises:
        UserError: an id or a side that is not allowed.
    """
    options.require_integer("objects", "image_id", image_id, 1, catalogue.IMAGES)
    shapes, textures = _masks(side)
    shape, texture, colour, second = catalogue.attributes(image_id)
    return compose(shapes[shape], textures[texture], COLOURS[colour], SECOND[second])


def compose(
    shape_mask: Bool[Any, "side side"], texture_mask: Bool[Any, "side side"], colour: UInt8[Any, "3"], second: UInt8[Any, "3"]
) -> UInt8[Any, "side side 3"]:
    """White outside the shape; inside it `second` where the texture is on, else `colour`. All of NumPy, or all of JAX."""
    xp: Any = shape_mask.__array_namespace__()
    filled = xp.where(texture_mask[:, :, None], second[None, None, :], colour[None, None, :])
    return xp.where(shape_mask[:, :, None], filled, xp.full((1, 1, 3), WHITE, dtype=filled.dtype))


def shape_masks(side: int) -> Bool[np.ndarray, "10 side side"]:
    """Silhouettes, in the order of `SHAPE_NAMES`; `side` is 16 to 1024 pixels, else UserError."""
    x, y = _coordinates(side)
    return np.stack([inside(x, y) for inside in _SHAPES.values()])


def texture_masks(side: int) -> Bool[np.ndarray, "8 side side"]:
    """Where the second colour goes, in the order of `TEXTURE_NAMES`; `side` is 16 to 1024 pixels, else UserError.

    Every texture is partly on and partly off in every shape: otherwise two images would be one picture.
    """
    x, y = _coordinates(side)
    return np.stack([on(x, y) for on in _TEXTURES.values()])


@functools.cache
def _masks(side: int) -> tuple[Bool[np.ndarray, "10 side side"], Bool[np.ndarray, "8 side side"]]:
    return shape_masks(side), texture_masks(side)


def _coordinates(side: int) -> tuple[Plane, Plane]:
    """Right and down, -1 to 1, of the middles of the pixels."""
    options.require_integer("objects", "side", side, SMALLEST, LARGEST)
    line = (2.0 * np.arange(side) + 1.0) / side - 1.0
    return np.broadcast_to(line[None, :], (side, side)), np.broadcast_to(line[:, None], (side, side))


def _disc(x: Plane, y: Plane, radius: float, right: float = 0.0, down: float = 0.0) -> Mask:
    return (x - right) ** 2 + (y - down) ** 2 < radius**2


def _box(x: Plane, y: Plane, left: float, right: float, top: float, bottom: float) -> Mask:
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def _polygon(x: Plane, y: Plane, corners: Points) -> Mask:
    """Inside, where a ray to the right crosses the outline an odd number of times."""
    inside = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _star(x: Plane, y: Plane) -> Mask:
    turns = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    return _polygon(x, y, [(float(r * np.sin(a)), float(0.06 - r * np.cos(a))) for r, a in zip(reach, turns, strict=True)])


def _heart(x: Plane, y: Plane) -> Mask:
    lobes = _disc(x, y, 0.5, -0.45, -0.38) | _disc(x, y, 0.5, 0.45, -0.38)
    return lobes | _polygon(x, y, [(-0.88, -0.15), (0.0, 0.95), (0.88, -0.15), (0.0, -0.5)])


def _mug(x: Plane, y: Plane) -> Mask:
    handle = _disc(x, y, 0.58, 0.37) & ~_disc(x, y, 0.31, 0.37)
    return _box(x, y, -0.92, 0.3, -0.8, 0.8) | (handle & (x > 0.25))


_SHAPES: dict[str, Callable[[Plane, Plane], Mask]] = {
    "disc": lambda x, y: _disc(x, y, 0.92),
    "square": lambda x, y: _box(x, y, -0.9, 0.9, -0.9, 0.9),
    "triangle": lambda x, y: _polygon(x, y, [(0.0, -0.95), (0.97, 0.8), (-0.97, 0.8)]),
    "star": _star,
    "heart": _heart,
    "cross": lambda x, y: _box(x, y, -0.34, 0.34, -0.95, 0.95) | _box(x, y, -0.95, 0.95, -0.34, 0.34),
    "crescent": lambda x, y: _disc(x, y, 0.95) & ~_disc(x, y, 0.78, 0.45),
    "ring": lambda x, y: _disc(x, y, 0.95) & ~_disc(x, y, 0.5),
    "arrow": lambda x, y: _box(x, y, -0.95, 0.1, -0.3, 0.3) | _polygon(x, y, [(0.0, -0.85), (0.97, 0.0), (0.0, 0.85)]),
    "mug": _mug,
}
SHAPE_NAMES = tuple(_SHAPES)

_TEXTURES: dict[str, Callable[[Plane, Plane], Mask]] = {
    "half": lambda x, y: y > 0.0,
    "horizontal stripes": lambda x, y: (y / 0.48 + 0.25) % 1.0 < 0.5,
    "vertical stripes": lambda x, y: (x / 0.48) % 1.0 < 0.5,
    "diagonal stripes": lambda x, y: ((x + y) / 0.68) % 1.0 < 0.5,
    "dots": lambda x, y: ((x / 0.5) % 1.0 - 0.5) ** 2 + ((y / 0.5) % 1.0 - 0.5) ** 2 < 0.36**2,
    "checks": lambda x, y: (np.floor(x / 0.4) + np.floor(y / 0.4)) % 2 == 0,
    "rings": lambda x, y: (np.hypot(x, y) / 0.46) % 1.0 < 0.5,
    "sectors": lambda x, y: (np.arctan2(y, x) / (np.pi / 4)) % 2.0 < 1.0,
}
TEXTURE_NAMES = tuple(_TEXTURES)
