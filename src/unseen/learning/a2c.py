"""Advantage actor-critic on whole episodes, with a target network and the discounted gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from unseen.learning import auxiliary, optimise, returns
from unseen.learning.rollout import Slots
from unseen.learning.settings import A2C
from unseen.learning.state import TrainState, guarded


def targets(settings: A2C, slots: Slots, v: Float[Array, "T1 B"]) -> Float[Array, "T B"]:
    """What the critic should have said in every slot, by the chosen estimator, from values `v` of all slots."""
    cut = slots.terminated | slots.truncated if settings.time_limit == "terminate" else slots.terminated
    discount_t = settings.discount * (1.0 - cut.astype(jnp.float32))
    continues_t = 1.0 - slots.truncated.astype(jnp.float32)

    def one_lane(r_t: Array, discount_t: Array, v_t: Array, continues_t: Array) -> Array:
        match settings.estimator:
            case "td":
                return r_t + discount_t * v_t
            case "n-step":
                return returns.n_step_returns(r_t, discount_t, v_t, settings.n, continues_t=continues_t)
            case "td-lambda":
                return returns.td_lambda_returns(r_t, discount_t, v_t, settings.lambda_, continues_t=continues_t)
            case "monte-carlo":
                return returns.monte_carlo_returns(r_t, discount_t, v_t[-1], continues_t=continues_t, v_t=v_t)

    return jax.vmap(one_lane, in_axes=1, out_axes=1)(slots.reward, discount_t, v[1:], continues_t)


def loss(
    parameters: tuple[Any, ...], target: Any, slots: Slots, settings: A2C, entropy_weight: Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Sums over time, means over episodes:

    critic  sum_t (V(h_t, i_t) - y_t)^2                     y from the frozen copy
    policy  - sum_t gamma^t A_t log pi(a_t | h_t)           A from the critic in training, no gradient
    entropy - lambda sum_t H(pi(. | h_t))

    Source: Ebi et al. 2026, sections 3-4; the choices of Baisero & Amato 2022's code where the paper is silent.
    """
    actor, critic, *helper = parameters
    episodes = slots.valid.shape[1]
    valid = slots.valid.astype(jnp.float32)
    distribution, features, embedding = auxiliary.unrolled(helper, actor, actor.initial(episodes), slots.seen, slots.recalled)
    _, v = critic.unroll(critic.initial(episodes), slots.seen, slots.signals, features)
    v_bar = jax.lax.stop_gradient(v)
    _, v_target = target.unroll(target.initial(episodes), slots.seen, slots.signals, jax.lax.stop_gradient(features))

    y = jax.lax.stop_gradient(targets(settings, slots, v_target))
    advantage = targets(settings, slots, v_bar) - v_bar[:-1]
    weight = settings.discount ** slots.time.astype(jnp.float32) if settings.discount_gradient else jnp.ones_like(advantage)
    acted = jax.tree.map(lambda x: x[:-1], distribution)
    log_probability = acted.log_probability(slots.action)

    critic_loss = jnp.sum(valid * (v[:-1] - y) ** 2) / episodes
    policy_loss = -jnp.sum(valid * weight * advantage * log_probability) / episodes
    entropy = jnp.sum(valid * acted.entropy())
    total = critic_loss + policy_loss - entropy_weight * entropy / episodes
    terms = {"policy_loss": policy_loss, "critic_loss": critic_loss, "entropy": entropy / jnp.maximum(jnp.sum(valid), 1.0)}
    shown = slots.acted_on.at[1:].set(slots.acted_on[1:] | slots.valid)  # the final observation too
    added, more = auxiliary.added(helper, embedding, slots.seen, features, shown, lambda x: jnp.sum(x) / episodes)
    return total + added, terms | more


def optimiser(settings: A2C) -> optax.GradientTransformation:
    """Adam; the actor, the critic and what an auxiliary loss needs have one each."""
    return optimise.clipped(optax.adam(settings.learning_rate, eps=settings.adam_epsilon), settings.max_gradient_norm)


def learn(settings: A2C, state: TrainState, slots: Slots, *, in_buckets: bool = False) -> TrainState:
    """One gradient step of actor and critic on these episodes.

    Args:
        settings, state: the algorithm, and the run so far.
        slots: whole episodes, one a lane.
        in_buckets: differentiate on the shortest of a few lengths that holds every episode. Switch it off under `vmap`, where
            every length would be computed.
    """
    agent = state.agent
    env_steps = state.env_steps + jnp.sum(slots.valid.astype(jnp.int32))
    due = env_steps - state.copied_at >= settings.target_period
    target = jax.tree.map(lambda new, old: jnp.where(due, new, old), agent.critic, state.target)
    progress = jnp.clip(env_steps.astype(jnp.float32) / settings.entropy_steps, 0.0, 1.0)
    entropy_weight = settings.entropy + progress * (settings.entropy_end - settings.entropy)

    def gradients_of(slots: Slots) -> Any:
        return eqx.filter_grad(loss, has_aux=True)(agent.trained, target, slots, settings, entropy_weight)

    perceived = slots._replace(seen=agent.perceived(slots.seen))
    gradients, losses = in_bucket(gradients_of, perceived) if in_buckets else gradients_of(perceived)
    losses["gradient_norm"] = optimise.norm(gradients)
    adam = optimiser(settings)
    moved = [optimise.step(adam, m, g, o) for m, g, o in zip(agent.trained, gradients, state.optimiser, strict=True)]
    agent = agent.with_trained(tuple(module for module, _ in moved))
    agent = agent.with_seen(slots.seen.observation, slots.acted_on)
    state = state._replace(
        agent=agent,
        target=target,
        optimiser=tuple(adam_state for _, adam_state in moved),
        env_steps=env_steps,
        copied_at=jnp.where(due, env_steps, state.copied_at),
        updates=state.updates + 1,
        log=state.log.with_ended(slots),
    )
    return guarded(state, losses, slots)


def buckets(horizon: int) -> tuple[int, ...]:
    """Lengths that short episodes are cut to before learning: 16, 48, 144, … and the horizon itself; each costs compile time."""
    sizes = [16]
    while sizes[-1] * 3 < horizon:
        sizes.append(sizes[-1] * 3)
    return (*[s for s in sizes if s < horizon], horizon)


def in_bucket(function: Callable[[Slots], Any], slots: Slots) -> Any:
    """`function` on the shortest bucket that holds every episode; the slots behind it are not valid and change nothing."""
    horizon = slots.valid.shape[0]
    sizes = buckets(horizon)
    used = jnp.max(jnp.where(slots.valid, jnp.arange(1, horizon + 1, dtype=jnp.int32)[:, None], 0))
    which = jnp.sum((used > jnp.asarray(sizes, jnp.int32)).astype(jnp.int32))

    def branch(size: int) -> Any:
        return lambda slots: function(shortened(slots, size))

    return jax.lax.switch(which, [branch(size) for size in sizes], slots)


def shortened(slots: Slots, size: int) -> Slots:
    """The first `size` slots, and what the slot after them shows."""
    seen, signals = jax.tree.map(lambda x: x[: size + 1], (slots.seen, slots.signals))
    rest = jax.tree.map(lambda x: x[:size], slots._replace(seen=(), signals=()))
    return rest._replace(seen=seen, signals=signals)
