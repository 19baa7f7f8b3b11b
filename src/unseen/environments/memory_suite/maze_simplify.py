"""What DeepMind Lab takes out of a maze once its regions are joined: dead ends, then horseshoe bends."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from unseen.environments.memory_suite.paths import around, pack, unpack

# The four ways a bend can bulge (down, up, right, left as (rows, columns)), in the order in which the original tries them, and
# for each the way along the bend in which its cells are counted.
BULGE = np.asarray([(1, 0), (-1, 0), (0, 1), (0, -1)], np.int32)
ALONG = np.asarray([(0, -1), (0, 1), (1, 0), (-1, 0)], np.int32)
NONE = np.iinfo(np.int32).max


def simplify(free: Bool[Array, "S S"], joins: Bool[Array, "S S"]) -> Bool[Array, "S S"]:
    """The maze without dead ends and horseshoe bends.

    Args:
        free: (S, S), S <= 32, the border not free; cells of rooms and corridors.
        joins: (S, S); cells that join two regions, none of them free. They stay while this function works, and one is dropped
            at the end if the corridor on its other side is gone.

    Returns: (S, S); the cells that can be walked on.

    Source: DeepMind Lab, `text_maze_generation/algorithm.cc` (RemoveDeadEnds, RemoveAllHorseshoeBends), to the cell, including
    that bends of one cell are straightened only one between two searches for longer ones, so that some are left over.
    """
    free = without_bends(without_dead_ends(free, joins), joins)
    above, below, left, right = around(pack(free))
    return free | (joins & unpack((above & below) | (left & right), free.shape[0]))


def without_dead_ends(free: Bool[Array, "S S"], joins: Bool[Array, "S S"]) -> Bool[Array, "S S"]:
    """Cells that are left when free cells with at most one open neighbour are filled in, again and again; joins are open."""
    held = pack(joins)

    def sweep(state: tuple[UInt32[Array, " S"], Bool[Array, ""]]) -> tuple[UInt32[Array, " S"], Bool[Array, ""]]:
        rows, _ = state
        above, below, left, right = around(rows | held)
        kept = rows & ((above & below) | (left & right) | ((above | below) & (left | right)))
        return kept, jnp.any(kept != rows)

    rows, _ = jax.lax.while_loop(lambda state: state[1], sweep, (pack(free), jnp.bool_(True)))
    return unpack(rows, free.shape[0])


class _Search(NamedTuple):
    """Attributes:

    free: the cells that are free by now.
    shortest: the length of the shortest bends that count in this search, 1 or 2.
    here: cell at which a bend of one cell came to rest; one that starts there goes first. -1: none.
    found: whether the last search found a bend.
    """

    free: Bool[Array, "S S"]
    shortest: Int[Array, ""]
    here: Int[Array, ""]
    found: Bool[Array, ""]


def without_bends(free: Bool[Array, "S S"], joins: Bool[Array, "S S"]) -> Bool[Array, "S S"]:
    """Straighten horseshoe bends: the shortest first, then the first in reading order, each pulled back as far as it goes.

    A bend of length n is n + 2 cells of corridor in a line, whose two ends turn the same way; the n cells between the two arms
    and the n behind them are walls, so that the line can be moved back by a cell.
    """

    def straighten(search: _Search) -> _Search:
        cell, direction, length = _next_bend(search, joins)
        found = cell != NONE
        pulled, here = _pull(search.free, joins, jnp.where(found, cell, 0), direction, length)
        # After a bend of one cell, longer ones have their turn; after a longer one the search begins again with the shortest.
        single = length == 1
        return _Search(jnp.where(found, pulled, search.free), jnp.where(single, 2, 1).astype(jnp.int32), jnp.where(single, here, -1), found)

    initial = _Search(free, jnp.int32(1), jnp.int32(-1), jnp.bool_(True))
    return jax.lax.while_loop(lambda search: search.found, straighten, initial).free


def _next_bend(search: _Search, joins: Bool[Array, "S S"]) -> tuple[Int[Array, ""], Int[Array, ""], Int[Array, ""]]:
    """The bend whose turn it is: the first cell between its arms (`NONE` if there is no bend), its direction, its length.

    All bends are found at once in words of bits. In the four views (rows, rows upwards, columns, columns leftwards) a bend
    bulges towards the next word and lies along the bits; it is marked at its corner with the higher bit.
    """
    side = search.free.shape[0]
    free, walls = _views(search.free), _views(~(search.free | joins))
    bulged = free & _word(walls, 1)
    corners, middles = bulged & _word(free, -1), bulged & _word(walls, -1) & _word(walls, -2)
    low, high = corners & (walls << 1), corners & (walls >> 1)

    row, column = jnp.divmod(search.here, side)
    line, across = jnp.stack([row, side - 1 - row, column, side - 1 - column]), jnp.stack([column, column, row, row])
    at_here = (np.arange(side)[None, :] == line[:, None] + 1) & (search.here >= 0)
    ones = (low << 2) & (middles << 1) & high
    again = jnp.where(at_here, ones & (jnp.uint32(1) << (across + 1).astype(jnp.uint32))[:, None], jnp.uint32(0))

    def longer(carry: tuple[Array, Array, Array], length: Array) -> tuple[tuple[Array, Array, Array], None]:
        run, bends, shortest = carry
        run = (run << 1) & middles
        ends = (run << 1) & high
        first = (shortest == 0) & (length >= search.shortest) & jnp.any(ends != 0)
        return (run, jnp.where(first, ends, bends), jnp.where(first, length, shortest)), None

    sizes = jnp.arange(1, side - 3, dtype=jnp.int32)
    (_, bends, length), _ = jax.lax.scan(longer, (low, jnp.zeros_like(low), jnp.int32(0)), sizes)
    goes_on = jnp.any(again != 0)
    bends, length = jnp.where(goes_on, again, bends), jnp.where(goes_on, 1, length).astype(jnp.int32)

    # The lowest bit of a word comes first in reading order, whether words are rows or columns.
    lowest = jax.lax.population_count((bends & (~bends + 1)) - 1).astype(jnp.int32)
    across = lowest - jnp.stack([jnp.ones_like(length), length, length, jnp.ones_like(length)])[:, None]
    words = np.arange(side, dtype=np.int32) - 1
    line = jnp.asarray(np.stack([words, side - 1 - words, words, side - 1 - words]))
    upright = np.asarray([True, True, False, False])[:, None]
    cell = jnp.where(upright, line * side + across, across * side + line)
    order = jnp.min(jnp.where(bends != 0, cell * 4 + np.arange(4, dtype=np.int32)[:, None], NONE))
    return jnp.where(order == NONE, NONE, order // 4), order % 4, length


def _pull(
    free: Bool[Array, "S S"], joins: Bool[Array, "S S"], cell: Int[Array, ""], direction: Int[Array, ""], length: Int[Array, ""]
) -> tuple[Bool[Array, "S S"], Int[Array, ""]]:
    """Pull a bend back for as long as it stays one; also the first cell between its arms where it came to rest.

    While it stays one in its own direction, no other direction can have a bend at the same place, so nothing is passed over.
    """
    side = free.shape[0]
    bulge, along = jnp.asarray(BULGE)[direction], jnp.asarray(ALONG)[direction]
    rows = np.arange(side, dtype=np.int32)[:, None] - cell // side
    columns = np.arange(side, dtype=np.int32)[None, :] - cell % side
    a = rows * along[0] + columns * along[1]  # 0 to length - 1 between the arms, which are at -1 and length
    b = rows * bulge[0] + columns * bulge[1]  # 1 in the bend, falling towards the open end of the horseshoe
    between, arm, beside = (a >= 0) & (a < length), (a == -1) | (a == length), (a == -2) | (a == length + 1)
    # Pull number j takes the bend from 2 - j to 1 - j. It needs walls at 1 - j and -j between the arms (the first pull's are
    # known), corridor at 1 - j in the arms and walls beside the bend: the least j that any cell forbids.
    open_ = free | joins
    forbidden = jnp.minimum(
        jnp.where(between & open_ & (b < 0), -b, NONE),
        jnp.minimum(jnp.where(arm & ~free & (b <= 0), 1 - b, NONE), jnp.where(beside & open_ & (b <= 1), 2 - b, NONE)),
    )
    pulls = jnp.min(forbidden) - 1
    closed = (between | arm) & (b <= 1) & (b >= 2 - pulls)
    opened = between & (b == 1 - pulls)
    return (free & ~closed) | opened, cell - pulls * (bulge[0] * side + bulge[1])


def _views(grid: Bool[Array, "S S"]) -> UInt32[Array, "4 S"]:
    """The grid in words: rows from the top, rows from the bottom, columns from the left, columns from the right."""
    rows, columns = pack(grid), pack(grid.T)
    return jnp.stack([rows, rows[::-1], columns, columns[::-1]])


def _word(views: UInt32[Array, "4 S"], further: int) -> UInt32[Array, "4 S"]:
    """In every place the word that lies so much further; nothing beyond the ends."""
    after, before = max(further, 0), max(-further, 0)
    return jnp.pad(views, ((0, 0), (before, after)))[:, after : views.shape[1] + after]
