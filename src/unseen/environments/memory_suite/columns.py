"""Per column: the first and last row of wall, landmark and object, and their colours. All that pixels need to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, UInt8, UInt16

from unseen.environments.memory_suite.gridwalk import FAR, NEAR, Walls
from unseen.environments.memory_suite.materials import SIDE, Colour, grain, mean_colour, packed, pattern_words
from unseen.environments.memory_suite.panorama import ANGLES, skyline
from unseen.environments.memory_suite.scene import Camera, Lens, Objects
from unseen.environments.memory_suite.shapes import outline

HAZE_AT = 60.0  # metres at which walls would be all haze
MOST_HAZE = 0.5
SHADED_SIDE = 0.78  # light on walls that face east or west


class Columns(NamedTuple):
    """All that the pixels of a column need.

    Attributes: a top is the first row painted, rows are how many; colours are packed.

    pattern: bit b is the square b from the floor upwards, repeated; 1 shows the second colour.
    pattern_step: half a pixel's height on the wall, in 1 / 65,536 m modulo 1 m.
    cap_top, land_top: the first rows of the landmark's cap and of what is below it, down to the horizon.
    gap_top, gap_rows: the hole in the object.
    """

    wall_top: Integer[Array, " W"]
    wall_rows: Integer[Array, " W"]
    pattern: UInt16[Array, " W"]
    pattern_step: UInt16[Array, " W"]
    wall_colour: Int[Array, " W"]
    wall_second: Int[Array, " W"]
    cap_top: Integer[Array, " W"]
    land_top: Integer[Array, " W"]
    cap_colour: Int[Array, " W"]
    land_colour: Int[Array, " W"]
    object_top: Integer[Array, " W"]
    object_rows: Integer[Array, " W"]
    gap_top: Integer[Array, " W"]
    gap_rows: Integer[Array, " W"]
    object_colour: Int[Array, " W"]


def wall_columns(cells: UInt8[Array, "rows columns"], walls: Walls, lens: Lens) -> tuple[Array, ...]:
    """The first six fields of Columns."""
    style = lens.style
    depth = walls.depth
    material = look_up(cells.reshape(-1), walls.cell).astype(jnp.int32)
    heights = np.asarray([m.height for m in style.materials], np.float32)
    top = lens.row(look_up(heights, material), depth)
    rows = jnp.where(depth < FAR, lens.row(jnp.zeros_like(depth), depth) - top, 0)
    pattern = look_up(pattern_words(style.materials).reshape(-1), material * SIDE + (walls.along * SIDE).astype(jnp.int32))
    per_row = jnp.minimum(depth, 1e3) / lens.focal
    step = sixteen_bits(jnp.floor(per_row * 2**15))  # not rounded up: the rows at a wall's ends must not show the pattern's next repeat
    haze = jnp.minimum(depth / HAZE_AT, MOST_HAZE)
    light = jnp.where(walls.shaded, jnp.float32(SHADED_SIDE), jnp.float32(1)) * (1 - haze)
    grains = np.asarray([grain(m.pattern) for m in style.materials], np.float32)
    blur = jnp.clip(per_row / look_up(grains, material) - 1, 0, 1)
    means = look_up(packed([mean_colour(m) for m in style.materials]), material)

    def seen(colours: Sequence[Colour]) -> Int[Array, " W"]:
        """Blurred into the mean where a pixel is wider than the pattern's grain, lit, and behind haze."""
        own, result = look_up(packed(colours), material), jnp.zeros_like(material)
        for channel, hazy in zip((0, 8, 16), style.sky[1]):
            value, mean = ((colour >> channel & 255).astype(jnp.float32) for colour in (own, means))
            result |= ((value + blur * (mean - value)) * light + hazy * haze).astype(jnp.int32) << channel
        return result

    return top, rows, pattern, step, seen([m.colour for m in style.materials]), seen([m.second for m in style.materials])


def land_columns(camera: Camera, lens: Lens) -> tuple[Array, ...]:
    """What is at the horizon: the fields of Columns from `cap_top` to `land_colour`."""
    line = skyline(lens.style.landmarks)
    turn = (np.arctan(lens.slopes) / (2 * np.pi)).astype(np.float32)
    angle = jnp.floor((camera.heading / (2 * np.pi) + turn) * ANGLES).astype(jnp.int32) & (ANGLES - 1)
    stretched = lens.focal * np.sqrt(1 + lens.slopes**2)
    top, cap_until = (
        jnp.clip(lens.height / 2 + 0.5 - look_up(height, angle) * stretched, 0, lens.height).astype(lens.row_type)
        for height in (line.height, line.cap_from)
    )
    return top, cap_until, look_up(line.cap_colour, angle), look_up(line.colour, angle)


def object_columns(objects: Objects, camera: Camera, walls: Walls, lens: Lens) -> tuple[Array, ...]:
    """The nearest object of each column: the last five fields of Columns."""
    there = objects.position - camera.position[None]
    sine, cosine = jnp.sin(camera.heading), jnp.cos(camera.heading)
    ahead = there[:, 0] * sine - there[:, 1] * cosine
    right = there[:, 0] * cosine + there[:, 1] * sine
    ahead = jnp.where(objects.present & (ahead > NEAR), ahead, 2 * FAR)

    def nearer(n: Int[Array, ""], best: tuple[Float[Array, " W"], Int[Array, " W"]]) -> tuple[Float[Array, " W"], Int[Array, " W"]]:
        depth, index = best
        chosen = (jnp.abs(lens.slopes * ahead[n] - right[n]) < objects.radius[n]) & (ahead[n] < depth)
        return jnp.where(chosen, ahead[n], depth), jnp.where(chosen, n, index)

    none = jnp.full(walls.depth.shape, -1, jnp.int32)
    depth, index = jax.lax.fori_loop(0, len(objects.radius), nearer, (walls.depth, none))

    bottom, tall = look_up(objects.bottom, index), look_up(objects.top - objects.bottom, index)
    u = (lens.slopes * depth - look_up(right, index)) * look_up(1 / objects.radius, index)
    form = outline(look_up(objects.shape, index), u)
    ends = [lens.row(bottom + share * tall, depth) for share in form]
    colours = jnp.sum(objects.colour.astype(jnp.int32) << np.asarray([[0, 8, 16]], np.int32), axis=1, dtype=jnp.int32)
    colour = look_up(colours, index)
    darker = (colour >> 1 & 0x7F7F7F) + (colour >> 2 & 0x3F3F3F)
    rows = jnp.where(index >= 0, ends[0] - ends[1], 0)
    return ends[1], rows, ends[3], ends[2] - ends[3], jnp.where(u > 0.6, darker, colour)


def sixteen_bits(value: Float[Array, " K"]) -> UInt16[Array, " K"]:
    """Rounded, modulo 65,536."""
    return jnp.rint(value).astype(jnp.int32).astype(jnp.uint16)


def look_up(table: Array | np.ndarray, index: Int[Array, " W"]) -> Array:
    return jnp.asarray(table).at[index].get(mode="clip")
