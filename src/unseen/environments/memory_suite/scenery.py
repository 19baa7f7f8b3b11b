"""How the suite's worlds look in first person: what walls are made of, and the objects that stand in them."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from unseen.environments.memory_suite import chambers, colours, raycaster
from unseen.environments.memory_suite.chambers import DOOR_ROWS, FAR_DOOR, NEAR_DOOR, Progress, Seen
from unseen.environments.memory_suite.land import MATERIALS
from unseen.environments.memory_suite.materials import DOOR, Material
from unseen.environments.memory_suite.scene import Camera, Objects, Style, World
from unseen.environments.memory_suite.shapes import SHAPES
from unseen.environments.memory_suite.transitive_inference import Pair
from unseen.environments.memory_suite.walker import Pose

WALL_HEIGHT, BUILDING_HEIGHT = 1.1, 2.2  # metres

_ARENA = (  # north, east, south, west
    Material((178, 80, 62), (222, 196, 176), "bricks", WALL_HEIGHT),
    Material((206, 186, 92), (150, 128, 48), "planks", WALL_HEIGHT),
    Material((84, 104, 176), (58, 74, 136), "blocks", WALL_HEIGHT),
    Material((76, 140, 82), (54, 106, 60), "zigzag", WALL_HEIGHT),
)
_BUILDINGS = tuple(
    Material(colour, second, pattern, BUILDING_HEIGHT)
    for colour, second, pattern in (
        ((74, 112, 170), (250, 232, 150), "windows"),
        ((214, 150, 70), (112, 62, 36), "slits"),
        ((128, 84, 160), (224, 206, 240), "checks"),
        ((50, 156, 156), (232, 248, 242), "bands"),
        ((214, 106, 126), (252, 222, 214), "diamonds"),
        ((112, 116, 124), (244, 214, 110), "windows"),
        ((232, 228, 214), (96, 130, 104), "stripes"),
        ((112, 66, 52), (222, 182, 128), "slits"),
    )
)
_THEMES = (
    ((168, 96, 76), (206, 176, 156), "bricks"),
    ((104, 124, 142), (76, 92, 110), "blocks"),
    ((150, 126, 82), (112, 90, 54), "planks"),
)
_MAZE = tuple(Material(colour, second, pattern) for colour, second, pattern in _THEMES)
_DECALS = tuple(
    Material(colour, (250, 240, 110), pattern) for (colour, _, _), pattern in zip(_THEMES, ("diamonds", "panels", "checks"), strict=True)
)
_ROOMS = (
    Material((196, 190, 178), (170, 164, 150), "blocks", 1.4),
    Material(DOOR.colour, DOOR.second, DOOR.pattern, 1.4),
    Material((96, 98, 112), (74, 76, 90), "panels", 1.4),
    Material((255, 246, 130), (255, 206, 40), "panels", 1.4),
)
ROOM_WALL, ROOM_DOOR, ALCOVE_DARK, ALCOVE_LIT = range(MATERIALS, MATERIALS + 4)
STYLE = Style(materials=(_ARENA[0], *_ARENA, *_BUILDINGS, *_MAZE, *_DECALS, *_ROOMS))

GOLD = (255, 190, 0)


def picture(cells: UInt8[Array, "h w"], objects: Objects, pose: Pose, width: int, height: int) -> UInt8[Array, "height width 3"]:
    """What is seen from a pose."""
    camera = Camera(jnp.stack([pose.x, pose.y]), pose.heading)
    return raycaster.render(World(cells, objects), camera, STYLE, width=width, height=height)


def goal(cell: Int[Array, "2"], present: Bool[Array, ""]) -> Objects:
    """A golden ball in the middle of a cell (row, column)."""
    position = jnp.flip(cell.astype(jnp.float32) + 0.5)[None]
    one = jnp.ones((1,), jnp.float32)
    shape = jnp.full((1,), SHAPES.index("ball"), jnp.int32)
    return Objects(position, 0.35 * one, 0.1 * one, 0.8 * one, shape, jnp.asarray([GOLD], jnp.uint8), present[None])


def blocks(there: Seen, holdout: Bool[Array, ""], radius: float) -> Objects:
    """The blocks of a room."""
    ones = jnp.ones_like(there.row)
    position = jnp.stack([there.column, there.row], axis=-1) + 0.5
    shape = jnp.full(there.row.shape, SHAPES.index("box"), jnp.int32)
    return Objects(position, radius * ones, 0.0 * ones, 2 * radius * ones, shape, colours.rgb(there.colour, holdout), there.present)


def chamber_cells(progress: Progress) -> UInt8[Array, "9 21"]:
    """Walls and shut doors as materials."""
    near, far = chambers.doors(progress)
    cells = jnp.asarray(np.where(chambers.WALLS, ROOM_WALL, 0).astype(np.uint8))
    rows = slice(DOOR_ROWS[0], DOOR_ROWS[1] + 1)
    for column, shut in ((NEAR_DOOR, near), (FAR_DOOR, far)):
        cells = cells.at[rows, column].set(jnp.where(shut, ROOM_DOOR, 0).astype(jnp.uint8))
    return cells


def room(side: int) -> UInt8[np.ndarray, "side side"]:
    """A square room."""
    cells = np.full((side, side), ROOM_WALL, np.uint8)
    cells[1:-1, 1:-1] = 0
    return cells


def alcoves(side: int, columns: Sequence[tuple[int, int]], lit: Int[Array, ""]) -> UInt8[Array, "side side"]:
    """The room with an alcove in its north wall behind each pedestal, the lit one bright."""
    cells = jnp.asarray(room(side))
    for k, (first, last) in enumerate(columns):
        cells = cells.at[0, first : last + 1].set(jnp.where(lit == k, ALCOVE_LIT, ALCOVE_DARK).astype(jnp.uint8))
    return cells


def exhibits(
    places: Sequence[tuple[float, float]], things: Sequence[tuple[Int[Array, ""], Int[Array, ""]]], pair: Pair, holdout: Bool[Array, ""]
) -> Objects:
    """The two objects of transitive inference, floating before their alcoves."""
    ones = jnp.ones((len(places),), jnp.float32)
    shape, colour = (jnp.stack(part).astype(jnp.int32) for part in zip(*things, strict=True))
    present = jnp.broadcast_to(pair.present, ones.shape)
    return Objects(jnp.asarray(places, jnp.float32), 0.5 * ones, 0.1 * ones, 1.1 * ones, shape, colours.rgb(colour, holdout), present)
