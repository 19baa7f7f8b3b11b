"""The actor: encoder, memory, policy head. Its input has no field for privileged signals, so none can reach it."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unseen.agents.distributions import Distribution
from unseen.agents.encoders import onto
from unseen.agents.heads import Head
from unseen.agents.layers import matmul
from unseen.agents.memory.contract import Carry, Memory, Projecting, Records, Refreshing, Replaying
from unseen.errors import UserError


class Seen(NamedTuple):
    """What the agent perceives at each time, with leading axes (B,) or (T, B).

    Attributes:
        observation: o_t, a pytree.
        previous_action: a_{t-1}, as the policy drew it; ignored where `start`.
        start: whether o_t is the first of an episode.
        action_mask: which actions are legal, or None.
        previous_reward: r_{t-1}, as the environment gave it; ignored where `start`. None for agents that do not read it.
    """

    observation: Any
    previous_action: Array
    start: Bool[Array, "*n"]
    action_mask: Bool[Array, "*n A"] | None
    previous_reward: Float[Array, "*n"] | None = None


class Trunk(eqx.Module):
    """Embeds (o_t, a_{t-1}, r_{t-1}) and carries the past: z_t = memory([embed(a_{t-1}), embed(o_t), clip(r_{t-1}, -1, 1)]).

    Action and reward are left out where they are not part of the input, and 0 at an episode's start.
    """

    observation: Any
    action: Any  # None when the previous action is not part of the input
    memory: Memory
    precision: str = eqx.field(static=True)
    reward: bool = eqx.field(static=True, default=False)  # whether the previous reward is part of the input

    @property
    def features(self) -> int:
        return self.memory.features

    def embed(self, seen: Seen, embedding: Float[Array, "*n E"] | None = None) -> Float[Array, "*n I"]:
        parts = [self.observation(seen.observation) if embedding is None else embedding]
        if self.action is not None:
            a = self.action(seen.previous_action)
            parts.insert(0, a * _known(seen, a))
        if self.reward:
            parts.append(_reward(seen))
        return jnp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]

    def projected(self, seen: Seen, memory: Projecting, embedding: Float[Array, "*n E"] | None = None) -> Float[Array, "*n P"]:
        """embed(seen) @ w_x, without the products that categories repeat."""
        w_x, precision = memory.w_x, self.precision
        begin = 0 if self.action is None else self.action.features
        end = w_x.shape[0] - int(self.reward)
        if embedding is None:
            total = onto(self.observation, seen.observation, w_x[begin:end], precision)
        else:
            total = matmul(embedding, w_x[begin:end], precision)
        if self.action is not None:
            a = onto(self.action, seen.previous_action, w_x[:begin], precision)
            total = a * _known(seen, a) + total
        if self.reward:
            total = total + matmul(_reward(seen), w_x[end:], precision)
        return total

    def initial(self, batch: int) -> Carry:
        return self.memory.initial(batch)

    def step(self, carry: Carry, seen: Seen) -> tuple[Carry, Float[Array, "B H"], Records]:
        return self.memory.step(carry, self.embed(seen), seen.start)

    def unroll(
        self, carry: Carry, seen: Seen, embedding: Float[Array, "T B E"] | None = None, recalled: Records | None = None
    ) -> tuple[Carry, Float[Array, "T B H"], Records]:
        """The memory's carry, features and records.

        Args:
            carry: before the first step.
            seen: what the agent perceived, (T, B).
            embedding: the embedded observation where it is known already.
            recalled: records of the first steps, of all or of all but the last, made with these very parameters; not searched for again.
        """
        if recalled is not None and isinstance(self.memory, Replaying):
            return self._replayed(self.memory, carry, self.embed(seen, embedding), seen.start, recalled)
        if isinstance(self.memory, Projecting):
            return self.memory.unroll_projected(carry, self.projected(seen, self.memory, embedding), seen.start)
        return self.memory.unroll(carry, self.embed(seen, embedding), seen.start)

    def _replayed(
        self, memory: Any, carry: Carry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"], recalled: Records
    ) -> tuple[Carry, Float[Array, "T B H"], Records]:
        known = recalled["slot"].shape[0]
        carry, features, records = memory.unroll_recalled(carry, xs[:known], starts[:known], recalled)
        if known == len(xs):
            return carry, features, records
        carry, *last = memory.unroll(carry, xs[known:], starts[known:])
        features, records = jax.tree.map(lambda *parts: jnp.concatenate(parts), (features, records), tuple(last))
        return carry, features, records


def _known(seen: Seen, a: Array) -> Array:
    """1 where there was a previous action, 0 at a start."""
    return jnp.broadcast_to((1.0 - seen.start.astype(jnp.float32))[..., None], a.shape)


def _reward(seen: Seen) -> Float[Array, "*n 1"]:
    """The previous reward, clipped as in the public agent of Espeholt et al. 2018; 0 at a start."""
    if seen.previous_reward is None:
        raise UserError("agent.previous_reward=True: the agent reads the previous reward; give Seen(..., previous_reward=r)")
    return jnp.where(seen.start, 0.0, jnp.clip(seen.previous_reward, -1.0, 1.0))[..., None]


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

    def unroll(
        self, carry: Carry, seen: Seen, embedding: Float[Array, "T B E"] | None = None, recalled: Records | None = None
    ) -> tuple[Carry, Distribution, Float[Array, "T B H"]]:
        """Returns the carry after the last step, the distribution at every time, and the features (for a shared critic)."""
        carry, features, _ = self.trunk.unroll(carry, seen, embedding, recalled)
        return carry, self.head(features, seen.action_mask), features
