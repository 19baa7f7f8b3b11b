"""The critic: V(h), V(h, i), V(h, s) or V(s). Signals join after the recurrent part and never enter the memory."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from unseen.agents.actor import Seen, Trunk
from unseen.agents.encoders import onto_sum
from unseen.agents.layers import Perceptron
from unseen.agents.memory.contract import Carry

Signals = dict[str, Array]


class Critic(eqx.Module):
    """Values from the history (its own trunk, or the actor's features), the signals, or both.

    V(h, i) = head(concat(memory(h), embed(i))). The first layer is written as two products, W memory(h) + U embed(i), so that
    an informed critic starts from the very draws of the symmetric one. Without the history only embed(i) is used.
    """

    trunk: Trunk | None  # None when the actor's trunk is shared, or the history is not used
    shared: bool = eqx.field(static=True)
    signals: dict[str, Any]
    join: Float[Array, "S H"] | None  # U; None without a history or without signals
    head: Perceptron

    def initial(self, batch: int) -> Carry:
        return () if self.trunk is None else self.trunk.initial(batch)

    def unroll(
        self, carry: Carry, seen: Seen, signals: Signals, actor_features: Float[Array, "T B F"] | None = None
    ) -> tuple[Carry, Float[Array, "T B"]]:
        """Values at every time.

        Args:
            carry: memory before the first step.
            seen: what the agent perceived, (T, B).
            signals: by name, (T, B, ...); only the critic's own are read.
            actor_features: the actor's features, for a shared trunk.
        """
        if self.trunk is not None:
            carry, features, _ = self.trunk.unroll(carry, seen)
        elif self.shared:
            if actor_features is None:
                raise ValueError("a critic with a shared trunk needs the actor's features")
            features = actor_features
        else:
            return carry, self.head(self._told(signals))[..., 0]
        added = None
        if self.join is not None:
            told = [(embed, signals[name]) for name, embed in self.signals.items()]
            added = onto_sum(told, self.join, self.head.layers[0].precision)
        return carry, self.head(features, added)[..., 0]

    def _told(self, signals: Signals) -> Float[Array, "T B S"]:
        return jnp.concatenate([embed(signals[name]) for name, embed in self.signals.items()], axis=-1)
