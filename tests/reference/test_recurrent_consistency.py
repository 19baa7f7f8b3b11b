"""Recurrent consistency: every memory gives unrolled what it gives stepped, and nothing crosses a start.

For every memory m, inputs x and start flags s, to 1e-5 of the largest feature:

    unroll(x, s) = repeated step(x_t, s_t)
    unroll(A ++ B) = unroll(A) ++ unroll(B) from the carry of A                       when B does not begin with a start
    unroll(A ++ B) = unroll(A) ++ unroll(B) from fresh memory, whatever came before   when B begins with a start
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents.memory.feedforward import FeedForward
from unseen.agents.memory.gru import GRU, LSTM
from unseen.agents.memory.lru import LRU
from unseen.agents.memory.memax import Memax
from unseen.agents.memory.transformer import GTrXL

INPUTS, STEPS, LANES = 5, 6, 2
HALF = STEPS // 2
SEMIGROUPS = ("NMax", "FART", "FWP", "DeltaNet", "DeltaProduct", "GDN", "FFM", "S6", "PSpherical", "LRU", "LinearRNN", "Stack")
ATTENTION = ("Attention", "Attention-RoPE", "Attention-ALiBi")
SET_ACTIONS = ("GRU",)
OURS = {"GRU": GRU, "LSTM": LSTM, "LRU": LRU}


def models():
    key = jax.random.key(7)
    yield "feed-forward", FeedForward(INPUTS)
    yield from ((name, kind(INPUTS, 6, key=key)) for name, kind in OURS.items())
    yield "GTrXL", GTrXL(INPUTS, 6, layers=2, heads=2, window=2, key=key)
    yield from ((f"memax {name}", Memax(INPUTS, 8, model=name, key=key)) for name in (*SEMIGROUPS, *ATTENTION, *SET_ACTIONS))


MEMORIES = dict(models())


def compiled(method):
    return jax.jit(lambda *arguments: method(*arguments))  # a bound method of a module holds arrays, so jit cannot hash it


UNROLL = {name: compiled(memory.unroll) for name, memory in MEMORIES.items()}
STEP = {name: compiled(memory.step) for name, memory in MEMORIES.items()}


def draw_inputs(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def close(ours, expected, names=""):
    """Within 1e-5 of the largest entry, or of 1."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        if a.dtype.kind in "fc":
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1.0, np.abs(b).max()), err_msg=names)
        else:
            np.testing.assert_array_equal(a, b, err_msg=names)


def stepped(step, carry, xs, starts):
    features = []
    for x, start in zip(xs, starts, strict=True):
        carry, feature, _ = step(carry, x, start)
        features.append(feature)
    return carry, jnp.stack(features)


patterns = st.lists(st.integers(0, 2**LANES - 1), min_size=STEPS, max_size=STEPS).map(
    lambda rows: jnp.asarray([[bool(row >> lane & 1) for lane in range(LANES)] for row in rows])
)


@pytest.mark.parametrize("name", MEMORIES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), starts=patterns)
def test_unroll_is_repeated_step_from_any_carry(name, seed, starts):
    # The carry is warm, so that a start in the first step has something to forget and no start something to keep.
    warm = UNROLL[name](MEMORIES[name].initial(LANES), draw_inputs(seed, STEPS, LANES, INPUTS), jnp.zeros((STEPS, LANES), bool))[0]
    xs = draw_inputs(seed + 1, STEPS, LANES, INPUTS)
    carry, features, _ = UNROLL[name](warm, xs, starts)
    carry_stepped, features_stepped = stepped(STEP[name], warm, xs, starts)
    assert features.shape == (STEPS, LANES, MEMORIES[name].features)
    close(features, features_stepped, name)
    # Carries may differ in flags that no later feature reads, so they are compared by what they lead to.
    after = draw_inputs(seed + 2, LANES, INPUTS)
    going_on = jnp.zeros((LANES,), bool)
    close(STEP[name](carry, after, going_on)[1], STEP[name](carry_stepped, after, going_on)[1], name)


@pytest.mark.parametrize("name", MEMORIES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), starts=patterns)
def test_a_start_between_two_parts_separates_them_and_its_absence_does_not(name, seed, starts):
    """A is the first half and B the second. B alone is unrolled with anything behind it, so that one compiled shape serves."""
    xs, anything = draw_inputs(seed, STEPS, LANES, INPUTS), draw_inputs(seed + 1, HALF, LANES, INPUTS)
    memory, unroll = MEMORIES[name], UNROLL[name]
    fresh, b = memory.initial(LANES), jnp.concatenate([xs[HALF:], anything])
    started, going_on = starts.at[HALF].set(True), starts.at[HALF:].set(False)
    starts_of_b = jnp.concatenate([started[HALF:], started[HALF:]])
    carry, features_a = stepped(STEP[name], fresh, xs[:HALF], starts[:HALF])

    _, apart, _ = unroll(fresh, b, starts_of_b)
    _, unmarked, _ = unroll(fresh, b, starts_of_b.at[0].set(False))
    _, whole, _ = unroll(fresh, xs, started)
    close(whole, jnp.concatenate([features_a, apart[:HALF]]), name)
    close(apart[:HALF], unmarked[:HALF], f"{name}: fresh memory is the initial one")

    _, joined, _ = unroll(carry, b, jnp.zeros_like(starts))
    _, whole, _ = unroll(fresh, xs, going_on)
    close(whole, jnp.concatenate([features_a, joined[:HALF]]), name)


@pytest.mark.parametrize("name", [name for name in MEMORIES if name != "feed-forward"])
def test_the_past_is_felt_where_nothing_starts(name):
    """The control of the test above; in any one draw the units of a memory may all be silent."""
    memory, unroll, nowhere = MEMORIES[name], UNROLL[name], jnp.zeros((STEPS, LANES), bool)
    fresh = memory.initial(LANES)

    def felt(seed):
        xs = draw_inputs(seed, STEPS, LANES, INPUTS)
        carry, _ = stepped(STEP[name], fresh, xs[:HALF], nowhere[:HALF])
        b = jnp.concatenate([xs[HALF:], xs[:HALF]])
        (_, joined, _), (_, forgotten, _) = unroll(carry, b, nowhere), unroll(fresh, b, nowhere)
        return np.abs(np.asarray(joined[:HALF] - forgotten[:HALF])).max()

    assert max(felt(seed) for seed in range(3)) > 1e-5


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=6, deadline=None)
@given(
    steps=st.integers(1, 33),
    lanes=st.integers(1, 4),
    size=st.integers(1, 17),
    seed=st.integers(0, 2**31),
    rate=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_unroll_is_repeated_step_at_any_size(name, steps, lanes, size, seed, rate):
    memory = OURS[name](INPUTS, size, key=jax.random.key(seed))
    xs = draw_inputs(seed, steps, lanes, INPUTS)
    starts = jnp.asarray(np.random.default_rng(seed).random((steps, lanes)) < rate)
    carry, features, _ = compiled(memory.unroll)(memory.initial(lanes), xs, starts)
    carry_stepped, features_stepped = stepped(compiled(memory.step), memory.initial(lanes), xs, starts)
    close(features, features_stepped)
    close(carry, carry_stepped)


@pytest.mark.parametrize("name", MEMORIES)
def test_lanes_do_not_touch_each_other(name):
    xs = draw_inputs(0, STEPS, LANES, INPUTS)
    starts = jnp.zeros((STEPS, LANES), bool).at[3, 1].set(True)
    _, alone, _ = UNROLL[name](MEMORIES[name].initial(LANES), xs, starts)
    _, beside, _ = UNROLL[name](MEMORIES[name].initial(LANES), xs.at[:, 1].set(100.0), starts.at[:, 1].set(False))
    close(beside[:, 0], alone[:, 0])
    assert np.abs(np.asarray(beside[:, 1] - alone[:, 1])).max() > 1e-3
