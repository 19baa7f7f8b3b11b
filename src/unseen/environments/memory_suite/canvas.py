"""A picture while it is painted: one number a pixel, and stamps whose places are known beforehand, so that only they are computed."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, UInt8, UInt32

UNIT = 480  # parts of a screen's side; see `screen`

Canvas = Int32[Array, "h w"]  # red + 256 green + 65,536 blue


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

    def cross(self, side: int, bar: int) -> np.ndarray:
        """bool (height, width): a cross in the middle of the screen, of a side and a thickness."""
        half, thin, middle = side // 2, bar // 2, UNIT // 2
        across = self.rectangle(middle - half, middle - thin, middle + half, middle + thin)
        return across | self.rectangle(middle - thin, middle - half, middle + thin, middle + half)


def packed(colour: UInt8[Array, "*n 3"] | tuple[int, int, int]) -> Int32[Array, "*n"]:
    """Colours as one number each."""
    parts = jnp.asarray(colour, jnp.int32)
    return parts[..., 0] | (parts[..., 1] << 8) | (parts[..., 2] << 16)


def unpacked(canvas: Canvas) -> UInt8[Array, "h w 3"]:
    """Red, green and blue bytes."""
    return ((canvas[..., None] >> np.asarray([[[0, 8, 16]]], np.int32)) & 255).astype(jnp.uint8)


def stamped(canvas: Canvas, sprite: Int32[Array, "a b"], x: int, y: int) -> Canvas:
    """The canvas with a sprite whose top left corner is at column x and row y."""
    return jax.lax.dynamic_update_slice(canvas, sprite, (y, x))


def patch(canvas: Canvas, x: int, y: int, width: int, height: int) -> Int32[Array, "a b"]:
    """What is there now."""
    return canvas[y : y + height, x : x + width]


def filled(canvas: Canvas, mask: np.ndarray, colour: Int32[Array, ""], when: Bool[Array, ""]) -> Canvas:
    """The canvas with one colour under a constant mask, if `when`; only the mask's bounding box is computed."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y, x = int(rows[0]), int(columns[0])
    part = mask[y : int(rows[-1]) + 1, x : int(columns[-1]) + 1]
    before = patch(canvas, x, y, part.shape[1], part.shape[0])
    return stamped(canvas, jnp.where(jnp.asarray(part) & when, colour, before), x, y)


def words(masks: np.ndarray) -> UInt32[np.ndarray, "*n h k"]:
    """Masks (..., h, w) with 32 pixels of a row in each word: looking up a row costs no more than looking up a pixel."""
    width = masks.shape[-1]
    wide = np.zeros((*masks.shape[:-1], -(-width // 32) * 32), np.uint32)
    wide[..., :width] = masks
    grouped = wide.reshape(*masks.shape[:-1], -1, 32) << np.arange(32, dtype=np.uint32)
    return grouped.sum(axis=-1, dtype=np.uint32)


def bits(rows: UInt32[Array, "h k"], width: int) -> Bool[Array, "h w"]:
    """The mask that words stand for."""
    column = np.arange(width)
    spread = jnp.concatenate(
        [jnp.broadcast_to(rows[:, k : k + 1], (rows.shape[0], min(32, width - 32 * k))) for k in range(rows.shape[1])], 1
    )
    return ((spread >> (column % 32).astype(np.uint32)[None]) & 1) != 0


def placed(layout: Layout, centre: tuple[int, int], width: int) -> tuple[int, int]:
    """Column and row of the corner of a square sprite whose middle is at a place in 480ths of the screen."""
    x, y = (start + round(at * layout.side / UNIT - width / 2) for start, at in zip((layout.left, layout.top), centre, strict=True))
    return x, y
