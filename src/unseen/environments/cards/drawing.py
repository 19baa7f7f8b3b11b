"""A table to play on: cards in rows, words, bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import ImageFont

from unseen.environments.navigation.drawing import AGENT, FLOOR, GOOD, HINT, LIGHT, WALL, Board, Colour

FACES: dict[str, tuple[Colour, Colour]] = {  # state of a card: paper, ink
    "up": (GOOD, LIGHT),
    "turned": (FLOOR, WALL),
    "down": (HINT, HINT),
}


class Table(Board):
    """Rows and columns of cards."""

    def row(self, row: int, prints: Sequence[str], shown: int) -> None:
        """Cards from the left; an empty print leaves a gap. The one at `shown` is marked."""
        for column, text in enumerate(prints):
            if text:
                self.card((row, column), text, "up" if column == shown else "turned")

    def card(self, place: tuple[int, int], text: str, face: str) -> None:
        paper, ink = FACES[face]
        left, top = place[1] * self.size, place[0] * self.size
        self.pen.rounded_rectangle((left + 5, top + 2, left + self.size - 6, top + self.size - 3), 5, fill=paper)
        middle = left + 0.5 * self.size, top + 0.5 * self.size
        self.pen.text(middle, text, ink, ImageFont.load_default(0.5 * self.size), anchor="mm")

    def words(self, row: int, words: str) -> None:
        """Words from the left edge of a row."""
        font = ImageFont.load_default(0.36 * self.size)
        self.pen.text((8, (row + 0.5) * self.size), words, LIGHT, font, anchor="lm")

    def bars(self, row: int, shares: np.ndarray, labels: Sequence[str], chosen: int) -> None:
        """A bar of a share between 0 and 1 in each column, the chosen one in another colour."""
        font = ImageFont.load_default(0.3 * self.size)
        for column, (share, label) in enumerate(zip(shares, labels, strict=True)):
            left, bottom = column * self.size, (row + 0.7) * self.size
            height = 0.65 * self.size * float(share)
            colour = AGENT if column == chosen else FLOOR
            self.pen.rectangle((left + 8, bottom - height, left + self.size - 9, bottom), fill=colour)
            self.pen.text((left + 0.5 * self.size, (row + 0.98) * self.size), label, LIGHT, font, anchor="mb")
