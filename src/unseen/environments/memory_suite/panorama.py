"""Landmarks so far away that only the direction one looks in matters: a skyline of heights and colours over the angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unseen.environments.memory_suite.materials import Colour, packed
from unseen.errors import unknown

ANGLES = 1024  # of the skyline, all around; 0.35 degrees each

Angles = Float[np.ndarray, " A"]


class Skyline(NamedTuple):
    """Attributes: for each of ANGLES directions from north clockwise, the height of the landmark there and the height its cap
    begins at, both as the tangent of the elevation; their packed colours."""

    height: Float[np.ndarray, " A"]
    cap_from: Float[np.ndarray, " A"]
    colour: Int[np.ndarray, " A"]
    cap_colour: Int[np.ndarray, " A"]


def _mountain(u: Angles) -> Angles:
    """A peak with a shoulder, slightly jagged."""
    a = np.abs(u + 0.1)
    return np.maximum(1 - 1.25 * a, 0.5 - 1.1 * np.abs(u - 0.55)) + 0.03 * np.cos(60 * u)


def _pyramid(u: Angles) -> Angles:
    return 1 - np.abs(u)


def _tower(u: Angles) -> Angles:
    """A slender shaft with a wider lantern room on a hillock."""
    a = np.abs(u)
    return np.select([a < 0.16, a < 0.24, a < 0.3], [1.0, 0.86, 0.30], 0.22 * (1 - a))


def _hills(u: Angles) -> Angles:
    return np.maximum(np.sqrt(np.maximum(1 - ((u + 0.38) / 0.62) ** 2, 0)), 0.72 * np.sqrt(np.maximum(1 - ((u - 0.45) / 0.55) ** 2, 0)))


def _forest(u: Angles) -> Angles:
    return 0.35 + 0.65 * np.abs((u * 4) % 1 * 2 - 1) * (0.75 + 0.25 * np.cos(9 * u))


def _city(u: Angles) -> Angles:
    blocks = np.asarray([0.35, 0.62, 0.45, 1.0, 0.8, 0.5, 0.9, 0.55, 0.7, 0.4])
    return blocks[np.clip(((u + 1) * 5).astype(int), 0, 9)]


OUTLINES = {"mountain": _mountain, "pyramid": _pyramid, "tower": _tower, "hills": _hills, "forest": _forest, "city": _city}


@dataclass(frozen=True)
class Landmark:
    """Something at the horizon.

    Args:
        outline: a name in OUTLINES.
        direction: of its middle, in degrees from north clockwise.
        width: in degrees.
        height: tangent of the elevation of its top.
        colour, cap: (red, green, blue) below and above.
        cap_from: share of its full height above which the cap begins; 1 for none.
    """

    outline: str
    direction: int | float
    width: int | float
    height: int | float
    colour: Colour
    cap: Colour
    cap_from: int | float = 1.0

    def __post_init__(self) -> None:
        if self.outline not in OUTLINES:
            raise unknown("outline of a landmark", self.outline, OUTLINES)


LANDMARKS = (
    Landmark("mountain", 0, 64, 0.52, (96, 106, 150), (250, 250, 255), cap_from=0.55),
    Landmark("tower", 90, 22, 0.50, (245, 236, 220), (214, 60, 52), cap_from=0.72),
    Landmark("pyramid", 180, 52, 0.42, (226, 176, 84), (255, 226, 130), cap_from=0.75),
    Landmark("hills", 270, 66, 0.34, (66, 140, 74), (66, 140, 74)),
    Landmark("forest", 315, 26, 0.20, (28, 92, 66), (28, 92, 66)),
    Landmark("city", 135, 30, 0.30, (120, 112, 140), (120, 112, 140)),
)


def skyline(landmarks: tuple[Landmark, ...]) -> Skyline:
    """The highest landmark in every direction, before a low blue ridge."""
    degrees = (np.arange(ANGLES) + 0.5) * 360 / ANGLES
    height = 0.035 + 0.012 * np.cos(np.deg2rad(degrees) * 5) + 0.008 * np.sin(np.deg2rad(degrees) * 11)
    cap_from = height.copy()
    colour = np.full(ANGLES, packed([(132, 160, 190)])[0], np.int32)
    cap_colour = colour.copy()
    for mark in landmarks:
        u = ((degrees - mark.direction + 180) % 360 - 180) / (mark.width / 2)
        own = np.where(np.abs(u) < 1, OUTLINES[mark.outline](np.clip(u, -1, 1)), 0) * mark.height
        seen = own > height
        height = np.where(seen, own, height)
        cap_from = np.where(seen, np.minimum(own, mark.cap_from * mark.height), cap_from)
        body, cap = packed([mark.colour, mark.cap])
        colour, cap_colour = np.where(seen, body, colour), np.where(seen, cap, cap_colour)
    return Skyline(height.astype(np.float32), cap_from.astype(np.float32), colour, cap_colour)
