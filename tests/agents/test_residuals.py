"""Derivatives of a step kept without their weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unseen.agents.memory import residuals
from unseen.agents.memory.gru import LSTM

BATCH = 2


def cell(w: Any, h: Any, x: Any, start: Any) -> Any:
    """With weights that are first made from the parameters, as a product of lower precision makes them."""
    kept = jnp.broadcast_to(1.0 - start.astype(jnp.float32)[:, None], h.shape)
    return jnp.tanh((h * kept) @ (2.0 * w) + x)


def test_weights_are_not_kept_and_a_restored_pullback_is_the_step_s_own() -> None:
    w, starts = jax.random.normal(jax.random.key(0), (5, 5)), jnp.asarray([True, False])
    h, x, d = (jax.random.normal(jax.random.key(k), (BATCH, 5)) for k in (1, 2, 3))
    _, pullback, vary = residuals.derived(cell, w, (h, x), (starts,))
    kept = residuals.kept(pullback, vary)
    assert kept
    assert all(leaf.shape != w.shape for leaf in kept)
    assert len(kept) < len(jax.tree.leaves(pullback))  # the control: there were weights to leave out
    other = jax.random.normal(jax.random.key(4), (BATCH, 5))
    _, elsewhere, vary = residuals.derived(cell, w, (other, other), (starts,))
    for a, b in zip(residuals.restored(elsewhere, vary, kept)(d), pullback(d), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(np.asarray(elsewhere(d)[1] - pullback(d)[1])).max() > 1e-3


def test_of_an_lstm_s_step_no_weights_are_kept() -> None:
    lstm = LSTM(4, 6, key=jax.random.key(0))
    step = lambda lstm, carry, x, start: lstm.step(carry, x, start)[:2]  # noqa: E731
    _, pullback, vary = residuals.derived(step, lstm, (lstm.initial(BATCH), jnp.ones((BATCH, 4))), (jnp.zeros(BATCH, bool),))
    weights = {lstm.w_x.shape, lstm.w_h.shape, lstm.b.shape}
    assert not weights & {leaf.shape for leaf in residuals.kept(pullback, vary)}
    assert weights & {leaf.shape for leaf in jax.tree.leaves(pullback)}
