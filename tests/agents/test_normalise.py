"""Running statistics against NumPy over all the data, however it is cut."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents.normalise import ReturnScale, Running

update = jax.jit(Running.updated)


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 40), max_size=5),
    seed=st.integers(0, 2**31),
    offset=st.sampled_from([0.0, -7.0, 100.0]),
    kept=st.floats(0.0, 1.0),
)
def test_any_split_gives_the_statistics_of_all_the_data(cuts, seed, offset, kept):
    rng = np.random.default_rng(seed)
    x = (offset + rng.normal(size=(40, 2, 3)) * [0.5, 1.0, 20.0]).astype(np.float32)
    weight = rng.random((40, 2)) < kept
    running = Running.fresh((3,))
    ends = sorted({0, 40, *cuts})
    for a, b in itertools.pairwise(ends):
        # One shape for all parts, so that nothing is compiled twice: what lies outside the part has no weight.
        inside = (np.arange(40) >= a) & (np.arange(40) < b)
        running = update(running, jnp.asarray(x), jnp.asarray(weight & inside[:, None]))
    used = x[weight].astype(np.float64)
    assert float(running.count) == len(used)
    if len(used):
        np.testing.assert_allclose(running.mean, used.mean(axis=0), rtol=1e-4, atol=1e-3)
    expected = used.std(axis=0, ddof=1) if len(used) > 1 else np.ones(3)
    np.testing.assert_allclose(running.deviation, np.maximum(expected, 1e-4), rtol=2e-3)


def test_a_scalar_and_a_constant():
    running = update(Running.fresh(()), jnp.full((5,), 3.0), jnp.ones((5,), bool))
    assert float(running.mean) == 3.0
    assert float(running.normalised(jnp.asarray(3.0))) == 0.0
    assert float(running.normalised(jnp.asarray(4.0))) == 10.0  # far outside everything seen: clipped, not infinite


def test_nothing_seen_leaves_values_as_they_are():
    np.testing.assert_array_equal(Running.fresh((2,)).normalised(jnp.array([[1.5, -2.0]])), [[1.5, -2.0]])


def test_the_scale_of_returns_is_that_of_the_running_sums_however_rollouts_are_cut():
    rng = np.random.default_rng(3)
    rewards, starts, valid = rng.normal(size=(12, 2)), rng.random((12, 2)) < 0.2, rng.random((12, 2)) < 0.8
    expected, so_far = [], np.zeros(2)
    for r, start, counts in zip(rewards, starts, valid, strict=True):
        after = r + 0.9 * np.where(start, 0.0, so_far)
        so_far = np.where(counts, after, so_far)
        expected += after[counts].tolist()
    scale = ReturnScale.fresh(2)
    for a, b in ((0, 5), (5, 12)):
        scale = scale.updated(jnp.asarray(rewards[a:b], jnp.float32), jnp.asarray(starts[a:b]), jnp.asarray(valid[a:b]), 0.9)
    np.testing.assert_allclose(scale.deviation, np.std(expected, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(scale.so_far, so_far, rtol=1e-5)


def test_rewards_keep_their_size_before_the_first_has_come():
    on = jnp.ones((6, 2), bool)
    silent = ReturnScale.fresh(2).updated(jnp.zeros((6, 2)), ~on, on, 0.9)
    assert float(silent.deviation) == 1.0
