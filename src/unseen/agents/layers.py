"""Linear layers and perceptrons over any number of leading axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "silu": jax.nn.silu,
}
_GAINS = {"relu": 2.0**0.5, "leaky_relu": 2.0**0.5, "tanh": 5.0 / 3.0, "silu": 1.0, "linear": 1.0}


def matmul(x: Float[Array, "*n i"], w: Float[Array, "i o"], precision: str = "float32") -> Float[Array, "*n o"]:
    """x w with the leading axes of x folded into one; bfloat16 products accumulate in float32."""
    rows = x.reshape(-1, x.shape[-1])
    if precision == "bfloat16":
        product = jnp.matmul(rows.astype(jnp.bfloat16), w.astype(jnp.bfloat16), preferred_element_type=jnp.float32)
    else:
        product = rows @ w
    return product.reshape(*x.shape[:-1], w.shape[-1])


class Linear(eqx.Module):
    """y = x w + b, Xavier-normal weights with the gain of the nonlinearity that follows, zero bias."""

    w: Float[Array, "i o"]
    b: Float[Array, "o"]
    precision: str = eqx.field(static=True)

    def __init__(
        self, inputs: int, outputs: int, *, follows: str = "linear", scale: float = 1.0, precision: str = "float32", key: PRNGKeyArray
    ):
        deviation = scale * _GAINS[follows] * (2.0 / (inputs + outputs)) ** 0.5
        self.w = deviation * jax.random.normal(key, (inputs, outputs), jnp.float32)
        self.b = jnp.zeros((outputs,), jnp.float32)
        self.precision = precision

    def __call__(self, x: Float[Array, "*n i"]) -> Float[Array, "*n o"]:
        y = matmul(x, self.w, self.precision)
        return y + jnp.broadcast_to(self.b, y.shape)


class Perceptron(eqx.Module):
    """Linear layers with a nonlinearity between them; the last one stays linear."""

    layers: tuple[Linear, ...]
    activation: str = eqx.field(static=True)

    def __init__(self, sizes: Sequence[int], *, activation: str, last_scale: float = 1.0, precision: str = "float32", key: PRNGKeyArray):
        keys = jax.random.split(key, len(sizes) - 1)
        last = len(sizes) - 2
        self.layers = tuple(
            Linear(
                sizes[k],
                sizes[k + 1],
                follows="linear" if k == last else activation,
                scale=last_scale if k == last else 1.0,
                precision=precision,
                key=keys[k],
            )
            for k in range(len(sizes) - 1)
        )
        self.activation = activation

    def __call__(self, x: Float[Array, "*n i"], added: Float[Array, "*n h"] | None = None) -> Float[Array, "*n o"]:
        """`added` joins the first layer's output: a second input with weights of its own."""
        for k, layer in enumerate(self.layers):
            x = layer(x)
            if k == 0 and added is not None:
                x = x + added
            if k < len(self.layers) - 1:
                x = ACTIVATIONS[self.activation](x)
        return x
