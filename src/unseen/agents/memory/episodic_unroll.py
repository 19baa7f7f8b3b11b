"""Unrolls of MEM (`episodic.Episodic`): two passes over the steps, forward and backward.

Forward, every step looks for its nearest slots, without gradients, and writes in place. Backward, it is known which slots were read, and
only their rows are touched: no step keeps a copy of the slots, or of what it read of them.
tests/agents/test_episodic_gradients.py holds both against the plain recurrence, differentiated as it stands.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from unseen.agents.layers import matmul
from unseen.agents.memory import residuals
from unseen.agents.memory.contract import Memory, Projecting
from unseen.agents.memory.slots import (
    Contents,
    EpisodicCarry,
    Found,
    Keys,
    Slots,
    distance_gradient,
    inverse_distances,
    key_gradient,
    mixed,
    outer,
    place,
    put,
    query_gradient,
    replace,
    rows,
    scalars,
    squared_distances,
    stands,
)

LARGE = 128  # lanes from which on adding to the gradient of w_x at every step takes less time than keeping what one product would need


class Kept(NamedTuple):
    """What the second pass needs of each step.

    Attributes:
        working: parts of the derivative of the working memory's step.
        q: the query, without b_k.
        number: which slots were read, as `slots.Contents` numbers them.
        distance: of their keys to the query.
        weight: of their values in m.
    """

    working: list[Array]
    q: Float[Array, "T B D"]
    number: Int[Array, "T B K"]
    distance: Float[Array, "T B K"]
    weight: Float[Array, "T B K"]


class Weights(NamedTuple):
    """The weights of a step by what they meet, so that x is multiplied once.

    Attributes:
        x: columns of W_q, of W_k, and of w_x where the working memory is `Projecting`.
        state: of W_q.
        h: of W_k.
        m: of w_x, or None.
        b: b_q - b_k.
    """

    x: Float[Array, "I N"]
    state: Float[Array, "H D"]
    h: Float[Array, "H D"]
    m: Float[Array, "V P"] | None
    b: Float[Array, "D"]


@jax.custom_vjp
def unrolled(
    memory: Any, carry: EpisodicCarry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"], found: Found | None
) -> tuple[EpisodicCarry, Float[Array, "T B F"], dict[str, Array]]:
    """The carry after the steps, their features, and their records; the keys of the carry are as of the memory's parameters."""
    return _forward(memory, carry, xs, starts, found, keeping=False)[0]


def _forward(
    memory: Any, carry: EpisodicCarry, xs: Array, starts: Array, found: Found | None, *, keeping: bool = True
) -> tuple[Any, tuple[Any, ...]]:
    """The steps in turn, as `step` takes them; `number` is that of `slots.Contents`, and `holds` has those of the ring's slots."""
    (steps, batch), capacity, size = starts.shape, memory.capacity, memory.working.features
    w, size_k, precision = _weights(memory), memory.key.w.shape[1], memory.query.precision
    contents = Contents(carry.slots.content, xs, jnp.zeros((steps, batch, memory.features)))
    holds = jnp.broadcast_to(jnp.arange(capacity, dtype=jnp.int32), (batch, capacity))

    def body(loop: tuple[Any, ...], inputs: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        working, h_tm1, time, keys, length, holds, replaced, features = loop
        x, start, found, t = inputs
        state = jnp.where(jnp.broadcast_to(start[:, None], h_tm1.shape), 0.0, h_tm1)
        time = jnp.where(start, 0, time)
        of_x = matmul(x, w.x, precision)  # of the query, of the key, of u
        q = of_x[:, :size_k] + matmul(state, w.state, precision) + jnp.broadcast_to(w.b, (batch, size_k))
        slot, live = memory.search(q, keys, length, time) if found is None else found
        number = scalars(holds, slot)
        distance = squared_distances(q, rows(keys, slot))
        weights = inverse_distances(distance, live)
        m = mixed(weights, _values(memory, contents._replace(features=features), number))
        u = jnp.concatenate([x, m], axis=-1) if w.m is None else of_x[:, 2 * size_k :] + matmul(m, w.m, precision)
        if keeping:
            (working, h), pullback, vary = residuals.derived(_worked, memory.working, (working, u), (start,))
            kept = Kept(residuals.kept(pullback, vary), q, number, distance, weights)
        else:
            (working, h), kept = _worked(memory.working, working, u, start), None
        features = jax.lax.dynamic_update_index_in_dim(features, jnp.concatenate([h, m], axis=-1), t, 0)
        key, at = of_x[:, size_k : 2 * size_k] + matmul(h, w.h, precision), place(time, memory.every, capacity)
        over = scalars(holds, at[:, None])[:, 0]
        keys, replaced = replace(keys, at, key, replaced, t)
        length, holds = put(length, at, jnp.sum(key * key, axis=-1)), put(holds, at, jnp.broadcast_to(capacity + t, at.shape))
        records = {"slot": slot, "weight": weights, "live": live}
        return (working, h, time + 1, keys, length, holds, replaced, features), (kept, records, at, over)

    replaced, t = jnp.zeros((batch, steps, size_k)), jnp.arange(steps, dtype=jnp.int32)
    loop = carry.working, carry.state, carry.time, carry.slots.key, carry.slots.length, holds, replaced, contents.features
    (working, state, time, key, length, holds, replaced, features), of_steps = jax.lax.scan(body, loop, (xs, starts, found, t))
    kept, records, at, over = of_steps

    # The ring gets the contents that it still holds of the steps' writes, all at once.
    at_b, number = at.T, jnp.broadcast_to(capacity + t, (batch, steps))
    last = jnp.equal(number, scalars(holds, jnp.minimum(at_b, capacity - 1)))
    new = jnp.moveaxis(jnp.concatenate([xs, features[..., :size]], axis=-1), 0, 1)
    content = put(carry.slots.content, jnp.where(last, at_b, capacity), new)
    after = EpisodicCarry(working, state, Slots(content, key, length), time)
    contents, keys = contents._replace(features=features), Keys(key, replaced, stands(at, over, capacity))
    return (after, features, records), (memory, carry.working, carry.state, starts, contents, keys, kept)


def _backward(saved: tuple[Any, ...], gradients: tuple[EpisodicCarry, Array, Any]) -> tuple[Any, ...]:
    """The steps in reverse order, from the rows that were read. With u_t = [x_t; m_t] w_x and g_tk = dL/dd_tk (`distance_gradient`),

    dL/dm_t = dL/dfeatures_t[m] + dL/du_t w_x[m]^T,    dL/dq_t = 2 sum_k g_tk (q_t - key_k),
    dL/dh_{t-1} = dL/dfeatures_{t-1}[h] + dL/dq_t W_q[h]^T + what comes through the working memory's own step.
    """
    memory, working_0, state_0, starts, contents, keys, kept_t = saved
    d_after, d_features, _ = gradients
    (steps, batch), capacity, size, inputs = starts.shape, memory.capacity, memory.working.features, memory.inputs
    through, precision = memory.gradient == "through" and memory.recalls != "embedding", memory.query.precision
    w, together = _weights(memory), batch < LARGE
    w_state, w_m, w_u = w.state.T, None if w.m is None else w.m.T, w.x[:, 2 * len(w.b) :].T
    no_u = jnp.zeros((batch, inputs + memory.features - size if w_m is None else len(w_m)))
    add = lambda a, b: jax.tree.map(jnp.add, a, b)  # noqa: E731

    def of_w_x(x: Array, m: Array, d_u: Array) -> Any:
        joined = jnp.concatenate([x, m], axis=-1)
        return jax.vjp(lambda working: matmul(joined, working.w_x, precision), memory.working)[1](d_u)[0]

    def body(loop: tuple[Any, ...], of_step: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        d_working, d_h, d_parameters, d_written = loop
        x, feature, d_feature, start, kept, t = of_step
        d_h = d_h + d_feature[:, :size]
        d_h = d_h + d_written[:, t] if through else d_h
        _, pullback, vary = residuals.derived(_worked, memory.working, (working_0, no_u), (start,))
        d_parameters_t, d_working, d_u = residuals.restored(pullback, vary, kept.working)((d_working, d_h))
        if w_m is None:
            d_x, d_m = d_u[:, :inputs], d_u[:, inputs:]
        else:
            d_x, d_m = matmul(d_u, w_u, precision), matmul(d_u, w_m, precision)
            d_parameters_t = d_parameters_t if together else add(d_parameters_t, of_w_x(x, feature[:, size:], d_u))
        d_m = d_m + d_feature[:, size:]
        g = distance_gradient(kept.weight, kept.distance, _values(memory, contents, kept.number), d_m)
        d_q = query_gradient(kept.q, keys.rows(kept.number), g)
        if through:  # dL/dh_s of what step s wrote: w_k dL/dm
            step = jnp.where(kept.number >= capacity, kept.number - capacity, steps)
            d_values = jnp.einsum("bk,bh->bkh", kept.weight, d_m[:, -size:])
            d_written = d_written.at[jnp.arange(batch, dtype=jnp.int32)[:, None], step].add(d_values, mode="drop")
        d_state = matmul(d_q, w_state, precision)  # of h_{t-1} if none starts; where one does there is nothing to read, and d_q is zero
        return (d_working, d_state, add(d_parameters, d_parameters_t), d_written), (d_x, d_q, g, d_u if together else ())

    nothing = jax.tree.map(jnp.zeros_like, memory.working), jnp.zeros((batch, steps, size) if through else ())
    of_steps = contents.x, contents.features, d_features, starts, kept_t, jnp.arange(steps, dtype=jnp.int32)
    (d_working, d_state, d_parameters, _), (d_xs, d_q, g, d_u) = jax.lax.scan(
        body, (d_after.working, d_after.state, *nothing), of_steps, reverse=True
    )

    # What the scan did not carry, in one product for all steps.
    states = jnp.concatenate([state_0[None], contents.features[:-1, :, :size]])
    d_w_q, d_b_q = jnp.concatenate([outer(contents.x, d_q), outer(states, d_q)]), jnp.sum(d_q, axis=(0, 1))
    d_xs = d_xs + matmul(d_q, memory.query.w[:inputs].T, precision)
    if together and w_m is not None:
        d_parameters = add(d_parameters, of_w_x(contents.x, contents.features[..., size:], d_u))
    if memory.gradient == "query":
        d_w_k, d_b_k = jnp.zeros_like(memory.key.w), jnp.zeros_like(memory.key.b)
    else:
        d_w_k, d_b_k = key_gradient(contents, keys, kept_t.q, kept_t.number, g), -d_b_q
    parts = lambda m: (m.working, m.query.w, m.query.b, m.key.w, m.key.b)  # noqa: E731
    d_memory = eqx.tree_at(parts, memory, (d_parameters, d_w_q, d_b_q, d_w_k, d_b_k))
    return d_memory, EpisodicCarry(d_working, d_state, None, None), d_xs, None, None  # type: ignore[arg-type]


unrolled.defvjp(_forward, _backward)


def _weights(memory: Any) -> Weights:
    split = memory.inputs
    w_x = memory.working.w_x if isinstance(memory.working, Projecting) else None
    of_x = [w[:split] for w in (memory.query.w, memory.key.w, w_x) if w is not None]
    w_m = None if w_x is None else w_x[split:]
    return Weights(jnp.concatenate(of_x, axis=1), memory.query.w[split:], memory.key.w[split:], w_m, memory.query.b - memory.key.b)


def _values(memory: Any, contents: Contents, number: Int[Array, "B K"]) -> Float[Array, "B K V"]:
    """What a read of these slots returns."""
    match memory.recalls:
        case "state":
            return contents.states(number)
        case "embedding":
            return contents.embeddings(number)
        case _:
            return jnp.concatenate([contents.embeddings(number), contents.states(number)], axis=-1)


def _worked(module: Memory, working: Any, u: Float[Array, "B P"], start: Bool[Array, "B"]) -> tuple[Any, Float[Array, "B H"]]:
    """A step of the working memory `module` from u_t: its carry and its features h_t."""
    if isinstance(module, Projecting):
        working, hs, _ = module.unroll_projected(working, u[None], start[None])
        return working, hs[0]
    working, h, _ = module.step(working, u, start)
    return working, h
