"""Encoders: what is seen, and what a critic is told, as vectors. One rule per kind of space, any number of leading axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from unseen.agents.convolution import convolve, in_blocks
from unseen.agents.layers import ACTIVATIONS, Linear, matmul
from unseen.agents.residual import residual
from unseen.agents.settings import Residual
from unseen.errors import UserError

SMALL = 64  # rows of a table that is read by products
BLOCKS = 65_536  # numbers of all tables along a diagonal, up to which one product with them is faster than one for each; measured


class Embedding(eqx.Module):
    """A learned vector for each of a space's categories, concatenated over its parts."""

    tables: tuple[Float[Array, "_ _"], ...]
    first: tuple[int, ...] = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    @property
    def features(self) -> int:
        return sum(table.shape[1] for table in self.tables)

    def __call__(self, x: Int[Array, "..."]) -> Float[Array, "... F"]:
        if self._small and self._rows * self.features <= BLOCKS:
            return matmul(self._hot(x), jax.scipy.linalg.block_diag(*self.tables))
        return jnp.concatenate([_rows(table, index) for table, index in zip(self.tables, self._indices(x), strict=True)], axis=-1)

    def onto(self, x: Int[Array, "..."], w: Float[Array, "F O"], precision: str) -> Float[Array, "... O"]:
        """self(x) @ w. Where there are more rows than categories, each category's vector is multiplied once."""
        parts = jnp.split(w, np.cumsum([table.shape[1] for table in self.tables])[:-1])
        rows = x.size // (1 if self.scalar else len(self.tables))
        if self._small and self._rows <= rows:
            products = [matmul(table, part, precision) for table, part in zip(self.tables, parts, strict=True)]
            return matmul(self._hot(x), jnp.concatenate(products))  # it only picks rows: in full precision
        if self._small:
            return matmul(self(x), w, precision)
        total: Any = 0.0
        for table, index, part in zip(self.tables, self._indices(x), parts, strict=True):
            few = table.shape[0] <= rows
            total = total + (_rows(matmul(table, part, precision), index) if few else matmul(_rows(table, index), part, precision))
        return total

    @property
    def _rows(self) -> int:
        return sum(table.shape[0] for table in self.tables)

    @property
    def _small(self) -> bool:
        """Whether products with the categories' indicators do it, whose gradients are products too: a scatter is slow on CPUs."""
        return all(table.shape[0] <= SMALL for table in self.tables)

    def _hot(self, x: Int[Array, "..."]) -> Float[Array, "... N"]:
        """1 for the category of each part, 0 for all others of it."""
        parts = [jax.nn.one_hot(index, table.shape[0]) for table, index in zip(self.tables, self._indices(x), strict=True)]
        return jnp.concatenate(parts, axis=-1)

    def _indices(self, x: Int[Array, "..."]) -> list[Array]:
        """Row numbers in each table."""
        parts = [x] if self.scalar else [x[..., k] for k in range(len(self.tables))]
        return [part - first for part, first in zip(parts, self.first, strict=True)]


def _rows(table: Float[Array, "n F"], index: Int[Array, "..."]) -> Float[Array, "... F"]:
    """table[index]; of a small table by a product with one-hot rows."""
    if table.shape[0] > SMALL:
        return table[index]
    return matmul(jax.nn.one_hot(index, table.shape[0], dtype=table.dtype), table)


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


CODES = 16  # numbers of a byte grid that get a plane of their own
WINDOWS = 1_600  # of the first layer at a time, on a CPU; measured


class Convolutions(eqx.Module):
    """Strided convolutions on an image of height, width and channels; bytes are scaled to [0, 1].

    A small grid of bytes is taken for codes, as MiniGrid writes its cells: each number below 16 gets a plane of its own beside
    the scaled one, since to a network 5/255 and 6/255 are the same.
    """

    kernels: tuple[Float[Array, "_ _ _ _"], ...]
    biases: tuple[Float[Array, "_"], ...]
    out: Linear
    strides: tuple[int, ...] = eqx.field(static=True)
    scale: float = eqx.field(static=True)
    codes: bool = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    @property
    def features(self) -> int:
        return self.out.b.shape[0]

    def __call__(self, x: Shaped[Array, "*n h w c"]) -> Float[Array, "*n F"]:
        images = x.reshape(-1, *x.shape[-3:])
        return ACTIVATIONS[self.activation](self.out(in_blocks(self._filtered, images, self._together(x)).reshape(*x.shape[:-3], -1)))

    def _filtered(self, x: Shaped[Array, "n h w c"]) -> Float[Array, "n f"]:
        y = x.astype(jnp.float32) * self.scale
        if self.codes:
            planes = jax.nn.one_hot(x.astype(jnp.int32), CODES, dtype=jnp.float32)  # all zero for numbers of 16 and more
            y = jnp.concatenate([planes.reshape(*x.shape[:-1], -1), y], axis=-1)
        for kernel, bias, stride in zip(self.kernels, self.biases, self.strides, strict=True):
            y = convolve(y, kernel, stride)
            y = ACTIVATIONS[self.activation](y + jnp.broadcast_to(bias, y.shape))
        return y.reshape(y.shape[0], -1)

    def _together(self, x: Shaped[Array, "*n h w c"]) -> int:
        """Images whose windows in the first layer stay in the cache."""
        return max(1, WINDOWS * self.strides[0] ** 2 // (x.shape[-3] * x.shape[-2]))


class Together(eqx.Module):
    """The encoders of a Dict space, by key, concatenated."""

    parts: dict[str, Any]

    @property
    def features(self) -> int:
        return sum(part.features for part in self.parts.values())

    def __call__(self, x: dict[str, Array]) -> Float[Array, "... F"]:
        return jnp.concatenate([part(x[name]) for name, part in self.parts.items()], axis=-1)


class Layered(eqx.Module):
    """A linear layer and a nonlinearity on what another encoder makes of its parts."""

    parts: Any
    linear: Linear
    activation: str = eqx.field(static=True)

    @property
    def features(self) -> int:
        return self.linear.b.shape[0]

    def __call__(self, x: Any) -> Float[Array, "... F"]:
        y = onto(self.parts, x, self.linear.w, self.linear.precision)
        return ACTIVATIONS[self.activation](y + jnp.broadcast_to(self.linear.b, y.shape))


def layered(parts: Any, size: int, *, activation: str, precision: str, key: PRNGKeyArray) -> Layered:
    """An encoder's features through a layer of this size."""
    return Layered(parts, Linear(parts.features, size, follows=activation, precision=precision, key=key), activation)


def onto(encoder: Any, x: Any, w: Float[Array, "F O"], precision: str) -> Float[Array, "... O"]:
    """encoder(x) @ w, by the fewest products."""
    if isinstance(encoder, Embedding):
        return encoder.onto(x, w, precision)
    if isinstance(encoder, Together):
        return onto_sum([(part, x[name]) for name, part in encoder.parts.items()], w, precision)
    return matmul(encoder(x), w, precision)


def onto_sum(parts: Sequence[tuple[Any, Any]], w: Float[Array, "F O"], precision: str) -> Float[Array, "... O"]:
    """concatenate([encoder(x) for encoder, x in parts]) @ w, part by part."""
    total: Any = 0.0
    below = 0
    for part, x in parts:
        total = total + onto(part, x, w[below : below + part.features], precision)
        below += part.features
    return total


def encoder(
    space: gymnasium.Space, size: int, *, activation: str, precision: str, pictures: Residual | None = None, key: PRNGKeyArray
) -> Any:
    """The encoder of a space: tables for categories, a layer for vectors, convolutions for images, all of them for a Dict.

    Args:
        space: of what is seen.
        size: width of a vector's or category's embedding; images get at least 128, or what `pictures` says.
        activation, precision: of the layers.
        pictures: settings of a residual network for what `is_picture`; None: strided convolutions.
        key: of the initial weights.

    Raises:
        UserError: for a space of another kind, by name, and for pictures that are too small for the residual network.
    """
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Dict):
        keys = jax.random.split(key, len(space.spaces))
        names = sorted(space.spaces)
        common: dict[str, Any] = {"activation": activation, "precision": precision, "pictures": pictures}
        return Together({n: encoder(space[n], size, **common, key=k) for n, k in zip(names, keys, strict=True)})
    if isinstance(space, spaces.Discrete):
        return Embedding((_table(key, int(space.n), size),), (int(space.start),), True)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        keys = jax.random.split(key, len(space.nvec))
        tables = tuple(_table(k, int(n), max(8, size // len(space.nvec))) for k, n in zip(keys, space.nvec, strict=True))
        return Embedding(tables, tuple(int(s) for s in space.start), False)
    if pictures is not None and isinstance(space, spaces.Box) and is_picture(space):
        return residual(space, pictures, precision=precision, key=key)
    if isinstance(space, spaces.Box) and _is_image(space):
        return _convolutions(space, max(size, 128), activation, precision, key)
    if isinstance(space, spaces.Box | spaces.MultiBinary | spaces.MultiDiscrete):
        shape = space.shape or ()
        linear = Linear(math.prod(shape), size, follows=activation, precision=precision, key=key)
        return Projection(linear, len(shape), activation)
    raise UserError(f"space {space} is not supported; allowed: Box, Discrete, MultiDiscrete, MultiBinary and Dict of these")


def is_picture(space: gymnasium.Space) -> bool:
    """Whether a space, or a part of a Dict, is one of pictures: height, width and channels, and no small grid of codes."""
    if isinstance(space, gymnasium.spaces.Dict):
        return any(map(is_picture, space.spaces.values()))
    return isinstance(space, gymnasium.spaces.Box) and _is_image(space) and not _has_codes(space)


def _is_image(space: gymnasium.spaces.Box) -> bool:
    return len(space.shape) == 3 and min(space.shape[:2]) >= 5 and space.shape[2] <= 16


def _has_codes(space: gymnasium.spaces.Box) -> bool:
    return space.dtype == "uint8" and min(space.shape[:2]) < 16


def _table(key: PRNGKeyArray, rows: int, size: int) -> Array:
    return jax.random.normal(key, (rows, size), jnp.float32)


def _convolutions(space: gymnasium.spaces.Box, size: int, activation: str, precision: str, key: PRNGKeyArray) -> Convolutions:
    """Three layers; strides 4, 2, 1 for large pictures, 2, 2, 1 for small ones, 1, 1, 1 for grids; where a
    grid holds codes, the first layer embeds each cell by itself and the second halves it."""
    height, width, channels = space.shape
    smallest = min(height, width)
    codes = _has_codes(space)
    strides = (4, 2, 1) if smallest >= 48 else (2, 2, 1) if smallest >= 16 else (1, 2 if codes else 1, 1)
    windows = (8, 4, 3) if smallest >= 48 else (1 if codes else 3, 3, 3)
    planes = channels * (CODES + 1) if codes else channels
    widths = (planes, 32, 64, 64) if smallest >= 16 else (planes, 16, 32, 32)
    keys = jax.random.split(key, 4)
    kernels = []
    for k in range(3):
        fan_in = widths[k] * windows[k] ** 2
        kernels.append((2.0 / fan_in) ** 0.5 * jax.random.normal(keys[k], (widths[k + 1], widths[k], windows[k], windows[k]), jnp.float32))
        height, width = -(-height // strides[k]), -(-width // strides[k])
    out = Linear(height * width * widths[3], size, follows=activation, precision=precision, key=keys[3])
    biases = tuple(jnp.zeros((w,), jnp.float32) for w in widths[1:])
    scale = 1.0 / 255.0 if space.dtype == "uint8" else 1.0
    return Convolutions(tuple(kernels), biases, out, strides, scale, codes, activation)
