"""Losses beside an agent's own that shape what it remembers: added to any learner's, summed or averaged as that sums or averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unseen.agents.actor import Seen
from unseen.agents.distributions import Distribution
from unseen.agents.memory.contract import Records


def unrolled(
    helper: Sequence[Any], actor: Any, carry: Any, seen: Seen, recalled: Records | None = None
) -> tuple[Distribution, Float[Array, "T B H"], Float[Array, "T B E"] | None]:
    """The actor's distributions and features, and the embedded observations where an auxiliary loss needs them too.

    Without one, none are made: a memory may have a faster way to read what is seen. `recalled`: see `Trunk.unroll`.
    """
    if not helper:
        _, distribution, features = actor.unroll(carry, seen, recalled=recalled)
        return distribution, features, None
    embedding = actor.trunk.observation(seen.observation)
    _, distribution, features = actor.unroll(carry, seen, embedding, recalled)
    return distribution, features, embedding


def added(
    helper: Sequence[Any],
    embedding: Float[Array, "T B E"] | None,
    seen: Seen,
    features: Float[Array, "T B H"],
    shown: Bool[Array, "T B"],
    over_slots: Callable[[Float[Array, "T B"]], Float[Array, ""]],
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """weight * loss, and the loss by name; 0 and nothing where the agent has none.

    Args:
        helper: `ActorCritic.trained` beyond actor and critic: empty, or one module with `weight` and `slot_losses`.
        embedding: what `unrolled` gave.
        seen, features: what the actor perceived, and what it made of it.
        shown: slots that show an observation; behind the end of an episode that was played alone there are others.
        over_slots: how the learner takes a loss over slots.
    """
    if not helper or embedding is None:
        return jnp.zeros((), jnp.float32), {}
    (module,) = helper
    loss = over_slots(module.slot_losses(embedding, features, seen, shown))
    return module.weight * loss, {"auxiliary_loss": loss}
