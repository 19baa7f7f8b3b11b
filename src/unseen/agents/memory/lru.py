"""Linear recurrent unit: a complex diagonal recurrence that an associative scan unrolls in logarithmic depth."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, PRNGKeyArray

from unseen.agents.layers import Linear


class LRU(eqx.Module):
    """h_t = lambda (1 - start_t) h_tm1 + gamma B x_t;  y_t = relu(Re(C h_t) + D x_t) A + x_t E, lambda = exp(-exp(nu) + i exp(theta)).

    The carry is the complex state, shape (B, size). |lambda| < 1 holds by construction.

    Source: Orvieto et al. 2023, equations 4-7, with a residual output layer.
    """

    nu: Float[Array, "H"]
    theta: Float[Array, "H"]
    b_real: Linear
    b_imaginary: Linear
    c_real: Linear
    c_imaginary: Linear
    skip: Linear
    out: Linear

    def __init__(
        self, inputs: int, size: int, *, precision: str = "float32", key: PRNGKeyArray, radius: tuple[float, float] = (0.5, 0.999)
    ):
        keys = jax.random.split(key, 8)
        low, high = radius
        u = jax.random.uniform(keys[0], (size,), jnp.float32)
        # Uniform on the ring between the two radii, phase up to pi / 10 (section 3.3 of the source).
        self.nu = jnp.log(-0.5 * jnp.log(u * (high**2 - low**2) + low**2))
        self.theta = jnp.log(jax.random.uniform(keys[1], (size,), jnp.float32, 1e-3, 0.314))
        self.b_real = Linear(inputs, size, scale=0.7, precision=precision, key=keys[2])
        self.b_imaginary = Linear(inputs, size, scale=0.7, precision=precision, key=keys[3])
        self.c_real = Linear(size, size, precision=precision, key=keys[4])
        self.c_imaginary = Linear(size, size, precision=precision, key=keys[5])
        self.skip = Linear(inputs, size, precision=precision, key=keys[6])
        self.out = Linear(size, size, follows="relu", precision=precision, key=keys[7])

    @property
    def features(self) -> int:
        return self.nu.shape[0]

    def initial(self, batch: int) -> Complex[Array, "B H"]:
        return jnp.zeros((batch, self.features), jnp.complex64)

    def step(
        self, carry: Complex[Array, "B H"], x: Float[Array, "B I"], start: Bool[Array, "B"]
    ) -> tuple[Complex[Array, "B H"], Float[Array, "B H"], dict]:
        carry, features, _ = self.unroll(carry, x[None], start[None])
        return carry, features[0], {}

    def unroll(
        self, carry: Complex[Array, "B H"], xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[Complex[Array, "B H"], Float[Array, "T B H"], dict]:
        magnitude, phase = jnp.exp(-jnp.exp(self.nu)), jnp.exp(self.theta)
        decay = jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase))
        scale = jnp.sqrt(1.0 - magnitude**2)
        driven = jax.lax.complex(self.b_real(xs), self.b_imaginary(xs))
        driven = driven * jnp.broadcast_to(scale.astype(jnp.complex64), driven.shape)
        kept = jnp.broadcast_to((1.0 - starts.astype(jnp.float32))[..., None], driven.shape).astype(jnp.complex64)
        decays = kept * jnp.broadcast_to(decay, driven.shape)
        driven = driven.at[0].add(decays[0] * carry)

        def compose(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
            return earlier[0] * later[0], later[0] * earlier[1] + later[1]

        hs = jax.lax.associative_scan(compose, (decays, driven), axis=0)[1]
        read = self.c_real(hs.real) - self.c_imaginary(hs.imag) + self.skip(xs)
        return hs[-1], read + self.out(jax.nn.relu(read)), {}
