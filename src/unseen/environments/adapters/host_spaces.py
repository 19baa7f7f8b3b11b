"""Gymnasium spaces and values in the forms our agents take: flat dicts, discrete values from 0, 32-bit numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from unseen.errors import UserError

# What JAX computes in.
_NARROW: dict[np.dtype[Any], np.dtype[Any]] = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.int64): np.dtype(np.int32)}


@dataclass(frozen=True)
class Adapted:
    """A space as agents see it, the reader of raw values, and what was left out of it (with the reason)."""

    space: gymnasium.Space[Any]
    read: Callable[[Any], Any]
    dropped: tuple[str, ...] = ()


def adapt(space: gymnasium.Space[Any], what: str) -> Adapted:
    """Bring a space and its values into our form.

    Nested dicts are flattened ("outer.inner"), text entries of a dict are dropped and listed, values of Discrete and MultiDiscrete
    spaces are counted from 0, float64 and int64 become 32-bit.

    Raises:
        UserError: a space with no counterpart here, or a dict with nothing left.
    """
    if not isinstance(space, spaces.Dict):
        if (leaf := _adapt_leaf(space, what)) is None:
            raise UserError(f"{what} is a {type(space).__name__} space; allowed: Box, Discrete, MultiDiscrete, MultiBinary, Dict of these")
        return leaf
    parts: dict[str, Adapted] = {}
    routes: dict[str, tuple[str, str | None]] = {}
    dropped: list[str] = []
    for name, part in space.spaces.items():
        if isinstance(part, spaces.Text) or type(part).__name__ == "MissionSpace":
            dropped.append(f"{name} (text)")
            continue
        inner = adapt(part, f"{what}[{name!r}]")
        dropped += [f"{name}.{entry}" for entry in inner.dropped]
        parts[name] = inner
        if isinstance(inner.space, spaces.Dict):
            routes |= {f"{name}.{below}": (name, below) for below in inner.space.spaces}
        else:
            routes[name] = (name, None)
    if not routes:
        raise UserError(f"{what} holds nothing an agent here can read (left out: {', '.join(dropped) or 'nothing'})")

    def read(value: Any) -> dict[str, np.ndarray]:
        values = {name: part.read(value[name]) for name, part in parts.items()}
        return {flat: values[name] if below is None else values[name][below] for flat, (name, below) in routes.items()}

    def space_at(name: str, below: str | None) -> gymnasium.Space[Any]:
        inner = parts[name].space
        return inner if below is None else inner[below]  # type: ignore[index]

    return Adapted(spaces.Dict({flat: space_at(*route) for flat, route in routes.items()}), read, tuple(dropped))


def adapt_action(space: gymnasium.Space[Any], what: str) -> tuple[gymnasium.Space[Any], Callable[[np.ndarray], Any]]:
    """An action space as agents see it, and the way back to what the environment takes.

    Raises:
        UserError: anything but Discrete, Box, and one-dimensional MultiDiscrete or MultiBinary.
    """
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n)), lambda action: np.int64(action) + space.start
    if isinstance(space, spaces.Box):
        return _adapt_box(space), lambda action: np.asarray(action, space.dtype).reshape(space.shape)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return spaces.MultiDiscrete(space.nvec), lambda action: np.asarray(action, space.dtype) + space.start
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return spaces.MultiDiscrete([2] * space.shape[0]), lambda action: np.asarray(action, space.dtype)
    raise UserError(f"{what} is {space}; allowed: Discrete, Box, MultiDiscrete and MultiBinary of one dimension")


def infer(value: Any, what: str) -> gymnasium.Space[Any]:
    """The space of a signal nobody declared: Discrete(2) for a boolean, an unbounded float32 Box of its shape for numbers.

    An integer is a number here, because its range is unknown: an environment that means a category declares `signal_spaces`.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        array = np.asarray(None)
    if array.dtype == bool:
        return spaces.Discrete(2) if array.ndim == 0 else spaces.MultiBinary(array.shape)
    if np.issubdtype(array.dtype, np.number) and not np.issubdtype(array.dtype, np.complexfloating):
        return spaces.Box(-np.inf, np.inf, array.shape, np.float32)
    raise UserError(f"{what} is {type(value).__name__} of dtype {array.dtype}; a signal must be a number, a boolean or an array of them")


def blank(space: gymnasium.Space[Any]) -> Any:
    """Zeros in the form a reader returns: a placeholder for an environment that has never been reset."""
    if isinstance(space, spaces.Dict):
        return {name: blank(part) for name, part in space.spaces.items()}
    return np.zeros(space.shape or (), np.int32 if isinstance(space, spaces.Discrete) else space.dtype)


def stack(values: list[Any]) -> Any:
    """One batch out of single values, as fresh arrays with the environments along the first axis."""
    if isinstance(values[0], dict):
        return {name: np.stack([value[name] for value in values]) for name in values[0]}
    return np.stack(values)


def _adapt_leaf(space: gymnasium.Space[Any], what: str) -> Adapted | None:
    if isinstance(space, spaces.Box):
        box = _adapt_box(space)
        return Adapted(box, lambda value: _shaped(np.array(value, box.dtype), box.shape, what))
    if isinstance(space, spaces.Discrete):
        return Adapted(spaces.Discrete(int(space.n)), lambda value: _shaped(np.asarray(value - space.start, np.int32), (), what))
    if isinstance(space, spaces.MultiDiscrete):
        multi = spaces.MultiDiscrete(space.nvec, dtype=np.int32)
        return Adapted(multi, lambda value: _shaped(np.asarray(value - space.start, np.int32), multi.shape, what))
    if isinstance(space, spaces.MultiBinary):
        return Adapted(space, lambda value: _shaped(np.array(value, space.dtype), space.shape, what))
    return None


def _adapt_box(space: spaces.Box) -> spaces.Box:
    dtype = _NARROW.get(np.dtype(space.dtype), np.dtype(space.dtype))
    if dtype == space.dtype:
        return space
    low, high = space.low, space.high
    if np.issubdtype(dtype, np.integer):
        low, high = np.clip(low, np.iinfo(dtype).min, np.iinfo(dtype).max), np.clip(high, np.iinfo(dtype).min, np.iinfo(dtype).max)
    with np.errstate(over="ignore"):  # the largest float64 becomes infinity
        return spaces.Box(low.astype(dtype), high.astype(dtype), space.shape, dtype.type)


def _shaped(value: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    if value.shape != shape:
        raise UserError(f"a value of {what} has shape {value.shape} where its space says {shape}; correct the environment")
    return value
