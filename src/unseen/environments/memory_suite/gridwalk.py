"""Where rays from a camera meet the first solid cell of a grid."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from unseen.environments.memory_suite.scene import Camera, Lens

NEAR = 0.05  # metres; nothing nearer is drawn
FAR = 1e6  # the depth of a column without a wall


class Walls(NamedTuple):
    """The nearest wall of each column: its depth, its flat cell, where on the cell's side the ray meets it (0 to 1) and whether
    that side faces east or west."""

    depth: Float[Array, " W"]
    cell: Int[Array, " W"]
    along: Float[Array, " W"]
    shaded: Bool[Array, " W"]


def nearest_walls(cells: UInt8[Array, "rows columns"], camera: Camera, lens: Lens) -> Walls:
    """The first solid cell along each ray: the nearer of the first among the grid's lines x = 1, 2, … and among y = 1, 2, …"""
    (x, y), (ray_x, ray_y) = camera.position, lens.rays(camera)
    depth_x, far_x, row, met_y = first_solid(cells.T > 0, x, y, ray_x, ray_y, lens.style.reach)
    depth_y, far_y, column, met_x = first_solid(cells > 0, y, x, ray_y, ray_x, lens.style.reach)
    shaded = depth_x < depth_y
    cell = jnp.where(shaded, row * cells.shape[1] + far_x, far_y * cells.shape[1] + column)
    return Walls(jnp.maximum(jnp.minimum(depth_x, depth_y), NEAR), cell, jnp.where(shaded, met_y, met_x), shaded)


def first_solid(
    solid: Bool[Array, "lines size"],
    p: Float[Array, ""],
    q: Float[Array, ""],
    ray_p: Float[Array, " W"],
    ray_q: Float[Array, " W"],
    reach: int,
) -> tuple[Float[Array, " W"], Int[Array, " W"], Int[Array, " W"], Float[Array, " W"]]:
    """Along the lines p = 1, 2, …: the depth, the cell's p and q, and where between q and q + 1 the line is met.

    A ray crosses these lines at even steps, so that all it takes is to look up bit q of the cells behind each line.
    """
    lines, size = solid.shape
    words = size // 32 + 1  # cell q is bit q + 1, so that bit 0 of the first word catches what is just outside
    bits = jnp.pad(solid, ((0, 0), (1, 32 * words - size - 1))).reshape(lines, words, 32)
    numbers = jnp.sum(
        jnp.where(bits, (np.uint32(1) << np.arange(32, dtype=np.uint32))[None, None], jnp.uint32(0)), axis=2, dtype=jnp.uint32
    )
    numbers = jnp.pad(numbers, ((reach, reach), (0, 0)))
    floor = jnp.floor(p)
    here = floor.astype(jnp.int32)
    onward = jax.lax.dynamic_slice_in_dim(numbers, here + 1 + reach, reach)
    backward = jax.lax.dynamic_slice_in_dim(numbers, here, reach)[::-1]

    forth = ray_p > 0
    per_line = 1 / jnp.maximum(jnp.abs(ray_p), 1e-5)
    first = jnp.where(forth, floor + 1 - p, p - floor)
    step = ray_q * per_line
    met = q + first * step + 1

    def look(i: Int[Array, ""], found: Int[Array, " W"]) -> Int[Array, " W"]:
        k = reach - 1 - i
        bit = (met + k.astype(jnp.float32) * step).astype(jnp.int32)
        filled = jnp.zeros_like(forth)
        for word in range(words):
            line = jnp.where(forth, onward[k, word], backward[k, word])
            filled |= (jax.lax.shift_right_logical(line, (bit - 32 * word).astype(jnp.uint32)) & 1) != 0  # shifted by 32 or more: 0
        return jnp.where(filled, bit + (k << 16), found)

    found = jax.lax.fori_loop(0, reach, look, jnp.full(forth.shape, -1, jnp.int32), unroll=4)
    k = found >> 16
    depth = jnp.where(found >= 0, (first + k.astype(jnp.float32)) * per_line, FAR)
    place = q + depth * ray_q
    return depth, jnp.where(forth, here + 1 + k, here - 1 - k), (found & 0xFFFF) - 1, place - jnp.floor(place)
