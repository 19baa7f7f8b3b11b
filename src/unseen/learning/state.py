"""Everything a run in progress is: parameters, optimisers, environments, random keys, counters; what a checkpoint holds."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.agents.build import ActorCritic
from unseen.agents.normalise import ReturnScale
from unseen.learning.rollout import Lanes, Slots

RECENT = 100  # episodes that "return" averages over, as in the published curves

# What the guard watches, in the order of its codes; 0 means that nothing is wrong.
GUARDED = ("nothing", "reward", "policy_loss", "critic_loss", "entropy", "gradient_norm", "parameters")


class EpisodeLog(NamedTuple):
    """The most recent finished episodes, in a ring."""

    scores: Float[Array, "100"]
    discounted: Float[Array, "100"]
    lengths: Float[Array, "100"]
    count: Int[Array, ""]

    @staticmethod
    def empty() -> EpisodeLog:
        ring = jnp.zeros((RECENT,), jnp.float32)
        return EpisodeLog(ring, ring, ring, jnp.zeros((), jnp.int32))

    def with_ended(self, slots: Slots) -> EpisodeLog:
        """With the episodes that ended in these slots, in the order of time."""
        ended = slots.ended.reshape(-1)
        rank = jnp.cumsum(ended.astype(jnp.int32))
        newest = ended & (rank > rank[-1] - RECENT)
        position = jnp.where(newest, (self.count + rank - 1) % RECENT, RECENT)  # RECENT is out of range: dropped

        def put(ring: Array, values: Array) -> Array:
            return ring.at[position].set(values.reshape(-1), mode="drop")

        lengths = (slots.time + 1).astype(jnp.float32)
        return EpisodeLog(
            put(self.scores, slots.score), put(self.discounted, slots.discounted), put(self.lengths, lengths), self.count + rank[-1]
        )

    def means(self) -> dict[str, Array]:
        """Averages over the recent episodes; NaN before the first has ended."""
        known = jnp.arange(RECENT) < self.count
        n = jnp.sum(known.astype(jnp.float32))

        def mean(ring: Array) -> Array:
            return jnp.where(n > 0, jnp.sum(jnp.where(known, ring, 0.0)) / jnp.maximum(n, 1.0), jnp.nan)

        return {"return": mean(self.scores), "discounted_return": mean(self.discounted), "length": mean(self.lengths)}


class TrainState(NamedTuple):
    """One seed's run in progress."""

    agent: ActorCritic
    target: Any  # frozen copy of the critic, or ()
    optimiser: Any
    source: Any
    lanes: Lanes | tuple[()]  # environments that run on between updates, or () when each update plays whole episodes
    critic_carry: Any
    before: Any  # the rollout before, where carries are recomputed from it, or ()
    returns: ReturnScale | tuple[()]  # where rewards are scaled by the deviation of returns
    key: PRNGKeyArray
    env_steps: Int[Array, ""]
    copied_at: Int[Array, ""]  # environment steps at the last copy into the target
    updates: Int[Array, ""]
    log: EpisodeLog
    sums: dict[str, Float[Array, ""]]  # of each update's losses since the last report
    summed: Int[Array, ""]
    fault: Int[Array, ""]  # index into GUARDED
    fault_steps: Int[Array, ""]  # environment steps at which it was seen
    actors: Any = ()  # parameters of the actor before each of the last updates, the oldest first, where it acts with old ones


def guarded(state: TrainState, losses: dict[str, Array], slots: Slots) -> TrainState:
    """Adds the losses of an update to the sums, and notes the first quantity that is not finite."""
    finite = [jnp.all(jnp.isfinite(slots.reward))] + [jnp.isfinite(losses[name]) for name in GUARDED[2:6]]
    wrong = ~jnp.stack(finite)
    code = jnp.where(jnp.any(wrong), jnp.argmax(wrong).astype(jnp.int32) + 1, 0)
    first = (state.fault == 0) & (code != 0)
    return state._replace(
        sums={name: state.sums[name] + losses[name] for name in state.sums},
        summed=state.summed + 1,
        fault=jnp.where(first, code, state.fault),
        fault_steps=jnp.where(first, state.env_steps, state.fault_steps),
    )


def losses_of(agent: ActorCritic) -> tuple[str, ...]:
    """What is averaged over the updates between two reports."""
    usual = ("policy_loss", "critic_loss", "entropy", "gradient_norm")
    return usual if agent.auxiliary is None else (*usual, "auxiliary_loss")


def lanes_mean(values: Float[Array, "T B"], weight: Bool[Array, "T B"]) -> Float[Array, ""]:
    """Mean over the valid slots."""
    w = weight.astype(values.dtype)
    return jnp.sum(values * w) / jnp.maximum(jnp.sum(w), 1.0)
