"""Slots of an episodic memory: where a step writes, which slots are nearest, what a read gives, and the gradients of a read.

All functions are over lanes: B lanes, N or C slots each, K of them read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

EPSILON = 1e-3  # of the inverse distances; proposed
CHUNK = 32  # slots a lane whose keys' gradients are made at a time: few enough to stay in the cache


class Slots(NamedTuple):
    """What was written, C slots a lane, without gradients; which of them are live is a matter of counting."""

    content: Float[Array, "B C W"]  # [x; h], what was seen and the state
    key: Float[Array, "B C D"]  # W_k content, as of the parameters that wrote it; the learner makes them anew
    length: Float[Array, "B C"]  # |key|^2


class EpisodicCarry(NamedTuple):
    """Attributes:

    working: the working memory's carry.
    state: h_{t-1}, its features.
    slots: a ring.
    time: steps of this episode so far.
    """

    working: Any
    state: Float[Array, "B H"]
    slots: Slots
    time: Int[Array, "B"]


class Found(NamedTuple):
    """What a search found at each step, as the records of the steps have it: slots of the ring, and which of them were live."""

    slot: Int[Array, "T B K"]
    live: Bool[Array, "T B K"]


# ---- a ring ---------------------------------------------------------------------------------------------------------------


def live_slots(time: Int[Array, "B"], every: int, capacity: int) -> Int[Array, "B"]:
    """How many slots hold something of this episode before its step `time`; they are the first ones of the ring."""
    return jnp.minimum((time + every - 1) // every, capacity)


def place(time: Int[Array, "B"], every: int, capacity: int) -> Int[Array, "B"]:
    """Where step `time` writes: the place of the oldest write, or out of range where it writes nothing."""
    return jnp.where(time % every == 0, (time // every) % capacity, capacity)


def put(table: Shaped[Array, "B C *w"], at: Int[Array, "B *k"], row: Shaped[Array, "B *kw"]) -> Shaped[Array, "B C *w"]:
    """Rows into each lane's table; dropped where `at` is out of range."""
    lane = jnp.arange(len(at), dtype=jnp.int32).reshape(-1, *(1 for _ in at.shape[1:]))
    return table.at[jnp.broadcast_to(lane, at.shape), at].set(row, mode="drop")


def replace(
    ring: Float[Array, "B C D"], at: Int[Array, "B"], row: Float[Array, "B D"], replaced: Float[Array, "B T D"], t: Int[Array, ""]
) -> tuple[Float[Array, "B C D"], Float[Array, "B T D"]]:
    """`put`, with what stood there saved as the t-th of the replaced."""
    replaced = jax.lax.dynamic_update_index_in_dim(replaced, rows(ring, at[:, None]), t, 1)
    # No place is beyond `capacity`. But as long as the row to write may be the saved one, saving comes first, and XLA needs no copy of
    # the whole ring to keep what stood there.
    row = jnp.where(jnp.broadcast_to(at[:, None] > ring.shape[1], row.shape), replaced[:, t], row)
    return put(ring, at, row), replaced


def rows(table: Shaped[Array, "B N W"], index: Int[Array, "B K"], columns: slice = slice(None)) -> Shaped[Array, "B K V"]:
    """Rows of each lane's table, (B, N, W) and (B, K) to (B, K, V)."""
    return jax.vmap(lambda t, i: t.at[i, columns].get(mode="clip"))(table, index)


def scalars(table: Shaped[Array, "B N"], index: Int[Array, "B K"]) -> Shaped[Array, "B K"]:
    """Elements of each lane's row."""
    return rows(table[..., None], index)[..., 0]


# ---- the search -----------------------------------------------------------------------------------------------------------


def offsets(q: Float[Array, "B D"], keys: Float[Array, "B N D"], length: Float[Array, "B N"]) -> Float[Array, "B N"]:
    """|key|^2 - 2 q key = |q - key|^2 - |q|^2: in the same order as the distances, for one reading of the keys."""
    return length - 2.0 * jnp.einsum("bd,bnd->bn", q, keys)


def nearest(offset: Float[Array, "B C"], count: Int[Array, "B"], neighbours: int) -> tuple[Int[Array, "B K"], Bool[Array, "B K"]]:
    """The K nearest of the first `count` slots of the ring, and which of them are live where there are fewer than K.

    Of slots equally near, the one with the lowest number in the ring comes first.
    """
    limit = jnp.broadcast_to(count[:, None], offset.shape)
    live = jnp.broadcast_to(jnp.arange(offset.shape[1], dtype=jnp.int32), offset.shape) < limit
    _, slot = jax.lax.top_k(-jnp.where(live, offset, jnp.inf), neighbours)
    return slot, slot < limit[:, :neighbours]


# ---- a read ---------------------------------------------------------------------------------------------------------------


def squared_distances(q: Float[Array, "B D"], keys: Float[Array, "B K D"]) -> Float[Array, "B K"]:
    """d_k = |q - key_k|^2, never below zero."""
    return jnp.sum((jnp.broadcast_to(q[:, None], keys.shape) - keys) ** 2, axis=-1)


def inverse_distances(distance: Float[Array, "B K"], live: Bool[Array, "B K"]) -> Float[Array, "B K"]:
    """w_k = (1 / (d_k + epsilon)) / sum_j (1 / (d_j + epsilon)) over live slots; zeros if there are none."""
    inverse = jnp.where(live, 1.0 / (distance + EPSILON), 0.0)
    total = jnp.sum(inverse, axis=-1, keepdims=True)
    return inverse / jnp.broadcast_to(jnp.where(total > 0, total, 1.0), inverse.shape)


def mixed(weights: Float[Array, "B K"], values: Float[Array, "B K V"]) -> Float[Array, "B V"]:
    """m = sum_k w_k v_k."""
    return jnp.einsum("bk,bkv->bv", weights, values)


def distance_gradient(
    weights: Float[Array, "B K"], distance: Float[Array, "B K"], values: Float[Array, "B K V"], d_m: Float[Array, "B V"]
) -> Float[Array, "B K"]:
    """g_k = dL/dd_k = -w_k / (d_k + epsilon) (dL/dw_k - sum_j w_j dL/dw_j), dL/dw_k = v_k dL/dm. Zero where w_k is: at dead slots."""
    d_weights = jnp.einsum("bkv,bv->bk", values, d_m)
    mean = jnp.sum(weights * d_weights, axis=-1, keepdims=True)
    return -weights / (distance + EPSILON) * (d_weights - jnp.broadcast_to(mean, weights.shape))


def query_gradient(q: Float[Array, "B D"], keys: Float[Array, "B K D"], g: Float[Array, "B K"]) -> Float[Array, "B D"]:
    """dL/dq = 2 sum_k g_k (q - key_k)."""
    return 2.0 * jnp.einsum("bk,bkd->bd", g, jnp.broadcast_to(q[:, None], keys.shape) - keys)


def outer(x: Float[Array, "*n I"], d: Float[Array, "*n D"]) -> Float[Array, "I D"]:
    """Gradient of w, y = x w, from those of all y: sum_n x_n d_n in one product."""
    return x.reshape(-1, x.shape[-1]).T @ d.reshape(-1, d.shape[-1])


# ---- slots of an unroll ---------------------------------------------------------------------------------------------------
# What an unroll finds or leaves in a ring of C slots has a number, and keeps it: 0 to C - 1 are the slots from before, C + s is what its
# step s wrote.


class Contents(NamedTuple):
    """Contents by number: those from before, and what the steps so far saw (T, B, I) and gave, [h; m] (T, B, F)."""

    before: Float[Array, "B C W"]
    x: Float[Array, "T B I"]
    features: Float[Array, "T B F"]

    def embeddings(self, number: Int[Array, "B K"]) -> Float[Array, "B K I"]:
        return self._rows(number, self.x, slice(None, self.x.shape[-1]))

    def states(self, number: Int[Array, "B K"]) -> Float[Array, "B K H"]:
        return self._rows(number, self.features, slice(self.x.shape[-1], None))

    def _rows(self, number: Int[Array, "B K"], own: Float[Array, "T B F"], columns: slice) -> Float[Array, "B K V"]:
        before = rows(self.before, number, columns)
        steps, batch, _ = own.shape
        step = number - self.before.shape[1]
        row = jnp.maximum(step, 0) * batch + jnp.broadcast_to(jnp.arange(batch, dtype=jnp.int32)[:, None], step.shape)
        mine = own.reshape(steps * batch, -1).at[row, : before.shape[-1]].get(mode="clip")
        return jnp.where(jnp.broadcast_to((step >= 0)[..., None], before.shape), mine, before)


class Keys(NamedTuple):
    """Keys by number, of which there are N = C + T: in the ring at the end of the unroll, or saved when step s replaced them.

    `stands` says where: in slot 0 to C - 1 of the ring, or C + s.
    """

    ring: Float[Array, "B C D"]
    replaced: Float[Array, "B T D"]
    stands: Int[Array, "B N"]

    def rows(self, number: Int[Array, "B K"]) -> Float[Array, "B K D"]:
        at = scalars(self.stands, number)
        step = at - self.ring.shape[1]
        kept, gone = rows(self.ring, at), rows(self.replaced, jnp.maximum(step, 0))
        return jnp.where(jnp.broadcast_to((step >= 0)[..., None], kept.shape), gone, kept)


def stands(at: Int[Array, "T B"], replaced: Int[Array, "T B"], capacity: int) -> Int[Array, "B N"]:
    """`Keys.stands`, if step s wrote into slot at_s (`capacity`: it wrote nothing), where the slot with number replaced_s had been."""
    steps, batch = at.shape
    ring = jnp.broadcast_to(jnp.arange(capacity, dtype=jnp.int32), (batch, capacity))
    step = jnp.broadcast_to(capacity + jnp.arange(steps, dtype=jnp.int32), (batch, steps))
    number = jnp.where(at == capacity, capacity + steps, replaced).T
    return put(jnp.concatenate([ring, at.T], axis=1), number, step)


def key_gradient(
    contents: Contents, keys: Keys, q: Float[Array, "T B D"], number: Int[Array, "T B K"], g: Float[Array, "T B K"]
) -> Float[Array, "W D"]:
    """Gradient of W_k, key = W_k content, through the distances of all reads of an unroll: of number n to the query of step t, g_nt.

        dL/dkey_n = 2 sum_t g_nt (key_n - q_t),    dL/dW_k = sum_n content_n dL/dkey_n.

    Slots that no step read have no part in it. Those that were read are taken `CHUNK` a lane at a time, until no lane has one left:
    what this costs grows with how many different slots were read, and not with how many there are.
    """
    steps, batch, neighbours = number.shape
    total = keys.stands.shape[1]
    most = -(-min(total, steps * neighbours) // CHUNK) * CHUNK
    number, g, q = (jnp.moveaxis(part, 1, 0) for part in (number, g, q))
    flat = number.reshape(batch, -1)
    was_read = put(jnp.zeros((batch, total), bool), flat, jnp.ones(flat.shape, bool))
    rank = jnp.cumsum(was_read, axis=1, dtype=jnp.int32) - 1  # of a number among those of its lane that were read
    numbers = jnp.broadcast_to(jnp.arange(total, dtype=jnp.int32), rank.shape)
    read = put(jnp.zeros((batch, most), jnp.int32), jnp.where(was_read, rank, most), numbers)
    lane, step = jnp.arange(batch, dtype=jnp.int32)[:, None, None], jnp.arange(steps, dtype=jnp.int32)[None, :, None]
    at = (jnp.broadcast_to(part, number.shape) for part in (lane, step))
    g_tn = jnp.zeros((batch, steps, most)).at[(*at, scalars(rank, flat).reshape(number.shape))].set(g, unique_indices=True)

    def chunk(loop: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        done, d_x, d_h = loop
        these, g_t = jax.lax.dynamic_slice_in_dim(read, done, CHUNK, 1), jax.lax.dynamic_slice_in_dim(g_tn, done, CHUNK, 2)
        key = keys.rows(these)
        d_key = 2.0 * (jnp.broadcast_to(jnp.sum(g_t, axis=1)[..., None], key.shape) * key - jnp.einsum("btn,btd->bnd", g_t, q))
        return done + CHUNK, d_x + outer(contents.embeddings(these), d_key), d_h + outer(contents.states(these), d_key)

    inputs, width, size = contents.x.shape[-1], contents.before.shape[-1], q.shape[-1]
    zeros = jnp.zeros((), jnp.int32), jnp.zeros((inputs, size)), jnp.zeros((width - inputs, size))
    _, d_x, d_h = jax.lax.while_loop(lambda loop: loop[0] <= jnp.max(rank[:, -1]), chunk, zeros)
    return jnp.concatenate([d_x, d_h])
