"""Action distributions: masked categorical, several categoricals at once, and the diagonal normal in three forms.

`sample` takes its randomness as an argument (`noise` draws it), so that a rollout can draw the noise of all its steps in one call.
Leading axes are free; an action of a Box is kept as drawn (before clipping or squashing), and `to_environment` maps it.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

_MASKED = -1e9  # finite, so that 0 * log 0 is 0 in entropies and their gradients
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


class Categorical(eqx.Module):
    """p(a) = exp(log_p[a]); `log_p` is normalised over the last axis, and about -1e9 for forbidden actions."""

    log_p: Float[Array, "*n A"]

    def __init__(self, logits: Float[Array, "*n A"], mask: Bool[Array, "*n A"] | None = None):
        if mask is not None:
            logits = jnp.where(mask, logits, _MASKED)
        self.log_p = jax.nn.log_softmax(logits, axis=-1)

    def sample(self, noise: Float[Array, "*n A"]) -> Int[Array, "*n"]:
        """argmax_a log p(a) + g_a with Gumbel noise g."""
        return jnp.argmax(self.log_p + noise, axis=-1).astype(jnp.int32)

    def mode(self) -> Int[Array, "*n"]:
        return jnp.argmax(self.log_p, axis=-1).astype(jnp.int32)

    def log_probability(self, action: Int[Array, "*n"]) -> Float[Array, "*n"]:
        chosen = jax.nn.one_hot(action, self.log_p.shape[-1], dtype=self.log_p.dtype)
        return jnp.sum(chosen * self.log_p, axis=-1)

    def entropy(self) -> Float[Array, "*n"]:
        return -jnp.sum(jnp.exp(self.log_p) * self.log_p, axis=-1)


class MultiCategorical(eqx.Module):
    """Independent categoricals, one for each part of a MultiDiscrete action."""

    parts: tuple[Categorical, ...]

    def __init__(self, logits: Float[Array, "*n S"], sizes: tuple[int, ...], mask: Bool[Array, "*n S"] | None = None):
        ends = np.cumsum(sizes)[:-1].tolist()
        masks = [None] * len(sizes) if mask is None else jnp.split(mask, ends, axis=-1)
        self.parts = tuple(Categorical(part, m) for part, m in zip(jnp.split(logits, ends, axis=-1), masks, strict=True))

    def sample(self, noise: Float[Array, "*n S"]) -> Int[Array, "*n K"]:
        ends = np.cumsum([part.log_p.shape[-1] for part in self.parts])[:-1].tolist()
        return jnp.stack([part.sample(g) for part, g in zip(self.parts, jnp.split(noise, ends, axis=-1), strict=True)], axis=-1)

    def mode(self) -> Int[Array, "*n K"]:
        return jnp.stack([part.mode() for part in self.parts], axis=-1)

    def log_probability(self, action: Int[Array, "*n K"]) -> Float[Array, "*n"]:
        return sum(
            (part.log_probability(action[..., k]) for k, part in enumerate(self.parts)), start=jnp.zeros(action.shape[:-1], jnp.float32)
        )

    def entropy(self) -> Float[Array, "*n"]:
        return jnp.sum(jnp.stack([part.entropy() for part in self.parts]), axis=0)


class Normal(eqx.Module):
    """Independent normals. Squashed: a = low + (tanh(u) + 1) / 2 (high - low), and densities are those of tanh(u).

    log p(tanh u) = log N(u) - sum_k log(1 - tanh(u_k)^2); "clipped" and "unbounded" keep the density of u itself.
    """

    mean: Float[Array, "*n D"]
    log_deviation: Float[Array, "*n D"]
    squashed: bool = eqx.field(static=True)

    def sample(self, noise: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        return self.mean + jnp.exp(self.log_deviation) * noise

    def mode(self) -> Float[Array, "*n D"]:
        return self.mean

    def log_probability(self, action: Float[Array, "*n D"]) -> Float[Array, "*n"]:
        z = (action - self.mean) * jnp.exp(-self.log_deviation)
        log_p = -0.5 * z * z - self.log_deviation - 0.5 * math.log(2.0 * math.pi)
        if self.squashed:
            log_p = log_p - _log_derivative_of_tanh(action)
        return jnp.sum(log_p, axis=-1)

    def entropy(self) -> Float[Array, "*n"]:
        """Entropy of u; squashed: plus E[log(1 - tanh(u)^2)] by Gauss-Hermite quadrature with 32 nodes."""
        h = self.log_deviation + 0.5 * math.log(2.0 * math.pi * math.e)
        if self.squashed:
            weights = _WEIGHTS / _WEIGHTS.sum()
            for node, weight in zip(_NODES.tolist(), weights.tolist(), strict=True):
                h = h + weight * _log_derivative_of_tanh(self.mean + node * jnp.exp(self.log_deviation))
        return jnp.sum(h, axis=-1)


Distribution = Categorical | MultiCategorical | Normal


def _log_derivative_of_tanh(u: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """log(1 - tanh(u)^2), without cancellation for large |u|."""
    return 2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u))


def gumbel(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    """Gumbel noise for categoricals."""
    return jax.random.gumbel(key, shape, jnp.float32)


def standard_normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    """Standard normal noise for normals."""
    return jax.random.normal(key, shape, jnp.float32)
