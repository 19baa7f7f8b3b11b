"""Shortest ways over cells whose walls are known in part, by the floods of `paths`."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

from unseen.environments.memory_suite.land import HEADINGS
from unseen.environments.memory_suite.paths import neighbours, pack, unpack


class _Flood(NamedTuple):
    reached: UInt32[Array, " H"]
    before: UInt32[Array, " H"]  # what was reached a step earlier
    goes_on: Bool[Array, ""]


def ways(walls: Bool[Array, "H W"], targets: Bool[Array, "H W"], row: Int[Array, ""], column: Int[Array, ""]) -> Bool[Array, "4"]:
    """Which steps to the north, east, south and west begin a shortest way to the nearest target; none at a target or where none is reached.

    Args:
        walls: which cells cannot be entered; at most 32 columns.
        targets: where to; those in walls do not count.
        row, column: where from.
    """
    free = pack(~walls)
    here = pack((jnp.arange(walls.shape[0]) == row)[:, None] & (jnp.arange(walls.shape[1]) == column)[None, :])
    start = pack(targets) & free

    def advance(flood: _Flood) -> _Flood:
        reached = flood.reached | (neighbours(flood.reached) & free)
        arrived = jnp.any((reached & here) != 0)
        return _Flood(reached, flood.reached, ~arrived & jnp.any(reached != flood.reached))

    there = jnp.any((start & here) != 0)
    flood = jax.lax.while_loop(lambda flood: flood.goes_on, advance, _Flood(start, jnp.zeros_like(start), ~there))
    around = jnp.stack([row, column])[None] + jnp.asarray(HEADINGS)
    closer = unpack(flood.before, walls.shape[1]).at[around[:, 0], around[:, 1]].get(mode="fill", fill_value=False)
    return closer & jnp.any((flood.reached & here) != 0)


def around(cells: Bool[Array, "H W"]) -> Bool[Array, "H W"]:
    """These cells and those next to them."""
    rows = pack(cells)
    return unpack(rows | neighbours(rows), cells.shape[1])
