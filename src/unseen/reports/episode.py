"""An episode for people: a strip of pictures with captions (PNG) and an animation (GIF), both bounded in size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from unseen.errors import UserError
from unseen.reports.text import readable

Frame = UInt8[np.ndarray, "height width 3"]
PAPER, INK = (246, 247, 249), (29, 33, 39)  # a strip brings its own paper, so that it reads the same on any page
GAP = 8


def strip(
    frames: Sequence[Frame], captions: Sequence[str] = (), *, count: int = 8, columns: int = 4, size: int = 180, max_bytes: int = 1_000_000
) -> bytes:
    """A PNG of up to `count` frames in rows of `columns`, evenly spaced over the episode, the first and the last among them.

    Args:
        frames: uint8 RGB pictures, (height, width, 3), all of one shape.
        captions: one per frame, as in "left, reward 0"; empty for none.
        count: how many frames to show.
        columns: how many stand side by side.
        size: longest side of a shown frame in pixels.
        max_bytes: the picture is made smaller until it is within this.

    Raises:
        UserError: no frames, frames of different shapes, captions that do not match, or a bound that cannot be met.
    """
    _check(frames, captions)
    chosen = _spread(len(frames), count)

    def draw(size: int, _: int) -> bytes:
        return _png(_sheet([_panel(frames[i], captions[i] if captions else "", size) for i in chosen], columns))

    return _bounded(draw, size, 1, max_bytes)


def animation(
    frames: Sequence[Frame],
    captions: Sequence[str] = (),
    *,
    milliseconds: int = 200,
    count: int = 120,
    size: int = 240,
    max_bytes: int = 2_000_000,
) -> bytes:
    """A GIF of up to `count` frames, evenly spaced over the episode; it loops, resting a second on the last frame.

    Args:
        frames: uint8 RGB pictures, (height, width, 3), all of one shape.
        captions: one per frame; empty for none.
        milliseconds: how long a frame is shown.
        count: how many frames to show at most.
        size: longest side of a frame in pixels.
        max_bytes: frames are left out and made smaller until the file is within this.

    Raises:
        UserError: no frames, frames of different shapes, captions that do not match, or a bound that cannot be met.
    """
    _check(frames, captions)

    def draw(size: int, count: int) -> bytes:
        chosen = _spread(len(frames), count)
        panels = [_panel(frames[i], captions[i] if captions else "", size) for i in chosen]
        durations = [milliseconds] * (len(panels) - 1) + [max(1_000, milliseconds)]
        stream = io.BytesIO()
        panels[0].save(stream, format="GIF", save_all=True, append_images=panels[1:], duration=durations, loop=0, optimize=True)
        return stream.getvalue()

    return _bounded(draw, size, min(count, len(frames)), max_bytes)


def _bounded(draw, size: int, count: int, max_bytes: int) -> bytes:
    while len(data := draw(size, count)) > max_bytes:
        if size <= 32 and count <= 2:
            raise UserError(f"max_bytes is {max_bytes}; the smallest picture of this episode takes {len(data)} bytes")
        size, count = max(32, int(size * 0.8)), max(1, int(count * 0.8))
    return data


def _spread(n: int, count: int) -> list[int]:
    return np.unique(np.linspace(0, n - 1, max(1, min(n, count))).round().astype(int)).tolist()


def _panel(frame: Frame, caption: str, size: int) -> Image.Image:
    image = Image.fromarray(frame)
    scale = size / max(image.size)
    # Small pictures are drawn cell by cell: enlarge them by whole pixels, so that they stay crisp.
    method, scale = (Image.Resampling.NEAREST, max(1, int(scale))) if scale >= 1 else (Image.Resampling.LANCZOS, scale)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), method)
    if not caption:
        return image
    font = _font(max(9, size // 15))
    lines = _wrapped(caption, font, max(image.width, size))
    line_height = int(font.size * 1.35)
    panel = Image.new("RGB", (max(image.width, size), image.height + 4 + 2 * line_height), PAPER)
    panel.paste(image, ((panel.width - image.width) // 2, 0))
    for k, line in enumerate(lines):
        x = (panel.width - font.getlength(line)) / 2
        ImageDraw.Draw(panel).text((x, image.height + 4 + k * line_height), line, INK, font)
    return panel


def _wrapped(caption: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """At most two lines that fit; what does not fit ends in an ellipsis."""
    words, lines = readable(caption).split(), []
    while words and len(lines) < 2:
        k = (
            len(words)
            if len(lines) == 1
            else next((k for k in range(len(words), 1, -1) if font.getlength(" ".join(words[:k])) <= width), 1)
        )
        lines.append(" ".join(words[:k]))
        words = words[k:]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    kept = next((k for k in range(min(len(line), 500), 0, -1) if font.getlength(line[:k] + "…") <= width), 0)
    return line[:kept] + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    # Matplotlib carries DejaVu Sans, which has the arrows and letters that Pillow's built-in font lacks.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def _sheet(panels: list[Image.Image], columns: int) -> Image.Image:
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = panels[0].size
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), GAP + rows * (height + GAP)), PAPER)
    for k, panel in enumerate(panels):
        sheet.paste(panel, (GAP + (k % columns) * (width + GAP), GAP + (k // columns) * (height + GAP)))
    return sheet


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _check(frames: Sequence[Frame], captions: Sequence[str]) -> None:
    if not len(frames):
        raise UserError("an episode without frames cannot be shown; give at least one frame")
    for k, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != frames[0].shape or 0 in frame.shape:
            raise UserError(f"frame {k} is {frame.dtype} {frame.shape}; frames must be uint8 (height, width, 3), all of one shape")
    if captions and len(captions) != len(frames):
        raise UserError(f"{len(captions)} captions for {len(frames)} frames; give one per frame, or none")
