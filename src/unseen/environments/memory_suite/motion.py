"""A round body among solid cells: where there is room for it, and how far a step takes it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

_NEIGHBOURS = np.stack(np.meshgrid((-1, 0, 1), (-1, 0, 1)), axis=-1).reshape(9, 2).astype(np.int32)  # (x, y)


def free(cells: UInt8[Array, "rows columns"], position: Float[Array, "2"], radius: float) -> Bool[Array, ""]:
    """Whether a circle overlaps no solid cell. All that is outside the grid is solid.

    Args:
        cells: 0 is free; cell (row, column) covers x in [column, column + 1) and y in [row, row + 1).
        position: x and y of the middle, metres.
        radius: metres, at most 1.
    """
    corner = jnp.floor(position).astype(jnp.int32)[None] + _NEIGHBOURS
    column, row = corner[:, 0], corner[:, 1]
    inside = (column >= 0) & (column < cells.shape[1]) & (row >= 0) & (row < cells.shape[0])
    solid = ~inside | (cells.at[row, column].get(mode="clip") > 0)
    nearest = jnp.clip(position[None], corner.astype(jnp.float32), (corner + 1).astype(jnp.float32))
    apart = jnp.sum((nearest - position[None]) ** 2, axis=1)
    return ~jnp.any(solid & (apart < radius**2))


def moved(cells: UInt8[Array, "rows columns"], position: Float[Array, "2"], step: Float[Array, "2"], radius: float) -> Float[Array, "2"]:
    """The position after a step: first along x, then along y, each only if there is room, so that walls are slid along.

    Args:
        cells: as for `free`.
        position: where the circle is free, metres.
        step: metres along x and y, each shorter than the radius, so that nothing is passed through.
        radius: metres, at most 1.
    """
    for axis in ((1.0, 0.0), (0.0, 1.0)):
        tried = position + step * np.asarray(axis, np.float32)
        position = jnp.where(free(cells, tried, radius), tried, position)
    return position
