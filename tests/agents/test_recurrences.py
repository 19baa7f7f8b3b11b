"""GRU and LSTM scans with hand-written gradients against textbook cells differentiated by JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.agents.memory.recurrences import gru_scan, lstm_scan

T, B, H = 9, 3, 4


def plain_gru(w, b_n, h_0, xs, starts):
    def step(h, inputs):
        x, start = inputs
        h = jnp.where(start[:, None], 0.0, h)
        x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
        h_r, h_z, h_n = jnp.split(h @ w, 3, axis=-1)
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        n = jnp.tanh(x_n + r * (h_n + b_n[None]))
        h = (1.0 - z) * n + z * h
        return h, h

    return jax.lax.scan(step, h_0, (xs, starts))[1]


def plain_lstm(w, h_0, c_0, xs, starts):
    def step(carry, inputs):
        x, start = inputs
        h, c = (jnp.where(start[:, None], 0.0, y) for y in carry)
        i, f, o, g = jnp.split(x + h @ w, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), (h, c)

    return jax.lax.scan(step, (h_0, c_0), (xs, starts))[1]


@pytest.fixture(params=[0, 1, 2])
def draws(request):
    keys = iter(jax.random.split(jax.random.key(request.param), 20))

    def normal(*shape):
        return jax.random.normal(next(keys), shape)

    starts = jax.random.bernoulli(next(keys), 0.3, (T, B))
    return normal, starts


def agree(scan, plain, arguments, starts, outputs):
    values, pull = jax.vjp(lambda *a: scan(*a, starts), *arguments)
    expected, pull_plain = jax.vjp(lambda *a: plain(*a, starts), *arguments)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), values, expected)
    for ours, theirs in zip(pull(outputs), pull_plain(outputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        assert np.abs(theirs).max() > 1e-3


def test_gru(draws):
    normal, starts = draws
    # No start in the first step of one lane, so that the initial state has a gradient.
    starts = starts.at[0, 0].set(False)
    agree(gru_scan, plain_gru, (normal(H, 3 * H), normal(H), normal(B, H), normal(T, B, 3 * H)), starts, normal(T, B, H))


def test_lstm(draws):
    normal, starts = draws
    starts = starts.at[0, 0].set(False)
    arguments = (normal(H, 4 * H), normal(B, H), normal(B, H), normal(T, B, 4 * H))
    agree(lstm_scan, plain_lstm, arguments, starts, (normal(T, B, H), normal(T, B, H)))
