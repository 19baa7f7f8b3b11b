"""Recurrent PPO end to end in JAX, written the usual way: what a user would otherwise copy and adapt.

The customs of single-file JAX agents: the LSTM cell with its input product inside the scan, actor and critic each with a scan of
their own, gradients straight through, an environment that computes a fresh reset at every step and selects it where an episode
ended, and minibatches of whole sequences. A time limit counts as an end, as is customary there. Nothing is imported from this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Settings(NamedTuple):
    environments: int = 64
    rollout: int = 128
    epochs: int = 4
    minibatches: int = 4
    embedding: int = 16
    lstm: int = 128
    head: int = 128
    learning_rate: float = 3e-4
    discount: float = 0.99
    lambda_: float = 0.95
    clip: float = 0.2
    value_weight: float = 0.5
    entropy: float = 0.0
    max_gradient_norm: float = 0.5
    time_limit: int = 500


class Transition(NamedTuple):
    observation: jax.Array
    done_before: jax.Array  # the observation is the first of an episode
    action: jax.Array
    log_probability: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array
    score: jax.Array  # of the episode so far


class World(NamedTuple):
    physics: jax.Array
    time: jax.Array
    score: jax.Array


def linear(key, inputs, outputs, scale=2.0**0.5):
    return {"w": jax.nn.initializers.orthogonal(scale)(key, (inputs, outputs), jnp.float32), "b": jnp.zeros((outputs,), jnp.float32)}


def apply(layer, x):
    return x @ layer["w"] + layer["b"]


def network(key, inputs, outputs, s: Settings):
    keys = jax.random.split(key, 5)
    return {
        "embed": linear(keys[0], inputs, s.embedding),
        "x": linear(keys[1], s.embedding, 4 * s.lstm, 1.0),
        "h": linear(keys[2], s.lstm, 4 * s.lstm, 1.0),
        "hidden": linear(keys[3], s.lstm, s.head),
        "out": linear(keys[4], s.head, outputs, 0.01),
    }


def lstm_cell(p, carry, x):
    h, c = carry
    i, f, g, o = jnp.split(apply(p["x"], x) + apply(p["h"], h), 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def unroll(p, carry, observations, starts):
    """Network outputs over time: (T, B, inputs) and (T, B) to (T, B, outputs)."""
    embedded = jax.nn.relu(apply(p["embed"], observations))

    def step(carry, inputs):
        x, start = inputs
        carry = jax.tree.map(lambda m: jnp.where(start[:, None], 0.0, m), carry)
        return lstm_cell(p, carry, x)

    carry, features = jax.lax.scan(step, carry, (embedded, starts))
    return carry, apply(p["out"], jax.nn.relu(apply(p["hidden"], features)))


def make(s: Settings, begin: Callable, move: Callable, seen: Callable, inputs: int, actions: int):
    """`init(key) -> state` and `update(state) -> (state, (sum of scores, episodes))`, of the episodes ended in that update."""
    adam = optax.chain(optax.clip_by_global_norm(s.max_gradient_norm), optax.adam(s.learning_rate, eps=1e-5))

    def fresh(key):
        return World(begin(key), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32))

    def env_step(key, world, action):
        physics, lost = move(world.physics, action)
        after = World(physics, world.time + 1, world.score + 1.0)
        done = lost | (after.time >= s.time_limit)
        restarted = jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh(key), after)
        return restarted, jnp.ones((), jnp.float32), done, after.score

    def zeros():
        return jnp.zeros((s.environments, s.lstm), jnp.float32), jnp.zeros((s.environments, s.lstm), jnp.float32)

    def init(key):
        k_actor, k_critic, k_worlds, key = jax.random.split(key, 4)
        parameters = {"actor": network(k_actor, inputs, actions, s), "critic": network(k_critic, inputs, 1, s)}
        worlds = jax.vmap(fresh)(jax.random.split(k_worlds, s.environments))
        return parameters, adam.init(parameters), worlds, jnp.ones((s.environments,), bool), {"actor": zeros(), "critic": zeros()}, key

    def forward(parameters, carries, observations, starts):
        actor, logits = unroll(parameters["actor"], carries["actor"], observations, starts)
        critic, value = unroll(parameters["critic"], carries["critic"], observations, starts)
        return {"actor": actor, "critic": critic}, jax.nn.log_softmax(logits), value[..., 0]

    def play(parameters, loop, _):
        worlds, done, carries, key = loop
        key, k_action, k_step = jax.random.split(key, 3)
        observation = jax.vmap(seen)(worlds.physics)
        carries, log_p, value = forward(parameters, carries, observation[None], done[None])
        action = jax.random.categorical(k_action, log_p[0])
        chosen = jnp.take_along_axis(log_p[0], action[:, None], axis=-1)[:, 0]
        worlds, reward, ended, score = jax.vmap(env_step)(jax.random.split(k_step, s.environments), worlds, action)
        return (worlds, ended, carries, key), Transition(observation, done, action, chosen, value[0], reward, ended, score)

    def advantages(batch: Transition, last_value):
        def step(carry, t):
            gae, next_value = carry
            on = 1.0 - t.done.astype(jnp.float32)
            delta = t.reward + s.discount * next_value * on - t.value
            gae = delta + s.discount * s.lambda_ * on * gae
            return (gae, t.value), gae

        return jax.lax.scan(step, (jnp.zeros_like(last_value), last_value), batch, reverse=True)[1]

    def loss(parameters, carries, batch: Transition, advantage, target):
        _, log_p, value = forward(parameters, carries, batch.observation, batch.done_before)
        chosen = jnp.take_along_axis(log_p, batch.action[..., None], axis=-1)[..., 0]
        ratio = jnp.exp(chosen - batch.log_probability)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - s.clip, 1 + s.clip) * advantage)
        entropy = -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)
        return -surrogate.mean() + s.value_weight * 0.5 * ((value - target) ** 2).mean() - s.entropy * entropy.mean()

    def update(state) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        parameters, adam_state, worlds, done, begun, key = state
        loop = (worlds, done, begun, key)
        (worlds, done, carries, key), batch = jax.lax.scan(lambda c, _: play(parameters, c, _), loop, None, s.rollout)
        observation = jax.vmap(seen)(worlds.physics)
        _, _, last_value = forward(parameters, carries, observation[None], done[None])
        advantage = advantages(batch, last_value[0])
        data = (batch, advantage, advantage + batch.value)

        def minibatch(carry, inputs):
            parameters, adam_state = carry
            carries, (batch, advantage, target) = inputs
            gradients = jax.grad(loss)(parameters, carries, batch, advantage, target)
            updates, adam_state = adam.update(gradients, adam_state)
            return (optax.apply_updates(parameters, updates), adam_state), None

        def epoch(carry, key):
            order = jax.random.permutation(key, s.environments)
            lanes = jax.tree.map(lambda x: x[order].reshape(s.minibatches, -1, *x.shape[1:]), begun)
            timed = jax.tree.map(lambda x: jnp.moveaxis(x[:, order].reshape(x.shape[0], s.minibatches, -1, *x.shape[2:]), 1, 0), data)
            return jax.lax.scan(minibatch, carry, (lanes, timed))[0], None

        key, k_epochs = jax.random.split(key)
        (parameters, adam_state), _ = jax.lax.scan(epoch, (parameters, adam_state), jax.random.split(k_epochs, s.epochs))
        scores = jnp.sum(jnp.where(batch.done, batch.score, 0.0)), jnp.sum(batch.done)
        return (parameters, adam_state, worlds, done, carries, key), scores

    return init, update
