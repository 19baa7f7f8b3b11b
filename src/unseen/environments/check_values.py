"""What can be required of a space, a value, or two pytrees of arrays; raises `Broken` with what was seen instead."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

EDGES = 0.05  # of a picture's bytes: a distance rounded otherwise gives a pixel at an edge to its neighbour


class Broken(Exception):
    """Raised by a check, with what it saw."""


def require_space(what: str, space: Any, dictionary: bool = False) -> None:
    spaces = gymnasium.spaces
    if dictionary and isinstance(space, spaces.Dict):
        for name, part in space.spaces.items():
            require_space(f"{what}[{name!r}]", part)
    elif not isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.Box):
        raise Broken(f"{what} is {space!r}; give Discrete, MultiDiscrete or Box{' or a Dict of them' if dictionary else ''}")
    elif not isinstance(space, spaces.Box) and np.any(space.start != 0):
        raise Broken(f"{what} counts from {space.start}; count from 0")


def require_arrays(what: str, tree: Any) -> None:
    """Plain arrays only: what can be written to a file without pickle."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        plain = isinstance(leaf, jax.Array | np.ndarray) and (leaf.dtype == np.bool_ or jnp.issubdtype(leaf.dtype, jnp.number))
        if not plain:
            seen = str(leaf.dtype) if hasattr(leaf, "dtype") else type(leaf).__name__
            raise Broken(f"{what}{jax.tree_util.keystr(path)} is {seen}; give an array of numbers or flags")


def require_same_form(what: str, tree: Any, other: Any) -> None:
    if jax.tree.structure(tree) != jax.tree.structure(other):
        raise Broken(f"{what} differ in structure: {jax.tree.structure(tree)} and {jax.tree.structure(other)}")
    for (path, leaf), before in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(other), strict=True):
        if (leaf.shape, leaf.dtype) != (before.shape, before.dtype):
            where = jax.tree_util.keystr(path)
            raise Broken(f"{what} differ{where and ' in ' + where}: {leaf.dtype}{list(leaf.shape)} and {before.dtype}{list(before.shape)}")


def require_equal(what: str, tree: Any, other: Any) -> None:
    """Equal numbers, but for what another order of operations causes: the last digits of floats, and pixels at the edges in pictures."""
    require_same_form(what, tree, other)
    for (path, leaf), reference in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(other), strict=True):
        a, b = np.asarray(leaf), np.asarray(reference)
        if not _equal(a, b):
            raise Broken(f"{what} gives different values{jax.tree_util.keystr(path) and ' in ' + jax.tree_util.keystr(path)}")


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    if np.issubdtype(a.dtype, np.inexact):
        return np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)
    if _is_picture(a):
        return bool(np.mean(a != b) <= EDGES)
    return np.array_equal(a, b)


def _is_picture(a: np.ndarray) -> bool:
    """Rows and columns of red, green and blue bytes, or several of them."""
    return a.dtype == np.uint8 and a.ndim >= 3 and a.shape[-1] == 3


def require_member(what: str, space: Any, value: Any) -> None:
    if isinstance(space, gymnasium.spaces.Dict):
        if not isinstance(value, dict) or set(value) != set(space.spaces):
            raise Broken(f"{what} is not a dict with the keys {sorted(space.spaces)}")
        for name, part in space.spaces.items():
            require_member(f"{what}[{name!r}]", part, value[name])
        return
    array = np.asarray(value)
    if isinstance(space, gymnasium.spaces.Box) and array.dtype != space.dtype:
        raise Broken(f"{what} is {array.dtype}, its space says {space.dtype}")
    if not space.contains(array):
        raise Broken(f"{what} {array.dtype}{list(array.shape)} with value {np.array2string(array, threshold=6)} is not in {space}")
