"""Shortest ways over cells whose walls are known in part, by the bit floods of `paths`, and what lies straight ahead."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from unseen.environments.memory_suite.paths import neighbours, pack, unpack
from unseen.environments.memory_suite.sight import HEADINGS

APART = 0.25  # metres between the places that `clear` tries


class _Flood(NamedTuple):
    reached: UInt32[Array, " H"]
    past: UInt32[Array, "K H"]  # what was reached one step, two steps, ... K steps earlier
    goes_on: Bool[Array, ""]


def route(
    walls: Bool[Array, "H W"],
    targets: Bool[Array, "H W"],
    row: Int[Array, ""],
    column: Int[Array, ""],
    liking: Int[Array, "4"],
    length: int,
) -> tuple[Int[Array, "length 2"], Bool[Array, ""]]:
    """The beginning of a shortest way to the nearest target.

    Args:
        walls: which cells cannot be entered; at most 32 columns.
        targets: where to; those in walls do not count.
        row, column: where from.
        liking: of steps to the north, east, south and west, from 0 on: of several shortest ways the one is taken whose every step is
            liked best.
        length: how many cells of it are wanted.

    Returns:
        row and column of each cell, the last one again and again once the target is reached; and whether there is a first step: not
        at a target, and not where no target can be reached.
    """
    free = pack(~walls)
    here = pack((jnp.arange(walls.shape[0]) == row)[:, None] & (jnp.arange(walls.shape[1]) == column)[None, :])
    start = pack(targets) & free

    def advance(flood: _Flood) -> _Flood:
        reached = flood.reached | (neighbours(flood.reached) & free)
        arrived = jnp.any((reached & here) != 0)
        past = jnp.concatenate([flood.reached[None], flood.past[:-1]])
        return _Flood(reached, past, ~arrived & jnp.any(reached != flood.reached))

    there = jnp.any((start & here) != 0)
    nothing = jnp.zeros((length, len(start)), jnp.uint32)
    flood = jax.lax.while_loop(lambda flood: flood.goes_on, advance, _Flood(start, nothing, ~there))
    reaches = ~there & jnp.any((flood.reached & here) != 0)

    def follow(at: Int[Array, "2"], reached: UInt32[Array, " H"]) -> tuple[Int[Array, "2"], Int[Array, "2"]]:
        around = at[None] + jnp.asarray(HEADINGS)
        closer = unpack(reached, walls.shape[1]).at[around[:, 0], around[:, 1]].get(mode="fill", fill_value=False)
        best = jnp.argmax(jnp.where(closer, 1 + liking, 0))
        after = jnp.where(jnp.any(closer) & reaches, around[best], at)
        return after, after

    _, cells = jax.lax.scan(follow, jnp.stack([row, column]), flood.past)
    return cells, reaches


def around(cells: Bool[Array, "H W"]) -> Bool[Array, "H W"]:
    """These cells and those next to them."""
    rows = pack(cells)
    return unpack(rows | neighbours(rows), cells.shape[1])


def clear(walls: Bool[Array, "H W"], from_: Float[Array, "2"], to: Float[Array, "2"], margin: float, most: float) -> Bool[Array, ""]:
    """Whether a square of twice the margin can be moved straight from one place (x, y in metres) to another, `most` metres away at most.

    The place itself is not tried: a body that is there fits there.
    """
    way = to - from_
    metres = jnp.linalg.norm(way)
    tried = np.arange(APART, most + APART, APART, dtype=np.float32)
    part = jnp.minimum(tried / jnp.maximum(metres, 1e-3), 1.0)
    corners = margin * np.asarray([(-1, -1), (-1, 1), (1, -1), (1, 1)], np.float32)
    places = jnp.floor((from_[None] + part[:, None] * way[None])[:, None, :] + corners[None]).astype(jnp.int32)
    return ~jnp.any(walls.at[places[..., 1], places[..., 0]].get(mode="clip")) & (metres <= most)
