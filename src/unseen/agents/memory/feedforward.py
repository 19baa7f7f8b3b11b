"""No memory: the features are the input, or a layer of it."""

from __future__ import annotations

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from unseen.agents.layers import Linear


class FeedForward(eqx.Module):
    """z_t = x_t, or relu(W x_t + b); the carry is empty."""

    inputs: int = eqx.field(static=True)
    layer: Linear | None

    def __init__(self, inputs: int, size: int | None = None, *, precision: str = "float32", key: PRNGKeyArray | None = None):
        self.inputs = inputs
        self.layer = None
        if size is not None and key is not None:
            self.layer = Linear(inputs, size, follows="relu", precision=precision, key=key)

    @property
    def features(self) -> int:
        return self.inputs if self.layer is None else self.layer.b.shape[0]

    def initial(self, batch: int) -> tuple[()]:
        return ()

    def step(self, carry: tuple[()], x: Float[Array, "B I"], start: Bool[Array, "B"]) -> tuple[tuple[()], Float[Array, "B H"], dict]:
        return carry, self._features(x), {}

    def unroll(
        self, carry: tuple[()], xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[tuple[()], Float[Array, "T B H"], dict]:
        return carry, self._features(xs), {}

    def _features(self, x: Float[Array, "*n I"]) -> Float[Array, "*n H"]:
        return x if self.layer is None else jax.nn.relu(self.layer(x))
