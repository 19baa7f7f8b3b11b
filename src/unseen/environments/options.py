"""Checks of the options a person can get wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from unseen.environments.contract import Params
from unseen.errors import UserError, unknown

# No parameters: every level of these environments is the same place.
TRAIN_ONLY: Mapping[str, tuple[tuple[float, Params], ...]] = {"train": ((1.0, ()),)}


def require_integer(environment: str, option: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise `UserError` unless `value` is a whole number in [low, high] (no upper limit when `high` is None)."""
    allowed = f"a whole number from {low} to {high}" if high is not None else f"a whole number, {low} or more"
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        raise UserError(f"{environment}: {option}={value!r} is not allowed; give {allowed}")


def require_number(environment: str, option: str, value: Any, low: float) -> None:
    """Raise `UserError` unless `value` is a finite number, `low` or more."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < low:
        raise UserError(f"{environment}: {option}={value!r} is not allowed; give a finite number, {low} or more")


def require_boolean(environment: str, option: str, value: Any) -> None:
    """Raise `UserError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise UserError(f"{environment}: {option}={value!r} is not allowed; give True or False")


def require_train(environment: str, level: str) -> None:
    """Raise `UserError` for any level but "train"."""
    if level != "train":
        raise unknown(f"level of {environment}", level, TRAIN_ONLY)


def unit_box(size: int) -> gymnasium.spaces.Box:
    """Vectors of numbers between 0 and 1."""
    return gymnasium.spaces.Box(0.0, 1.0, (size,), np.float32)


def with_difficulty(game: str, names: Mapping[Any, str], value: Any) -> str:
    """ "game-easy" where the options are those of a named difficulty, else the game and its options."""
    numbers = value if isinstance(value, tuple) else (value,)
    return f"{game}-{names[value]}" if value in names else "-".join([game, *map(str, numbers)])
