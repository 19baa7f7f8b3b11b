"""MEM: an episodic memory beside any working memory. Every step is written into a slot; the nearest slots are read.

The learner's unroll takes two passes. The first looks for the nearest slots, without gradients and with everything written in place.
The second knows which slots were found and is differentiated: it touches only those, so that no copy of the slots is kept for each step.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from unseen.agents.layers import Linear, matmul
from unseen.agents.memory.contract import Memory, Projecting

EPSILON = 1e-3  # of the inverse distances; proposed

Gradient = Literal["jumpy", "query", "through"]


class Slots(NamedTuple):
    """What was written, C slots a lane, without gradients; which of them are live is a matter of counting."""

    embedding: Float[Array, "B C I"]
    state: Float[Array, "B C H"]
    key: Float[Array, "B C D"]  # as of the parameters that wrote it; the learner makes them anew


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
    """The nearest slots at each step.

    Attributes:
        index: 0 to C - 1 for slots from before the unroll, C + s for what step s of it wrote.
        live: False where there were fewer slots than neighbours.
    """

    index: Int[Array, "T B K"]
    live: Bool[Array, "T B K"]


class Episodic(eqx.Module):
    """q_t = W_q [x_t; h_{t-1}]; the K slots nearest to q_t; m_t = sum_k w_k v_k, w_k ~ 1 / (|q_t - key_k|^2 + epsilon);
    h_t = working([x_t; m_t]); then (x_t, h_t) is written, with key W_k [x_t; h_t]. Features: [h_t; m_t].

    The ring holds the last `capacity` writes of the episode; an empty memory reads as zeros. What is stored carries no gradient.
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
        widths = self.inputs, self.working.features, self.key.w.shape[1]
        slots = Slots(*(jnp.zeros((batch, self.capacity, width), jnp.float32) for width in widths))
        state = jnp.zeros((batch, self.working.features), jnp.float32)
        return EpisodicCarry(self.working.initial(batch), state, slots, jnp.zeros((batch,), jnp.int32))

    def refreshed(self, carry: EpisodicCarry) -> EpisodicCarry:
        """With the keys that the parameters of now give to what is stored."""
        return carry._replace(slots=carry.slots._replace(key=self._keys(carry.slots.embedding, carry.slots.state)))

    def step(
        self, carry: EpisodicCarry, x: Float[Array, "B I"], start: Bool[Array, "B"]
    ) -> tuple[EpisodicCarry, Float[Array, "B F"], dict[str, Array]]:
        origin = jnp.zeros((x.shape[0], self.capacity), jnp.int32)  # of interest in an unroll only
        after, _, features, records = self._step(carry, origin, x, start, jnp.zeros((), jnp.int32))
        return after, features, records

    def unroll(
        self, carry: EpisodicCarry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[EpisodicCarry, Float[Array, "T B F"], dict[str, Array]]:
        carry = jax.lax.stop_gradient(carry)._replace(working=carry.working, state=carry.state)
        fixed, before = jax.lax.stop_gradient((self, carry))
        before = fixed.refreshed(before)
        after, states, found, records = fixed._searched(before, jax.lax.stop_gradient(xs), starts)
        working, state, features = self._differentiated(carry, xs, starts, states, found)
        return after._replace(working=working, state=state), features, records

    def _step(
        self,
        carry: EpisodicCarry,
        origin: Int[Array, "B C"],
        x: Float[Array, "B I"],
        start: Bool[Array, "B"],
        wrote_as: Int[Array, ""],
    ) -> tuple[EpisodicCarry, Int[Array, "B C"], Float[Array, "B F"], dict[str, Array]]:
        """One step with what is stored; `origin` follows what each slot holds."""
        state, time = carry.state * _unless(start, carry.state), jnp.where(start, 0, carry.time)
        q = self.query(jnp.concatenate([x, state], axis=-1))
        nearest, live = self._nearest(q, carry.slots.key, written(time, self.every))
        keys = rows(carry.slots.key, nearest)
        values = self._values(rows(carry.slots.embedding, nearest), rows(carry.slots.state, nearest))
        weights = inverse_distances(q, keys, live)
        m = _mixed(weights, values)
        working, h, _ = self.working.step(carry.working, jnp.concatenate([x, m], axis=-1), start)
        records = {"slot": nearest, "weight": weights, "live": live, "origin": rows(origin[..., None], nearest)[..., 0], "state": h}
        slots, origin = self._written(carry.slots, origin, x, h, time, wrote_as)
        return EpisodicCarry(working, h, slots, time + 1), origin, jnp.concatenate([h, m], axis=-1), records

    def _searched(
        self, carry: EpisodicCarry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[EpisodicCarry, Float[Array, "T B H"], Found, dict[str, Array]]:
        """All steps in turn: the carry after them, the states, and which slots were nearest."""
        steps, batch = starts.shape
        origin = jnp.broadcast_to(jnp.arange(self.capacity, dtype=jnp.int32), (batch, self.capacity))

        def body(loop: tuple[EpisodicCarry, Array], inputs: tuple[Array, Array, Array]) -> tuple[tuple[EpisodicCarry, Array], Any]:
            x, start, t = inputs
            after, origin, _, records = self._step(*loop, x, start, self.capacity + t)
            return (after, origin), records

        (after, _), records = jax.lax.scan(body, (carry, origin), (xs, starts, jnp.arange(steps, dtype=jnp.int32)))
        found = Found(records.pop("origin"), records["live"])
        return after, records.pop("state"), found, records

    def _differentiated(
        self, carry: EpisodicCarry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"], states: Float[Array, "T B H"], found: Found
    ) -> tuple[Any, Float[Array, "B H"], Float[Array, "T B F"]]:
        """The same steps again, from the slots that were found: the working memory's carry, its last features, and all features."""
        of_unroll = [jnp.moveaxis(jax.lax.stop_gradient(part), 0, 1) for part in (xs, states)]
        embedding, state = (
            jnp.concatenate([old, new], axis=1) for old, new in zip((carry.slots.embedding, carry.slots.state), of_unroll, strict=True)
        )
        keys = self._keys(embedding, state)
        keys = jax.lax.stop_gradient(keys) if self.gradient == "query" else keys
        key_t, value_t = (_rows_by_time(part, found.index) for part in (keys, self._values(embedding, state)))
        split = self.inputs
        query_t = matmul(xs, self.query.w[:split], self.query.precision)
        w_x = self.working.w_x if isinstance(self.working, Projecting) else None
        projected_t = xs if w_x is None else matmul(xs, w_x[:split], self.query.precision)
        through = self.gradient == "through" and self.recalls != "embedding"

        def body(loop: tuple[Any, Array, Array], inputs: tuple[Array, ...]) -> tuple[tuple[Any, Array, Array], Array]:
            working, h_tm1, own = loop
            x, query_x, start, key, value, live, index, t = inputs
            state = h_tm1 * _unless(start, h_tm1)
            q = query_x + matmul(state, self.query.w[split:], self.query.precision) + jnp.broadcast_to(self.query.b, query_x.shape)
            if through:
                value = self._through(value, own, index)
            m = _mixed(inverse_distances(q, key, live), value)
            if w_x is None:
                working, h, _ = self.working.step(working, jnp.concatenate([x, m], axis=-1), start)
            else:
                projection = x + matmul(m, w_x[split:], self.query.precision)
                working, hs, _ = self.working.unroll_projected(working, projection[None], start[None])  # type: ignore[attr-defined]
                h = hs[0]
            if through:
                own = jax.lax.dynamic_update_index_in_dim(own, h, t, 1)
            return (working, h, own), jnp.concatenate([h, m], axis=-1)

        steps = jnp.arange(len(xs), dtype=jnp.int32)
        own = jnp.zeros_like(of_unroll[1]) if through else jnp.zeros(())
        inputs = projected_t, query_t, starts, key_t, value_t, found.live, found.index, steps
        (working, state, _), features = jax.lax.scan(body, (carry.working, carry.state, own), inputs)
        return working, state, features

    def _through(self, value: Float[Array, "B K V"], own: Float[Array, "B T H"], index: Int[Array, "B K"]) -> Float[Array, "B K V"]:
        """The values, with the states that this unroll wrote as they depend on the parameters."""
        inside = jnp.broadcast_to((index >= self.capacity)[..., None], value.shape)
        state = rows(own, jnp.maximum(index - self.capacity, 0))
        fresh = state if self.recalls == "state" else jnp.concatenate([value[..., : self.inputs], state], axis=-1)
        return jnp.where(inside, fresh, value)

    def _keys(self, embedding: Float[Array, "B N I"], state: Float[Array, "B N H"]) -> Float[Array, "B N D"]:
        return self.key(jnp.concatenate([embedding, state], axis=-1))

    def _values(self, embedding: Float[Array, "*n I"], state: Float[Array, "*n H"]) -> Float[Array, "*n V"]:
        match self.recalls:
            case "state":
                return state
            case "embedding":
                return embedding
            case _:
                return jnp.concatenate([embedding, state], axis=-1)

    def _nearest(
        self, q: Float[Array, "B D"], keys: Float[Array, "B C D"], count: Int[Array, "B"]
    ) -> tuple[Int[Array, "B K"], Bool[Array, "B K"]]:
        """Indices of the nearest live slots, and which of them are live."""
        # |q|^2 is the same for all slots.
        distance = jnp.sum(keys * keys, axis=-1) - 2.0 * jnp.einsum("bd,bcd->bc", q, keys)
        slot = jnp.arange(self.capacity, dtype=jnp.int32)
        live = slot[None] < jnp.minimum(count, self.capacity)[:, None]
        _, nearest = jax.lax.top_k(-jnp.where(live, distance, jnp.inf), self.neighbours)
        return nearest, jnp.take_along_axis(live, nearest, axis=1)

    def _written(
        self,
        slots: Slots,
        origin: Int[Array, "B C"],
        x: Float[Array, "B I"],
        h: Float[Array, "B H"],
        time: Int[Array, "B"],
        wrote_as: Array,
    ) -> tuple[Slots, Int[Array, "B C"]]:
        """With (x, h) in the place of the oldest write, where this step writes."""
        key = self.key(jnp.concatenate([x, h], axis=-1))
        place = jnp.where(time % self.every == 0, (time // self.every) % self.capacity, self.capacity)  # out of range: dropped
        lane = jnp.arange(len(place), dtype=jnp.int32)
        put = lambda ring, row: ring.at[lane, place].set(row, mode="drop")  # noqa: E731
        return Slots(put(slots.embedding, x), put(slots.state, h), put(slots.key, key)), put(
            origin, jnp.broadcast_to(wrote_as, place.shape)
        )


def readout(recalls: str, inputs: int, state: int) -> int:
    """Width of what is read."""
    return {"state": state, "embedding": inputs, "both": inputs + state}[recalls]


def written(time: Int[Array, "B"], every: int) -> Int[Array, "B"]:
    """How many slots the steps before this one have written."""
    return (time + every - 1) // every


def inverse_distances(q: Float[Array, "B D"], keys: Float[Array, "B K D"], live: Bool[Array, "B K"]) -> Float[Array, "B K"]:
    """w_k = (1 / (d_k + epsilon)) / sum_j (1 / (d_j + epsilon)), d_k = |q - key_k|^2, over live slots; zeros if there are none."""
    distance = jnp.sum((jnp.broadcast_to(q[:, None], keys.shape) - keys) ** 2, axis=-1)
    inverse = jnp.where(live, 1.0 / (distance + EPSILON), 0.0)
    total = jnp.sum(inverse, axis=-1, keepdims=True)
    return inverse / jnp.broadcast_to(jnp.where(total > 0, total, 1.0), inverse.shape)


def rows(table: Shaped[Array, "B N W"], index: Int[Array, "B K"]) -> Shaped[Array, "B K W"]:
    """Rows of each lane's table, (B, N, W) and (B, K) to (B, K, W)."""
    return jax.vmap(lambda t, i: t.at[i].get(mode="clip"))(table, index)


def _rows_by_time(table: Float[Array, "B N W"], index: Int[Array, "T B K"]) -> Float[Array, "T B K W"]:
    """Rows of each lane's table at every step."""
    flat = jnp.moveaxis(index, 0, 1).reshape(index.shape[1], -1)
    found = rows(table, flat).reshape(index.shape[1], index.shape[0], index.shape[2], -1)
    return jnp.moveaxis(found, 1, 0)


def _mixed(weights: Float[Array, "B K"], values: Float[Array, "B K V"]) -> Float[Array, "B V"]:
    return jnp.einsum("bk,bkv->bv", weights, values)


def _unless(start: Bool[Array, "B"], like: Float[Array, "B H"]) -> Float[Array, "B H"]:
    """0 where an episode starts, 1 elsewhere."""
    return jnp.broadcast_to(1.0 - start.astype(jnp.float32)[:, None], like.shape)
