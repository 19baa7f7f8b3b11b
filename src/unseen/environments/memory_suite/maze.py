"""Mazes with rooms, as DeepMind Lab draws them: rooms, corridors between them, one join for every two neighbours, no dead ends."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32, PRNGKeyArray

from unseen.environments import options
from unseen.environments.memory_suite.maze_simplify import simplify
from unseen.environments.memory_suite.paths import neighbours, pack, unpack
from unseen.errors import UserError

SIDE = 27  # cells; smaller mazes lie in the top left corner, and the rest is wall
ROOMS = 15
SPAWNS = 5  # spawn cells in a room, at most
DECALS = 10  # a wall in so many carries a decal
TRIES = 1_000  # rectangles that are drawn in vain before a maze has to do with the rooms it has
POINTS = SIDE // 2  # rooms and corridors are laid out on the cells with odd row and column, the lattice points
REGIONS = ROOMS + (POINTS**2 + 1) // 2  # at most: every room and every piece of corridor between them
FENCED = POINTS + 2  # the lattice with a fence of points around it that belong to nothing


class MazeShape(NamedTuple):
    """Attributes:

    side: rows and columns, walls included; odd, 5 to 27.
    rooms: how many there are at most, 1 to 15.
    room_side: the longest side of a room, odd, 3 to side - 2.
    goals: goal cells in a room, at most.
    """

    side: Int[Array, ""]
    rooms: Int[Array, ""]
    room_side: Int[Array, ""]
    goals: Int[Array, ""]


class Maze(NamedTuple):
    """Attributes:

    walls: which cells are walls, those outside a smaller maze included.
    rooms: the room a cell belongs to, from 0 on; -1 in corridors and walls.
    spawns: cells of rooms where an agent may start, up to 5 in a room.
    goals: cells of rooms where a goal may stand, none of them a spawn.
    decals: walls that carry a decal: a tenth of those that face a free cell.
    """

    walls: Bool[Array, "27 27"]
    rooms: Int32[Array, "27 27"]
    spawns: Bool[Array, "27 27"]
    goals: Bool[Array, "27 27"]
    decals: Bool[Array, "27 27"]


class Rectangles(NamedTuple):
    """Attributes:

    top, bottom, left, right: the lattice points at their edges, which they include.
    """

    top: Int[Array, "*n"]
    bottom: Int[Array, "*n"]
    left: Int[Array, "*n"]
    right: Int[Array, "*n"]


def maze_shape(side: int, rooms: int, room_side: int, goals: int) -> MazeShape:
    """A shape whose numbers have been checked.

    Args:
        side: rows and columns of the maze in cells, walls included.
        rooms: how many rooms there are at most.
        room_side: the longest side of a room in cells.
        goals: how many goal cells a room has at most.

    Raises: UserError if a number is out of range or a side is even.
    """
    options.require_integer("maze", "side", side, 5, SIDE)
    options.require_integer("maze", "rooms", rooms, 1, ROOMS)
    options.require_integer("maze", "room_side", room_side, 3, side - 2)
    options.require_integer("maze", "goals", goals, 0)
    for name, value in (("side", side), ("room_side", room_side)):
        if value % 2 == 0:
            raise UserError(f"maze: {name}={value} is not allowed; give an odd number, as walls and rooms take turns on the grid")
    return MazeShape(*(jnp.int32(value) for value in (side, rooms, room_side, goals)))


def generate(key: PRNGKeyArray, shape: MazeShape) -> Maze:
    """A maze at random.

    Rooms are laid where they fit; recursive backtracking fills each remaining piece with a corridor that has no loops; any two
    regions that touch are joined by one cell; then dead ends and horseshoe bends go. All free cells are connected.

    Args:
        key: a random key.
        shape: numbers as `maze_shape` checks them; the levels of a batch may differ.

    Source: DeepMind Lab, `lua_maze_generation.cc` and `text_maze_generation/algorithm.cc` (the same as the package labmaze
    1.0.6), with `hasDoors` false and `extraConnectionProbability` 0: in law the same mazes. The limit of 1,000 tries counts the
    failures of a maze, not of a room, as it does there. Different from the original: decals sit on whole wall cells, where the
    original puts them on one face of a wall and has no more of them than the theme has pictures.
    """
    k_layout, k_contents = jax.random.split(key)
    layout = lay_out(k_layout, shape)
    free = simplify((layout.rooms >= 0) | layout.corridors, layout.joins)
    return Maze(~free, layout.rooms, *_contents(k_contents, shape, free, layout.rooms))


class Layout(NamedTuple):
    """Attributes:

    rooms: the room a cell belongs to, -1 elsewhere.
    corridors: cells of corridors, dead ends and all.
    joins: the cells that join two regions.
    """

    rooms: Int32[Array, "27 27"]
    corridors: Bool[Array, "27 27"]
    joins: Bool[Array, "27 27"]


def lay_out(key: PRNGKeyArray, shape: MazeShape) -> Layout:
    """A maze before anything is taken out of it or put into it."""
    k_rooms, k_corridors, k_joins = jax.random.split(key, 3)
    rectangles, placed = place_rooms(k_rooms, shape)
    within = jnp.arange(POINTS, dtype=jnp.int32) < shape.side // 2
    points = _room_at(np.arange(POINTS, dtype=np.int32), rectangles, placed)
    corridors, regions = dig_corridors(k_corridors, jnp.where(within[:, None] & within[None, :], points, REGIONS))
    # Lattice point p is cell 2p + 1, and the rooms reach from edge to edge.
    rooms = _room_at(np.arange(SIDE, dtype=np.int32), Rectangles(*(2 * edge + 1 for edge in rectangles)), placed)
    return Layout(rooms, corridors, join_regions(k_joins, regions))


def place_rooms(key: PRNGKeyArray, shape: MazeShape) -> tuple[Rectangles, Bool[Array, "15"]]:
    """Rooms that do not overlap, in random order, and which of them there are.

    One side is at most the mean of the shortest and longest side allowed; the other may be longer by half the difference.
    """
    k_draw, k_order = jax.random.split(key)
    drawn = _draw_rectangles(jax.random.uniform(k_draw, (6, TRIES + ROOMS)), shape)

    def place(fits: Bool[Array, " n"], count: Int[Array, ""]) -> tuple[Bool[Array, " n"], tuple[Rectangles, Bool[Array, ""]]]:
        first = jnp.argmax(fits).astype(jnp.int32)
        chosen = Rectangles(*(edge[first] for edge in drawn))
        apart = (drawn.top > chosen.bottom) | (drawn.bottom < chosen.top) | (drawn.left > chosen.right) | (drawn.right < chosen.left)
        return fits & apart, (chosen, fits[first] & (first - count < TRIES) & (count < shape.rooms))

    _, (rectangles, placed) = jax.lax.scan(place, jnp.ones((TRIES + ROOMS,), bool), jnp.arange(ROOMS, dtype=jnp.int32))
    # Large rooms fit only early; in random order a room's number says nothing about its size.
    order = jnp.argsort(jnp.where(placed, jax.random.uniform(k_order, (ROOMS,)), 2.0))
    return Rectangles(*(edge[order] for edge in rectangles)), placed[order]


def _draw_rectangles(uniform: Float[Array, "6 n"], shape: MazeShape) -> Rectangles:
    """Rectangles of lattice points at random in the maze; a side of n points is 2n - 1 cells."""

    def below(u: Float[Array, " n"], count: Int[Array, "*n"]) -> Int[Array, " n"]:
        return jnp.floor(u * count.astype(u.dtype)).astype(jnp.int32)

    points, longest = shape.side // 2, shape.room_side // 2
    middle = (1 + longest) // 2
    height, width = 1 + below(uniform[0], middle), 1 + below(uniform[1], middle)
    more, wide = below(uniform[2], longest - middle + 1), uniform[3] < 0.5
    height, width = height + jnp.where(wide, 0, more), width + jnp.where(wide, more, 0)
    top, left = below(uniform[4], points - height), below(uniform[5], points - width)
    return Rectangles(top, top + height, left, left + width)


def dig_corridors(key: PRNGKeyArray, regions: Int[Array, "13 13"]) -> tuple[Bool[Array, "27 27"], Int[Array, "13 13"]]:
    """Fill what no room has taken with corridors: cells of corridors, and the regions with a number, from 15, for each piece.

    Recursive backtracking, a lattice point a step: go from the newest point that still has a free neighbour (the top of the
    stack, once exhausted points have been taken off) to one of these at random. Where there is none, a new piece begins.

    Args:
        regions: (13, 13); 0 to 14 the points of rooms, -1 free points; others are not part of the maze.
    """
    shifts = np.asarray([FENCED, -FENCED, 1, -1], np.int32)
    fenced = slice(FENCED, -FENCED)  # the flattened lattice without the fence's first and last row
    index = np.arange(FENCED**2, dtype=np.int32)[fenced]

    def dig(carry: tuple[Array, Array], moment: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
        # In `visited` a free point is 0, one of the fence or of a room -1, one dug at time t (from 1 on) is t * 256 + its index.
        (visited, piece), (time, uniform) = carry, moment
        free, points = visited == 0, visited[fenced]
        free_next = jnp.any(jnp.stack([jnp.roll(free, -shift)[fenced] for shift in shifts]), axis=0)
        # The newest point with a free neighbour; if there is none, 255 less the first free point; if there is none, 0.
        newest = jnp.max(jnp.where((points > 0) & free_next, points, jnp.where(points == 0, 255 - index, 0)))
        begins, ends = newest < 256, newest == 0
        ways = free[newest % 256 + shifts]
        number = jnp.floor(uniform * jnp.sum(ways).astype(uniform.dtype)).astype(jnp.int32)
        step = jnp.asarray(shifts)[jnp.argmax(jnp.cumsum(ways, dtype=jnp.int32) > number)]
        step = jnp.where(begins, 0, step)
        point = jnp.where(ends, 0, jnp.where(begins, 255 - newest, newest % 256 + step))
        piece = piece + (begins & ~ends).astype(jnp.int32)
        return (visited.at[point].set(jnp.where(ends, -1, time * 256 + point)), piece), (point, step, piece)

    lattice = jnp.pad(jnp.where(regions == -1, 0, -1), 1, constant_values=-1).reshape(-1).astype(jnp.int32)
    moments = jnp.arange(1, POINTS**2 + 1, dtype=jnp.int32), jax.random.uniform(key, (POINTS**2,))
    _, (points, steps, pieces) = jax.lax.scan(dig, (lattice, jnp.int32(ROOMS - 1)), moments)

    numbers = jnp.zeros((FENCED**2,), jnp.int32).at[points].set(pieces).reshape(FENCED, FENCED)[1:-1, 1:-1]

    def cell(point: Int[Array, " n"]) -> Int[Array, " n"]:
        """The cell of a point of the fenced lattice."""
        return (2 * (point // FENCED) - 1) * SIDE + 2 * (point % FENCED) - 1

    dug = jnp.concatenate([cell(points), (cell(points) + cell(points - steps)) // 2])
    dug = jnp.where(jnp.tile(points, 2) > 0, dug, SIDE**2)  # steps after the last point dig nothing
    cells = jnp.zeros((SIDE**2,), bool).at[dug].set(True, mode="drop").reshape(SIDE, SIDE)
    return cells, jnp.where(regions == -1, numbers, regions)


def join_regions(key: PRNGKeyArray, regions: Int[Array, "13 13"]) -> Bool[Array, "27 27"]:
    """Cells that join regions: for any two that touch, one of the cells between them at random.

    Args:
        regions: (13, 13); the region of every lattice point, `REGIONS` or more outside the maze.
    """

    def pairs(one: Int[Array, "*n"], other: Int[Array, "*n"]) -> Int[Array, " m"]:
        low, high = jnp.minimum(one, other), jnp.maximum(one, other)
        # Corridors touch no other corridor, so the lower number is a room's.
        return jnp.where((low != high) & (high < REGIONS), low * REGIONS + high, ROOMS * REGIONS).reshape(-1)

    pair = jnp.concatenate([pairs(regions[:, :-1], regions[:, 1:]), pairs(regions[:-1], regions[1:])])
    # Of the cells of a pair the one with the highest lot is taken; their own number in the last digits makes lots differ.
    number = np.arange(pair.size, dtype=np.uint32)
    lots = (jax.random.bits(key, pair.shape, jnp.uint32) & np.uint32(0xFFFFFE00)) | number
    highest = jnp.zeros((ROOMS * REGIONS + 1,), jnp.uint32).at[pair].max(lots)
    taken = (lots == highest[pair]) & (pair < ROOMS * REGIONS)
    across, down = jnp.split(taken, [POINTS * (POINTS - 1)])
    odd, even = (1, 1, 1), (2, 2, 1)  # where the cells of the two kinds lie in the grid: before, after, between
    across = jax.lax.pad(across.reshape(POINTS, POINTS - 1), False, (odd, even))
    return across | jax.lax.pad(down.reshape(POINTS - 1, POINTS), False, (even, odd))


def _contents(
    key: PRNGKeyArray, shape: MazeShape, free: Bool[Array, "27 27"], rooms: Int[Array, "27 27"]
) -> tuple[Bool[Array, "27 27"], Bool[Array, "27 27"], Bool[Array, "27 27"]]:
    """Spawn cells, goal cells and decals: every room's cells in random order, and so the walls that can be seen."""
    seen = ~free & unpack(neighbours(pack(free)), SIDE)
    group = jnp.where(rooms >= 0, rooms, jnp.where(seen, ROOMS, ROOMS + 1)).reshape(-1)
    keys = (group.astype(jnp.uint32) << 27) | (jax.random.bits(key, group.shape, jnp.uint32) >> 5)
    keys, cells = jax.lax.sort_key_val(keys, jnp.arange(SIDE**2, dtype=jnp.int32))
    group, index = (keys >> 27).astype(jnp.int32), jnp.arange(SIDE**2, dtype=jnp.int32)
    begins = jnp.concatenate([jnp.ones((1,), bool), group[1:] != group[:-1]])
    rank = index - jax.lax.cummax(jnp.where(begins, index, 0))
    decals = (jnp.sum(seen, dtype=jnp.int32) + DECALS // 2) // DECALS
    spawn = (group < ROOMS) & (rank < SPAWNS)
    goal = (group < ROOMS) & (rank >= SPAWNS) & (rank < SPAWNS + shape.goals)
    kinds = jnp.stack([spawn, goal, (group == ROOMS) & (rank < decals)])
    spawns, goals, decals = jnp.zeros((3, SIDE**2), bool).at[:, cells].set(kinds).reshape(3, SIDE, SIDE)
    return spawns, goals, decals


def _room_at(places: Int[np.ndarray, " n"], rectangles: Rectangles, placed: Bool[Array, "15"]) -> Int32[Array, "n n"]:
    """The room of every place of a square grid, -1 where there is none."""
    rows = (places[None, :] >= rectangles.top[:, None]) & (places[None, :] <= rectangles.bottom[:, None]) & placed[:, None]
    columns = (places[None, :] >= rectangles.left[:, None]) & (places[None, :] <= rectangles.right[:, None])
    numbers = np.arange(ROOMS, dtype=np.int32)[:, None, None]
    return jnp.max(jnp.where(rows[:, :, None] & columns[:, None, :], numbers, -1), axis=0)
