"""What can be known of a land: what was seen of it, where walls are, and where the goal may still be."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from unseen.environments.memory_suite import sight
from unseen.environments.memory_suite.compact_land import FLOOR, GOAL
from unseen.environments.memory_suite.land import REACH, SIZE, LandParams
from unseen.environments.memory_suite.sight import HEADINGS

Map = Bool[Array, "29 29"]
ROWS, COLUMNS = np.meshgrid(np.arange(SIZE, dtype=np.int32), np.arange(SIZE, dtype=np.int32), indexing="ij")


class Sighting(NamedTuple):
    """What is seen at a moment, on the map: cells seen to be free, cells seen to be solid, and where the goal is seen."""

    free: Map
    solid: Map
    goal: Map


class Chart(NamedTuple):
    """What is remembered of a land.

    Attributes:
        free, solid: cells seen to be free, and to be solid or found to be by walking into them.
        possible: cells the goal may be in.
        meant: x and y to which the last action was meant to lead.
        direction: in which it was meant to go: 0 north, 1 east, 2 south, 3 west.
        fresh: whether the episode has only begun.
    """

    free: Map
    solid: Map
    possible: Map
    meant: Float[Array, "2"]
    direction: Int[Array, ""]
    fresh: Bool[Array, ""]


def blank() -> Chart:
    """Nothing known."""
    nowhere = jnp.zeros((SIZE, SIZE), bool)
    return Chart(nowhere, nowhere, ~nowhere, jnp.zeros((2,), jnp.float32), jnp.zeros((), jnp.int32), jnp.asarray(True))


def sighting(words: Int[Array, "32"], row: Int[Array, ""], column: Int[Array, ""]) -> Sighting:
    """The window and the three lines of sight of an observation, laid on the map."""
    heading, window = words[0], words[7:]
    at, nowhere = sight.window(row, column, heading), jnp.zeros((SIZE, SIZE), bool)
    kinds = (window == FLOOR) | (window == GOAL), window > GOAL, window == GOAL
    free, solid, goal = (nowhere.at[at].max(kind, mode="drop") for kind in kinds)
    for k, turn in enumerate((0, 3, 1)):  # ahead, left, right
        steps, looks = words[1 + 2 * k], words[2 + 2 * k]
        down, right = jnp.asarray(HEADINGS).at[(heading + turn) % 4].get(mode="clip")
        away = (ROWS - row) * down + (COLUMNS - column) * right
        on_line = ((ROWS - row) * right == 0) & ((COLUMNS - column) * down == 0) & (away >= 0)
        end = on_line & (away == steps)
        free = free | (on_line & (away < steps)) | (end & (looks == GOAL))
        solid, goal = solid | (end & (looks > GOAL)), goal | (end & (looks == GOAL))
    return Sighting(free, solid, goal)


def within(x: Float[Array, ""], y: Float[Array, ""], metres: float = REACH) -> Map:
    """Cells whose middle is so close to a place."""
    right, down = COLUMNS.astype(np.float32) + 0.5 - x, ROWS.astype(np.float32) + 0.5 - y
    return jnp.asarray(right**2 + down**2 <= metres**2 + 1e-4)


def apart(x: Float[Array, ""], y: Float[Array, ""]) -> Float[Array, "29 29"]:
    """Metres from a place to the nearest point of each cell."""
    left, top = COLUMNS.astype(np.float32), ROWS.astype(np.float32)
    return jnp.hypot(jnp.clip(x, left, left + 1) - x, jnp.clip(y, top, top + 1) - y)


def inside(params: LandParams) -> Map:
    """Cells within the outer walls."""
    last = params.side - jnp.where(params.rooms > 0, 2, 0)
    return jnp.asarray((ROWS >= 1) & (COLUMNS >= 1)) & (last >= ROWS) & (last >= COLUMNS)


def band(params: LandParams) -> Map:
    """Cells that the level may put the goal in, as far as walls allow."""
    return inside(params) & (params.first_row <= ROWS) & (params.last_row >= ROWS)
