"""Encoders: what is seen, and what a critic is told, as vectors. One rule per kind of space, any number of leading axes."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from unseen.agents.layers import ACTIVATIONS, Linear
from unseen.errors import UserError


class Embedding(eqx.Module):
    """A learned vector for each of a space's categories, concatenated over its parts."""

    tables: tuple[Float[Array, "_ _"], ...]
    first: tuple[int, ...] = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    @property
    def features(self) -> int:
        return sum(table.shape[1] for table in self.tables)

    def __call__(self, x: Int[Array, "..."]) -> Float[Array, "... F"]:
        parts = [x] if self.scalar else [x[..., k] for k in range(len(self.tables))]
        found = [table[part - first] for table, part, first in zip(self.tables, parts, self.first, strict=True)]
        return jnp.concatenate(found, axis=-1)


class Projection(eqx.Module):
    """A linear layer and a nonlinearity on the flattened values."""

    linear: Linear
    axes: int = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    @property
    def features(self) -> int:
        return self.linear.b.shape[0]

    def __call__(self, x: Shaped[Array, "..."]) -> Float[Array, "... F"]:
        flat = x.reshape(*x.shape[: x.ndim - self.axes], -1).astype(jnp.float32)
        return ACTIVATIONS[self.activation](self.linear(flat))


class Convolutions(eqx.Module):
    """Strided convolutions on an image of height, width and channels; bytes are scaled to [0, 1]."""

    kernels: tuple[Float[Array, "_ _ _ _"], ...]
    biases: tuple[Float[Array, "_"], ...]
    out: Linear
    strides: tuple[int, ...] = eqx.field(static=True)
    scale: float = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    @property
    def features(self) -> int:
        return self.out.b.shape[0]

    def __call__(self, x: Shaped[Array, "*n h w c"]) -> Float[Array, "*n F"]:
        leading = x.shape[:-3]
        y = x.reshape(-1, *x.shape[-3:]).astype(jnp.float32) * self.scale
        for kernel, bias, stride in zip(self.kernels, self.biases, self.strides, strict=True):
            y = jax.lax.conv_general_dilated(y, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "OIHW", "NHWC"))
            y = ACTIVATIONS[self.activation](y + jnp.broadcast_to(bias, y.shape))
        return ACTIVATIONS[self.activation](self.out(y.reshape(*leading, math.prod(y.shape[1:]))))


class Together(eqx.Module):
    """The encoders of a Dict space, by key, concatenated."""

    parts: dict[str, Any]

    @property
    def features(self) -> int:
        return sum(part.features for part in self.parts.values())

    def __call__(self, x: dict[str, Array]) -> Float[Array, "... F"]:
        return jnp.concatenate([part(x[name]) for name, part in self.parts.items()], axis=-1)


def encoder(space: gymnasium.Space, size: int, *, activation: str, precision: str, key: PRNGKeyArray) -> Any:
    """The encoder of a space: tables for categories, a layer for vectors, convolutions for images, all of them for a Dict.

    Raises:
        UserError: for a space of another kind, by name.
    """
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Dict):
        keys = jax.random.split(key, len(space.spaces))
        names = sorted(space.spaces)
        parts = {n: encoder(space[n], size, activation=activation, precision=precision, key=k) for n, k in zip(names, keys, strict=True)}
        return Together(parts)
    if isinstance(space, spaces.Discrete):
        return Embedding((_table(key, int(space.n), size),), (int(space.start),), True)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        keys = jax.random.split(key, len(space.nvec))
        tables = tuple(_table(k, int(n), max(8, size // len(space.nvec))) for k, n in zip(keys, space.nvec, strict=True))
        return Embedding(tables, tuple(int(s) for s in space.start), False)
    if isinstance(space, spaces.Box) and len(space.shape) == 3 and min(space.shape[:2]) >= 5 and space.shape[2] <= 16:
        return _convolutions(space, max(size, 128), activation, precision, key)
    if isinstance(space, spaces.Box | spaces.MultiBinary | spaces.MultiDiscrete):
        shape = space.shape or ()
        linear = Linear(math.prod(shape), size, follows=activation, precision=precision, key=key)
        return Projection(linear, len(shape), activation)
    raise UserError(f"space {space} is not supported; allowed: Box, Discrete, MultiDiscrete, MultiBinary and Dict of these")


def _table(key: PRNGKeyArray, rows: int, size: int) -> Array:
    return jax.random.normal(key, (rows, size), jnp.float32)


def _convolutions(space: gymnasium.spaces.Box, size: int, activation: str, precision: str, key: PRNGKeyArray) -> Convolutions:
    """Three layers; strides 4, 2, 1 for large pictures and 2, 2, 1 or 1, 1, 1 for small ones."""
    height, width, channels = space.shape
    smallest = min(height, width)
    strides = (4, 2, 1) if smallest >= 48 else (2, 2, 1) if smallest >= 16 else (1, 1, 1)
    windows = (8, 4, 3) if smallest >= 48 else (3, 3, 3)
    widths = (channels, 32, 64, 64) if smallest >= 16 else (channels, 16, 32, 32)
    keys = jax.random.split(key, 4)
    kernels = []
    for k in range(3):
        fan_in = widths[k] * windows[k] ** 2
        kernels.append((2.0 / fan_in) ** 0.5 * jax.random.normal(keys[k], (widths[k + 1], widths[k], windows[k], windows[k]), jnp.float32))
        height, width = -(-height // strides[k]), -(-width // strides[k])
    out = Linear(height * width * widths[3], size, follows=activation, precision=precision, key=keys[3])
    biases = tuple(jnp.zeros((w,), jnp.float32) for w in widths[1:])
    scale = 1.0 / 255.0 if space.dtype == "uint8" else 1.0
    return Convolutions(tuple(kernels), biases, out, strides, scale, activation)
