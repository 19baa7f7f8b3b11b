"""Where rays from a camera meet the first solid cell of a grid."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

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
    """The first solid cell along each ray: the nearer of those first met behind lines of whole x and behind lines of whole y."""
    (x, y), (ray_x, ray_y) = camera.position, lens.rays(camera)
    behind_x = first_solid(cells.T > 0, x, y, ray_x, ray_y, lens.style.reach)
    behind_y = first_solid(cells > 0, y, x, ray_y, ray_x, lens.style.reach)
    shaded = behind_x.depth < behind_y.depth
    depth = jnp.minimum(behind_x.depth, behind_y.depth)
    depth = jnp.where(depth < jnp.minimum(behind_x.until, behind_y.until), jnp.maximum(depth, NEAR), FAR)
    columns = cells.shape[1]
    cell = jnp.where(shaded, behind_x.q * columns + behind_x.p, behind_y.p * columns + behind_y.q)
    return Walls(depth, cell, jnp.where(shaded, behind_x.along, behind_y.along), shaded)


class Met(NamedTuple):
    """The first solid cell behind lines of whole p: its depth, p and q; where between q and q + 1 the line is met; and the depth until
    which lines were looked at."""

    depth: Float[Array, " W"]
    p: Int[Array, " W"]
    q: Int[Array, " W"]
    along: Float[Array, " W"]
    until: Float[Array, " W"]


def first_solid(
    solid: Bool[Array, "lines size"],
    p: Float[Array, ""],
    q: Float[Array, ""],
    ray_p: Float[Array, " W"],
    ray_q: Float[Array, " W"],
    reach: int,
) -> Met:
    """What rays from (p, q) meet when they cross lines of whole p.

    They cross them at even steps of depth and of q, so that all it takes is to look up bit q of the cells behind each line.
    """
    numbers = jnp.stack(bits_of(solid), axis=1)
    words = numbers.shape[1]
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
    p_found = jnp.where(forth, here + 1 + k, here - 1 - k)
    return Met(depth, p_found, (found & 0xFFFF) - 1, place - jnp.floor(place), (first + reach) * per_line)


def bits_of(solid: Bool[Array, "lines size"]) -> list[UInt32[Array, " lines"]]:
    """Each line as numbers of 32 bits: cell q is bit q + 1, so that bit 0 of the first number stands for what is just outside."""
    size = solid.shape[1]
    bits = jnp.where(solid, (np.uint32(1) << (np.arange(1, size + 1, dtype=np.uint32) % 32))[None], jnp.uint32(0))
    return [jnp.sum(bits[:, max(0, 32 * word - 1) : 32 * word + 31], axis=1, dtype=jnp.uint32) for word in range(size // 32 + 1)]
