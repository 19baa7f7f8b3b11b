"""MEM: an episodic memory beside any working memory. Every step is written into a slot; the nearest slots are read.

`step` is the plain account of it; `episodic_unroll` takes many steps, with gradients, and `slots` has the arithmetic of both.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.agents.layers import Linear, matmul
from unseen.agents.memory.contract import Memory, Records
from unseen.agents.memory.episodic_unroll import unrolled
from unseen.agents.memory.slots import (
    EpisodicCarry,
    Found,
    Slots,
    inverse_distances,
    live_slots,
    mixed,
    nearest,
    offsets,
    place,
    put,
    rows,
    squared_distances,
)

Gradient = Literal["jumpy", "query", "through"]


class Episodic(eqx.Module):
    """q_t = W_q [x_t; h_{t-1}] + b_q; the K slots nearest to q_t; m_t = sum_k w_k v_k, w_k ~ 1 / (|q_t - key_k|^2 + epsilon);
    h_t = working([x_t; m_t]); then (x_t, h_t) is written, with key W_k [x_t; h_t] + b_k. Features: [h_t; m_t].

    The ring holds the last `capacity` writes of the episode; an empty memory reads as zeros; of slots equally near, the ring's first is
    taken. What is stored carries no gradient. Keys are stored without b_k, which the query subtracts instead: the distances are the same.
    Gradients of a read, besides those through the query, reach
    - "jumpy": the key weights, at every slot that was read, however old (jumpy backpropagation);
    - "query": nothing else;
    - "through": as jumpy, and the working memory where a state was written, as far back as this unroll goes.

    Source: Fortunato et al. 2019; slot contents, keys and order within a step as two public descriptions agree on them,
    inverse-distance weights, K and epsilon as the specification proposes (§4.4, §4.5).
    """

    working: Memory
    query: Linear
    key: Linear
    capacity: int = eqx.field(static=True)
    neighbours: int = eqx.field(static=True)
    every: int = eqx.field(static=True)
    recalls: str = eqx.field(static=True)
    gradient: Gradient = eqx.field(static=True)
    inputs: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        working: Memory,
        *,
        capacity: int,
        neighbours: int,
        key_size: int,
        every: int = 1,
        recalls: str = "state",
        gradient: Gradient = "jumpy",
        precision: str = "float32",
        key: PRNGKeyArray,
    ):
        k_query, k_key = jax.random.split(key)
        self.working = working
        self.query = Linear(inputs + working.features, key_size, precision=precision, key=k_query)
        self.key = Linear(inputs + working.features, key_size, precision=precision, key=k_key)
        self.capacity, self.neighbours, self.every = capacity, neighbours, every
        self.recalls, self.gradient, self.inputs = recalls, gradient, inputs

    @property
    def features(self) -> int:
        return self.working.features + readout(self.recalls, self.inputs, self.working.features)

    def initial(self, batch: int) -> EpisodicCarry:
        widths = (self.inputs + self.working.features,), (self.key.w.shape[1],), ()
        slots = Slots(*(jnp.zeros((batch, self.capacity, *width), jnp.float32) for width in widths))
        state = jnp.zeros((batch, self.working.features), jnp.float32)
        return EpisodicCarry(self.working.initial(batch), state, slots, jnp.zeros((batch,), jnp.int32))

    def refreshed(self, carry: EpisodicCarry) -> EpisodicCarry:
        """With the keys that the parameters of now give to what is stored."""
        return carry._replace(slots=self._stored(carry.slots.content))

    def step(
        self, carry: EpisodicCarry, x: Float[Array, "B I"], start: Bool[Array, "B"]
    ) -> tuple[EpisodicCarry, Float[Array, "B F"], dict[str, Array]]:
        slots, fresh = carry.slots, jnp.broadcast_to(start[:, None], carry.state.shape)
        state, time = jnp.where(fresh, 0.0, carry.state), jnp.where(start, 0, carry.time)
        q = self.query(jnp.concatenate([x, state], axis=-1))
        q = q - jnp.broadcast_to(self.key.b, q.shape)
        slot, live = self.search(q, slots.key, slots.length, time)
        weights = inverse_distances(squared_distances(q, rows(slots.key, slot)), live)
        m = mixed(weights, rows(slots.content, slot, self._recalled))
        working, h, _ = self.working.step(carry.working, jnp.concatenate([x, m], axis=-1), start)
        at, written = place(time, self.every, self.capacity), self._stored(jnp.concatenate([x, h], axis=-1))
        slots = Slots(*(put(table, at, row) for table, row in zip(slots, written, strict=True)))
        records = {"slot": slot, "weight": weights, "live": live}
        return EpisodicCarry(working, h, slots, time + 1), jnp.concatenate([h, m], axis=-1), records

    def unroll(
        self, carry: EpisodicCarry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[EpisodicCarry, Float[Array, "T B F"], dict[str, Array]]:
        slots = jax.lax.stop_gradient(self._stored(carry.slots.content))
        return unrolled(self, carry._replace(slots=slots), xs, starts, None)

    def unroll_recalled(
        self, carry: EpisodicCarry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"], recalled: Records
    ) -> tuple[EpisodicCarry, Float[Array, "T B F"], dict[str, Array]]:
        """`unroll` of what the same parameters stepped through: the records were `recalled`, and the carry's keys are theirs."""
        return unrolled(self, carry, xs, starts, Found(recalled["slot"], recalled["live"]))

    def search(
        self, q: Float[Array, "B D"], keys: Float[Array, "B C D"], length: Float[Array, "B C"], time: Int[Array, "B"]
    ) -> tuple[Int[Array, "B K"], Bool[Array, "B K"]]:
        """The nearest slots of the ring before step `time` of the episode, and which of them are live."""
        return nearest(offsets(q, keys, length), live_slots(time, self.every, self.capacity), self.neighbours)

    def _stored(self, content: Float[Array, "*n W"]) -> Slots:
        """Content with its keys."""
        key = matmul(content, self.key.w, self.key.precision)
        return Slots(content, key, jnp.sum(key * key, axis=-1))

    @property
    def _recalled(self) -> slice:
        """Columns of the content that a read returns."""
        return {"state": slice(self.inputs, None), "embedding": slice(None, self.inputs), "both": slice(None)}[self.recalls]


def readout(recalls: str, inputs: int, state: int) -> int:
    """Width of what is read."""
    return {"state": state, "embedding": inputs, "both": inputs + state}[recalls]
