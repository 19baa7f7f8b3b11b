"""Painting a screen into an array of bytes: everything whose place is known beforehand is a constant mask."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from unseen.environments.memory_suite import screen
from unseen.environments.memory_suite.screen import UNIT, Button, ScreenTask

Canvas = UInt8[Array, "h w 3"]
AROUND = (96, 96, 104)  # what lies beside the screen
CROSS, CURSOR, CURSOR_EDGE = (255, 0, 0), (0, 90, 255), (255, 255, 255)
FIXATION_SIDE, FIXATION_BAR, DISC_RADIUS = 48, 12, 20  # in 480ths


class Layout(NamedTuple):
    """Where the screen is in the picture, in pixels."""

    width: int
    height: int
    side: int
    left: int
    top: int

    @staticmethod
    def of(width: int, height: int) -> Layout:
        """As large as fits, with something to the left and the right of it, so that the gaze can be seen off the screen."""
        side = min(height, width * 27 // 32)
        return Layout(width, height, side, (width - side) // 2, (height - side) // 2)

    def rectangle(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """bool (height, width): a rectangle given in 480ths of the screen's side."""
        x0, x1 = (self.left + round(x * self.side / UNIT) for x in (left, right))
        y0, y1 = (self.top + round(y * self.side / UNIT) for y in (top, bottom))
        mask = np.zeros((self.height, self.width), bool)
        mask[y0:y1, x0:x1] = True
        return mask

    def disc(self, radius: int) -> np.ndarray:
        """bool (height, width): a disc in the middle of the screen."""
        y, x = np.mgrid[: self.height, : self.width] + 0.5
        centre = self.left + self.side / 2, self.top + self.side / 2
        return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= (radius * self.side / UNIT) ** 2

    def cross(self) -> np.ndarray:
        """bool (height, width): the fixation cross."""
        half, bar, middle = FIXATION_SIDE // 2, FIXATION_BAR // 2, screen.MIDDLE
        across = self.rectangle(middle - half, middle - bar, middle + half, middle + bar)
        return across | self.rectangle(middle - bar, middle - half, middle + bar, middle + half)


def blank(layout: Layout, background: tuple[int, int, int]) -> Canvas:
    """An empty screen, and what is beside it."""
    inside = layout.rectangle(0, 0, UNIT, UNIT)
    return jnp.asarray(np.where(inside[..., None], np.asarray(background), np.asarray(AROUND)).astype(np.uint8))


def where(canvas: Canvas, mask: np.ndarray, colour: UInt8[Array, "3"] | tuple[int, int, int], when: Bool[Array, ""]) -> Canvas:
    """The canvas with one colour under a constant mask, if `when`."""
    return jnp.where(jnp.asarray(mask)[..., None] & when, jnp.asarray(colour, jnp.uint8), canvas)


def buttons(canvas: Canvas, layout: Layout, task: ScreenTask, tints: Int[Array, "n"]) -> Canvas:
    """Every button in its tint."""
    table = [task.button_colour] * screen.TINTS
    for tint, colour in screen.TINT_COLOURS.items():
        table[tint] = colour
    colours = jnp.asarray(table, jnp.uint8)
    for k, button in enumerate(task.buttons):
        canvas = where(canvas, _face(layout, button), colours.at[tints[k]].get(mode="clip"), tints[k] != screen.HIDDEN)
    return canvas


def cursor(canvas: Canvas, layout: Layout, x: Int[Array, ""], y: Int[Array, ""]) -> Canvas:
    """A small cross where the gaze is (480ths of the screen's side), kept inside the picture."""
    column = jnp.clip(layout.left + (x * layout.side) // UNIT, 0, layout.width - 1)
    row = jnp.clip(layout.top + (y * layout.side) // UNIT, 0, layout.height - 1)
    across = jnp.abs(jnp.arange(layout.width, dtype=jnp.int32) - column)[None, :]
    down = jnp.abs(jnp.arange(layout.height, dtype=jnp.int32) - row)[:, None]
    bars = ((across <= 2) & (down == 0)) | ((across == 0) & (down <= 2))
    edge = ((across <= 3) & (down <= 1)) | ((across <= 1) & (down <= 3))
    outlined = jnp.where(edge[..., None], jnp.asarray(CURSOR_EDGE, jnp.uint8), canvas)
    return jnp.where(bars[..., None], jnp.asarray(CURSOR, jnp.uint8), outlined)


def _face(layout: Layout, button: Button) -> np.ndarray:
    return layout.rectangle(button.left, button.top, button.right, button.bottom)
