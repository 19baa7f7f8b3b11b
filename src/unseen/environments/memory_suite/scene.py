"""What a first-person picture is of, and how it looks: objects, world, camera, style, and the constants of the projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, UInt8

from unseen.environments.memory_suite.materials import BRICKS, BUILDINGS, DOOR, HEDGE, STONES, Colour, Material
from unseen.environments.memory_suite.panorama import LANDMARKS, Landmark
from unseen.errors import UserError


class Objects(NamedTuple):
    """N >= 1 things that stand or float in the world, always turned to the camera.

    Attributes:
        position: (N, 2), x to the east and y to the south, metres.
        radius: (N,), half the width, metres.
        bottom, top: (N,), heights above the floor, metres.
        shape: (N,), index into SHAPES.
        colour: (N, 3), red, green and blue; drawn exactly, but for a darker right edge.
        present: (N,), whether it is there at all.
    """

    position: Float[Array, "N 2"]
    radius: Float[Array, " N"]
    bottom: Float[Array, " N"]
    top: Float[Array, " N"]
    shape: Integer[Array, " N"]
    colour: UInt8[Array, "N 3"]
    present: Bool[Array, " N"]


class World(NamedTuple):
    """Attributes: cells (rows, columns): 0 is free, k is solid and of material k; cell (row, column) covers x in
    [column, column + 1) and y in [row, row + 1) metres."""

    cells: UInt8[Array, "rows columns"]
    objects: Objects


class Camera(NamedTuple):
    """Attributes: position (x, y) in metres; heading in radians from north (towards row 0) clockwise: pi / 2 is east."""

    position: Float[Array, "2"]
    heading: Float[Array, ""]


@dataclass(frozen=True)
class Style:
    """How a world looks. Hashable, so that it can be a static argument.

    Args:
        materials: of solid cells, from 1; the entry 0 is not used.
        landmarks: at the horizon.
        floor: the two colours of its squares, 1 m wide.
        sky: its colour above and at the horizon; far walls fade into the latter.
        eye: height of the camera above the floor, metres.
        view: horizontal angle of view, degrees.
        reach: how many lines of the grid in either direction walls are looked for; what lies further is not drawn.
    """

    materials: tuple[Material, ...] = (BRICKS, BRICKS, STONES, HEDGE, DOOR, *BUILDINGS)
    landmarks: tuple[Landmark, ...] = LANDMARKS
    floor: tuple[Colour, Colour] = ((176, 170, 150), (152, 146, 128))
    sky: tuple[Colour, Colour] = ((92, 156, 222), (206, 228, 242))
    eye: int | float = 0.5
    view: int | float = 90.0
    reach: int = 28

    def __post_init__(self) -> None:
        if len(self.materials) < 2:
            raise UserError("materials of a style must have an unused entry 0 and at least one more")
        if not 0 < self.view < 180:
            raise UserError(f"view={self.view} of a style is not allowed; it must be above 0 and below 180 degrees")
        if self.reach < 1:
            raise UserError(f"reach={self.reach} of a style is not allowed; it must be at least 1")


@dataclass(frozen=True)
class Lens:
    """A style at a size of picture: the constants of the projection."""

    style: Style
    width: int
    height: int

    @property
    def focal(self) -> float:
        """Pixels per unit of tangent."""
        return self.width / 2 / float(np.tan(np.deg2rad(self.style.view) / 2))

    @property
    def slopes(self) -> Float[np.ndarray, " W"]:
        """How far each column's ray goes to the right while it goes one metre ahead."""
        return ((np.arange(self.width) + 0.5 - self.width / 2) / self.focal).astype(np.float32)

    def row(self, above_floor: Float[Array, " W"], depth: Float[Array, " W"]) -> Integer[Array, " W"]:
        """The first row whose middle is below a height at a depth, 0 to `height`."""
        exact = self.height / 2 + (self.style.eye - above_floor) * (self.focal / depth)
        return jnp.clip(exact + 0.5, 0, self.height).astype(self.row_type)

    @property
    def row_type(self) -> type:
        return jnp.uint8 if self.height < 256 else jnp.uint16

    def rays(self, camera: Camera) -> tuple[Float[Array, " W"], Float[Array, " W"]]:
        """What x and y change by while a ray goes one metre ahead."""
        ahead_x, ahead_y = jnp.sin(camera.heading), -jnp.cos(camera.heading)
        return ahead_x - self.slopes * ahead_y, ahead_y + self.slopes * ahead_x
