"""No memory: the features are the input."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Bool, Float


class FeedForward(eqx.Module):
    """Passes its input on; the carry is empty."""

    inputs: int = eqx.field(static=True)

    @property
    def features(self) -> int:
        return self.inputs

    def initial(self, batch: int) -> tuple[()]:
        return ()

    def step(self, carry: tuple[()], x: Float[Array, "B I"], start: Bool[Array, "B"]) -> tuple[tuple[()], Float[Array, "B I"], dict]:
        return carry, x, {}

    def unroll(
        self, carry: tuple[()], xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[tuple[()], Float[Array, "T B I"], dict]:
        return carry, xs, {}
