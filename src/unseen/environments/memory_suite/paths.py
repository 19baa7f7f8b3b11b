"""Shortest paths in a grid of walls: a flood whose rows are words of bits, one bit a cell."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int32, UInt32

from unseen.errors import UserError

WIDEST = 32  # columns: the bits of a word
FAR = 1 << 20  # the distance of a cell that cannot be reached; more than any grid has cells, and small enough to add to


class _Flood(NamedTuple):
    """Attributes:

    step: how many steps the flood has taken.
    front: the cells reached in exactly `step` steps.
    dry: free cells not reached yet.
    binary: the distances so far, written in binary: plane k has a bit where the distance has a 2^k.
    """

    step: Int[Array, ""]
    front: UInt32[Array, " H"]
    dry: UInt32[Array, " H"]
    binary: UInt32[Array, "K H"]


def distances(walls: Bool[Array, "H W"], goal_cell: Int[Array, ""]) -> Int32[Array, "H W"]:
    """How many steps up, down, left or right every cell is away from the goal.

    Args:
        walls: (H, W), at most 32 columns; which cells cannot be entered.
        goal_cell: row * W + column.

    Returns: (H, W), in steps; 0 at the goal; `FAR` in walls and in cells from which the goal cannot be reached (everywhere if
    the goal is a wall).

    Raises: UserError if the grid has more than 32 columns.
    """
    height, width = walls.shape
    planes = np.arange((height * width).bit_length(), dtype=np.int32)
    free = pack(~walls)
    start = free & pack((jnp.arange(height * width) == goal_cell).reshape(height, width))

    def advance(flood: _Flood) -> _Flood:
        step = flood.step + 1
        front = neighbours(flood.front) & flood.dry
        # The bits of the step, each stretched over a whole word: what the cells of the front write down as their distance.
        digits = (0 - ((step >> planes) & 1)).astype(jnp.uint32)
        return _Flood(step, front, flood.dry & ~front, flood.binary | (digits[:, None] & front[None, :]))

    initial = _Flood(jnp.int32(0), start, free & ~start, jnp.zeros((len(planes), height), jnp.uint32))
    flood = jax.lax.while_loop(lambda flood: jnp.any(flood.front != 0), advance, initial)
    steps = jnp.sum(jax.vmap(lambda plane: unpack(plane, width))(flood.binary).astype(jnp.int32) << planes[:, None, None], axis=0)
    return jnp.where(unpack(free & ~flood.dry, width), steps, jnp.int32(FAR))


def pack(grid: Bool[Array, "H W"]) -> UInt32[Array, " H"]:
    """A word for every row: bit c is column c.

    Raises: UserError if the grid has more than 32 columns.
    """
    if grid.shape[1] > WIDEST:
        raise UserError(f"paths: a grid of {grid.shape[1]} columns is not allowed; give one of at most {WIDEST}, or turn it on its side")
    bits = np.arange(grid.shape[1], dtype=np.uint32)
    return jnp.sum(grid.astype(jnp.uint32) << bits[None, :], axis=1, dtype=jnp.uint32)


def unpack(rows: UInt32[Array, " H"], width: int) -> Bool[Array, "H W"]:
    """The grid whose rows these words are."""
    return (rows[:, None] >> np.arange(width, dtype=np.uint32)[None, :]) & 1 != 0


def around(rows: UInt32[Array, " H"]) -> tuple[UInt32[Array, " H"], UInt32[Array, " H"], UInt32[Array, " H"], UInt32[Array, " H"]]:
    """Which cells have a marked cell above, below, to the left and to the right of them.

    A narrow grid's last column is to the left of bits that are no cells: mask the words, or unpack them, which forgets those.
    """
    above = jnp.pad(rows[:-1], (1, 0))
    below = jnp.pad(rows[1:], (0, 1))
    return above, below, rows << 1, rows >> 1


def neighbours(rows: UInt32[Array, " H"]) -> UInt32[Array, " H"]:
    """Cells next to a marked cell: up, down, left or right of it."""
    above, below, left, right = around(rows)
    return above | below | left | right
