"""The residual network for pictures, against the library's convolutions and pools, and where agents have it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import unseen
from unseen.agents.build import build
from unseen.agents.encoders import Convolutions, Projection, encoder
from unseen.agents.residual import Residual, halved, residual
from unseen.errors import UserError
from unseen.learning.learner import make_learner

BIG = spaces.Box(0, 255, (72, 96, 3), np.uint8)
SMALL = spaces.Box(0, 255, (18, 23, 3), np.uint8)
VECTOR = spaces.Box(-1.0, 1.0, (2,))


def library(network: Residual, x, scale):
    """The network written with the library's own convolution and pool."""
    y = x.astype(jnp.float32) * scale

    def convolved(layer, y):
        y = jax.lax.conv_general_dilated(y, layer.kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "OIHW", "NHWC"))
        return y + jnp.broadcast_to(layer.bias, y.shape)

    for section in network.sections:
        y = pooled(convolved(section.first, y))
        for one, two in section.blocks:
            y = y + convolved(two, jax.nn.relu(convolved(one, jax.nn.relu(y))))
    flat = jax.nn.relu(y).reshape(len(x), -1)
    return jax.nn.relu(flat @ network.out.w + jnp.broadcast_to(network.out.b, (len(x), network.features)))


def pooled(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")


def with_biases(network, key):
    """Biases begin at zero, where a forgotten one would not be noticed."""

    def biased(leaf):
        return leaf + 0.1 * jax.random.normal(key, leaf.shape) if leaf.ndim == 1 else leaf

    return jax.tree.map(biased, network)


@pytest.mark.parametrize(("blocks", "images"), [(1, 11), (2, 2)])  # in blocks of pictures with a rest, and all at once
def test_values_and_gradients_are_those_of_the_librarys_layers(blocks, images):
    built = residual(SMALL, unseen.Residual(blocks, (4, 5), 7), precision="float32", key=jax.random.key(0))
    network = with_biases(built, jax.random.key(1))
    x = jax.random.randint(jax.random.key(2), (images, *SMALL.shape), 0, 256).astype(jnp.uint8)
    pulled = jax.random.normal(jax.random.key(3), (images, 7))

    @partial(jax.jit, static_argnums=0)
    def found(apply, network):
        values, pull = jax.vjp(apply, network)
        return values, pull(pulled)[0]

    values, ours = found(lambda n: n(x), network)
    expected, theirs = found(lambda n: library(n, x, 1 / 255), network)
    assert 0.2 < float(jnp.mean(expected > 0)) < 1.0
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())
        assert np.abs(b).max() > 0


@partial(jax.jit, static_argnums=0)
def pooled_and_pulled(pool, x, cotangent):
    found, pull = jax.vjp(pool, x)
    return found, pull(cotangent)[0]


# Few shapes, so that hypothesis spends its time on values, and few values, so that many are equal.
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (8, 7)])
@settings(max_examples=20, deadline=None)
@given(levels=st.sampled_from([2, 1000]), seed=st.integers(0, 1000))
def test_the_pool_and_its_gradient_are_the_librarys_where_values_are_equal_too(shape, levels, seed):
    height, width = shape
    draws = np.random.default_rng(seed)
    x = draws.integers(-levels, levels, (2, height, width, 3)).astype(np.float32)
    cotangent = draws.normal(size=(2, -(-height // 2), -(-width // 2), 3)).astype(np.float32)
    found, gradient = pooled_and_pulled(halved, x, cotangent)
    expected, expected_gradient = pooled_and_pulled(pooled, x, cotangent)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("blocks", "count"), [(1, 940_960), (2, 982_592)])
def test_parameters_are_as_many_as_counted_by_hand(blocks, count):
    """Sections 3 -> 16 -> 32 -> 32: 9 i o + o a convolution, two of o -> o a block; 72 x 96 is 9 x 12 after three of them."""
    first = (9 * 3 * 16 + 16) + (9 * 16 * 32 + 32) + (9 * 32 * 32 + 32)
    others = 2 * (9 * 16 * 16 + 16) + 2 * 2 * (9 * 32 * 32 + 32)
    assert first + blocks * others + 9 * 12 * 32 * 256 + 256 == count
    network = jax.eval_shape(lambda key: residual(BIG, unseen.Residual(blocks), precision="float32", key=key), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(network)) == count


def test_bytes_are_fractions_of_255_and_floats_are_taken_as_they_are():
    built = {"pictures": unseen.Residual(1, (4,), 5), "precision": "float32", "key": jax.random.key(0)}
    x = jax.random.randint(jax.random.key(2), (2, 3, *SMALL.shape), 0, 256).astype(jnp.uint8)
    encoded = residual(SMALL, **built)(x)
    assert encoded.shape == (2, 3, 5)
    floats = residual(spaces.Box(0.0, 1.0, SMALL.shape), **built)
    np.testing.assert_allclose(encoded, floats(x.astype(jnp.float32) / 255.0), rtol=1e-4, atol=1e-6)


AGENT = unseen.Agent(memory=unseen.GRU(6), embedding=4, head=(5,), pictures=unseen.Residual(1, (4, 4), 9))
TOLD = replace(AGENT, critic=unseen.Critic(signals=("view", "place")))


@pytest.mark.parametrize("observation", [SMALL, spaces.Dict({"eye": SMALL, "skin": VECTOR})], ids=["picture", "dict"])
def test_agents_have_it_for_pictures_and_for_nothing_else(observation):
    model = build(TOLD, observation, spaces.Discrete(2), {"view": SMALL, "place": VECTOR}, jax.random.key(0))
    for trunk in (model.actor.trunk, model.critic.trunk):
        parts = trunk.observation.parts if isinstance(observation, spaces.Dict) else {"eye": trunk.observation}
        assert isinstance(parts["eye"], Residual)
        assert parts["eye"].features == 9
        assert len(parts["eye"].sections) == 2
        assert "skin" not in parts or isinstance(parts["skin"], Projection)
    assert isinstance(model.critic.signals["view"], Residual)
    assert isinstance(model.critic.signals["place"], Projection)
    without = build(replace(AGENT, pictures=None), SMALL, spaces.Discrete(2), {}, jax.random.key(0))
    assert isinstance(without.actor.trunk.observation, Convolutions)


def test_a_grid_of_codes_beside_a_picture_keeps_a_plane_for_each_code():
    grid = spaces.Box(0, 255, (9, 9, 3), np.uint8)
    encode = encoder(
        spaces.Dict({"grid": grid, "eye": SMALL}), 8, activation="relu", precision="float32", pictures=AGENT.pictures, key=jax.random.key(0)
    )
    assert isinstance(encode.parts["eye"], Residual)
    assert encode.parts["grid"].codes


@pytest.mark.parametrize(
    ("space", "pictures", "told"),
    [
        (VECTOR, unseen.Residual(), "agent.pictures = Residual.*has no picture"),
        (spaces.Dict({"a": VECTOR, "b": spaces.Discrete(3)}), unseen.Residual(), "has no picture"),
        (spaces.Box(0, 255, (9, 9, 3), np.uint8), unseen.Residual(), "fewer than 16 rows or columns is taken for codes"),
        (spaces.Box(0.0, 1.0, (7, 30, 3)), unseen.Residual(), "agent.pictures.channels = .*at least 8, and it has 7 x 30"),
        (SMALL, unseen.Residual(channels=(4,) * 5), "at least 32, and it has 18 x 23"),
        (SMALL, unseen.Residual(channels=()), r"agent.pictures.channels = \(\); it must name"),
    ],
)
def test_what_it_cannot_be_built_for_is_refused_in_one_line(space, pictures, told):
    with pytest.raises(UserError, match=told) as refused:
        build(replace(AGENT, pictures=pictures), space, spaces.Discrete(2), {}, jax.random.key(0))
    assert "\n" not in str(refused.value)


def test_the_smallest_pictures_that_are_allowed_are_told_apart():
    network = residual(spaces.Box(0.0, 1.0, (8, 8, 1)), unseen.Residual(), precision="float32", key=jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (2, 8, 8, 1))
    assert np.abs(np.diff(jax.jit(lambda x: network(x))(x), axis=0)).max() > 1e-3


@pytest.mark.slow
def test_it_learns_with_the_rest_of_an_agent_in_first_person():
    environment = unseen.make("memory-fp/continuous-recognition")
    algorithm = unseen.PPO(environments=2, rollout=4, epochs=1, minibatches=1)
    learner = make_learner(environment, replace(AGENT, critic=unseen.Critic(shared_trunk=True)), algorithm, reset_pool=64)
    before = jax.jit(learner.init)(jax.random.key(0))
    after = jax.jit(learner.update)(before)
    assert int(after.fault) == 0
    networks = [state.agent.actor.trunk.observation for state in (before, after)]
    assert all(isinstance(network, Residual) for network in networks)
    for old, new in zip(*map(jax.tree.leaves, networks), strict=True):
        assert np.isfinite(new).all()
        assert np.abs(np.asarray(new) - np.asarray(old)).max() > 0
