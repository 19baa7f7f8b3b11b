"""Every memory: unrolled as stepped, and fresh behind a boundary."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents import settings as kinds
from unseen.agents.build import _memory

MEMORIES = {
    "feed-forward": kinds.FeedForward(),
    "gru": kinds.GRU(7),
    "lstm": kinds.LSTM(7),
    "lru": kinds.LRU(7),
    "gtrxl": kinds.GTrXL(8, layers=2, heads=2, window=3),
    "memax-FART": kinds.Memax("FART", 9),
    "memax-LinearRNN": kinds.Memax("LinearRNN", 9),
    "memax-GRU": kinds.Memax("GRU", 9),
}
BUILT = {name: _memory(memory, 5, "float32", jax.random.key(3)) for name, memory in MEMORIES.items()}
# Few shapes, so that hypothesis spends its time on start patterns and not in the compiler.
UNROLL = {name: eqx.filter_jit(memory.unroll) for name, memory in BUILT.items()}
STEP = {name: eqx.filter_jit(memory.step) for name, memory in BUILT.items()}


@st.composite
def sequences(draw):
    steps, batch = draw(st.sampled_from([(1, 2), (6, 2)]))
    starts = np.array(draw(st.lists(st.lists(st.booleans(), min_size=batch, max_size=batch), min_size=steps, max_size=steps)))
    xs = np.random.default_rng(draw(st.integers(0, 2**31))).normal(size=(steps, batch, 5)).astype(np.float32)
    return jnp.asarray(xs), jnp.asarray(starts)


@pytest.mark.parametrize("name", MEMORIES)
@settings(max_examples=20, deadline=None)
@given(sequence=sequences())
def test_unrolled_as_stepped(name, sequence):
    xs, starts = sequence
    carry = BUILT[name].initial(xs.shape[1])
    end, features, _ = UNROLL[name](carry, xs, starts)
    assert features.shape == (*starts.shape, BUILT[name].features)
    for t in range(len(xs)):
        carry, stepped, _ = STEP[name](carry, xs[t], starts[t])
        np.testing.assert_allclose(stepped, features[t], rtol=1e-4, atol=1e-5)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(end), strict=True):
        np.testing.assert_allclose(np.asarray(a, np.complex64), np.asarray(b, np.complex64), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MEMORIES)
def test_a_start_inside_an_unroll_is_a_fresh_memory(name):
    xs = jax.random.normal(jax.random.key(0), (12, 3, 5))
    starts = jnp.zeros((12, 3), bool).at[0].set(True).at[6].set(True)
    _, whole, _ = BUILT[name].unroll(BUILT[name].initial(3), xs, starts)
    _, second, _ = BUILT[name].unroll(BUILT[name].initial(3), xs[6:], starts[6:])
    np.testing.assert_allclose(whole[6:], second, rtol=1e-4, atol=1e-5)
    _, without, _ = BUILT[name].unroll(BUILT[name].initial(3), xs, starts.at[6].set(False))
    if name != "feed-forward":  # the control: the past does reach the second half where nothing starts
        assert np.abs(np.asarray(without[6:]) - np.asarray(second)).max() > 1e-3


@pytest.mark.parametrize("name", MEMORIES)
def test_its_leaves_are_arrays_so_that_optimisers_and_checkpoints_can_hold_it(name):
    assert all(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(BUILT[name]))
