"""Compact observations and states as pictures for people. Only what the agent is told is drawn on a card; a map shows the state."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unseen.environments.memory_suite import change_detection, colours, digits, screen, sight
from unseen.environments.memory_suite.land import SIZE, Land
from unseen.environments.memory_suite.screen import ScreenTask
from unseen.environments.memory_suite.shapes import outline_mask
from unseen.environments.memory_suite.sight import HEADINGS
from unseen.environments.memory_suite.stimuli import glyphs, objects, things

SIDE = 288  # pixels of a card
CARD = (SIDE, SIDE)
GROUND, INK, PAPER, GOLD, AGENT = (225, 226, 222), (40, 44, 54), (250, 250, 247), (255, 190, 0), (0, 100, 200)
FLOOR, UNSEEN, BROWN = (214, 214, 206), (70, 74, 84), (150, 90, 40)
COMPASS = ("north", "east", "south", "west")


def material_colours() -> dict[int, tuple[int, int, int]]:
    """What stands in a land, in the colours that the first-person embodiment gives it."""
    from unseen.environments.memory_suite.scenery import STYLE

    return {k: material.colour for k, material in enumerate(STYLE.materials)}


def screen_card(task: ScreenTask, observation: np.ndarray) -> np.ndarray:
    """A screen with its cross, disc, picture and buttons."""
    buttons = len(task.buttons)
    look, tints, shown = screen.looks(task)[int(observation[0])], observation[1 : 1 + buttons], observation[1 + buttons :]
    image = Image.new("RGB", CARD, task.background)
    pen = ImageDraw.Draw(image)
    if task.feature_names[0] == "shape" and shown[0]:
        _paste_object(image, shown)
    elif task.feature_names[0].startswith("symbol"):
        _paste_symbols(image, shown.reshape(-1, 4))
    elif task.feature_names[0].startswith("digit"):
        _paste_digits(image, shown.reshape(-1, 3))
    middle = SIDE // 2
    if look == "fixation cross":
        pen.rectangle((middle - 14, middle - 4, middle + 14, middle + 4), fill=(255, 0, 0))
        pen.rectangle((middle - 4, middle - 14, middle + 4, middle + 14), fill=(255, 0, 0))
    if look == "disc":
        pen.ellipse((middle - 12, middle - 12, middle + 12, middle + 12), fill=task.button_colour)
    for button, tint in zip(task.buttons, tints, strict=True):
        if tint != screen.HIDDEN:
            corners = [round(x * SIDE / screen.UNIT) for x in (button.left, button.top, button.right, button.bottom)]
            colour = screen.TINT_COLOURS.get(int(tint), task.button_colour)
            pen.rectangle((corners[0], corners[1], corners[2] - 1, corners[3] - 1), fill=colour)
    return np.asarray(image, np.uint8).copy()


def _paste_object(image: Image.Image, shown: np.ndarray) -> None:
    shape, texture, colour, second = (int(x) - 1 for x in shown)
    number = ((shape * 8 + texture) * 6 + colour) * 5 + second + 1
    width = round(0.75 * SIDE)
    image.paste(Image.fromarray(objects.picture(number, width)), ((SIDE - width) // 2, (SIDE - width) // 2))


def _paste_symbols(image: Image.Image, cells: np.ndarray) -> None:
    masks = change_detection.symbol_masks(SIDE)
    for cell, (symbol, *amounts) in enumerate(cells):
        if symbol:
            image.paste(_mixed(amounts), mask=Image.fromarray(masks[cell, symbol - 1]))


def _paste_digits(image: Image.Image, places: np.ndarray) -> None:
    from unseen.environments.memory_suite.what_then_where import EDGE_SIDE, PLACES

    for (digit, slant, width), (x, y) in zip(places, ((screen.MIDDLE, screen.MIDDLE), *PLACES), strict=True):
        if digit:
            split = "train" if digits.TRAIN[digit - 1] == (slant - 1, width - 1) else "holdout"
            side = round(EDGE_SIDE * SIDE / screen.UNIT)
            at = round(x * SIDE / screen.UNIT - side / 2), round(y * SIDE / screen.UNIT - side / 2)
            image.paste(Image.fromarray(glyphs.sheet(split, side)[digit - 1]), at)


def _mixed(amounts: Any) -> tuple[int, int, int]:
    """The colour that amounts counted from 1 stand for: no two of the ten have the same."""
    wanted = np.asarray(amounts, np.int64) - 1
    red, green, blue = (int(part) for part in colours.RGB[int(np.argmin(np.abs(colours.AMOUNTS - wanted).sum(axis=1)))])
    return red, green, blue


# ---- worlds ------------------------------------------------------------------------------------------------------------


def land_card(observation: np.ndarray) -> np.ndarray:
    """The window ahead, the agent in the middle of its lowest row, and in words what stands ahead and to both sides."""
    from unseen.environments.memory_suite.compact_land import FLOOR as FREE
    from unseen.environments.memory_suite.compact_land import GOAL, HIDDEN

    paint = material_colours()
    image = Image.new("RGB", (SIDE, SIDE + 60), GROUND)
    pen, cell = ImageDraw.Draw(image), SIDE // sight.WINDOW[1]
    for k, look in enumerate(observation[7:]):
        row, column = divmod(k, sight.WINDOW[1])
        box = (column * cell + 1, row * cell + 1, (column + 1) * cell - 1, (row + 1) * cell - 1)
        colour = UNSEEN if look == HIDDEN else FLOOR if look in (FREE, GOAL) else paint[int(look) - GOAL]
        pen.rectangle(box, fill=colour)
        if look == GOAL:
            _star(pen, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0.4 * cell)
    x, y = (sight.ASIDE + 0.5) * cell, (sight.AHEAD + 0.5) * cell
    pen.polygon([(x, y - 0.32 * cell), (x - 0.26 * cell, y + 0.28 * cell), (x + 0.26 * cell, y + 0.28 * cell)], fill=AGENT, outline=PAPER)
    words = [f"facing {COMPASS[int(observation[0])]}"]
    for k, name in enumerate(("ahead", "left", "right")):
        steps, look = int(observation[1 + 2 * k]), int(observation[2 + 2 * k])
        words.append(f"{name} {steps}")
        left = 12 + 92 * k
        pen.rectangle((left, SIDE + 32, left + 20, SIDE + 52), fill=GOLD if look == GOAL else paint[look - GOAL])
        pen.text((left + 26, SIDE + 34), words[-1], INK, ImageFont.load_default(14))
    pen.text((12, SIDE + 8), words[0], INK, ImageFont.load_default(15))
    return np.asarray(image, np.uint8).copy()


def land_map(land: Land, row: int, column: int, heading: int) -> np.ndarray:
    """The whole land with goal and agent: for people only."""
    paint, cells, cell = material_colours(), np.asarray(land.cells), 12
    image = Image.new("RGB", (SIZE * cell, SIZE * cell), FLOOR)
    pen = ImageDraw.Draw(image)
    for r, c in np.argwhere(cells > 0):
        pen.rectangle((c * cell, r * cell, (c + 1) * cell - 1, (r + 1) * cell - 1), fill=paint[int(cells[r, c])])
    _star(pen, (int(land.goal[1]) + 0.5) * cell, (int(land.goal[0]) + 0.5) * cell, 1.2 * cell)
    _arrow(pen, (column + 0.5) * cell, (row + 0.5) * cell, heading, cell)
    return np.asarray(image, np.uint8).copy()


def chamber_card(observation: np.ndarray) -> np.ndarray:
    """Blocks where the agent sees them, itself at the foot; walls and doors in words."""
    image = Image.new("RGB", (SIDE, SIDE), FLOOR)
    pen, cell = ImageDraw.Draw(image), SIDE // 14
    for ahead, aside, *amounts in observation[7:].reshape(-1, 5):
        if ahead:
            x, y = SIDE / 2 + (int(aside) - 7) * 1.6 * cell, SIDE - 60 - int(ahead) * 1.4 * cell
            pen.rectangle((x - 12, y - 12, x + 12, y + 12), fill=_mixed(amounts), outline=INK, width=2)
    ahead, door = int(observation[1]), bool(observation[2])
    y = SIDE - 60 - ahead * 1.4 * cell
    pen.rectangle((0, y - 8, SIDE, y - 2), fill=UNSEEN)
    if door:
        pen.rectangle((SIDE / 2 - 40, y - 12, SIDE / 2 + 40, y), fill=BROWN)
    for steps, side in ((int(observation[3]), -1), (int(observation[5]), 1)):
        x = SIDE / 2 + side * (steps - 0.5) * 1.6 * cell
        pen.rectangle((min(x, x + 6 * side), y, max(x, x + 6 * side), SIDE - 34), fill=UNSEEN)
    pen.polygon([(SIDE / 2, SIDE - 66), (SIDE / 2 - 9, SIDE - 46), (SIDE / 2 + 9, SIDE - 46)], fill=AGENT)
    words = [f"facing {COMPASS[int(observation[0])]}"]
    words += [
        f"{name} {observation[1 + 2 * k]}{' door' if observation[2 + 2 * k] else ''}" for k, name in enumerate(("ahead", "left", "right"))
    ]
    pen.text((10, SIDE - 26), ", ".join(words), INK, ImageFont.load_default(13))
    return np.asarray(image, np.uint8).copy()


def chamber_map(seen: Any, solid: np.ndarray, holdout: bool, row: Any, column: Any, heading: Any) -> np.ndarray:
    """Both rooms, the corridor, the doors as they are, the blocks of the agent's room."""
    cell = 20
    image = Image.new("RGB", (solid.shape[1] * cell, solid.shape[0] * cell), FLOOR)
    pen = ImageDraw.Draw(image)
    for r, c in np.argwhere(solid):
        door = c in (8, 12) and r in (4, 5)
        pen.rectangle((c * cell, r * cell, (c + 1) * cell - 1, (r + 1) * cell - 1), fill=BROWN if door else UNSEEN)
    for present, y, x, colour in zip(*(np.asarray(part) for part in seen), strict=True):
        if present:
            centre_x, centre_y = (float(x) + 0.5) * cell, (float(y) + 0.5) * cell
            fill = tuple(int(v) for v in colours.RGB[int(colour) + colours.SET * holdout])
            pen.rectangle((centre_x - 8, centre_y - 8, centre_x + 8, centre_y + 8), fill=fill, outline=INK)
    _arrow(pen, (float(column) + 0.5) * cell, (float(row) + 0.5) * cell, int(heading), cell)
    return np.asarray(image, np.uint8).copy()


def ordering_card(observation: np.ndarray) -> np.ndarray:
    """Two pedestals, what stands on them, and which is lit."""
    image = Image.new("RGB", (SIDE, SIDE // 2 + 40), PAPER)
    pen = ImageDraw.Draw(image)
    phase, lit = int(observation[0]), int(observation[1])
    for k, (outline, *amounts) in enumerate(observation[2:].reshape(2, 4)):
        middle = SIDE * (1 + 2 * k) / 4
        pen.rectangle((middle - 40, 130, middle + 40, 160), fill=GOLD if lit == k + 1 else (150, 150, 150))
        if outline:
            mask = outline_mask(things.OUTLINES[int(outline) - 1], 80)
            image.paste(_mixed(amounts), (round(middle - 40), 44), Image.fromarray(mask))
    word = ("demonstration", "blank", "challenge: which is higher?")[phase]
    pen.text((SIDE / 2, 12), word, INK, ImageFont.load_default(15), anchor="ma")
    return np.asarray(image, np.uint8).copy()


def _star(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    reach = [radius * (1.0 if k % 2 == 0 else 0.45) for k in range(10)]
    points = [(x + r * np.sin(k * np.pi / 5), y - r * np.cos(k * np.pi / 5)) for k, r in enumerate(reach)]
    pen.polygon(points, fill=GOLD, outline=INK)


def _arrow(pen: ImageDraw.ImageDraw, x: float, y: float, heading: int, size: int) -> None:
    down, right = (float(v) for v in HEADINGS[heading])
    tip, left, other = (
        (x + size * right, y + size * down),
        (x - 0.6 * size * down, y + 0.6 * size * right),
        (x + 0.6 * size * down, y - 0.6 * size * right),
    )
    pen.polygon([tip, left, other], fill=AGENT, outline=PAPER)
