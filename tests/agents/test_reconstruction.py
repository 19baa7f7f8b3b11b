"""Reconstruction: the loss of each kind of space by hand, and that what is decoded can be learnt."""

from __future__ import annotations

import math

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.agents.actor import Seen
from unseen.agents.reconstruction import Categories, Numbers, Picture, Reconstructed, decoder

spaces = gymnasium.spaces
INPUTS = 6


def made(space):
    return decoder(space, INPUTS, precision="float32", key=jax.random.key(0))


def zeroed(module):
    return jax.tree.map(jnp.zeros_like, module)


def test_categories_cost_the_mean_cross_entropy_of_their_parts():
    space = spaces.MultiDiscrete([3, 5], start=[1, 0])
    module, x = made(space), jax.random.normal(jax.random.key(1), (2, 4, INPUTS))
    seen = np.stack([np.full((2, 4), 2), np.full((2, 4), 4)], axis=-1).astype(np.int32)
    logits = np.asarray(module.linear(x))
    expected = -(_log_softmax(logits[..., :3])[..., 1] + _log_softmax(logits[..., 3:])[..., 4]) / 2
    np.testing.assert_allclose(module.losses(x, jnp.asarray(seen)), expected, rtol=1e-5)
    assert float(zeroed(made(spaces.Discrete(7))).losses(x, jnp.zeros((2, 4), jnp.int32))[0, 0]) == pytest.approx(math.log(7))


def _log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_numbers_cost_half_the_mean_squared_error():
    x = jax.random.normal(jax.random.key(1), (3, INPUTS))
    module, seen = made(spaces.Box(-1, 1, (2, 2))), jax.random.normal(jax.random.key(2), (3, 2, 2))
    y = np.asarray(module.linear(x))
    np.testing.assert_allclose(module.losses(x, seen), 0.5 * ((y - np.asarray(seen).reshape(3, 4)) ** 2).mean(-1), rtol=1e-5)
    assert made(spaces.Box(-1, 1, ())).losses(x, jnp.zeros((3,))).shape == (3,)


@pytest.mark.parametrize("shape", [(72, 96, 3), (20, 17, 1)])
def test_pictures_of_bytes_cost_the_sigmoid_cross_entropy_per_pixel(shape):
    module = made(spaces.Box(0, 255, shape, np.uint8))
    assert isinstance(module, Picture)
    x = jax.random.normal(jax.random.key(1), (2, 3, INPUTS))
    seen = np.random.default_rng(0).integers(0, 256, (2, 3, *shape)).astype(np.uint8)
    y = np.asarray(module._decoded(x.reshape(-1, INPUTS)), np.float64).reshape(seen.shape)
    p, q = seen / 255.0, 1 / (1 + np.exp(-y))
    expected = -(p * np.log(q) + (1 - p) * np.log(1 - q)).mean((-3, -2, -1))
    np.testing.assert_allclose(module.losses(x, jnp.asarray(seen)), expected, rtol=1e-4)
    floats = made(spaces.Box(0.0, 1.0, shape, np.float32))
    y = np.asarray(floats._decoded(x.reshape(-1, INPUTS)), np.float64).reshape(seen.shape)
    np.testing.assert_allclose(floats.losses(x, jnp.asarray(p, jnp.float32)), 0.5 * ((y - p) ** 2).mean((-3, -2, -1)), rtol=1e-4)


def test_small_grids_of_bytes_are_codes_and_a_dict_is_the_sum_of_its_parts():
    grid = made(spaces.Box(0, 255, (7, 7, 2), np.uint8))
    assert isinstance(grid, Categories)
    x = jax.random.normal(jax.random.key(1), (3, INPUTS))
    assert float(zeroed(grid).losses(x, jnp.zeros((3, 7, 7, 2), jnp.uint8))[0]) == pytest.approx(math.log(16), rel=1e-5)
    both = made(spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (2,))}))
    seen = {"a": jnp.asarray([0, 1, 2]), "b": jnp.ones((3, 2))}
    assert isinstance(both.parts["b"], Numbers)
    np.testing.assert_allclose(both.losses(x, seen), both.parts["a"].losses(x, seen["a"]) + both.parts["b"].losses(x, seen["b"]), rtol=1e-6)


def test_slots_that_show_nothing_cost_nothing_and_the_source_decides_where_gradients_go():
    e, h = jax.random.normal(jax.random.key(1), (4, 2, 4)), jax.random.normal(jax.random.key(2), (4, 2, 2))
    seen = Seen(jnp.ones((4, 2), jnp.int32), jnp.zeros((4, 2), jnp.int32), jnp.zeros((4, 2), bool), None)
    shown = jnp.ones((4, 2), bool).at[2:, 1].set(False)
    for source, inputs in (("embedding", 4), ("both", 6)):
        module = Reconstructed(decoder(spaces.Discrete(3), inputs, precision="float32", key=jax.random.key(0)), 1.0, source)
        losses = np.asarray(module.slot_losses(e, h, seen, shown))
        assert (losses[2:, 1] == 0).all()
        assert (losses[:2] > 0).all()
        d_h = jax.grad(lambda h, module=module: jnp.sum(module.slot_losses(e, h, seen, shown)))(h)
        assert (np.abs(np.asarray(d_h)).max() > 0) == (source == "both")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "observations"),
    [
        (spaces.MultiDiscrete([4, 4]), np.array([[0, 1], [2, 3], [3, 0]], np.int32)),
        (
            spaces.Box(0, 255, (16, 16, 1), np.uint8),
            (np.indices((3, 16, 16, 1))[0] * 90 * (np.indices((3, 16, 16, 1))[2] > 7)).astype(np.uint8),
        ),
    ],
)
def test_three_observations_are_told_apart(space, observations):
    module, x, seen = made(space), jnp.eye(3, INPUTS) * 3.0, jnp.asarray(observations)
    loss = eqx.filter_jit(lambda m: jnp.mean(m.losses(x, seen)))
    begin = float(loss(module))
    gradient = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.mean(m.losses(x, seen))))
    for _ in range(300):
        module = jax.tree.map(lambda p, g: p - 0.3 * g, module, gradient(module))
    floor = 0.0 if isinstance(module, Categories) else float(np.mean(-_xlogx(observations / 255.0) - _xlogx(1 - observations / 255.0)))
    assert float(loss(module)) - floor < 0.2 * (begin - floor)


def _xlogx(p):
    return np.where(p > 0, p * np.log(np.maximum(p, 1e-12)), 0.0)
