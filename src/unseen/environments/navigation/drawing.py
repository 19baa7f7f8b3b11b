"""A small board to draw on: tiles, words, stars and the agent, in colours that read without colour vision."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Place = tuple[int | float, int | float]  # row from the top, column from the left, in tiles

WALL: Colour = (52, 58, 70)
FLOOR: Colour = (236, 234, 228)
LIGHT: Colour = (255, 255, 255)
GOOD: Colour = (0, 140, 100)
BAD: Colour = (200, 80, 20)
HINT: Colour = (120, 80, 170)
AGENT: Colour = (0, 100, 200)
SECOND_AGENT: Colour = (225, 150, 0)
DIRT: Colour = (140, 98, 62)

SIZE = 48  # pixels of a tile's side


class Board:
    """A picture of `rows` by `columns` tiles, dark where nothing was drawn."""

    def __init__(self, rows: int, columns: int, size: int = SIZE):
        self.size = size
        self.image = Image.new("RGB", (columns * size, rows * size), WALL)
        self.pen = ImageDraw.Draw(self.image)

    def tile(self, place: Place, colour: Colour) -> None:
        left, top = place[1] * self.size, place[0] * self.size
        self.pen.rectangle((left + 1, top + 1, left + self.size - 2, top + self.size - 2), fill=colour)

    def disc(self, place: Place, radius: float, colour: Colour, shift: int | float = 0) -> None:
        """A disc; `radius` and the sideways `shift` are in tiles."""
        x, y, r = (place[1] + 0.5 + shift) * self.size, (place[0] + 0.5) * self.size, radius * self.size
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=LIGHT, width=2)

    def agent(self, place: Place, colour: Colour = AGENT, shift: int | float = 0, radius: float = 0.26) -> None:
        """A disc with two eyes."""
        self.disc(place, radius, colour, shift)
        for side in (-0.09, 0.09):
            x, y = (place[1] + 0.5 + shift + side) * self.size, (place[0] + 0.44) * self.size
            self.pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=LIGHT)

    def star(self, place: Place, radius: float, colour: Colour) -> None:
        x, y = (place[1] + 0.5) * self.size, (place[0] + 0.5) * self.size
        reach = [radius * self.size * (1.0 if i % 2 == 0 else 0.45) for i in range(10)]
        points = [(x + r * math.sin(i * math.pi / 5), y - r * math.cos(i * math.pi / 5)) for i, r in enumerate(reach)]
        self.pen.polygon(points, fill=colour)

    def dirt(self, place: Place) -> None:
        for right, down in ((0.3, 0.3), (0.65, 0.25), (0.45, 0.55), (0.75, 0.65), (0.25, 0.75)):
            x, y, r = (place[1] + right) * self.size, (place[0] + down) * self.size, 0.08 * self.size
            self.pen.ellipse((x - r, y - r, x + r, y + r), fill=DIRT)

    def flag(self, place: Place, colour: Colour) -> None:
        x, top, bottom = (place[1] + 0.4) * self.size, (place[0] + 0.1) * self.size, (place[0] + 0.7) * self.size
        self.pen.line((x, top, x, bottom), fill=LIGHT, width=3)
        self.pen.polygon([(x, top), (x + 0.45 * self.size, top + 0.16 * self.size), (x, top + 0.32 * self.size)], fill=colour)

    def arrow(self, place: Place, length: float, colour: Colour) -> None:
        """A sideways arrow below the middle of a tile, `length` tiles long, to the right if positive; none if very short."""
        if abs(length) < 0.1:
            return
        x, y = (place[1] + 0.5) * self.size, (place[0] + 0.88) * self.size
        tip, head = x + length * self.size, math.copysign(min(abs(length), 0.25), length) * self.size
        self.pen.line((x, y, tip - head, y), fill=colour, width=3)
        self.pen.polygon([(tip, y), (tip - head, y - 5), (tip - head, y + 5)], fill=colour)

    def text(self, place: Place, words: str, colour: Colour) -> None:
        """Words at the foot of a tile, so that an agent standing there does not hide them."""
        font = ImageFont.load_default(self.size / 4)
        self.pen.text(((place[1] + 0.5) * self.size, (place[0] + 1) * self.size - 3), words, colour, font, anchor="mb")

    def array(self) -> np.ndarray:
        """The picture as uint8 RGB, shape (height, width, 3)."""
        return np.asarray(self.image, np.uint8).copy()
