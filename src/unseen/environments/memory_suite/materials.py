"""What walls, doors and buildings are made of: two colours and a pattern of 16 x 16 squares to the metre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt16

from unseen.errors import UserError, unknown

Colour = tuple[int, int, int]
SIDE = 16  # squares of a pattern along a metre

_x = np.arange(SIDE)[:, None]  # along the wall
_y = np.arange(SIDE)[None, :]  # upwards

PATTERNS: dict[str, Bool[np.ndarray, "16 16"]] = {  # True where the second colour shows
    name: np.broadcast_to(np.asarray(where), (SIDE, SIDE))
    for name, where in {
        "plain": False,
        "bricks": (_y % 4 == 0) | ((_x + 4 * (_y // 4 % 2)) % 8 == 0),
        "blocks": (_y % 8 == 0) | ((_x + 8 * (_y // 8 % 2)) % 16 == 0),
        "planks": (_x % 4 == 0) | (_y == 0),
        "stripes": (_x // 2) % 4 == 0,
        "bands": (_y // 4) % 2 == 0,
        "checks": (_x // 4 + _y // 4) % 2 == 0,
        "panels": (np.minimum(_x, 15 - _x) == 2) & (_y >= 2) & (_y <= 13) | (np.minimum(_y, 15 - _y) == 2) & (_x >= 2) & (_x <= 13),
        "windows": np.isin(_x % 8, (2, 3, 4, 5)) & (_y >= 5) & (_y <= 11),
        "slits": np.isin(_x % 8, (3, 4)) & (_y >= 3) & (_y <= 12),
        "diamonds": np.abs(_x - 7.5) + np.abs(_y - 7.5) < 6,
        "zigzag": (_y + np.abs(_x % 8 - 4)) % 8 < 3,
        "door": (np.minimum(_x, 15 - _x) == 0) | (_y == 15) | (_x // 2 == 6) & (_y // 2 == 3),
    }.items()
}


@dataclass(frozen=True)
class Material:
    """What a solid cell is made of.

    Args:
        colour: most of it, (red, green, blue).
        second: where the pattern is drawn.
        pattern: a name in PATTERNS, repeated every metre along the wall and upwards.
        height: of the cell above the floor, in metres.
    """

    colour: Colour
    second: Colour
    pattern: str = "plain"
    height: int | float = 1.0

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise unknown("pattern of a material", self.pattern, PATTERNS)
        if not self.height > 0:
            raise UserError(f"height={self.height} of a material is not allowed; it must be above 0 m")


def grain(pattern: str) -> float:
    """Metres across the finest part of a pattern: the shortest run of squares of one colour, along the wall or upwards."""
    squares = PATTERNS[pattern]
    changes = [np.flatnonzero(line != np.roll(line, 1)) for line in (*squares, *squares.T)]
    return min(float(np.diff(c, append=c[0] + SIDE).min()) for c in [*changes, np.zeros(1, int)] if len(c)) / SIDE


def mean_colour(material: Material) -> Colour:
    """What a material looks like from so far that its pattern cannot be seen."""
    share = float(PATTERNS[material.pattern].mean())
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(material.colour, material.second))
    return red, green, blue


def packed(colours: Sequence[Colour] | Int[np.ndarray, "K 3"]) -> Int[np.ndarray, " K"]:
    """Colours as one number each: red + 256 green + 65,536 blue."""
    return (np.asarray(colours, np.int32) << np.asarray([0, 8, 16], np.int32)).sum(axis=1, dtype=np.int32)


def pattern_words(materials: tuple[Material, ...]) -> UInt16[np.ndarray, "K 16"]:
    """The pattern of each material, one word for every upright line of squares; bit b is the square b from the floor."""
    bits = np.stack([PATTERNS[m.pattern] for m in materials]).astype(np.uint16)
    return (bits << np.arange(SIDE, dtype=np.uint16)).sum(axis=2, dtype=np.uint16)


BRICKS = Material((178, 92, 70), (214, 190, 170), "bricks")
STONES = Material((150, 150, 158), (112, 112, 122), "blocks")
HEDGE = Material((70, 128, 66), (54, 104, 54), "zigzag")
DOOR = Material((150, 96, 44), (84, 52, 24), "door")
BUILDINGS = tuple(
    Material(colour, second, pattern, height=2.0)
    for colour, second, pattern in (
        ((86, 120, 168), (250, 232, 150), "windows"),
        ((206, 160, 92), (110, 64, 40), "slits"),
        ((120, 92, 150), (222, 206, 236), "checks"),
        ((64, 150, 150), (232, 246, 240), "bands"),
        ((208, 120, 132), (250, 222, 214), "diamonds"),
    )
)
