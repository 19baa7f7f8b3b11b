"""The digits 0 to 4 drawn in strokes, as if by hand: one exemplar of each to train on, another one held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from unseen.environments import options
from unseen.environments.memory_suite.stimuli.catalogue import SPLITS, require_disjoint
from unseen.errors import unknown

DIGITS = 5
EXEMPLARS = {"train": 0, "holdout": 1}  # which exemplar of every class a split shows
SEED = 66  # of all hands; of the first 300 the one whose two exemplars of a class differ most
SMALLEST, LARGEST = 12, 1024  # pixels of a side
PIECES = 24  # straight pieces of a stroke

# What every hand starts from: strokes through points (right, down) in a square from -0.5 to 0.5.
_STROKES: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (
        ((0.03, -0.5), (-0.13, -0.45), (-0.26, -0.25), (-0.3, 0.0), (-0.26, 0.25), (-0.13, 0.45), (0.0, 0.5)),
        ((0.0, 0.5), (0.15, 0.45), (0.26, 0.25), (0.3, 0.0), (0.26, -0.25), (0.15, -0.45), (-0.02, -0.5)),
    ),
    (((-0.15, -0.31), (-0.05, -0.39), (0.03, -0.5)), ((0.03, -0.5), (0.03, 0.0), (0.03, 0.5))),
    (
        ((-0.3, -0.26), (-0.2, -0.44), (0.04, -0.5), (0.26, -0.36), (0.23, -0.1), (-0.02, 0.2), (-0.32, 0.48)),
        ((-0.32, 0.48), (0.0, 0.49), (0.36, 0.48)),
    ),
    (
        ((-0.28, -0.4), (-0.04, -0.5), (0.22, -0.39), (0.2, -0.17), (-0.06, -0.04)),
        ((-0.06, -0.04), (0.2, 0.03), (0.3, 0.24), (0.1, 0.46), (-0.14, 0.48), (-0.32, 0.36)),
    ),
    (
        ((-0.2, -0.46), (-0.26, -0.2), (-0.32, 0.08)),
        ((-0.32, 0.08), (0.0, 0.07), (0.36, 0.04)),
        ((0.2, -0.5), (0.17, 0.0), (0.15, 0.5)),
    ),
)


class Hand(NamedTuple):
    """How an exemplar is written. Attributes:

    width: of a stroke, in sides of the picture.
    slant: how far the top leans to the right, in heights.
    curvature: how far the middle of a stroke bends to its left, in lengths of its chord.
    scale: height, in sides of the picture.
    breadth: times the usual breadth.
    """

    width: float
    slant: float
    curvature: float
    scale: float
    breadth: float


def sheet(split: str, side: int) -> UInt8[np.ndarray, "5 side side"]:
    """The digits 0 to 4 as a split shows them, white on black.

    Args:
        split: "train" or "holdout".
        side: of a picture, 12 to 1024 pixels.

    Raises:
        UserError: unknown split, a side that is not allowed.

    Source: specification of the memory suite, 3.4, *proposed* where MNIST is not at hand; for the original digits see `mnist.load`.
    """
    if split not in SPLITS:
        raise unknown("stimulus split", split, SPLITS)
    train, holdout = ([(digit, *hand(digit, EXEMPLARS[name])) for digit in range(DIGITS)] for name in SPLITS)
    require_disjoint("glyphs", train, holdout)
    return np.stack([glyph(digit, EXEMPLARS[split], side) for digit in range(DIGITS)])


def glyph(digit: int, exemplar: int, side: int) -> UInt8[np.ndarray, "side side"]:
    """One digit in one hand, strokes of 255 on 0, smooth at the edges.

    Args:
        digit: 0 to 4.
        exemplar: 0 or more; another number is another hand, the same number always the same.
        side: of the picture, 12 to 1024 pixels.

    Raises:
        UserError: an argument that is not allowed.
    """
    options.require_integer("glyphs", "side", side, SMALLEST, LARGEST)
    written = hand(digit, exemplar)
    lines = [_bent(_through(np.asarray(points)), written.curvature) for points in _STROKES[digit]]
    lean = np.asarray([[written.breadth, 0.0], [-written.slant, 1.0]])  # up is negative: the top goes to the right
    lines = [line @ lean * written.scale for line in lines]
    low, high = np.min([line.min(0) for line in lines], 0), np.max([line.max(0) for line in lines], 0)
    middles = (np.arange(side) + 0.5) / side - 0.5 + (low + high)[:, None] / 2  # of the pixels; the digit is centred
    pixels = np.stack(np.meshgrid(middles[0], middles[1]), axis=-1)
    distance = np.min([_distance(pixels, line) for line in lines], axis=0)
    return np.rint(255 * np.clip((written.width / 2 - distance) * side + 0.5, 0.0, 1.0)).astype(np.uint8)


def hand(digit: int, exemplar: int) -> Hand:
    """The stroke parameters of an exemplar of a digit; UserError for a digit beyond 4 or a negative exemplar."""
    options.require_integer("glyphs", "digit", digit, 0, DIGITS - 1)
    options.require_integer("glyphs", "exemplar", exemplar, 0)
    width, slant, curvature, scale, breadth = np.random.default_rng((SEED, digit, exemplar)).random(5).tolist()
    return Hand(
        width=0.075 + 0.045 * width,
        slant=-0.15 + 0.5 * slant,
        curvature=-0.08 + 0.16 * curvature,
        scale=0.62 + 0.14 * scale,
        breadth=0.8 + 0.35 * breadth,
    )


def _through(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "m 2"]:
    """A smooth line through the points: a cubic between neighbours, with the slopes of their neighbours (Catmull and Rom 1974)."""
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    place = np.linspace(0.0, len(points) - 1.0, PIECES + 1)
    k = np.minimum(place.astype(int), len(points) - 2)
    t = (place - k)[:, None]
    before, start, end, after = ends[k], ends[k + 1], ends[k + 2], ends[k + 3]
    slope, slope_at_end = (end - before) / 2, (after - start) / 2
    return (2 * t**3 - 3 * t**2 + 1) * start + (t**3 - 2 * t**2 + t) * slope + (3 * t**2 - 2 * t**3) * end + (t**3 - t**2) * slope_at_end


def _bent(line: Float[np.ndarray, "m 2"], curvature: float) -> Float[np.ndarray, "m 2"]:
    """Pushed sideways in the middle; the ends stay, so that strokes which meet still do."""
    right, down = line[-1] - line[0]
    return line + curvature * np.sin(np.pi * np.linspace(0.0, 1.0, len(line)))[:, None] * np.asarray([down, -right])


def _distance(pixels: Float[np.ndarray, "side side 2"], line: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "side side"]:
    """From every pixel to the nearest point of the line."""
    start, along = line[:-1], np.diff(line, axis=0)
    to_start = pixels[:, :, None, :] - start
    t = np.clip((to_start * along).sum(-1) / (along**2).sum(-1), 0.0, 1.0)
    return np.linalg.norm(to_start - t[..., None] * along, axis=-1).min(-1)
