"""Action distributions against SciPy, numerical integration and counting."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from unseen.agents.distributions import Categorical, MultiCategorical, Normal, gumbel, standard_normal


def test_categorical_against_its_definition():
    logits = np.array([[0.3, -1.0, 2.0], [5.0, 5.0, 5.0]], np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    d = Categorical(jnp.asarray(logits))
    np.testing.assert_allclose(d.entropy(), stats.entropy(p, axis=-1), rtol=1e-5)
    np.testing.assert_allclose(d.log_probability(jnp.array([2, 0])), np.log([p[0, 2], p[1, 0]]), rtol=1e-5)
    assert d.mode().tolist()[0] == 2


def test_categorical_draws_have_its_frequencies():
    logits = jnp.array([0.5, -0.5, 1.5, -3.0])
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    p /= p.sum()
    n = 40_000
    drawn = Categorical(jnp.broadcast_to(logits, (n, 4))).sample(gumbel(jax.random.key(1), (n, 4)))
    counts = np.bincount(np.asarray(drawn), minlength=4)
    assert stats.chisquare(counts, n * p).pvalue > 1e-4


@settings(max_examples=50, deadline=None)
@given(mask=st.lists(st.booleans(), min_size=5, max_size=5).filter(any), seed=st.integers(0, 2**31))
def test_masked_actions_are_never_drawn_and_do_not_count(mask, seed):
    logits = jax.random.normal(jax.random.key(seed), (200, 5)) * 3.0
    d = Categorical(logits, jnp.broadcast_to(jnp.array(mask), (200, 5)))
    assert np.array(mask)[np.asarray(d.sample(gumbel(jax.random.key(seed), (200, 5))))].all()
    allowed = Categorical(logits[:, np.flatnonzero(mask)])
    np.testing.assert_allclose(d.entropy(), allowed.entropy(), atol=1e-5)
    gradient = jax.grad(lambda x: Categorical(x, jnp.broadcast_to(jnp.array(mask), (200, 5))).entropy().sum())(logits)
    assert np.isfinite(gradient).all()


def test_several_categoricals_are_independent():
    logits = jax.random.normal(jax.random.key(0), (3, 5))
    d = MultiCategorical(logits, (2, 3))
    parts = [Categorical(logits[:, :2]), Categorical(logits[:, 2:])]
    action = jnp.array([[0, 2], [1, 0], [1, 1]])
    np.testing.assert_allclose(
        d.log_probability(action), parts[0].log_probability(action[:, 0]) + parts[1].log_probability(action[:, 1]), rtol=1e-6
    )
    np.testing.assert_allclose(d.entropy(), parts[0].entropy() + parts[1].entropy(), rtol=1e-6)


def normal(mean, deviation, squashed):
    return Normal(jnp.array([mean]), jnp.log(jnp.array([deviation])), squashed)


def test_normal_against_scipy():
    d = normal(0.7, 1.3, False)
    x = np.float32(-0.4)
    np.testing.assert_allclose(d.log_probability(jnp.array([x])), stats.norm(0.7, 1.3).logpdf(x), rtol=1e-5)
    np.testing.assert_allclose(d.entropy(), stats.norm(0.7, 1.3).entropy(), rtol=1e-5)
    drawn = Normal(jnp.full((20_000, 1), 0.7), jnp.full((20_000, 1), np.log(1.3)), False).sample(
        standard_normal(jax.random.key(0), (20_000, 1))
    )
    assert stats.kstest(np.asarray(drawn)[:, 0], stats.norm(0.7, 1.3).cdf).pvalue > 1e-4


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.5), (0.8, 0.4), (-0.5, 1.0)])
def test_squashed_density_integrates_to_one_and_gives_the_entropy(mean, deviation):
    a = np.tanh(np.linspace(-9.0, 9.0, 20_001))[1:-1]  # the grid of a, fine where the density is steep
    u = jnp.asarray(np.linspace(-9.0, 9.0, 20_001)[1:-1], jnp.float32)[:, None]

    def log_density(squashed):
        ones = jnp.ones_like(u)
        return np.asarray(Normal(mean * ones, jnp.log(deviation) * ones, squashed).log_probability(u), np.float64)

    log_p = log_density(True)
    assert integrate.trapezoid(np.exp(log_p), a) == pytest.approx(1.0, abs=2e-3)
    entropy = integrate.trapezoid(-np.exp(log_p) * log_p, a)
    assert float(normal(mean, deviation, True).entropy()) == pytest.approx(entropy, abs=5e-3)
    # The control: without the correction the density is another one.
    assert abs(integrate.trapezoid(np.exp(log_density(False)), a) - 1.0) > 0.02
