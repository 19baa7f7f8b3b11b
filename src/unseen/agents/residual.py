"""The residual network of IMPALA for pictures: sections that halve them, each with residual blocks."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from gymnasium.spaces import Box
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from unseen.agents import settings
from unseen.agents.convolution import convolve, in_blocks
from unseen.agents.layers import Linear
from unseen.errors import UserError

POSITIONS = 3_500  # of the pictures that a CPU takes at a time; measured with 20 x 20, 36 x 48 and 72 x 96, 1 picture at a time there


class Convolution(eqx.Module):
    """A 3 x 3 convolution of the same size; weights of variance 1 / fan-in, so that sums of blocks grow slowly."""

    kernel: Float[Array, "o c 3 3"]
    bias: Float[Array, "o"]

    def __init__(self, inputs: int, outputs: int, *, key: PRNGKeyArray):
        self.kernel = (9 * inputs) ** -0.5 * jax.random.normal(key, (outputs, inputs, 3, 3), jnp.float32)
        self.bias = jnp.zeros((outputs,), jnp.float32)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w o"]:
        y = convolve(x, self.kernel, 1)
        return y + jnp.broadcast_to(self.bias, y.shape)


class Section(eqx.Module):
    """x = halved(conv(x)), then x = x + conv(relu(conv(relu(x)))) for each block."""

    first: Convolution
    blocks: tuple[tuple[Convolution, Convolution], ...]

    def __init__(self, inputs: int, outputs: int, blocks: int, *, key: PRNGKeyArray):
        k_first, *keys = jax.random.split(key, 1 + 2 * blocks)
        self.first = Convolution(inputs, outputs, key=k_first)
        pairs = zip(keys[::2], keys[1::2], strict=True)
        self.blocks = tuple((Convolution(outputs, outputs, key=a), Convolution(outputs, outputs, key=b)) for a, b in pairs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n a b o"]:
        x = halved(self.first(x))
        for one, two in self.blocks:
            x = x + two(jax.nn.relu(one(jax.nn.relu(x))))
        return x


class Residual(eqx.Module):
    """relu(linear(relu(sections(x)))) of pictures of height, width and channels; bytes are scaled to [0, 1].

    Source: Espeholt et al. 2018, figure 3 (right).
    """

    sections: tuple[Section, ...]
    out: Linear
    scale: float = eqx.field(static=True)

    @property
    def features(self) -> int:
        return self.out.b.shape[0]

    def __call__(self, x: Shaped[Array, "*n h w c"]) -> Float[Array, "*n F"]:
        pictures = x.reshape(-1, *x.shape[-3:])
        together = max(1, POSITIONS // (x.shape[-3] * x.shape[-2]))
        return jax.nn.relu(self.out(in_blocks(self._filtered, pictures, together).reshape(*x.shape[:-3], -1)))

    def _filtered(self, x: Shaped[Array, "n h w c"]) -> Float[Array, "n f"]:
        y = x.astype(jnp.float32) * self.scale
        for section in self.sections:
            y = section(y)
        return jax.nn.relu(y).reshape(y.shape[0], -1)


def residual(space: Box, pictures: settings.Residual, *, precision: str, key: PRNGKeyArray) -> Residual:
    """The network for pictures of this space.

    Raises:
        UserError: no section, or a picture that is too small for so many.
    """
    height, width, inputs = space.shape
    smallest = 2 ** len(pictures.channels)
    if not pictures.channels:
        raise UserError("agent.pictures.channels = (); it must name the channels of at least one section, as in (16, 32, 32)")
    if min(height, width) < smallest:
        raise UserError(
            f"agent.pictures.channels = {pictures.channels}; each of these {len(pictures.channels)} sections halves the picture, so its "
            f"height and width must be at least {smallest}, and it has {height} x {width}: name fewer sections, or leave pictures out"
        )
    k_out, *keys = jax.random.split(key, 1 + len(pictures.channels))
    sections = []
    for outputs, k in zip(pictures.channels, keys, strict=True):
        sections.append(Section(inputs, outputs, pictures.blocks, key=k))
        height, width, inputs = -(-height // 2), -(-width // 2), outputs
    out = Linear(height * width * inputs, pictures.size, follows="relu", precision=precision, key=k_out)
    return Residual(tuple(sections), out, 1.0 / 255.0 if space.dtype == "uint8" else 1.0)


def halved(x: Float[Array, "n h w c"]) -> Float[Array, "n a b c"]:
    """The maximum of 3 x 3 windows at stride 2, padded so that a = ceil(h / 2) and b = ceil(w / 2); the first of equals gets the gradient.

    The same as `lax.reduce_window`, whose gradient is a scatter: six times slower than that of shifted slices on a CPU.
    """
    return _halved_along(_halved_along(x, 2), 1)


def _halved_along(x: Float[Array, "n h w c"], axis: int) -> Float[Array, "n a b c"]:
    """y_i = max(x_2i, x_2i+1, x_2i+2) of an even number of rows; of an odd one, the windows begin one before."""
    size = x.shape[axis]
    padding = [(0, 0)] * x.ndim
    padding[axis] = (size % 2, 1)
    x = jnp.pad(x, padding, constant_values=-jnp.inf)
    last = 2 * (-(-size // 2) - 1) + 1
    one, two, three = (jax.lax.slice_in_dim(x, k, k + last, 2, axis) for k in range(3))
    return _larger(_larger(one, two), three)


def _larger(x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """max(x, y); where they are equal the gradient is x's, and not shared as that of jnp.maximum."""
    return jnp.where(x >= y, x, y)
