"""Contrastive predictive coding: log of the number of candidates on zero scores, and term by term against a loop."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents.actor import Seen
from unseen.agents.contrastive import Contrastive

E, H = 3, 5


def contrastive(steps=3):
    return Contrastive(H, E, steps, 1.0, precision="float32", key=jax.random.key(0))


def data(time, lanes, key=1):
    k_e, k_h = jax.random.split(jax.random.key(key))
    return jax.random.normal(k_e, (time, lanes, E)), jax.random.normal(k_h, (time, lanes, H))


def seen(starts):
    return Seen(None, jnp.zeros(starts.shape, jnp.int32), jnp.asarray(starts), None)


def by_hand(module, e, h, starts, shown):
    """The loss of every slot, with loops over times, lanes, steps and candidates."""
    e, h, w = (np.asarray(x, np.float64) for x in (e, h, module.w))
    time, lanes = starts.shape
    out = np.zeros((time, lanes))
    for t in range(time):
        for b in range(lanes):
            for k in range(1, module.steps + 1):
                if t + k >= time or starts[t + 1 : t + k + 1, b].any() or not shown[t + k, b]:
                    continue
                predicted = h[t, b] @ w[:, (k - 1) * E : k * E]
                scores = [e[u, b] @ predicted for u in range(time) if shown[u, b]]
                out[t, b] += (np.log(np.sum(np.exp(scores))) - e[t + k, b] @ predicted) / module.steps
    return out


@settings(max_examples=40, deadline=None)
@given(bits=st.lists(st.booleans(), min_size=24, max_size=24), hidden=st.integers(0, 6))
def test_every_term_against_a_loop(bits, hidden):
    starts = np.asarray(bits).reshape(6, 4)
    shown = np.ones((6, 4), bool)
    shown[6 - hidden :, 2] = False
    module, (e, h) = contrastive(), data(6, 4)
    ours = module.slot_losses(e, h, seen(starts), jnp.asarray(shown))
    np.testing.assert_allclose(ours, by_hand(module, e, h, starts, shown), rtol=1e-4, atol=1e-5)


def test_zero_scores_cost_the_logarithm_of_the_number_of_candidates():
    module = eqx.tree_at(lambda m: m.w, contrastive(steps=4), jnp.zeros((H, 4 * E)))
    e, h = data(12, 5)
    losses = np.asarray(module.slot_losses(e, h, seen(np.zeros((12, 5), bool)), jnp.ones((12, 5), bool)))
    np.testing.assert_allclose(losses[:8], math.log(12), rtol=1e-6)


def test_a_lane_costs_the_same_whatever_lanes_are_beside_it():
    module, (e, h), starts = contrastive(), data(8, 6), np.zeros((8, 6), bool)
    whole = module.slot_losses(e, h, seen(starts), jnp.ones((8, 6), bool))
    part = module.slot_losses(e[:, 2:4], h[:, 2:4], seen(starts[:, 2:4]), jnp.ones((8, 2), bool))
    np.testing.assert_allclose(whole[:, 2:4], part, rtol=1e-5, atol=1e-6)


def test_gradients_reach_encoder_and_memory():
    module, (e, h) = contrastive(), data(8, 3)
    starts, shown = np.zeros((8, 3), bool), jnp.ones((8, 3), bool)
    d_e, d_h = jax.grad(lambda e, h: jnp.sum(module.slot_losses(e, h, seen(starts), shown)), argnums=(0, 1))(e, h)
    assert np.abs(np.asarray(d_e)).min() > 0
    assert np.abs(np.asarray(d_h[:-1])).max() > 0
    assert np.abs(np.asarray(d_h[-1])).max() == 0  # nothing is known to follow the last slot


@pytest.mark.slow
def test_it_learns_to_tell_what_follows():
    """A sequence that repeats with period 5, its phase in the features: what follows is known, the loss falls far below chance."""
    time, lanes = 40, 16
    phase = jax.random.randint(jax.random.key(3), (lanes,), 0, 5)
    index = (jnp.arange(time)[:, None] + phase[None]) % 5
    e = 3.0 * jax.random.normal(jax.random.key(4), (5, E))[index]
    h = jax.nn.one_hot(index, H)
    module, none = contrastive(), seen(np.zeros((time, lanes), bool))

    def loss(module):
        return jnp.mean(module.slot_losses(e, h, none, jnp.ones((time, lanes), bool))[:-3])

    chance = float(loss(eqx.tree_at(lambda m: m.w, module, jnp.zeros_like(module.w))))
    for _ in range(300):
        module = jax.tree.map(lambda p, g: p - 0.3 * g, module, eqx.filter_jit(eqx.filter_grad(loss))(module))
    # Observations repeat with period 5, so eight of the forty candidates are equal: the best is the logarithm of that.
    assert float(loss(module)) < math.log(8) + 0.3 * (chance - math.log(8))
