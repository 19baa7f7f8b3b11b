"""A rollout as the learners of running lanes see it: whole lanes, with the carries at their first slot."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from unseen.agents.build import ActorCritic
from unseen.agents.memory.contract import Records


class Sequences(NamedTuple):
    """What a loss needs of a rollout, (T, B), and the carries (B) at its first slot; what the actor's memory recalled, (T, B, K), where
    the parameters are still those that acted."""

    seen: Any
    signals: dict[str, Array]
    action: Array
    log_probability: Float[Array, "T B"]
    value: Float[Array, "T B"]
    advantage: Float[Array, "T B"]
    target: Float[Array, "T B"]
    valid: Bool[Array, "T B"]
    actor_carry: Any
    critic_carry: Any
    recalled: Records | None = None

    def of(self, lanes: Int[Array, "n"]) -> Sequences:
        """These lanes only."""
        timed = jax.tree.map(lambda x: x[:, lanes], self._replace(actor_carry=(), critic_carry=()))
        actor_carry, critic_carry = jax.tree.map(lambda x: x[lanes], (self.actor_carry, self.critic_carry))
        return timed._replace(actor_carry=actor_carry, critic_carry=critic_carry)


def values(
    agent: ActorCritic, actor_carry: Any, critic_carry: Any, seen: Any, signals: dict[str, Array], recalled: Records | None = None
) -> tuple[Any, Float[Array, "T1 B"]]:
    """The critic's carry after T of these T + 1 slots, and its values of all of them. `recalled`: see `Trunk.unroll`."""
    features = agent.actor.unroll(actor_carry, seen, recalled=recalled)[2] if agent.critic.shared else None
    return values_from(agent, features, critic_carry, seen, signals)


def values_from(
    agent: ActorCritic, features: Float[Array, "T1 B F"] | None, critic_carry: Any, seen: Any, signals: dict[str, Array]
) -> tuple[Any, Float[Array, "T1 B"]]:
    """As `values`, where the actor's features are known (they are used by a shared trunk only)."""

    def part(carry: Any, where: slice) -> tuple[Any, Array]:
        now, told = jax.tree.map(lambda x: x[where], (seen, signals))
        return agent.critic.unroll(carry, now, told, None if features is None else features[where])

    carry, v = part(critic_carry, slice(None, -1))
    _, v_last = part(carry, slice(-1, None))
    return carry, jnp.concatenate([v, v_last])
