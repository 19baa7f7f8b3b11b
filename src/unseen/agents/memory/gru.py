"""GRU and LSTM memories: input projections of all time steps in one product, then the scan of recurrences.py."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from unseen.agents.layers import matmul
from unseen.agents.memory.recurrences import gru_scan, lstm_scan


def _uniform(key: PRNGKeyArray, shape: tuple[int, ...], size: int) -> Array:
    """The customary initialisation of recurrent cells: uniform within 1 / sqrt(hidden size)."""
    bound = size**-0.5
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


class GRU(eqx.Module):
    """A gated recurrent unit; the carry is the hidden state, shape (B, size).

    Source: Cho et al. 2014, with the reset gate after the product (the form of cuDNN and torch).
    """

    w_x: Float[Array, "I 3*H"]
    w_h: Float[Array, "H 3*H"]
    b: Float[Array, "3*H"]
    b_n: Float[Array, "H"]
    precision: str = eqx.field(static=True)

    def __init__(self, inputs: int, size: int, *, precision: str = "float32", key: PRNGKeyArray):
        keys = jax.random.split(key, 4)
        self.w_x = _uniform(keys[0], (inputs, 3 * size), size)
        self.w_h = _uniform(keys[1], (size, 3 * size), size)
        self.b = _uniform(keys[2], (3 * size,), size)
        self.b_n = _uniform(keys[3], (size,), size)
        self.precision = precision

    @property
    def features(self) -> int:
        return self.w_h.shape[0]

    def initial(self, batch: int) -> Float[Array, "B H"]:
        return jnp.zeros((batch, self.features), jnp.float32)

    def step(
        self, carry: Float[Array, "B H"], x: Float[Array, "B I"], start: Bool[Array, "B"]
    ) -> tuple[Float[Array, "B H"], Float[Array, "B H"], dict]:
        carry, features, _ = self.unroll(carry, x[None], start[None])
        return carry, features[0], {}

    def unroll(
        self, carry: Float[Array, "B H"], xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[Float[Array, "B H"], Float[Array, "T B H"], dict]:
        return self.unroll_projected(carry, matmul(xs, self.w_x, self.precision), starts)

    def unroll_projected(
        self, carry: Float[Array, "B H"], projections: Float[Array, "T B 3*H"], starts: Bool[Array, "T B"]
    ) -> tuple[Float[Array, "B H"], Float[Array, "T B H"], dict]:
        hs = gru_scan(self.w_h, self.b_n, carry, projections + jnp.broadcast_to(self.b, projections.shape), starts)
        return hs[-1], hs, {}


class LSTM(eqx.Module):
    """A long short-term memory; the carry is (hidden, cell), each of shape (B, size).

    Source: Hochreiter & Schmidhuber 1997, with forget gates (Gers et al. 2000).
    """

    w_x: Float[Array, "I 4*H"]
    w_h: Float[Array, "H 4*H"]
    b: Float[Array, "4*H"]
    precision: str = eqx.field(static=True)

    def __init__(self, inputs: int, size: int, *, precision: str = "float32", key: PRNGKeyArray):
        keys = jax.random.split(key, 3)
        self.w_x = _uniform(keys[0], (inputs, 4 * size), size)
        self.w_h = _uniform(keys[1], (size, 4 * size), size)
        self.b = _uniform(keys[2], (4 * size,), size)
        self.precision = precision

    @property
    def features(self) -> int:
        return self.w_h.shape[0]

    def initial(self, batch: int) -> tuple[Float[Array, "B H"], Float[Array, "B H"]]:
        zero = jnp.zeros((batch, self.features), jnp.float32)
        return zero, zero

    def step(
        self, carry: tuple[Array, Array], x: Float[Array, "B I"], start: Bool[Array, "B"]
    ) -> tuple[tuple[Array, Array], Float[Array, "B H"], dict]:
        carry, features, _ = self.unroll(carry, x[None], start[None])
        return carry, features[0], {}

    def unroll(
        self, carry: tuple[Array, Array], xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[tuple[Array, Array], Float[Array, "T B H"], dict]:
        return self.unroll_projected(carry, matmul(xs, self.w_x, self.precision), starts)

    def unroll_projected(
        self, carry: tuple[Array, Array], projections: Float[Array, "T B P"], starts: Bool[Array, "T B"]
    ) -> tuple[tuple[Array, Array], Float[Array, "T B H"], dict]:
        hs, cs = lstm_scan(self.w_h, *carry, projections + jnp.broadcast_to(self.b, projections.shape), starts)
        return (hs[-1], cs[-1]), hs, {}
