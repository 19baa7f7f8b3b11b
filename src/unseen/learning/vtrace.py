"""V-trace actor-critic (IMPALA): one pass over each rollout, which actors with older parameters may have played.

Actor and learner are two pure functions: one needs parameters and gives slots with the carries at their first, the other needs those and
gives parameters. Here they take turns in one compiled program, and `lag` says how many updates old the acting parameters are.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from unseen.agents.build import ActorCritic
from unseen.learning import auxiliary, optimise, returns
from unseen.learning.rollout import Slots
from unseen.learning.sequences import Sequences, values_from
from unseen.learning.settings import VTrace
from unseen.learning.sharing import ALONE, Sharing
from unseen.learning.state import TrainState, guarded


def optimiser(settings: VTrace) -> optax.GradientTransformation:
    """RMSProp as published, or Adam, behind a clip of the global norm; the learning rate is applied by `learn`."""
    if settings.optimiser == "adam":
        scale = optax.scale_by_adam(eps=settings.adam_epsilon)
    else:
        # The mean square starts at 1, as where the published agent's optimiser comes from: early steps are small.
        scale = optax.scale_by_rms(decay=settings.rms_decay, eps=settings.rms_epsilon, initial_scale=1.0)
    return optimise.clipped(scale, settings.max_gradient_norm)


def first_actors(settings: VTrace, agent: ActorCritic) -> Any:
    """Parameters that act, (lag, ...) each, the oldest first; () without a lag."""
    if settings.lag == 0:
        return ()
    return jax.tree.map(lambda x: jnp.repeat(x[None], settings.lag, axis=0), agent.actor)


def acting(state: TrainState) -> ActorCritic:
    """The agent that plays: its actor is `lag` updates old."""
    if isinstance(state.actors, tuple):
        return state.agent
    return eqx.tree_at(lambda m: m.actor, state.agent, jax.tree.map(lambda x: x[0], state.actors))


def loss(parameters: tuple[Any, ...], batch: Sequences, settings: VTrace) -> tuple[Float[Array, ""], dict[str, Array]]:
    """sum of - A log pi(a | h) + c_v (V - v)^2 / 2 - c_e H over valid slots, with advantages A and targets v of V-trace.

    Args:
        parameters: actor, critic, and what an auxiliary loss needs.
        batch: some lanes of a rollout.
        settings: weights.

    Returns:
        The loss, and its terms by name: sums too.

    Source: Espeholt et al. 2018, section 4.2; sums and not means, as in the published agent.
    """
    actor, critic, *helper = parameters
    distribution, features, embedding = auxiliary.unrolled(helper, actor, batch.actor_carry, batch.seen, batch.recalled)
    _, v = critic.unroll(batch.critic_carry, batch.seen, batch.signals, features)

    def total(x: Array) -> Array:
        return jnp.sum(jnp.where(batch.valid, x, 0.0))

    terms = {
        "policy_loss": -total(batch.advantage * distribution.log_probability(batch.action)),
        "critic_loss": 0.5 * total((v - batch.target) ** 2),
        "entropy": total(distribution.entropy()),
    }
    whole = terms["policy_loss"] + settings.value_weight * terms["critic_loss"] - settings.entropy * terms["entropy"]
    added, more = auxiliary.added(helper, embedding, batch.seen, features, jnp.ones_like(batch.valid), total)
    return whole + added, terms | more


def prepared(
    settings: VTrace, agent: ActorCritic, slots: Slots, actor_carry: Any, critic_carry: Any, sharing: Sharing = ALONE
) -> tuple[Any, Sequences, Float[Array, "T B"]]:
    """The critic's carry after a rollout, V-trace's targets and advantages in it, and the ratios pi / mu."""
    time, lanes = slots.valid.shape

    def of(part: Array) -> tuple[Any, tuple[Array, Array]]:
        seen, signals, action, recalled = jax.tree.map(lambda x: x[:, part], (slots.seen, slots.signals, slots.action, slots.recalled))
        actor, critic = jax.tree.map(lambda x: x[part], (actor_carry, critic_carry))
        _, distribution, features = agent.actor.unroll(actor, seen, recalled=recalled)
        after, v = values_from(agent, features if agent.critic.shared else None, critic, seen, signals)
        acted = jax.tree.map(lambda x: x[:-1], distribution)
        return after, (v, acted.log_probability(action))

    after, (v, log_probability) = sharing.each(of, jnp.arange(lanes, dtype=jnp.int32), time)
    ratio = jnp.exp(jnp.where(slots.valid, log_probability - slots.log_probability, 0.0))
    discount_t = settings.discount * (1.0 - slots.terminated.astype(jnp.float32))
    # A slot that only shows a final observation ends the recursion, just as a cut does; its own advantage is never used.
    continues_t = (slots.valid & ~slots.truncated).astype(jnp.float32)
    reward = slots.reward if settings.reward_clip is None else jnp.clip(slots.reward, -settings.reward_clip, settings.reward_clip)

    def one_lane(ratio_tm1: Array, r_t: Array, discount_t: Array, v_tm1: Array, v_t: Array, continues_t: Array) -> returns.VTrace:
        clips = {"clip_ratio": settings.clip_ratio, "clip_trace": settings.clip_trace, "clip_policy": settings.clip_policy}
        played = ratio_tm1, r_t, discount_t, v_tm1, v_t
        return returns.vtrace(*played, lambda_=settings.lambda_, **clips, continues_t=continues_t)

    found = jax.vmap(one_lane, in_axes=1, out_axes=1)(ratio, reward, discount_t, v[:-1], v[1:], continues_t)
    seen, signals = jax.tree.map(lambda x: x[:-1], (slots.seen, slots.signals))
    played = seen, signals, slots.action, slots.log_probability, v[:-1]
    return after, Sequences(*played, found.advantage_tm1, found.target_tm1, slots.valid, actor_carry, critic_carry, slots.recalled), ratio


def learn(settings: VTrace, state: TrainState, slots: Slots, actor_carry: Any, sharing: Sharing = ALONE) -> TrainState:
    """One gradient step on one rollout whose actor carry at the first slot was `actor_carry`."""
    agent = state.agent
    count = jnp.sum(slots.valid.astype(jnp.int32))
    perceived = slots._replace(seen=agent.perceived(slots.seen))
    critic_after, batch, _ = prepared(settings, agent, perceived, actor_carry, state.critic_carry, sharing)
    rate = settings.learning_rate
    if settings.anneal_steps is not None:
        rate = rate * (1.0 - jnp.clip(state.env_steps.astype(jnp.float32) / settings.anneal_steps, 0.0, 1.0))
    time, lanes = slots.valid.shape
    gradient = eqx.filter_grad(loss, has_aux=True)
    gradients, terms = sharing.total(
        lambda part: gradient(agent.trained, batch.of(part), settings), jnp.arange(lanes, dtype=jnp.int32), time
    )
    losses = {name: term / jnp.maximum(count.astype(jnp.float32), 1.0) for name, term in terms.items()}
    losses["gradient_norm"] = optimise.norm(gradients)
    parameters, optimiser_state = optimise.step(optimiser(settings), agent.trained, gradients, state.optimiser, -rate)
    state = state._replace(
        agent=agent.with_trained(parameters).with_seen(slots.seen.observation, slots.acted_on),
        actors=() if settings.lag == 0 else jax.tree.map(lambda old, new: jnp.concatenate([old[1:], new[None]]), state.actors, agent.actor),
        optimiser=optimiser_state,
        critic_carry=critic_after,
        env_steps=state.env_steps + count,
        updates=state.updates + 1,
        log=state.log.with_ended(slots),
    )
    return guarded(state, losses, slots)
