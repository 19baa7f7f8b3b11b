"""The code of a history: a recurrent network that learned, on episodes of its own, to predict what comes next.

z_t = GRU(o_0, a_0, ..., o_t); trained so that (z_t, a_t) predicts the next observation and the reward, by squared error on coded
columns (for categories the Brier score), then frozen.

Source: IAAC, criterion A (second hand): a recurrent network of width 64 trained on 100 episodes. Cell, targets, loss, and that those
episodes are used for nothing else: proposed, not found.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from unseen.agents.layers import Linear, Perceptron
from unseen.agents.memory.gru import GRU
from unseen.learning import optimise
from unseen.signals.dataset import Dataset

WIDTH = 64
UPDATES = 300
BATCH = 25  # episodes a gradient step
RATE = 3e-3


class Reader(eqx.Module):
    """A history as a vector at every step: a linear layer, then a GRU."""

    embed: Linear
    memory: GRU

    def __init__(self, inputs: int, width: int, *, key: PRNGKeyArray):
        k_embed, k_memory = jax.random.split(key)
        self.embed = Linear(inputs, width, follows="tanh", key=k_embed)
        self.memory = GRU(width, width, key=k_memory)

    def __call__(self, inputs: Float[Array, "T E F"]) -> Float[Array, "T E W"]:
        starts = jnp.zeros(inputs.shape[:2], bool).at[0].set(True)
        _, features, _ = self.memory.unroll(self.memory.initial(inputs.shape[1]), jnp.tanh(self.embed(inputs)), starts)
        return features


class Predictor(eqx.Module):
    """A reader, and a head from (z_t, a_t) to the next observation and the reward."""

    reader: Reader
    head: Perceptron

    def __init__(self, inputs: int, actions: int, outputs: int, width: int, *, key: PRNGKeyArray):
        k_reader, k_head = jax.random.split(key)
        self.reader = Reader(inputs, width, key=k_reader)
        self.head = Perceptron([width + actions, width, outputs], activation="relu", key=k_head)


class Moments(NamedTuple):
    """What the predictor is trained on, time-major."""

    inputs: Float[Array, "T E F"]
    action: Float[Array, "T E A"]
    target: Float[Array, "T E O"]
    valid: Float[Array, "T E"]


def moments(data: Dataset) -> Moments:
    """Histories, actions, and the standardised next observation and reward."""
    reward = (data.reward - data.rows(data.reward).mean()) / max(float(data.rows(data.reward).std()), 1e-6)
    target = np.concatenate([data.observation[1:], reward[..., None]], axis=-1)
    return Moments(*(jnp.asarray(x, jnp.float32) for x in (data.inputs, data.action, target, data.valid)))


def prediction_loss(model: Predictor, batch: Moments) -> Float[Array, ""]:
    """Mean squared error over valid steps and columns."""
    predicted = model.head(jnp.concatenate([model.reader(batch.inputs), batch.action], axis=-1))
    errors = jnp.mean((predicted - batch.target) ** 2, axis=-1)
    return jnp.sum(batch.valid * errors) / jnp.maximum(jnp.sum(batch.valid), 1.0)


def trained_reader(data: Dataset, *, width: int = WIDTH, updates: int = UPDATES, seed: int = 0) -> Reader:
    """A reader trained on these episodes, which no test may use again."""
    all_ = moments(data)
    k_model, k_batches = jax.random.split(jax.random.key(seed))
    model = Predictor(all_.inputs.shape[-1], all_.action.shape[-1], all_.target.shape[-1], width, key=k_model)
    adam: Any = optax.adam(RATE)
    batch = min(BATCH, data.episodes)

    @eqx.filter_jit
    def train(model: Predictor, everything: Moments, key: PRNGKeyArray) -> Predictor:
        def update(carry: Any, key: PRNGKeyArray) -> tuple[Any, None]:
            model, state = carry
            which = jax.random.choice(key, everything.valid.shape[1], (batch,), replace=False)
            gradient = jax.grad(prediction_loss)(model, jax.tree.map(lambda x: x[:, which], everything))
            return optimise.step(adam, model, gradient, state), None

        return jax.lax.scan(update, (model, adam.init(model)), jax.random.split(key, updates))[0][0]

    return train(model, all_, k_batches).reader


def codes(reader: Reader, data: Dataset) -> Float[np.ndarray, "T E W"]:
    """z_t of every history in these episodes."""
    return np.asarray(eqx.filter_jit(reader)(jnp.asarray(data.inputs, jnp.float32)), float)
