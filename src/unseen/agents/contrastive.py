"""Contrastive predictive coding: from the memory at time t, which of a sequence's observations comes k steps later?"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.agents.actor import Seen
from unseen.agents.layers import matmul


class Contrastive(eqx.Module):
    """s_k(t, u) = e_u . W_k h_t;  L_t = - (1/S) sum_k log( exp s_k(t, t+k) / sum_u exp s_k(t, u) ), u over the same sequence.

    Candidates are all observations of the lane's own unroll: the loss is a sum over lanes, so it is the same however lanes are dealt to
    minibatches, parts and devices. Pairs (t, t + k) that cross the end of an episode, or of the unroll, are left out. Gradients reach the
    encoder and the memory.

    Source: van den Oord et al. 2018, equation 4. Steps and weight are proposals (specification §4.6: not found in the paper), and so are
    the candidates: all frames of a batch are the usual choice, those of the sequence are that of one public re-implementation.
    """

    w: Float[Array, "H S*E"]
    steps: int = eqx.field(static=True)
    weight: float = eqx.field(static=True)
    precision: str = eqx.field(static=True)

    def __init__(self, features: int, embedding: int, steps: int, weight: float, *, precision: str, key: PRNGKeyArray):
        self.w = jax.random.normal(key, (features, steps * embedding), jnp.float32) * (features * embedding) ** -0.5
        self.steps, self.weight, self.precision = steps, weight, precision

    def slot_losses(
        self, embedding: Float[Array, "T B E"], features: Float[Array, "T B H"], seen: Seen, shown: Bool[Array, "T B"]
    ) -> Float[Array, "T B"]:
        """The loss of every slot."""
        predicted = matmul(features, self.w, self.precision).reshape(*shown.shape, self.steps, -1)  # W_k h_t
        scores = jnp.einsum("tbse,ube->tbsu", predicted, embedding)
        candidate = jnp.broadcast_to(shown.T[None, :, None, :], scores.shape)
        log_sum = jax.nn.logsumexp(jnp.where(candidate, scores, -jnp.inf), axis=-1)
        ahead, there = self.targets(seen.start, shown)
        right = jnp.take_along_axis(scores, jnp.broadcast_to(ahead[:, None, :, None], (*there.shape, 1)), axis=-1)[..., 0]
        return jnp.sum(jnp.where(there, log_sum - right, 0.0), axis=-1) / self.steps

    def targets(self, starts: Bool[Array, "T B"], shown: Bool[Array, "T B"]) -> tuple[Int[Array, "T S"], Bool[Array, "T B S"]]:
        """The time k steps after each, for k = 1 to S, and whether it is shown and belongs to the same episode."""
        time, lanes = starts.shape
        episode = jnp.cumsum(starts.astype(jnp.int32), axis=0)
        t = jnp.arange(time, dtype=jnp.int32)[:, None] + jnp.arange(1, self.steps + 1, dtype=jnp.int32)[None]
        inside, t = t < time, jnp.minimum(t, time - 1)
        same = jnp.moveaxis(episode[t] == jnp.broadcast_to(episode[:, None], (*t.shape, lanes)), 1, 2)
        return t, same & jnp.broadcast_to(inside[:, None], same.shape) & jnp.moveaxis(shown[t], 1, 2)
