"""A body in first person: eight actions, what they do in a sixtieth of a second, and the pose on the compact grid."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from unseen.environments.memory_suite import clock, motion

RADIUS = 0.25  # metres
SPEED = 4.0 / clock.FRAMES_PER_SECOND  # metres a frame; proposed
TURN = math.pi / clock.FRAMES_PER_SECOND  # radians a frame, 12 degrees an action; proposed

ACTION_NAMES = (
    "forward",
    "backward",
    "strafe left",
    "strafe right",
    "look left",
    "look right",
    "look left and forward",
    "look right and forward",
)
# Ahead, to the right, and turning right, of each action.
CONTROLS = np.asarray([(1, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1), (1, 0, -1), (1, 0, 1)], np.float32)


class Pose(NamedTuple):
    """Attributes:

    x, y: metres to the east and to the south.
    heading: radians, 0 north, clockwise.
    """

    x: Float[Array, ""]
    y: Float[Array, ""]
    heading: Float[Array, ""]


def at(row: Int[Array, ""], column: Int[Array, ""], heading: Int[Array, ""]) -> Pose:
    """The pose in the middle of a cell, looking in one of the four directions."""
    x, y, quarter = (part.astype(jnp.float32) for part in (column, row, heading))
    return Pose(x + 0.5, y + 0.5, quarter * (math.pi / 2))


def on_grid(pose: Pose) -> tuple[Int[Array, ""], Int[Array, ""], Int[Array, ""]]:
    """Row, column and nearest of the four headings."""
    quarter = jnp.rint(pose.heading / (math.pi / 2)).astype(jnp.int32) % 4
    return jnp.floor(pose.y).astype(jnp.int32), jnp.floor(pose.x).astype(jnp.int32), quarter


def moved(cells: UInt8[Array, "h w"], pose: Pose, action: Int[Array, ""]) -> Pose:
    """The pose a frame later, among solid cells."""
    ahead, aside, turn = jnp.asarray(CONTROLS).at[action].get(mode="clip")
    heading = (pose.heading + TURN * turn) % (2 * math.pi)
    east, south = jnp.sin(heading), -jnp.cos(heading)
    step = SPEED * jnp.stack([ahead * east - aside * south, ahead * south + aside * east])
    x, y = motion.moved(cells, jnp.stack([pose.x, pose.y]), step, RADIUS)
    return Pose(x, y, heading)


def placed(pose: Pose, width: int | float, height: int | float) -> Float[Array, "4"]:
    """The pose as numbers from -1 to 1: place as a part of the world's size, sine and cosine of the heading."""
    return jnp.stack([pose.x / width, pose.y / height, jnp.sin(pose.heading), jnp.cos(pose.heading)])
