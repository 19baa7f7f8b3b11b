"""What is seen of a grid from a cell: a small window ahead, and how far it is to what stands ahead, to the left and to the right."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from unseen.environments.memory_suite import paths

AHEAD, ASIDE = 4, 2  # cells of the window in front of the agent, and to each side
WINDOW = (AHEAD + 1, 2 * ASIDE + 1)
CELLS = WINDOW[0] * WINDOW[1]
STANDS = CELLS - 1 - ASIDE  # the agent's own cell: the middle of the last row
HEADINGS = np.asarray([(-1, 0), (0, 1), (1, 0), (0, -1)], np.int32)  # north, east, south, west: (down, right)


def _between() -> np.ndarray:
    """int32 (cells,): for each cell of the window the set, as bits, of those strictly between it and the agent."""
    sets = np.zeros(CELLS, np.int32)
    for cell in range(CELLS):
        up, right = AHEAD - cell // WINDOW[1], cell % WINDOW[1] - ASIDE
        steps = max(abs(up), abs(right))
        for k in range(1, steps):
            # A line that passes exactly between two cells is held up only by the one nearer to the column of the agent.
            over, aside = round(up * k / steps), int(np.sign(right) * np.floor(abs(right) * k / steps + 0.499))
            sets[cell] |= 1 << ((AHEAD - over) * WINDOW[1] + aside + ASIDE)
    return sets


BETWEEN = _between()


def window(row: Int[Array, ""], column: Int[Array, ""], heading: Int[Array, ""]) -> tuple[Int[Array, "25"], Int[Array, "25"]]:
    """Rows and columns of the window's cells, row by row from the furthest, left to right as the agent sees them."""
    up, right = (AHEAD - np.arange(CELLS) // WINDOW[1]).astype(np.int32), (np.arange(CELLS) % WINDOW[1] - ASIDE).astype(np.int32)
    front = jnp.asarray(HEADINGS).at[heading].get(mode="clip")
    side = jnp.asarray(HEADINGS).at[(heading + 1) % 4].get(mode="clip")
    return row + up * front[0] + right * side[0], column + up * front[1] + right * side[1]


def visible(solid: Bool[Array, "25"]) -> Bool[Array, "25"]:
    """Which cells of the window are seen: those with nothing solid strictly between them and the agent."""
    bits = jnp.sum(jnp.where(solid, jnp.asarray(1 << np.arange(CELLS), jnp.int32), 0))
    return (bits & jnp.asarray(BETWEEN)) == 0


def lines(solid: Bool[Array, "h w"]) -> tuple[UInt32[Array, "h"], UInt32[Array, "w"]]:
    """Every row, and every column, as one number whose bits say where it is solid (at most 32 of them)."""
    return paths.pack(solid), paths.pack(solid.T)


def steps_ahead(
    rows: UInt32[Array, "h"], columns: UInt32[Array, "w"], row: Int[Array, ""], column: Int[Array, ""], heading: Int[Array, ""]
) -> Int[Array, ""]:
    """Steps from a free cell to the first solid one in a direction (1: the next cell); something solid must stand there.

    Args:
        rows, columns: of `lines`.
        row, column, heading: where from, and which way (0 north, 1 east, 2 south, 3 west).
    """
    along_row = heading % 2 == 1
    line = jnp.where(along_row, rows.at[row].get(mode="clip"), columns.at[column].get(mode="clip"))
    at = jnp.where(along_row, column, row)
    one = jnp.ones((), jnp.uint32)
    after = jax.lax.shift_right_logical(line, (at + 1).astype(jnp.uint32))
    to_next = jax.lax.population_count((after & (~after + one)) - one).astype(jnp.int32) + 1  # trailing zeros
    before = line & (jax.lax.shift_left(one, at.astype(jnp.uint32)) - one)
    to_last = at - (31 - jax.lax.clz(before).astype(jnp.int32))
    return jnp.where((heading == 1) | (heading == 2), to_next, to_last)
