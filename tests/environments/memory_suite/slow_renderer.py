"""The first-person picture in slow double precision: every solid cell is a box, every pixel is asked what it shows.

Written apart from the raycaster: no grid walk but the intersection of each ray with all boxes, no fixed-point numbers, no row limits
but the height above the floor of every pixel's middle at the depth of what is hit. Shared are the data: materials' pattern squares and
the table of the skyline, and the constants of light, haze and fading.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unseen.environments.memory_suite.columns import HAZE_AT, MOST_HAZE, SHADED_SIDE
from unseen.environments.memory_suite.gridwalk import NEAR
from unseen.environments.memory_suite.materials import PATTERNS, grain
from unseen.environments.memory_suite.panorama import skyline
from unseen.environments.memory_suite.raycaster import CHECKS_FROM, CHECKS_TO


def render(cells: np.ndarray, objects: Any, x: float, y: float, heading: float, style: Any, width: int, height: int) -> np.ndarray:
    """uint8 (height, width, 3)."""
    ahead = np.array([math.sin(heading), -math.cos(heading)])
    right = np.array([math.cos(heading), math.sin(heading)])
    focal = (width / 2) / math.tan(math.radians(style.view) / 2)
    boxes = np.argwhere(cells > 0)[:, ::-1]  # (x, y) of their north-west corners
    boxes = boxes[np.abs(boxes - np.floor([x, y])).max(axis=1) <= style.reach]
    up = height / 2 - (np.arange(height) + 0.5)  # pixels above the horizon
    line = skyline(style.landmarks)
    picture = np.zeros((height, width, 3), np.uint8)
    for column in range(width):
        slope = (column + 0.5 - width / 2) / focal
        ray = ahead + slope * right
        shown = np.where(up[:, None] >= 0, far(up / focal, slope, ray, line, style), floor(up / focal, ray, x, y, style))
        wall = first_box(boxes, x, y, ray)
        if wall is not None:
            depth, box, axis = wall
            material = style.materials[min(int(cells[box[1], box[0]]), len(style.materials) - 1)]
            above_floor = style.eye + up / focal * max(depth, NEAR)
            colours = wall_colours(material, depth, axis, np.array([x, y]) + depth * ray, above_floor, focal, style)
            shown = np.where(((above_floor > 0) & (above_floor < material.height))[:, None], colours, shown)
        thing = first_object(objects, x, y, ahead, right, slope, math.inf if wall is None else wall[0])
        if thing is not None:
            n, depth, u = thing
            share = (style.eye + up / focal * depth - objects.bottom[n]) / (objects.top[n] - objects.bottom[n])
            colour = objects.colour[n].astype(int)
            if u > 0.6:
                colour = colour // 2 + colour // 4
            for r in np.flatnonzero((share > 0) & (share < 1)):
                if filled(int(objects.shape[n]), u, float(share[r])):
                    shown[r] = colour
        picture[:, column] = shown
    return picture


def far(tangent: np.ndarray, slope: float, ray: np.ndarray, line: Any, style: Any) -> np.ndarray:
    """Sky and landmarks of a column, (height, 3) whole numbers; the tangent is of the elevation straight ahead."""
    turn = math.atan2(ray[0], -ray[1]) / (2 * math.pi) % 1
    k = int(turn * len(line.height)) % len(line.height)
    top, horizon = (np.array(c, float) for c in style.sky)
    low = 1 - tangent / tangent[0] * (1 - 0.5 / (len(tangent) / 2))  # 0 at the picture's upper edge, 1 at the horizon
    sky = np.floor(top + np.clip(low, 0, 1)[:, None] * (horizon - top)).astype(int)
    elevation = tangent / math.hypot(1, slope)
    cap, body = ([int(c) % 256, int(c) // 256 % 256, int(c) // 65536] for c in (line.cap_colour[k], line.colour[k]))
    land = np.where((elevation < line.cap_from[k])[:, None], body, cap)
    return np.where((elevation < line.height[k])[:, None], land, sky)


def floor(tangent: np.ndarray, ray: np.ndarray, x: float, y: float, style: Any) -> np.ndarray:
    """The floor's squares of a column, (height, 3) whole numbers."""
    depth = style.eye / np.maximum(-tangent, 1e-9)[:, None]
    odd = np.floor(np.array([x, y]) + depth * ray).sum(axis=1, keepdims=True) % 2 == 1
    first, second = (np.array(c, float) for c in style.floor)
    own = np.where(odd, second, first)
    faded = np.clip((depth - CHECKS_FROM) / (CHECKS_TO - CHECKS_FROM), 0, 1)
    return np.floor(own + faded * ((first + second) / 2 - own)).astype(int)


def first_box(boxes: np.ndarray, x: float, y: float, ray: np.ndarray) -> tuple[float, np.ndarray, int] | None:
    """Depth, box and axis (0 if a side facing east or west is met) of the first box that a ray enters."""
    if not len(boxes):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (boxes - [x, y]) / ray, (boxes + 1 - [x, y]) / ray
    enters, leaves = np.minimum(one, other), np.maximum(one, other)
    enter, leave = enters.max(axis=1), leaves.min(axis=1)
    met = np.flatnonzero((enter < leave) & (enter >= 0))
    if not len(met):
        return None
    nearest = met[np.argmin(enter[met])]
    return float(enter[nearest]), boxes[nearest], int(np.argmax(enters[nearest]))


def wall_colours(
    material: Any, depth: float, axis: int, place: np.ndarray, above_floor: np.ndarray, focal: float, style: Any
) -> np.ndarray:
    """Of a wall at heights above the floor, (height, 3) whole numbers."""
    squares = PATTERNS[material.pattern]
    drawn = squares[int(place[1 - axis] % 1 * 16) % 16, (above_floor % 1 * 16).astype(int) % 16]
    own = np.where(drawn[:, None], material.second, material.colour)
    share = squares.mean()
    mean = np.round((1 - share) * np.array(material.colour) + share * np.array(material.second))
    blur = min(max(depth / focal / grain(material.pattern) - 1, 0), 1)
    haze = min(depth / HAZE_AT, MOST_HAZE)
    light = (SHADED_SIDE if axis == 0 else 1) * (1 - haze)
    return np.floor((own + blur * (mean - own)) * light + haze * np.array(style.sky[1])).astype(int)


def first_object(
    objects: Any, x: float, y: float, ahead: np.ndarray, right: np.ndarray, slope: float, limit: float
) -> tuple[int, float, float] | None:
    """Index, depth and offset (-1 left edge, 1 right edge) of the nearest object in a column before the wall."""
    best = None
    for n in range(len(objects.radius)):
        there = np.asarray(objects.position[n], float) - [x, y]
        depth = float(there @ ahead)
        if not objects.present[n] or not NEAR < depth < limit:
            continue
        u = (slope * depth - float(there @ right)) / float(objects.radius[n])
        if abs(u) < 1:
            best, limit = (n, depth, u), depth
    return best


def filled(shape: int, u: float, v: float) -> bool:
    """Whether the point u (-1 left, 1 right) and v (0 bottom, 1 top) of a rectangle belongs to the outline."""
    a, w = abs(u), 2 * v - 1
    return (
        True,  # box
        a * a + w * w < 1,  # ball
        v < 1 - a,  # cone
        a + abs(w) < 1,  # diamond
        a < 0.34 or 0.33 < v < 0.67,  # cross
        abs(w) > a,  # hourglass
        0.25 < a * a + w * w < 1,  # ring
        a < 0.3 or v > 0.68,  # tee
        a >= 0.5 or v > 0.66,  # arch
        a >= 0.5 or v < 0.34,  # cup
        abs(w) < a,  # bow
        u < -0.25 or v < 0.34,  # ell
    )[shape]
