"""Proximal policy optimisation with recurrent sequences: minibatches are whole lanes of a rollout."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from unseen.agents.build import ActorCritic
from unseen.agents.normalise import ReturnScale
from unseen.learning import auxiliary, optimise, returns
from unseen.learning.rollout import Slots
from unseen.learning.sequences import Sequences, values
from unseen.learning.settings import PPO
from unseen.learning.sharing import ALONE, Sharing
from unseen.learning.state import TrainState, guarded, lanes_mean


def optimiser(settings: PPO) -> optax.GradientTransformation:
    """Adam behind a clip of the global norm; the learning rate is applied by `learn`, which knows the environment steps."""
    return optimise.clipped(optax.scale_by_adam(eps=settings.adam_epsilon), settings.max_gradient_norm)


def single_pass(settings: PPO) -> bool:
    """Whether all of the loss is taken at the parameters that acted, from the carries that they left."""
    return settings.epochs == settings.minibatches == 1 and settings.carries == "stored"


def loss(
    parameters: tuple[Any, ...], batch: Sequences, count: Float[Array, ""], settings: PPO
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """- min(rho A, clip(rho, 1 - eps, 1 + eps) A) + c_v (V - G)^2 / 2 - c_e H, summed over valid slots and divided by `count`.

    Args:
        parameters: actor, critic, and what an auxiliary loss needs.
        batch: some lanes of a minibatch, with advantages as they shall be used.
        count: valid slots of the whole minibatch, so that the losses of its lanes add up to the mean.
        settings: clip ranges and weights.

    Returns:
        The loss, and its terms by name.

    Source: Schulman et al. 2017, equations 7 and 9.
    """
    actor, critic, *helper = parameters
    distribution, features, embedding = auxiliary.unrolled(helper, actor, batch.actor_carry, batch.seen, batch.recalled)
    _, v = critic.unroll(batch.critic_carry, batch.seen, batch.signals, features)
    log_ratio = jnp.where(batch.valid, distribution.log_probability(batch.action) - batch.log_probability, 0.0)
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - settings.clip, 1.0 + settings.clip)
    surrogate = jnp.minimum(ratio * batch.advantage, clipped * batch.advantage)
    error = (v - batch.target) ** 2
    if settings.value_clip is not None:
        near = batch.value + jnp.clip(v - batch.value, -settings.value_clip, settings.value_clip)
        error = jnp.maximum(error, (near - batch.target) ** 2)

    def mean(x: Array) -> Array:
        return jnp.sum(jnp.where(batch.valid, x, 0.0)) / count

    policy_loss, critic_loss, entropy = -mean(surrogate), 0.5 * mean(error), mean(distribution.entropy())
    total = policy_loss + settings.value_weight * critic_loss - settings.entropy * entropy
    terms = {"policy_loss": policy_loss, "critic_loss": critic_loss, "entropy": entropy}
    added, more = auxiliary.added(helper, embedding, batch.seen, features, jnp.ones_like(batch.valid), mean)
    return total + added, terms | more


def prepared(
    settings: PPO, agent: ActorCritic, slots: Slots, actor_carry: Any, critic_carry: Any, scale: Array, sharing: Sharing = ALONE
) -> tuple[Any, Sequences]:
    """Values, advantages and targets of a rollout; returns the critic's carry after it too. Rewards are divided by `scale`."""
    time, lanes = slots.valid.shape

    def of(part: Array) -> tuple[Any, Array]:
        seen, signals, recalled = jax.tree.map(lambda x: x[:, part], (slots.seen, slots.signals, slots.recalled))
        actor, critic = jax.tree.map(lambda x: x[part], (actor_carry, critic_carry))
        return values(agent, actor, critic, seen, signals, recalled)

    after, v = sharing.each(of, jnp.arange(lanes, dtype=jnp.int32), time)
    discount_t = settings.discount * (1.0 - slots.terminated.astype(jnp.float32))
    # A slot that only shows a final observation ends the recursion, just as a cut does; its own advantage is never used.
    continues_t = (slots.valid & ~slots.truncated).astype(jnp.float32)

    def one_lane(r_t: Array, discount_t: Array, v_tm1: Array, v_t: Array, continues_t: Array) -> Array:
        return returns.generalized_advantage(r_t, discount_t, v_tm1, v_t, settings.lambda_, continues_t=continues_t)

    reward = slots.reward / scale
    advantage = jax.vmap(one_lane, in_axes=1, out_axes=1)(reward, discount_t, v[:-1], v[1:], continues_t)
    seen, signals = jax.tree.map(lambda x: x[:-1], (slots.seen, slots.signals))
    target = advantage + v[:-1]
    played = seen, signals, slots.action, slots.log_probability, v[:-1]
    batch = Sequences(*played, advantage, target, slots.valid, actor_carry, critic_carry, slots.recalled if single_pass(settings) else None)
    return after, batch


def normalised(advantage: Float[Array, "T n"], valid: Bool[Array, "T n"]) -> Float[Array, "T n"]:
    """(A - mean) / (deviation + 1e-8), both over the valid slots."""
    centred = advantage - lanes_mean(advantage, valid)
    return centred / (jnp.sqrt(lanes_mean(centred**2, valid)) + 1e-8)


def learn(settings: PPO, state: TrainState, slots: Slots, actor_carry: Any, sharing: Sharing = ALONE) -> TrainState:
    """Epochs of minibatches on one rollout whose actor carry at the first slot was `actor_carry`."""
    env_steps = state.env_steps + jnp.sum(slots.valid.astype(jnp.int32))
    scale = state.returns.deviation if isinstance(state.returns, ReturnScale) else jnp.ones((), jnp.float32)
    perceived = slots._replace(seen=state.agent.perceived(slots.seen))
    critic_after, batch = prepared(settings, state.agent, perceived, actor_carry, state.critic_carry, scale, sharing)
    rate = settings.learning_rate
    if settings.anneal_steps is not None:
        rate = rate * (1.0 - jnp.clip(state.env_steps.astype(jnp.float32) / settings.anneal_steps, 0.0, 1.0))
    adam = optimiser(settings)
    time, lanes = slots.valid.shape
    key, k_epochs = jax.random.split(state.key)

    def minibatch(parameters: Any, adam_state: Any, begun: Sequences, dealt: Array) -> tuple[tuple[Any, Any], dict[str, Array]]:
        valid = begun.valid[:, dealt]
        count = jnp.maximum(jnp.sum(valid.astype(jnp.float32)), 1.0)
        if settings.normalise_advantages:
            begun = begun._replace(advantage=begun.advantage.at[:, dealt].set(normalised(begun.advantage[:, dealt], valid)))
        gradient = eqx.filter_grad(loss, has_aux=True)
        gradients, losses = sharing.total(lambda part: gradient(parameters, begun.of(part), count, settings), dealt, time)
        losses["gradient_norm"] = optimise.norm(gradients)
        return optimise.step(adam, parameters, gradients, adam_state, -rate), losses

    def epoch(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], dict[str, Array]]:
        begun = _recomputed(carry[0], state.before, batch) if settings.carries == "recomputed" else batch
        order = jnp.arange(lanes, dtype=jnp.int32)
        if settings.minibatches == 1:
            return minibatch(*carry, begun, order)
        hands = jax.random.permutation(key, order).reshape(settings.minibatches, -1)
        carry, losses = jax.lax.scan(lambda carry, dealt: minibatch(*carry, begun, dealt), carry, hands)
        return carry, jax.tree.map(jnp.mean, losses)

    begin = state.agent.trained, state.optimiser
    (parameters, adam_state), losses = jax.lax.scan(epoch, begin, jax.random.split(k_epochs, settings.epochs))
    agent = state.agent.with_trained(parameters).with_seen(slots.seen.observation, slots.acted_on)
    state = state._replace(
        agent=agent,
        optimiser=adam_state,
        critic_carry=critic_after,
        before=(batch.seen, actor_carry, state.critic_carry) if settings.carries == "recomputed" else (),
        returns=state.returns.updated(slots.reward, slots.seen.start[:-1], slots.valid, settings.discount)
        if isinstance(state.returns, ReturnScale)
        else (),
        key=key,
        env_steps=env_steps,
        updates=state.updates + 1,
        log=state.log.with_ended(slots),
    )
    return guarded(state, jax.tree.map(jnp.mean, losses), slots)


def _recomputed(parameters: tuple[Any, ...], before: Any, batch: Sequences) -> Sequences:
    """With the carries that the newest parameters give at the end of the rollout before."""
    actor, critic, *_ = parameters
    seen, actor_carry, critic_carry = before
    actor_carry, _, _ = actor.unroll(actor_carry, seen)
    if critic.trunk is not None:
        critic_carry, _, _ = critic.trunk.unroll(critic_carry, seen)
    return batch._replace(actor_carry=actor_carry, critic_carry=critic_carry)
