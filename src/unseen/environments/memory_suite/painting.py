"""Painting a screen: what lies around it, its cross and disc, the buttons in their tints, and the gaze."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from unseen.environments.memory_suite import screen
from unseen.environments.memory_suite.canvas import UNIT, Canvas, Layout, filled, packed
from unseen.environments.memory_suite.screen import Button, ScreenTask

AROUND = (96, 96, 104)  # what lies beside the screen
CROSS, CURSOR, CURSOR_EDGE = (255, 0, 0), (0, 90, 255), (255, 255, 255)
FIXATION_SIDE, FIXATION_BAR, DISC_RADIUS = 48, 12, 20  # in 480ths


def blank(layout: Layout, background: tuple[int, int, int]) -> Canvas:
    """An empty screen, and what is beside it."""
    inside = layout.rectangle(0, 0, UNIT, UNIT)
    return jnp.where(jnp.asarray(inside), packed(background), packed(AROUND))


def cross(canvas: Canvas, layout: Layout, when: Bool[Array, ""]) -> Canvas:
    """The fixation cross."""
    return filled(canvas, layout.cross(FIXATION_SIDE, FIXATION_BAR), packed(CROSS), when)


def disc(canvas: Canvas, layout: Layout, colour: tuple[int, int, int], when: Bool[Array, ""]) -> Canvas:
    """The disc that must be looked at."""
    return filled(canvas, layout.disc(DISC_RADIUS), packed(colour), when)


def buttons(canvas: Canvas, layout: Layout, task: ScreenTask, tints: Int[Array, "n"]) -> Canvas:
    """Every button in its tint."""
    table = [task.button_colour] * screen.TINTS
    for tint, colour in screen.TINT_COLOURS.items():
        table[tint] = colour
    colours = packed(jnp.asarray(table, jnp.uint8))
    for k, button in enumerate(task.buttons):
        canvas = filled(canvas, face(layout, button), colours.at[tints[k]].get(mode="clip"), tints[k] != screen.HIDDEN)
    return canvas


def cursor(canvas: Canvas, layout: Layout, x: Int[Array, ""], y: Int[Array, ""]) -> Canvas:
    """A small cross where the gaze is (480ths of the screen's side), kept inside the picture."""
    column = jnp.clip(layout.left + (x * layout.side) // UNIT, 0, layout.width - 1)
    row = jnp.clip(layout.top + (y * layout.side) // UNIT, 0, layout.height - 1)
    across = jnp.abs(jnp.arange(layout.width, dtype=jnp.int32) - column)[None, :]
    down = jnp.abs(jnp.arange(layout.height, dtype=jnp.int32) - row)[:, None]
    bars = ((across <= 2) & (down == 0)) | ((across == 0) & (down <= 2))
    edge = ((across <= 3) & (down <= 1)) | ((across <= 1) & (down <= 3))
    return jnp.where(bars, packed(CURSOR), jnp.where(edge, packed(CURSOR_EDGE), canvas))


def face(layout: Layout, button: Button) -> np.ndarray:
    """bool (height, width): where a button is."""
    return layout.rectangle(button.left, button.top, button.right, button.bottom)
