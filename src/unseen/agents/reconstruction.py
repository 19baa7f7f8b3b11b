"""Reconstruction: what was seen, decoded from what is written to memory. One rule per kind of space, as for encoders."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from unseen.agents.actor import Seen
from unseen.agents.convolution import convolve, in_blocks
from unseen.agents.layers import Linear

CODES = 16  # numbers of a small grid of bytes that are told apart, as the encoder has it
SMALLEST = 16  # a picture's side; smaller grids of bytes hold codes
SHRUNK = 8  # a picture's decoder starts from an eighth of its height and width
AT_ONCE = 8  # pictures decoded together on a CPU


class Categories(eqx.Module):
    """Logits for each part of a Discrete or MultiDiscrete observation; the loss is the mean cross-entropy of its parts, in nats."""

    linear: Linear
    sizes: tuple[int, ...] = eqx.field(static=True)
    first: tuple[int, ...] = eqx.field(static=True)

    def losses(self, x: Float[Array, "*n F"], observation: Shaped[Array, "..."]) -> Float[Array, "*n"]:
        logits = self.linear(x)
        parts = observation.reshape(*logits.shape[:-1], len(self.sizes))
        total, below = jnp.zeros(logits.shape[:-1], jnp.float32), 0
        for k, (size, first) in enumerate(zip(self.sizes, self.first, strict=True)):
            log_p = jax.nn.log_softmax(logits[..., below : below + size])
            index = jnp.clip(parts[..., k].astype(jnp.int32) - first, 0, size - 1)
            total = total - jnp.take_along_axis(log_p, index[..., None], axis=-1)[..., 0]
            below += size
        return total / len(self.sizes)


class Numbers(eqx.Module):
    """The values of a vector; the loss is half the mean squared error."""

    linear: Linear

    def losses(self, x: Float[Array, "*n F"], observation: Shaped[Array, "..."]) -> Float[Array, "*n"]:
        y = self.linear(x)
        return 0.5 * jnp.mean((y - observation.reshape(y.shape).astype(jnp.float32)) ** 2, axis=-1)


class Picture(eqx.Module):
    """A layer, then three times a doubled picture and a convolution; the loss is the mean over pixels and channels of the sigmoid
    cross-entropy (bytes) or of half the squared error."""

    linear: Linear
    kernels: tuple[Float[Array, "_ _ _ _"], ...]
    shape: tuple[int, int, int] = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def losses(self, x: Float[Array, "*n F"], observation: Shaped[Array, "..."]) -> Float[Array, "*n"]:
        height, width, channels = self.shape
        flat = x.reshape(-1, x.shape[-1])
        y = in_blocks(self._decoded, flat, AT_ONCE).reshape(*x.shape[:-1], height, width, channels)
        target = observation.astype(jnp.float32) * self.scale
        if self.scale == 1.0:
            error = 0.5 * (y - target) ** 2
        else:
            error = jax.nn.softplus(y) - target * y
        return jnp.mean(error, axis=(-3, -2, -1))

    def _decoded(self, x: Float[Array, "n F"]) -> Float[Array, "n f"]:
        height, width, _ = self.shape
        y = jax.nn.relu(self.linear(x)).reshape(len(x), -(-height // SHRUNK), -(-width // SHRUNK), -1)
        for k, kernel in enumerate(self.kernels):
            y = convolve(jnp.repeat(jnp.repeat(y, 2, axis=1), 2, axis=2), kernel, 1)
            y = y if k == len(self.kernels) - 1 else jax.nn.relu(y)
        return y[:, :height, :width].reshape(len(x), -1)


class Several(eqx.Module):
    """The parts of a Dict observation; the loss is their sum."""

    parts: dict[str, Any]

    def losses(self, x: Float[Array, "*n F"], observation: dict[str, Array]) -> Float[Array, "*n"]:
        return sum((part.losses(x, observation[name]) for name, part in self.parts.items()), start=jnp.zeros(x.shape[:-1], jnp.float32))


class Reconstructed(eqx.Module):
    """L_t = - log p(o_t | e_t), or given e_t and the memory's features h_t.

    Source: the ablation of Fortunato et al. 2019, whose details were not found; losses by kind of observation after the public code of
    Hung et al. 2019 (TVT), averaged over pixels as the specification proposes (§4.7), without its losses of action and reward.
    """

    decoder: Any
    weight: float = eqx.field(static=True)
    source: str = eqx.field(static=True)

    def slot_losses(
        self, embedding: Float[Array, "T B E"], features: Float[Array, "T B H"], seen: Seen, shown: Bool[Array, "T B"]
    ) -> Float[Array, "T B"]:
        """The loss of every slot."""
        x = embedding if self.source == "embedding" else jnp.concatenate([embedding, features], axis=-1)
        return jnp.where(shown, self.decoder.losses(x, seen.observation), 0.0)


def decoder(space: gymnasium.Space, inputs: int, *, precision: str, key: PRNGKeyArray) -> Any:
    """The decoder of a space; every space that has an encoder has one."""
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Dict):
        keys = dict(zip(sorted(space.spaces), jax.random.split(key, len(space.spaces)), strict=True))
        return Several({name: decoder(space[name], inputs, precision=precision, key=k) for name, k in keys.items()})

    def linear(outputs: int) -> Linear:
        return Linear(inputs, outputs, precision=precision, key=key)

    if isinstance(space, spaces.Discrete):
        return Categories(linear(int(space.n)), (int(space.n),), (int(space.start),))
    if isinstance(space, spaces.MultiDiscrete):
        sizes = tuple(int(n) for n in space.nvec.reshape(-1))
        return Categories(linear(sum(sizes)), sizes, tuple(int(s) for s in space.start.reshape(-1)))
    shape = space.shape or ()
    if isinstance(space, spaces.Box) and len(shape) == 3 and shape[2] <= CODES:
        if min(shape[:2]) >= SMALLEST:
            return _picture(space, shape, linear, key)
        if space.dtype == "uint8":
            cells = math.prod(shape)
            return Categories(linear(cells * CODES), (CODES,) * cells, (0,) * cells)
    return Numbers(linear(math.prod(shape)))


def _picture(space: gymnasium.spaces.Box, shape: tuple[int, ...], linear: Any, key: PRNGKeyArray) -> Picture:
    height, width, channels = shape
    widths = (32, 32, 16, channels)
    below = linear(-(-height // SHRUNK) * -(-width // SHRUNK) * widths[0])
    kernels = []
    for k, key_k in enumerate(jax.random.split(key, 3)):
        deviation = (2.0 / (9 * widths[k])) ** 0.5
        kernels.append(deviation * jax.random.normal(key_k, (widths[k + 1], widths[k], 3, 3), jnp.float32))
    return Picture(below, tuple(kernels), (height, width, channels), 1.0 / 255.0 if space.dtype == "uint8" else 1.0)
