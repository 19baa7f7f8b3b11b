"""Gradients of an unroll of MEM, against the recurrence written out in Python and differentiated by JAX as it stands."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.agents.memory import episodic_unroll
from unseen.agents.memory.episodic import Episodic, EpisodicCarry, readout
from unseen.agents.memory.feedforward import FeedForward
from unseen.agents.memory.gru import GRU, LSTM
from unseen.agents.memory.lru import LRU
from unseen.agents.memory.slots import EPSILON

INPUTS, STATE, BATCH, FIRST, STEPS = 5, 7, 2, 4, 8


def memory(kind: Any, gradient: Any, recalls: Any, capacity: int, neighbours: int, every: int, precision: str = "float32") -> Episodic:
    width = INPUTS + readout(recalls, INPUTS, STATE)
    working = FeedForward(width, STATE, key=jax.random.key(1)) if kind is FeedForward else kind(width, STATE, key=jax.random.key(1))
    options = {"capacity": capacity, "neighbours": neighbours, "key_size": 4, "every": every, "recalls": recalls, "gradient": gradient}
    m = Episodic(INPUTS, working, **options, precision=precision, key=jax.random.key(2))
    return eqx.tree_at(lambda m: m.key.b, m, 0.3 * jax.random.normal(jax.random.key(3), m.key.b.shape))


def plain(m: Episodic, working: Any, state: Any, stored: list[Any], time: int, xs: Any, starts: Any) -> tuple[Any, ...]:
    """One lane, step by step: a list of what was written, keys made at every read, no search but a sort."""
    stop, keep = jax.lax.stop_gradient, (lambda x: x) if m.gradient == "through" else jax.lax.stop_gradient
    features = []
    for x, start in zip(xs, starts, strict=True):
        if start:
            stored, state, time = [], jnp.zeros_like(state), 0
        q = jnp.concatenate([x, state]) @ m.query.w + m.query.b
        read = jnp.zeros(readout(m.recalls, INPUTS, STATE))
        recent = stored[-m.capacity :]
        if recent:
            contents = stop(jnp.stack([jnp.concatenate(pair) for pair in recent]))
            key = m.key if m.gradient != "query" else stop(m.key)
            keys = contents @ key.w + jnp.broadcast_to(key.b, (len(recent), 4))
            distance = jnp.sum((jnp.broadcast_to(q, keys.shape) - keys) ** 2, axis=-1)
            nearest = jnp.argsort(stop(distance))[: m.neighbours]
            weights = 1.0 / (distance[nearest] + EPSILON)
            x_h = {"embedding": [stop(e) for e, _ in recent], "state": [h for _, h in recent]}
            values = {**x_h, "both": [jnp.concatenate(pair) for pair in zip(x_h["embedding"], x_h["state"], strict=True)]}
            read = (weights / jnp.sum(weights)) @ jnp.stack(values[m.recalls])[nearest]
        working, h, _ = m.working.step(working, jnp.concatenate([x, read])[None], jnp.asarray([bool(start)]))
        state = h[0]
        stored = [*stored, (x, keep(state))] if time % m.every == 0 else stored
        time += 1
        features.append(jnp.concatenate([state, read]))
    return working, state, stored, time, jnp.stack(features)


CASES = [
    (LSTM, "jumpy", "state", 6, 3, 1),
    (LSTM, "query", "both", 6, 3, 1),
    (LSTM, "through", "both", 3, 2, 1),
    (GRU, "through", "state", 20, 4, 2),
    (GRU, "jumpy", "embedding", 3, 3, 2),
    (LRU, "jumpy", "both", 6, 3, 1),
    (LRU, "through", "state", 4, 2, 1),
    (FeedForward, "jumpy", "state", 3, 3, 1),
]


@pytest.mark.parametrize(("kind", "gradient", "recalls", "capacity", "neighbours", "every"), CASES)
def test_gradients_are_those_of_the_plain_recurrence(
    kind: Any, gradient: str, recalls: str, capacity: int, neighbours: int, every: int
) -> None:
    """With respect to all parameters, the inputs, and the carry at the beginning, which FIRST steps of another unroll have written;
    one lane starts an episode on the way."""
    m = memory(kind, gradient, recalls, capacity, neighbours, every)
    xs = jax.random.normal(jax.random.key(0), (FIRST + STEPS, BATCH, INPUTS))
    starts = np.zeros((FIRST + STEPS, BATCH), bool)
    starts[0], starts[FIRST + 3, 1] = True, True
    into = jax.random.normal(jax.random.key(4), (STEPS, BATCH, m.features))
    into_state = jax.random.normal(jax.random.key(5), (BATCH, STATE))
    carry, _, _ = m.unroll(m.initial(BATCH), xs[:FIRST], jnp.asarray(starts[:FIRST]))

    def unrolled(of: Any) -> Any:
        m, working, state, xs = of
        after, features, _ = m.unroll(carry._replace(working=working, state=state), xs, jnp.asarray(starts[FIRST:]))
        leaves = sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(after.working))
        return jnp.sum(features * into) + jnp.sum(after.state * into_state) + leaves

    def by_hand(of: Any) -> Any:
        m_of, working, state, xs_of = of
        total = jnp.zeros(())
        for lane in range(BATCH):
            own = jax.tree.map(lambda leaf, lane=lane: leaf[lane : lane + 1], m.initial(BATCH).working)
            *_, stored, time, _ = plain(m, own, jnp.zeros(STATE), [], 0, xs[:FIRST, lane], starts[:FIRST, lane])
            stored = jax.lax.stop_gradient(stored)
            own = jax.tree.map(lambda leaf, lane=lane: leaf[lane : lane + 1], working)
            after, h, *_, features = plain(m_of, own, state[lane], stored, time, xs_of[:, lane], starts[FIRST:, lane])
            leaves = sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(after))
            total = total + jnp.sum(features * into[:, lane]) + jnp.sum(h * into_state[lane]) + leaves
        return total

    of = m, carry.working, carry.state, xs[FIRST:]
    value, found = jax.jit(jax.value_and_grad(unrolled))(of)
    expected_value, expected = jax.jit(jax.value_and_grad(by_hand))(of)
    np.testing.assert_allclose(value, expected_value, rtol=1e-4)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(np.asarray(b)).max())))
    assert (np.abs(np.asarray(expected[0].key.w)).max() > 1e-4) == (gradient != "query")


@pytest.mark.parametrize("gradient", ["jumpy", "through"])
def test_what_stepping_found_spares_the_unroll_its_search(gradient: str) -> None:
    """At the same parameters: features, records, gradients and carry are those of the search. The control: other slots, other features."""
    m = memory(LSTM, gradient, "state", 6, 3, 1)
    xs = jax.random.normal(jax.random.key(0), (FIRST + STEPS, BATCH, INPUTS))
    starts = jnp.zeros((FIRST + STEPS, BATCH), bool).at[0].set(True).at[7, 1].set(True)
    carry = m.initial(BATCH)
    records = []
    carries: list[EpisodicCarry] = []
    for x, start in zip(xs, starts, strict=True):
        carries.append(carry)
        carry, _, recorded = m.step(carry, x, start)
        records.append(recorded)
    begun = carries[FIRST]
    found = {name: jnp.stack([recorded[name] for recorded in records[FIRST:]]) for name in ("slot", "live")}
    into = jax.random.normal(jax.random.key(4), (STEPS, BATCH, m.features))

    def of(m: Episodic, found: dict[str, Any] | None) -> Any:
        arguments = begun, xs[FIRST:], starts[FIRST:]
        after, features, records = m.unroll(*arguments) if found is None else m.unroll_recalled(*arguments, found)
        return jnp.sum(features * into), (after, features, records)

    searched, recalled = (eqx.filter_jit(eqx.filter_grad(of, has_aux=True))(m, each) for each in (None, found))
    np.testing.assert_array_equal(searched[1][2]["slot"], found["slot"])
    for a, b in zip(jax.tree.leaves(recalled), jax.tree.leaves(searched), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    others = {**found, "slot": (found["slot"] + 1) % 6}
    assert np.abs(np.asarray(of(m, others)[1][1] - of(m, found)[1][1])).max() > 1e-3


def test_an_unroll_and_its_gradients_come_out_the_same_bit_for_bit() -> None:
    m = memory(LSTM, "jumpy", "state", 6, 3, 1)
    xs = jax.random.normal(jax.random.key(0), (STEPS, BATCH, INPUTS))
    of = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(m.unroll(m.initial(BATCH), xs, jnp.zeros((STEPS, BATCH), bool))[1] ** 2)))
    for a, b in zip(jax.tree.leaves(of(m)), jax.tree.leaves(of(m)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [LSTM, LRU])
def test_with_many_lanes_the_gradients_are_summed_in_another_order_only(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    m = memory(kind, "jumpy", "state", 6, 3, 1)
    xs = jax.random.normal(jax.random.key(0), (STEPS, BATCH, INPUTS))
    of = lambda of: jnp.sum(of[0].unroll(of[0].initial(BATCH), of[1], jnp.zeros((STEPS, BATCH), bool))[1] ** 2)  # noqa: E731
    few = jax.grad(of)((m, xs))
    monkeypatch.setattr(episodic_unroll, "LARGE", BATCH)
    for a, b in zip(jax.tree.leaves(jax.grad(of)((m, xs))), jax.tree.leaves(few), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(np.asarray(b)).max())))


@pytest.mark.parametrize("kind", [LSTM, LRU])
def test_seeds_side_by_side_have_the_gradients_of_each(kind: Any) -> None:
    """Under `vmap` over memories, as experiments run several seeds; some lanes read more slots than others."""
    ms = [memory(kind, "jumpy", "state", 6, 3, 1), jax.tree.map(lambda leaf: leaf * 1.1, memory(kind, "jumpy", "state", 6, 3, 1))]
    xs = jax.random.normal(jax.random.key(0), (STEPS, BATCH, INPUTS))
    of = jax.grad(lambda m: jnp.sum(m.unroll(m.initial(BATCH), xs, jnp.zeros((STEPS, BATCH), bool))[1] ** 2))
    together = jax.jit(jax.vmap(of))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *ms))
    for k, m in enumerate(ms):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(of(m)), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(np.asarray(b)).max())))


def test_lower_precision_gives_nearly_the_same_gradients() -> None:
    m, low = (memory(LSTM, "jumpy", "state", 6, 3, 1, precision) for precision in ("float32", "bfloat16"))
    xs = jax.random.normal(jax.random.key(0), (STEPS, BATCH, INPUTS))
    starts = jnp.zeros((STEPS, BATCH), bool)
    found = m.unroll(m.initial(BATCH), xs, starts)[2]
    of = jax.grad(lambda m: jnp.sum(m.unroll_recalled(m.initial(BATCH), xs, starts, found)[1]))
    for a, b in zip(jax.tree.leaves(of(low)), jax.tree.leaves(of(m)), strict=True):
        assert a.dtype == b.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=0.2, atol=0.1 * float(np.abs(np.asarray(b)).max()))
