"""Arenas: a square with a different wall on each side, and buildings that hide what is behind them (*proposed*, §3.9-3.11)."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from unseen.environments.memory_suite import land, paths
from unseen.environments.memory_suite.land import ARENA_WALLS, BUILDINGS, SIZE, Extent, Land, LandParams

MOST_BUILDINGS = 20
LONGEST = 3  # metres of a building's side
TRIES = 64  # places tried for each building
CLEAR = 1.5  # metres between the goal and the nearest building


def _extent(side: int, buildings: int) -> Extent:
    """The goal lies in the upper half in training, in the lower half when held out; the row in the middle belongs to neither."""
    half = side // 2
    return Extent(side, (2, 1 + half), (2 + side - half, 1 + side), buildings)


def extents(with_buildings: bool) -> Mapping[str, Extent]:
    """The level table: sides and numbers of buildings are those of the released maze task, borrowed (*proposed*)."""
    table = {"small": (11, 5), "large": (21, 15), "interpolate": (15, 10), "extrapolate": (27, 20)}
    return {scale: _extent(side, buildings if with_buildings else 0) for scale, (side, buildings) in table.items()}


def draw(key: PRNGKeyArray, params: LandParams, *, with_buildings: bool) -> Land:
    """A goal, buildings around it, and where each visit starts: uniform over free cells out of the goal's reach."""
    k_goal, k_buildings, k_settle = jax.random.split(key, 3)
    cells = walls(params.side)
    rows = jnp.arange(SIZE, dtype=jnp.int32)[:, None]
    band = (cells == 0) & (rows >= params.first_row) & (rows <= params.last_row)
    if with_buildings:  # around a first goal, so that there is a place for one
        cells = built(k_buildings, cells, land.chosen_cells(k_goal, band, 1)[0], params)
    # Buildings keep a cell between each other and to the walls, so every free cell can be reached from every other.
    return land.settled(k_settle, cells, paths.pack(band & ~close_to_a_building(cells)), paths.pack(cells == 0))


def close_to_a_building(cells: UInt8[Array, "29 29"]) -> Bool[Array, "29 29"]:
    """Cells whose middle is less than CLEAR metres from a building: those it stands on and the eight around each of them."""
    around = jnp.pad(cells >= BUILDINGS[0], 1)
    near = around[:-2] | around[1:-1] | around[2:]
    return near[:, :-2] | near[:, 1:-1] | near[:, 2:]


def walls(side: Int[Array, ""]) -> UInt8[Array, "29 29"]:
    """The four walls, and nothing but wall outside."""
    row, column = (jnp.arange(SIZE, dtype=jnp.int32)[axis] for axis in ((slice(None), None), (None, slice(None))))
    north, south, west, east = row < 1, row > side, column < 1, column > side
    cells = jnp.where(north, ARENA_WALLS[0], jnp.where(south, ARENA_WALLS[2], jnp.where(east, ARENA_WALLS[1], ARENA_WALLS[3])))
    return jnp.where(north | south | west | east, cells, 0).astype(jnp.uint8)


def built(key: PRNGKeyArray, cells: UInt8[Array, "29 29"], goal: Int[Array, "2"], params: LandParams) -> UInt8[Array, "29 29"]:
    """Boxes of random place, size and colour, a cell apart; one for which no place is found in TRIES is left out."""
    k_size, k_place, k_colour = jax.random.split(key, 3)
    size = jax.random.randint(k_size, (MOST_BUILDINGS, TRIES, 2), 1, LONGEST + 1, jnp.int32)
    room = params.side - size + 1  # places for the first row or column
    place = 1 + jnp.floor(jax.random.uniform(k_place, size.shape) * room.astype(jnp.float32)).astype(jnp.int32)
    place = jnp.minimum(place, room)
    colour = jnp.asarray(BUILDINGS, jnp.int32)[jax.random.randint(k_colour, (MOST_BUILDINGS,), 0, len(BUILDINGS))]
    inside = (place >= 2) & (place + size <= params.side)  # a cell to the outer wall
    low, high, middle = (x.astype(jnp.float32) for x in (place, place + size - 1, goal[None, None, :]))
    to_goal = jnp.maximum(jnp.maximum(low - middle, middle - high), 0.0)  # rows and columns from the goal's cell to the nearest built on
    possible = jnp.all(inside, axis=-1) & (jnp.sum(to_goal**2, axis=-1) > CLEAR**2)

    def add(corners: Int[Array, "n 4"], k: Int[Array, ""]) -> tuple[Array, None]:
        """Building k at the first of its places that keeps a cell to all buildings so far."""
        ends = place[k] + size[k]
        apart = (place[k][:, None] > corners[None, :, 2:]) | (ends[:, None] < corners[None, :, :2])
        fits = possible[k] & jnp.all(jnp.any(apart, axis=-1), axis=-1) & (k < params.buildings)
        first = jnp.argmax(fits)
        corner = jnp.concatenate([place[k, first], ends[first]])
        return corners.at[k].set(jnp.where(fits[first], corner, NOWHERE)), None

    corners, _ = jax.lax.scan(add, jnp.full((MOST_BUILDINGS, 4), NOWHERE), jnp.arange(MOST_BUILDINGS))
    covered = _covered(corners)
    which = jnp.max(jnp.where(covered, colour[:, None, None], 0), axis=0)
    return jnp.where(which > 0, which.astype(jnp.uint8), cells)


NOWHERE = -100


def _covered(corners: Int[Array, "n 4"]) -> Bool[Array, "n 29 29"]:
    """Which cells each building stands on: rows from corner 0 up to before corner 2, columns from 1 up to before 3."""
    across = jnp.arange(SIZE, dtype=jnp.int32)[None, :]
    rows = (across >= corners[:, :1]) & (across < corners[:, 2:3])
    columns = (across >= corners[:, 1:2]) & (across < corners[:, 3:])
    return rows[:, :, None] & columns[:, None, :]
