"""Convolutions as products of gathered windows, against the library's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents.convolution import by_windows, in_blocks


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12), st.sampled_from([(8, 4), (4, 2), (3, 1), (3, 2), (5, 3), (1, 1)]))
def test_windows_as_one_product_are_the_convolution(channels, height, width, form):
    window, stride = form
    kernel = jax.random.normal(jax.random.key(0), (5, channels, window, window))
    x = jax.random.normal(jax.random.key(1), (2, height, width, channels))

    def library(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "OIHW", "NHWC"))

    @jax.jit  # one program to compile for each example instead of dozens
    def both(x, kernel):
        expected, pull = jax.vjp(library, x, kernel)
        found, pull_ours = jax.vjp(lambda x, kernel: by_windows(x, kernel, stride), x, kernel)
        cotangent = jax.random.normal(jax.random.key(2), expected.shape)
        return (found, *pull_ours(cotangent)), (expected, *pull(cotangent))

    for a, b in zip(*both(x, kernel), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.optimised
@pytest.mark.parametrize("images", [1, 5, 12, 13])
def test_blocks_of_images_give_what_all_give_together(images):
    weights = jax.random.normal(jax.random.key(0), (4, 3))
    x = jax.random.normal(jax.random.key(1), (images, 2, 2))

    def blocked(weights, size):
        return in_blocks(lambda x: jnp.tanh(x.reshape(-1, 4) @ weights), x, size)

    np.testing.assert_allclose(blocked(weights, 4), blocked(weights, images), rtol=1e-5, atol=1e-6)
    by_block, together = (jax.grad(lambda w, size=size: jnp.sum(blocked(w, size) ** 2))(weights) for size in (4, images))
    np.testing.assert_allclose(by_block, together, rtol=1e-5, atol=1e-6)
