"""The actor: encoder, memory, policy head. Its input has no field for privileged signals, so none can reach it."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unseen.agents.distributions import Distribution
from unseen.agents.encoders import onto
from unseen.agents.heads import Head
from unseen.agents.memory.contract import Carry, Memory, Projecting, Records, Refreshing


class Seen(NamedTuple):
    """What the agent perceives at each time, with leading axes (B,) or (T, B).

    Attributes:
        observation: o_t, a pytree.
        previous_action: a_{t-1}, as the policy drew it; ignored where `start`.
        start: whether o_t is the first of an episode.
        action_mask: which actions are legal, or None.
    """

    observation: Any
    previous_action: Array
    start: Bool[Array, "*n"]
    action_mask: Bool[Array, "*n A"] | None


class Trunk(eqx.Module):
    """Embeds (o_t, a_{t-1}) and carries the past: z_t = memory(embed(o_t), embed(a_{t-1}))."""

    observation: Any
    action: Any  # None when the previous action is not part of the input
    memory: Memory
    precision: str = eqx.field(static=True)

    @property
    def features(self) -> int:
        return self.memory.features

    def embed(self, seen: Seen) -> Float[Array, "*n I"]:
        x = self.observation(seen.observation)
        if self.action is None:
            return x
        a = self.action(seen.previous_action)
        return jnp.concatenate([a * _known(seen, a), x], axis=-1)

    def projected(self, seen: Seen, memory: Projecting) -> Float[Array, "*n P"]:
        """embed(seen) @ w_x, without the products that categories repeat."""
        w_x, precision = memory.w_x, self.precision
        if self.action is None:
            return onto(self.observation, seen.observation, w_x, precision)
        a = onto(self.action, seen.previous_action, w_x[: self.action.features], precision)
        return a * _known(seen, a) + onto(self.observation, seen.observation, w_x[self.action.features :], precision)

    def initial(self, batch: int) -> Carry:
        return self.memory.initial(batch)

    def step(self, carry: Carry, seen: Seen) -> tuple[Carry, Float[Array, "B H"], Records]:
        return self.memory.step(carry, self.embed(seen), seen.start)

    def unroll(self, carry: Carry, seen: Seen) -> tuple[Carry, Float[Array, "T B H"], Records]:
        if isinstance(self.memory, Projecting):
            return self.memory.unroll_projected(carry, self.projected(seen, self.memory), seen.start)
        return self.memory.unroll(carry, self.embed(seen), seen.start)


def _known(seen: Seen, a: Array) -> Array:
    """1 where there was a previous action, 0 at a start."""
    return jnp.broadcast_to((1.0 - seen.start.astype(jnp.float32))[..., None], a.shape)


class Actor(eqx.Module):
    """pi(a | h): a trunk and a policy head."""

    trunk: Trunk
    head: Head

    def initial(self, batch: int) -> Carry:
        return self.trunk.initial(batch)

    def refreshed(self, carry: Carry) -> Carry:
        """The carry with whatever in it depends on parameters made with those of now."""
        return self.trunk.memory.refreshed(carry) if isinstance(self.trunk.memory, Refreshing) else carry

    def step(self, carry: Carry, seen: Seen) -> tuple[Carry, Distribution, Records]:
        carry, features, records = self.trunk.step(carry, seen)
        return carry, self.head(features, seen.action_mask), records

    def unroll(self, carry: Carry, seen: Seen) -> tuple[Carry, Distribution, Float[Array, "T B H"]]:
        """Returns the carry after the last step, the distribution at every time, and the features (for a shared critic)."""
        carry, features, _ = self.trunk.unroll(carry, seen)
        return carry, self.head(features, seen.action_mask), features
