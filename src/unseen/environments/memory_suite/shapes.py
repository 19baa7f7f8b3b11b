"""The outlines of objects: one or two upright stretches in every column, so that any size of picture shows them exactly."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, UInt8

from unseen.errors import unknown

SHAPES = ("box", "ball", "cone", "diamond", "cross", "hourglass", "ring", "tee", "arch", "cup", "bow", "ell")


class Outline(NamedTuple):
    """What of a column is filled: heights in [low, high) but not in [gap_low, gap_high), as shares of the object's height."""

    low: Float[Array, " W"]
    high: Float[Array, " W"]
    gap_low: Float[Array, " W"]
    gap_high: Float[Array, " W"]


def outline(shape: Integer[Array, " W"], u: Float[Array, " W"]) -> Outline:
    """Where the columns of objects are filled.

    Args:
        shape: an index into SHAPES for each column.
        u: how far to the right of the object's middle the column is, in half widths, -1 to 1.
    """
    a = jnp.abs(u)
    none, full, half = jnp.zeros_like(a), jnp.ones_like(a), jnp.full_like(a, 0.5)
    round_ = 0.5 * jnp.sqrt(jnp.maximum(1 - a * a, 0))
    hole = 0.5 * jnp.sqrt(jnp.maximum(0.25 - a * a, 0))
    slope = 0.5 * a

    def inside(half_width: float, then: float, otherwise: float) -> Float[Array, " W"]:
        return jnp.where(a < half_width, jnp.float32(then), jnp.float32(otherwise))

    cases = {  # low, high, gap_low, gap_high
        "box": (none, full, half, half),
        "ball": (0.5 - round_, 0.5 + round_, half, half),
        "cone": (none, 1 - a, half, half),
        "diamond": (slope, 1 - slope, half, half),
        "cross": (inside(0.34, 0.0, 0.33), inside(0.34, 1.0, 0.67), half, half),
        "hourglass": (none, full, 0.5 - slope, 0.5 + slope),
        "ring": (0.5 - round_, 0.5 + round_, 0.5 - hole, 0.5 + hole),
        "tee": (inside(0.3, 0.0, 0.68), full, half, half),
        "arch": (none, full, none, inside(0.5, 0.66, 0.0)),
        "cup": (none, full, inside(0.5, 0.34, 1.0), full),
        "bow": (0.5 - slope, 0.5 + slope, half, half),
        "ell": (none, jnp.where(u < -0.25, jnp.float32(1), jnp.float32(0.34)), half, half),
    }
    return Outline(*(jax.lax.select_n(shape.astype(jnp.int32), *(cases[name][k] for name in SHAPES)) for k in range(4)))


def outline_mask(name: str, side: int) -> UInt8[np.ndarray, "{side} {side}"]:
    """An outline as a square mask, 255 where it is filled, top row first.

    Raises:
        UserError: if there is no shape of that name.
    """
    if name not in SHAPES:
        raise unknown("shape", name, SHAPES)
    middles = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)
    shape = jnp.full((side,), SHAPES.index(name), jnp.int32)
    low, high, gap_low, gap_high = (np.asarray(edge)[None] for edge in outline(shape, jnp.asarray(2 * middles - 1)))
    height = 1 - middles[:, None]
    filled = (height >= low) & (height < high) & ~((height >= gap_low) & (height < gap_high))
    return np.where(filled, np.uint8(255), np.uint8(0))
