"""MEM: what is read, what is forgotten, and which gradients a read lets through (specification §4.4, §4.5 and 8)."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents.memory.episodic import Episodic, readout
from unseen.agents.memory.feedforward import FeedForward
from unseen.agents.memory.gru import GRU, LSTM
from unseen.agents.memory.slots import EPSILON, inverse_distances, squared_distances

INPUTS, STATE, BATCH = 5, 7, 3


def memory(
    capacity: int = 6, neighbours: int = 3, recalls: Any = "state", gradient: Any = "jumpy", every: int = 1, kind: Any = LSTM
) -> Episodic:
    width = INPUTS + readout(recalls, INPUTS, STATE if kind is not FeedForward else 0)
    working = FeedForward(width) if kind is FeedForward else kind(width, STATE, key=jax.random.key(1))
    options = {"capacity": capacity, "neighbours": neighbours, "key_size": 4, "every": every, "recalls": recalls, "gradient": gradient}
    return Episodic(INPUTS, working, **options, key=jax.random.key(2))


def sequence(steps: int, seed: int = 0) -> tuple[Any, Any]:
    xs = jax.random.normal(jax.random.key(seed), (steps, BATCH, INPUTS))
    return xs, jnp.zeros((steps, BATCH), bool).at[0].set(True)


# ---- reading and writing, against a list in Python ----------------------------------------------------------------------


def by_hand(m: Episodic, xs: Any, starts: Any, lane: int) -> np.ndarray:
    """Features of one lane, with a Python list for a memory and NumPy for the arithmetic of reading."""
    stored: list[tuple[np.ndarray, np.ndarray]] = []
    carry, h, time, features = m.working.initial(1), np.zeros(STATE, np.float32), 0, []
    for x, start in zip(np.asarray(xs)[:, lane], np.asarray(starts)[:, lane], strict=True):
        if start:
            stored, h, time = [], np.zeros_like(h), 0
        q = np.concatenate([x, h]) @ np.asarray(m.query.w) + np.asarray(m.query.b)
        recent = stored[-m.capacity :]
        keys = [np.concatenate(pair) @ np.asarray(m.key.w) + np.asarray(m.key.b) for pair in recent]
        distances = np.array([np.sum((q - key) ** 2) for key in keys])
        nearest = np.argsort(distances)[: m.neighbours]
        read = np.zeros(readout(m.recalls, INPUTS, STATE), np.float32)
        if len(nearest):
            w = 1.0 / (distances[nearest] + EPSILON)
            values = {"state": [s for _, s in recent], "embedding": [e for e, _ in recent], "both": [np.concatenate(p) for p in recent]}
            read = (w / w.sum()) @ np.stack([values[m.recalls][k] for k in nearest])
        carry, out, _ = m.working.step(carry, jnp.asarray(np.concatenate([x, read])[None]), jnp.asarray([bool(start)]))
        h = np.asarray(out[0])
        if time % m.every == 0:
            stored.append((x, h))
        time += 1
        features.append(np.concatenate([h, read]))
    return np.stack(features)


@pytest.mark.parametrize("recalls", ["state", "embedding", "both"])
@pytest.mark.parametrize(("capacity", "neighbours", "every"), [(20, 3, 1), (4, 2, 1), (4, 4, 3), (1, 1, 1)])
def test_what_is_read_is_what_a_list_gives(recalls: str, capacity: int, neighbours: int, every: int) -> None:
    """More steps than slots, so that the oldest writes are overwritten; a start in the middle of one lane."""
    m = memory(capacity, neighbours, recalls, every=every)
    xs, starts = sequence(12)
    starts = starts.at[7, 1].set(True)
    _, features, _ = m.unroll(m.initial(BATCH), xs, starts)
    for lane in range(BATCH):
        np.testing.assert_allclose(features[:, lane], by_hand(m, xs, starts, lane), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [LSTM, GRU])
@settings(max_examples=15, deadline=None)
@given(flags=st.lists(st.lists(st.booleans(), min_size=BATCH, max_size=BATCH), min_size=9, max_size=9), cut=st.integers(1, 8))
def test_an_episode_cut_into_unrolls_is_the_same_episode(kind: Any, flags: Any, cut: int) -> None:
    """Test (v): features, and what is stored at the end, wherever the unrolls are cut."""
    m = memory(4, 2, kind=kind)
    xs, _ = sequence(9)
    starts = jnp.asarray(np.array(flags))
    end, whole, _ = UNROLL[kind](m, m.initial(BATCH), xs, starts)
    middle, first, _ = UNROLL[kind](m, m.initial(BATCH), xs[:cut], starts[:cut])
    last, second, _ = UNROLL[kind](m, middle, xs[cut:], starts[cut:])
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, rtol=1e-4, atol=1e-5)
    for a, b in zip(jax.tree.leaves(last), jax.tree.leaves(end), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


UNROLL = {kind: eqx.filter_jit(lambda m, *a: m.unroll(*a)) for kind in (LSTM, GRU)}


def test_an_empty_memory_reads_as_zeros_and_where_nothing_is_live_nothing_weighs() -> None:
    m = memory()
    xs, starts = sequence(1)
    _, features, records = m.unroll(m.initial(BATCH), xs, starts)
    assert not features[..., STATE:].any()
    assert not records["weight"].any()
    assert not records["live"].any()


def test_a_query_that_equals_a_key_takes_almost_all_and_has_finite_gradients() -> None:
    keys = jnp.asarray([[[0.0, 1.0], [5.0, 1.0], [5.0, 1.0]]])
    live = jnp.asarray([[True, True, False]])
    q = jnp.asarray([[0.0, 1.0]])
    weights = inverse_distances(squared_distances(q, keys), live)
    np.testing.assert_allclose(weights, [[1 - weights[0, 1], EPSILON / (25 + EPSILON) / (1 + EPSILON / (25 + EPSILON)), 0.0]], rtol=1e-4)
    gradient = jax.grad(lambda q: inverse_distances(squared_distances(q, keys), live)[0, 1])(q)
    assert np.isfinite(gradient).all()


def test_the_records_say_which_slots_were_recalled() -> None:
    m = memory(4, 2)
    xs, starts = sequence(7)
    _, _, records = m.unroll(m.initial(BATCH), xs, starts)
    assert records["slot"].shape == records["weight"].shape == records["live"].shape == (7, BATCH, 2)
    np.testing.assert_allclose(records["weight"].sum(-1)[1:], 1.0, rtol=1e-5)
    assert records["live"].sum(-1).tolist() == [[0] * 3, [1] * 3, *[[2] * 3] * 5]


# ---- jumpy backpropagation (§4.5) ----------------------------------------------------------------------------------------


def split(m: Episodic, steps: int = 8, cut: int = 5) -> Any:
    """The carry after `cut` steps, and the rest; reads of the second part find slots of the first."""
    xs, starts = sequence(steps)
    carry, _, _ = m.unroll(m.initial(BATCH), xs[:cut], starts[:cut])
    return carry, xs[cut:], starts[cut:]


def read_of(m: Episodic, carry: Any, xs: Any, starts: Any) -> Any:
    """Sum of squares of the first read of an unroll, which comes from slots written before it."""
    return jnp.sum(m.unroll(carry, xs, starts)[1][0, :, STATE:] ** 2)


@pytest.mark.parametrize(("gradient", "reaches"), [("jumpy", True), ("through", True), ("query", False)])
def test_the_key_weights_learn_from_slots_written_before_the_unroll_if_it_is_jumpy(gradient: str, reaches: bool) -> None:
    """Tests (i) and (iii): and the query weights learn in any case."""
    m = memory(gradient=gradient)
    of = eqx.filter_grad(read_of)(m, *split(m))
    assert (np.abs(np.asarray(of.key.w)).max() > 1e-5) == reaches
    assert np.abs(np.asarray(of.query.w)).max() > 1e-5


@pytest.mark.parametrize("gradient", ["jumpy", "query", "through"])
def test_what_is_stored_gets_no_gradient(gradient: str) -> None:
    """Test (ii): of a slot's embedding and state."""
    m = memory(gradient=gradient)
    carry, xs, starts = split(m)
    of = jax.grad(lambda carry: read_of(m, carry, xs, starts), allow_int=True)(carry)
    assert not np.asarray(of.slots.content).any()
    assert np.asarray(of.state).any()  # h_{t-1} does, through the query


@pytest.mark.parametrize(("gradient", "reaches"), [("jumpy", False), ("query", False), ("through", True)])
def test_inside_an_unroll_only_through_reaches_the_step_that_wrote(gradient: str, reaches: bool) -> None:
    """Of the read at the last step, with respect to the first input. Nothing else carries a gradient there: the gates see nothing of
    the LSTM's state, its cell forgets, and the query does not see h."""
    m = memory(gradient=gradient)
    m = eqx.tree_at(lambda m: (m.working.w_h, m.query.w), m, (jnp.zeros_like(m.working.w_h), m.query.w.at[INPUTS:].set(0.0)))
    m = eqx.tree_at(lambda m: m.working.b, m, m.working.b.at[STATE : 2 * STATE].set(-50.0))
    xs, starts = sequence(4)
    of = jax.grad(lambda xs: jnp.sum(m.unroll(m.initial(BATCH), xs, starts)[1][-1, :, STATE:] ** 2))(xs)
    assert (np.abs(np.asarray(of[0])).max() > 1e-6) == reaches
    assert np.abs(np.asarray(of[-1])).max() > 1e-6  # the query's own input


def test_recomputed_keys_are_the_stored_ones_while_the_parameters_stay() -> None:
    """Test (iv), and the control: with other parameters they are others, and the carry is told so by `refreshed`."""
    m = memory()
    carry, _, _ = split(m)
    np.testing.assert_allclose(m.refreshed(carry).slots.key[:, :5], carry.slots.key[:, :5], rtol=1e-4, atol=1e-6)
    other = eqx.tree_at(lambda m: m.key.w, m, m.key.w + 1.0)
    assert np.abs(np.asarray(other.refreshed(carry).slots.key[:, :5] - carry.slots.key[:, :5])).max() > 0.1


def test_gradients_are_those_of_differences_where_nothing_is_stopped() -> None:
    """Of the query weights, by central differences, in a memory whose keys and values do not depend on them: with one step's slots
    held fixed, that is the whole derivative."""
    m = memory(gradient="jumpy")
    carry, xs, starts = split(m)
    of = eqx.filter_grad(read_of)(m, carry, xs, starts)
    for name in ("query", "key"):
        direction = jax.random.normal(jax.random.key(8), getattr(m, name).w.shape) * 1e-3

        def moved(sign: float, name: str = name, direction: Any = direction) -> float:
            other = eqx.tree_at(lambda m: getattr(m, name).w, m, getattr(m, name).w + sign * direction)
            return float(read_of(other, carry, xs, starts))

        expected = (moved(1.0) - moved(-1.0)) / 2
        assert float(jnp.sum(getattr(of, name).w * direction)) == pytest.approx(expected, rel=2e-2)
