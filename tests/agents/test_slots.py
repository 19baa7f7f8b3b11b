"""Slots of an episodic memory: the order of the nearest, gradients of a read, and where rows are when a ring was written over."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents.memory import slots
from unseen.agents.memory.slots import Contents, Keys

BATCH, CAPACITY, STEPS, WIDTH, INPUTS, STATE = 2, 3, 7, 4, 2, 3


def test_of_slots_equally_near_the_ring_s_first_is_taken() -> None:
    keys = jnp.asarray([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]])
    q = jnp.asarray([[0.1, 1.0]])
    offset = slots.offsets(q, keys, jnp.sum(keys * keys, axis=-1))
    found, live = slots.nearest(offset, jnp.asarray([4]), 3)
    assert found.tolist() == [[1, 3, 0]]
    assert live.all()
    found, live = slots.nearest(offset, jnp.asarray([2]), 3)  # the others hold nothing
    assert found[0, :2].tolist() == [1, 0]
    assert live.tolist() == [[True, True, False]]


def test_the_order_of_the_offsets_is_that_of_the_distances() -> None:
    keys = jax.random.normal(jax.random.key(0), (BATCH, 9, WIDTH))
    q = jax.random.normal(jax.random.key(1), (BATCH, WIDTH))
    found, _ = slots.nearest(slots.offsets(q, keys, jnp.sum(keys * keys, axis=-1)), jnp.full((BATCH,), 9), 9)
    np.testing.assert_array_equal(found, np.argsort(slots.squared_distances(q, keys), axis=-1))


def test_gradients_of_a_read_are_those_of_its_formula() -> None:
    keys, values = (jax.random.normal(jax.random.key(k), (BATCH, 3, width)) for k, width in ((0, WIDTH), (1, STATE)))
    q, d_m = jax.random.normal(jax.random.key(2), (BATCH, WIDTH)), jax.random.normal(jax.random.key(3), (BATCH, STATE))
    live = jnp.asarray([[True, True, True], [True, True, False]])

    def read(distance: Any) -> Any:
        return jnp.sum(slots.mixed(slots.inverse_distances(distance, live), values) * d_m)

    distance = slots.squared_distances(q, keys)
    g = slots.distance_gradient(slots.inverse_distances(distance, live), distance, values, d_m)
    np.testing.assert_allclose(g, jax.grad(read)(distance), rtol=1e-4, atol=1e-6)
    assert not g[1, 2]
    expected = jax.grad(lambda q: read(slots.squared_distances(q, keys)))(q)
    np.testing.assert_allclose(slots.query_gradient(q, keys, g), expected, rtol=1e-4, atol=1e-5)


def written_over(places: Any) -> tuple[Contents, Keys, dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]]:
    """Tables after steps that wrote into these places, (T, B), CAPACITY for nowhere; and what number n of lane b should be."""
    contents = Contents(*(jax.random.normal(jax.random.key(k), shape) for k, shape in enumerate(
        [(BATCH, CAPACITY, INPUTS + STATE), (STEPS, BATCH, INPUTS), (STEPS, BATCH, STATE + 1)]
    )))  # fmt: skip
    ring, new = jax.random.normal(jax.random.key(5), (BATCH, CAPACITY, WIDTH)), jax.random.normal(jax.random.key(6), (STEPS, BATCH, WIDTH))
    expected = {}
    for lane in range(BATCH):
        for n in range(CAPACITY):
            expected[lane, n] = np.asarray(contents.before[lane, n]), np.asarray(ring[lane, n])
        for s in range(STEPS):
            content = np.concatenate([contents.x[s, lane], contents.features[s, lane, :STATE]])
            expected[lane, CAPACITY + s] = content, np.asarray(new[s, lane])
    holds = jnp.broadcast_to(jnp.arange(CAPACITY, dtype=jnp.int32), (BATCH, CAPACITY))
    replaced, over = jnp.zeros((BATCH, STEPS, WIDTH)), []
    for t in range(STEPS):
        at = jnp.asarray(places[t], jnp.int32)
        over.append(slots.scalars(holds, at[:, None])[:, 0])
        ring, replaced = slots.replace(ring, at, new[t], replaced, jnp.asarray(t))
        holds = slots.put(holds, at, jnp.full((BATCH,), CAPACITY + t))
    keys = Keys(ring, replaced, slots.stands(jnp.asarray(np.array(places), jnp.int32), jnp.stack(over), CAPACITY))
    return contents, keys, expected


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, CAPACITY), min_size=BATCH, max_size=BATCH), min_size=STEPS, max_size=STEPS))
def test_a_number_means_the_same_content_and_the_same_key_however_often_the_ring_was_written_over(places: Any) -> None:
    contents, keys, expected = written_over(places)
    for number in range(CAPACITY + STEPS):
        index = jnp.full((BATCH, 1), number, jnp.int32)
        row, key = jnp.concatenate([contents.embeddings(index), contents.states(index)], axis=-1), keys.rows(index)
        for lane in range(BATCH):
            np.testing.assert_array_equal(row[lane, 0], expected[lane, number][0])
            if number < CAPACITY or places[number - CAPACITY][lane] < CAPACITY:  # what was not written has no key
                np.testing.assert_array_equal(key[lane, 0], expected[lane, number][1])


@pytest.mark.parametrize("chunk", [1, 2, 32])
def test_gradients_of_the_key_weights_are_those_of_all_distances(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the sum of all g d, d recomputed from contents; in one chunk of slots or in several, more in one lane than in the other."""
    monkeypatch.setattr(slots, "CHUNK", chunk)
    contents, _, expected = written_over([[0, 0], [1, 0], [2, 3], [0, 1], [1, 2], [3, 0], [3, 1]])
    w = jax.random.normal(jax.random.key(7), (INPUTS + STATE, WIDTH))
    rows = jnp.stack([jnp.stack([jnp.asarray(expected[lane, n][0]) for n in range(CAPACITY + STEPS)]) for lane in range(BATCH)])
    everywhere = jnp.broadcast_to(jnp.arange(CAPACITY + STEPS, dtype=jnp.int32), (BATCH, CAPACITY + STEPS))
    q, g = jax.random.normal(jax.random.key(8), (STEPS, BATCH, WIDTH)), jax.random.normal(jax.random.key(9), (STEPS, BATCH, 2))
    number = jax.random.randint(jax.random.key(10), (STEPS, BATCH, 1), 0, CAPACITY)
    number = jnp.concatenate([number, CAPACITY + number % 2], axis=-1).at[:, 1].min(CAPACITY)

    def weighted(w: Any) -> Any:
        keys = rows @ w
        return sum(jnp.sum(g[t] * slots.squared_distances(q[t], slots.rows(keys, number[t]))) for t in range(STEPS))

    keys = Keys(rows @ w, jnp.zeros((BATCH, STEPS, WIDTH)), everywhere)
    np.testing.assert_allclose(slots.key_gradient(contents, keys, q, number, g), jax.grad(weighted)(w), rtol=1e-4, atol=1e-4)
