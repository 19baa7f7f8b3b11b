"""gymnax spaces as Gymnasium ones, their bounds corrected by what was observed; and pictures of plain numbers."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from unseen.errors import UserError


def to_gymnasium_space(space: Any, what: str) -> gymnasium.Space[Any]:
    """gymnax spaces are told apart by class name, so that forks and Craftax's copies work too."""
    kind = type(space).__name__
    if isinstance(space, gymnasium.Space):
        return space
    if kind == "Discrete":
        return gymnasium.spaces.Discrete(int(space.n))
    if kind == "Dict":
        return gymnasium.spaces.Dict({key: to_gymnasium_space(part, f"{what}[{key!r}]") for key, part in space.spaces.items()})
    if kind != "Box":
        raise UserError(f"{what} is a {kind}; allowed: Box, Discrete, Dict of these")
    dtype: Any = np.dtype(space.dtype)
    low, high = (np.broadcast_to(np.asarray(bound), space.shape).astype(dtype) for bound in (space.low, space.high))
    if np.issubdtype(dtype, np.floating):
        largest = np.finfo(dtype).max
        low, high = np.where(low <= -largest, -np.inf, low).astype(dtype), np.where(high >= largest, np.inf, high).astype(dtype)
    return gymnasium.spaces.Box(low, high, tuple(space.shape), dtype)


def repaired(space: gymnasium.Space[Any], low: Any, high: Any, whole: Any) -> gymnasium.Space[Any]:
    """The declared space, with the elements that left their bounds unbounded (the rule is in gymnax.py)."""
    if isinstance(space, gymnasium.spaces.Dict):
        return gymnasium.spaces.Dict({name: repaired(part, low[name], high[name], whole[name]) for name, part in space.spaces.items()})
    if isinstance(space, gymnasium.spaces.Discrete):
        if low < space.start or high >= space.start + space.n:
            raise UserError(f"an observation declared as {space} reached {low} to {high}; pass observation_space= to correct it")
        return space
    if not isinstance(space, gymnasium.spaces.Box):
        return space
    dtype: Any = space.dtype if np.all(whole) or np.issubdtype(space.dtype, np.floating) else np.dtype(np.float32)
    low, high = np.reshape(low, space.shape), np.reshape(high, space.shape)
    least, most = (-np.inf, np.inf) if np.issubdtype(dtype, np.floating) else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return gymnasium.spaces.Box(
        np.where(low < space.low, least, space.low).astype(dtype),
        np.where(high > space.high, most, space.high).astype(dtype),
        space.shape,
        dtype,
    )


def picture_of_grid(observation: np.ndarray) -> np.ndarray:
    """A grid of numbers as RGB: each channel its own hue, at least 160 pixels high."""
    grid = observation.reshape(*observation.shape[:2], -1)
    low, high = grid.min(), grid.max()
    grid = (grid - low) / (high - low) if high > low else np.zeros_like(grid)
    hues = 0.5 + 0.5 * np.cos(2 * np.pi * (np.arange(grid.shape[2])[:, None] / max(grid.shape[2], 1) + np.array([0, 1 / 3, 2 / 3])))
    picture = np.clip(grid @ hues, 0, 1) if grid.shape[2] > 1 else np.repeat(grid, 3, axis=2)
    zoom = max(1, -(-160 // grid.shape[0]))
    return (255 * picture).astype(np.uint8).repeat(zoom, axis=0).repeat(zoom, axis=1)


def picture_of_numbers(values: np.ndarray, height: int = 160, width: int = 12) -> np.ndarray:
    picture = np.full((height, max(1, len(values)) * width, 3), 255, np.uint8)
    middle = height // 2
    for i, value in enumerate(np.tanh(values)):
        top, bottom = sorted((middle, middle - round(float(value) * (middle - 4))))
        picture[top : bottom + 1, i * width + 2 : (i + 1) * width - 2] = (31, 119, 180)
    return picture
