"""First-person pictures of a grid of walls with objects in it: everything is worked out per column, then painted in one pass.

A column knows the nearest wall, the nearest object before it and the landmark behind; its pixels only compare row numbers.
Only the nearest wall and the nearest object of a column are drawn: what stands behind an object is hidden by its whole
rectangle's width in that column, holes and all, and what is lower than the nearest wall must not stand behind it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, UInt8, UInt16

from unseen.environments.memory_suite.columns import Columns, land_columns, object_columns, sixteen_bits, wall_columns
from unseen.environments.memory_suite.gridwalk import nearest_walls
from unseen.environments.memory_suite.materials import Material, packed
from unseen.environments.memory_suite.scene import Camera, Lens, Objects, Style, World
from unseen.environments.memory_suite.shapes import SHAPES, outline_mask

__all__ = ["SHAPES", "Camera", "Material", "Objects", "Style", "World", "outline_mask", "render"]

CHECKS_FROM, CHECKS_TO = 6.0, 20.0  # metres between which the floor's squares fade, being smaller than pixels beyond

T = TypeVar("T")


def render(world: World, camera: Camera, style: Style, *, width: int = 96, height: int = 72) -> UInt8[Array, "{height} {width} 3"]:
    """The picture that a camera takes.

    Args:
        world: walls and objects.
        camera: must not be inside a solid cell.
        style: static under jit.
        width, height: pixels, which are square.

    Returns:
        red, green and blue, shape (height, width, 3).
    """
    lens = Lens(style, width, height)
    walls = settled(nearest_walls(world.cells, camera, lens))
    columns = (*wall_columns(world.cells, walls, lens), *land_columns(camera, lens), *object_columns(world.objects, camera, walls, lens))
    columns, floor = settled((Columns(*columns), floor_rows(camera, lens)))
    return paint(columns, floor, lens)


def settled(tree: T) -> T:
    """The same values. XLA would otherwise work out every column anew for each of its pixels; what a loop returns stays in memory."""
    return jax.lax.fori_loop(0, 2, lambda _, __: tree, jax.tree.map(jnp.zeros_like, tree))


class Floor(NamedTuple):
    """Where each row meets the floor in its middle, and how far it goes on with half a pixel, in 1 / 32,768 m modulo 2 m."""

    x: UInt16[Array, " H"]
    y: UInt16[Array, " H"]
    x_step: UInt16[Array, " H"]
    y_step: UInt16[Array, " H"]


def floor_rows(camera: Camera, lens: Lens) -> Floor:
    """Where the rows below the horizon meet the floor. A row is at one depth, so that its points are evenly spaced."""
    sine, cosine = jnp.sin(camera.heading), jnp.cos(camera.heading)
    depth = jnp.asarray(floor_depths(lens))
    x = camera.position[0] + depth * sine
    y = camera.position[1] - depth * cosine
    half_pixel = depth / (2 * lens.focal)
    return Floor(*(sixteen_bits(value * 2**15) for value in (x, y, half_pixel * cosine, half_pixel * sine)))


def floor_depths(lens: Lens) -> Float[np.ndarray, " H"]:
    """Metres ahead at which each row meets the floor; 0 above the horizon."""
    below = np.arange(lens.height) + 0.5 - lens.height / 2
    return np.where(below > 0, np.minimum(lens.style.eye * lens.focal / np.maximum(below, 1e-6), 100), 0).astype(np.float32)


def paint(columns: Columns, floor: Floor, lens: Lens) -> UInt8[Array, "{lens.height} {lens.width} 3"]:
    """Every pixel: sky, landmark, floor, wall, object, each over the one before."""
    height, width = shape = lens.height, lens.width
    row = jnp.arange(height, dtype=lens.row_type)[:, None]

    def within(top: Integer[Array, " W"], rows: Integer[Array, " W"]) -> Bool[Array, "H W"]:
        return row - every(top) < every(rows)  # unsigned: what is above the top wraps around to large numbers

    def every(x: Array) -> Array:
        """The same for every row."""
        return jnp.broadcast_to(x[None], shape)

    def across(x: Array | np.ndarray) -> Array:
        """The same for every column."""
        return jnp.broadcast_to(jnp.asarray(x)[:, None], shape)

    column = (2 * np.arange(width) + 1 - width).astype(np.uint16)[None]
    odd = ((across(floor.x) + across(floor.x_step) * column) ^ (across(floor.y) + across(floor.y_step) * column)) >> 15 != 0
    first, second, sky = backdrop(lens)
    ground = jnp.where(odd, across(second), across(first))
    above = jnp.where(
        row >= every(columns.land_top),
        every(columns.land_colour),
        jnp.where(row >= every(columns.cap_top), every(columns.cap_colour), across(sky)),
    )
    picture = jnp.where(across(np.arange(height) >= height / 2), ground, above)
    eye, up = np.uint16(lens.style.eye % 1 * 2**16), jnp.asarray((height - 1 - 2 * np.arange(height)).astype(np.uint16))
    square = (eye + across(up) * every(columns.pattern_step)) >> (16 - 4)
    drawn = (every(columns.pattern) >> square & 1) != 0
    picture = jnp.where(
        within(columns.wall_top, columns.wall_rows), jnp.where(drawn, every(columns.wall_second), every(columns.wall_colour)), picture
    )
    shown = within(columns.object_top, columns.object_rows) & ~within(columns.gap_top, columns.gap_rows)
    picture = jnp.where(shown, every(columns.object_colour), picture)
    return (picture[:, :, None] >> np.asarray([[[0, 8, 16]]], np.int32) & 255).astype(jnp.uint8)


def backdrop(lens: Lens) -> tuple[Int[np.ndarray, " H"], Int[np.ndarray, " H"], Int[np.ndarray, " H"]]:
    """Packed colours of each row: the floor's two, fading into each other with distance, and the sky."""
    style, depth = lens.style, floor_depths(lens)[:, None]
    first, second, top, horizon = (np.asarray(c, float) for c in (*style.floor, *style.sky))
    fading = np.clip((depth - CHECKS_FROM) / (CHECKS_TO - CHECKS_FROM), 0, 1)
    mean = (first + second) / 2
    up = np.clip((np.arange(lens.height)[:, None] + 0.5) / (lens.height / 2), 0, 1)
    rows = first + fading * (mean - first), second + fading * (mean - second), top + up * (horizon - top)
    first, second, sky = (packed(r.astype(np.int32)) for r in rows)
    return first, second, sky
