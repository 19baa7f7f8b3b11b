"""Encoders against plain lookups, and the products that are taken the short way round."""

from __future__ import annotations

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents import encoders
from unseen.agents.encoders import Embedding, encoder, layered, onto, onto_sum
from unseen.agents.layers import Linear

SPACES = {
    "few categories": gymnasium.spaces.Discrete(5, start=2),
    "many categories": gymnasium.spaces.Discrete(100),
    "several": gymnasium.spaces.MultiDiscrete([3, 70], start=[1, 0]),
    "several small": gymnasium.spaces.MultiDiscrete([3, 5, 4], start=[1, 0, 2]),
    "vector": gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32),
    "dict": gymnasium.spaces.Dict({"a": gymnasium.spaces.Discrete(4), "b": gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)}),
}
BUILT = {name: encoder(space, 16, activation="relu", precision="float32", key=jax.random.key(1)) for name, space in SPACES.items()}


def drawn(space: gymnasium.Space, shape: tuple[int, ...], seed: int):
    space.seed(seed)
    samples = [space.sample() for _ in range(int(np.prod(shape)))]
    if isinstance(space, gymnasium.spaces.Dict):
        return {name: jnp.asarray(np.stack([s[name] for s in samples])).reshape(*shape, *space[name].shape) for name in space.spaces}
    return jnp.asarray(np.stack(samples)).reshape(*shape, *space.shape)


@pytest.mark.parametrize("rows", [60, 80])  # tables of at most 64 rows are read by a product with one-hot rows
def test_a_table_gives_its_rows_and_their_gradients(rows):
    table = jax.random.normal(jax.random.key(0), (rows, 4))
    index = jnp.array([[0, 3, 3], [rows - 1, 0, 7]])

    def looked_up(table):
        return Embedding((table,), (0,), True)(index)

    np.testing.assert_array_equal(looked_up(table), np.asarray(table)[np.asarray(index)])
    pulled = jax.random.normal(jax.random.key(1), (2, 3, 4))
    (gradient,) = jax.vjp(looked_up, table)[1](pulled)
    expected = np.zeros((rows, 4), np.float32)
    np.add.at(expected, np.asarray(index), np.asarray(pulled))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=15, deadline=None)
@given(shape=st.sampled_from([(1,), (2,), (9, 13)]), seed=st.integers(0, 1000))
def test_onto_is_the_encoding_times_the_weights(name, shape, seed):
    x = drawn(SPACES[name], shape, seed)
    w = jax.random.normal(jax.random.key(2), (BUILT[name].features, 6))
    np.testing.assert_allclose(onto(BUILT[name], x, w, "float32"), BUILT[name](x) @ w, rtol=1e-4, atol=1e-5)


def test_onto_has_the_gradients_of_the_plain_product():
    x = drawn(SPACES["several"], (9, 13), 0)
    w = jax.random.normal(jax.random.key(2), (BUILT["several"].features, 6))

    def plain(parts):
        return jnp.sum(jnp.sin(parts[0](x) @ parts[1]))

    def short(parts):
        return jnp.sum(jnp.sin(onto(parts[0], x, parts[1], "float32")))

    expected, actual = jax.grad(plain)((BUILT["several"], w)), jax.grad(short)((BUILT["several"], w))
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert np.abs(b).max() > 1e-3


def test_a_sum_over_parts_is_the_product_of_the_concatenation():
    parts = [(BUILT[name], drawn(SPACES[name], (4,), 3)) for name in ("few categories", "vector")]
    w = Linear(sum(part.features for part, _ in parts), 6, key=jax.random.key(3)).w
    together = jnp.concatenate([part(x) for part, x in parts], axis=-1) @ w
    np.testing.assert_allclose(onto_sum(parts, w, "float32"), together, rtol=1e-4, atol=1e-5)


def test_codes_of_a_byte_grid_are_told_apart():
    """A key and a ball of MiniGrid are the numbers 5 and 6; as fractions of 255 they would be the same to a network."""
    grid = gymnasium.spaces.Box(0, 255, (7, 7, 3), np.uint8)
    encode = encoder(grid, 128, activation="relu", precision="float32", key=jax.random.key(0))
    key = jnp.full((7, 7, 3), 1, jnp.uint8).at[3, 3].set(jnp.array([5, 2, 0], jnp.uint8))
    ball = key.at[3, 3, 0].set(6)
    apart = np.linalg.norm(encode(key) - encode(ball)) / np.linalg.norm(encode(key))
    assert apart > 0.05
    bright = key.at[0, 0, 0].set(200)  # a number that is no code is still seen, by its size
    assert np.linalg.norm(encode(key) - encode(bright)) > 0.01


@pytest.mark.parametrize("most", [0, 65_536])
def test_several_small_tables_give_their_rows_side_by_side(monkeypatch, most):
    monkeypatch.setattr(encoders, "BLOCKS", most)
    x, built = drawn(SPACES["several small"], (9, 13), 0), BUILT["several small"]
    rows = [np.asarray(table)[np.asarray(x[..., k]) - first] for k, (table, first) in enumerate(zip(built.tables, (1, 0, 2), strict=True))]
    np.testing.assert_allclose(built(x), np.concatenate(rows, axis=-1), rtol=1e-6)


def test_in_bfloat16_many_rows_and_few_are_the_same():
    built = encoder(SPACES["several small"], 16, activation="relu", precision="bfloat16", key=jax.random.key(1))
    x, w = drawn(SPACES["several small"], (40,), 0), jax.random.normal(jax.random.key(2), (built.features, 6))
    np.testing.assert_allclose(onto(built, x, w, "bfloat16")[:3], onto(built, x[:3], w, "bfloat16"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SPACES)
def test_a_layer_sees_all_parts_together(name):
    built = layered(BUILT[name], 7, activation="tanh", precision="float32", key=jax.random.key(3))
    x = drawn(SPACES[name], (4,), 0)
    assert built.features == 7
    biased = eqx.tree_at(lambda m: m.linear.b, built, jnp.arange(7.0))
    np.testing.assert_allclose(biased(x), np.tanh(np.asarray(BUILT[name](x) @ built.linear.w) + np.arange(7.0)), rtol=1e-4, atol=1e-5)
