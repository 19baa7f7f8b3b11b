"""The gated Transformer-XL against loops over queries and keys in NumPy; what it can reach, and what gradients can."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.agents.memory.transformer import Attention, Gate, GTrXL, reaches, sinusoids

INPUTS, LANES = 5, 3


def memory(size: int = 8, layers: int = 2, heads: int = 2, window: int = 4, seed: int = 1, precision: str = "float32") -> GTrXL:
    """With biases, gains and offsets that are not at their beginnings."""
    m = GTrXL(INPUTS, size, layers=layers, heads=heads, window=window, precision=precision, key=jax.random.key(seed))
    leaves, shape = jax.tree.flatten(m)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return jax.tree.unflatten(shape, [x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)])


def sequence(steps: int, rate: float = 0.0, seed: int = 0) -> tuple[Any, Any]:
    """Inputs, and starts at this rate."""
    k_x, k_start = jax.random.split(jax.random.key(seed))
    return jax.random.normal(k_x, (steps, LANES, INPUTS)), jax.random.bernoulli(k_start, rate, (steps, LANES))


unroll = eqx.filter_jit(lambda m, carry, xs, starts: m.unroll(carry, xs, starts)[:2])
step = eqx.filter_jit(lambda m, carry, x, start: m.step(carry, x, start)[:2])


def stepped(m: GTrXL, carry: Any, xs: Any, starts: Any) -> tuple[Any, np.ndarray]:
    features = []
    for x, start in zip(xs, starts, strict=True):
        carry, y = step(m, carry, x, start)
        features.append(np.asarray(y))
    return carry, np.stack(features)


# ---- the equations, by hand ---------------------------------------------------------------------------------------------


def numbers(module: Any) -> Any:
    """Its arrays in double precision."""
    return jax.tree.map(lambda x: np.asarray(x, np.float64), module)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def layer_norm(x: np.ndarray, norm: Any) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * norm.gain + norm.offset


def gated(x: np.ndarray, y: np.ndarray, gate: Any) -> np.ndarray:
    w_r, w_z, w_h = np.split(gate.w, 3, axis=1)
    u_r, u_z = np.split(gate.u, 2, axis=1)
    r = sigmoid(y @ w_r + x @ u_r)
    z = sigmoid(y @ w_z + x @ u_z - gate.b_g)
    h = np.tanh(y @ w_h + (r * x) @ gate.u_h)
    return (1 - z) * x + z * h


def attended(past: list[np.ndarray], a: Any) -> np.ndarray:
    """Of the newest of these layer inputs, over all of them."""
    heads, width = a.u.shape
    q = layer_norm(past[-1], a.norm) @ a.w_q
    out = np.zeros_like(q)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = np.zeros(len(past))
        for age in range(len(past)):
            k = (layer_norm(past[-1 - age], a.norm) @ a.w_k)[part]
            frequency = 10_000.0 ** (-np.arange(0, len(q), 2) / len(q))
            r = (np.concatenate([np.sin(age * frequency), np.cos(age * frequency)])[: len(q)] @ a.w_r)[part]
            scores[age] = ((q[part] + a.u[head]) @ k + (q[part] + a.v[head]) @ r) / np.sqrt(width)
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        for age in range(len(past)):
            out[part] += weights[age] * (layer_norm(past[-1 - age], a.norm) @ a.w_v)[part]
    return out @ a.w_o


def by_hand(m: Any, xs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Features of one lane, from lists of what each layer was given since the episode's start."""
    past: list[list[np.ndarray]] = [[] for _ in m.layers]
    features = []
    for x, start in zip(np.asarray(xs, np.float64), np.asarray(starts), strict=True):
        past = [[] for _ in m.layers] if start else past
        x = x @ m.w_x + m.b
        for layer, before in zip(m.layers, past, strict=True):
            before.append(x)
            x = gated(x, np.maximum(attended(before[-m.window - 1 :], layer.attention), 0), layer.gate)
            hidden = np.maximum(layer_norm(x, layer.norm) @ layer.hidden.w + layer.hidden.b, 0)
            x = gated(x, np.maximum(hidden @ layer.out.w + layer.out.b, 0), layer.gate_out)
        features.append(x)
    return np.stack(features)


# Windows longer and shorter than the unroll; unrolls of one block, of several, and of several with a rest; a width that is odd.
SHAPES = [(8, 2, 2, 4, 11), (8, 1, 4, 20, 7), (9, 2, 3, 3, 70), (6, 2, 1, 1, 5), (4, 1, 2, 33, 81)]


@pytest.mark.parametrize(("size", "layers", "heads", "window", "steps"), SHAPES)
def test_unrolled_and_stepped_are_the_equations(size: int, layers: int, heads: int, window: int, steps: int) -> None:
    m = memory(size, layers, heads, window)
    xs, starts = sequence(steps, rate=0.1)
    end, features = unroll(m, m.initial(LANES), xs, starts)
    for lane in range(LANES):
        np.testing.assert_allclose(features[:, lane], by_hand(numbers(m), xs[:, lane], starts[:, lane]), rtol=1e-4, atol=1e-5)
    last, one_by_one = stepped(m, m.initial(LANES), xs, starts)
    np.testing.assert_allclose(one_by_one, features, rtol=1e-4, atol=1e-5)
    for a, b in zip(jax.tree.leaves(last), jax.tree.leaves(end), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.permutations([1, 1, 2, 2, 6, 9]),
    flags=st.lists(st.lists(st.booleans(), min_size=LANES, max_size=LANES), min_size=21, max_size=21),
    rarely=st.booleans(),
)
def test_an_episode_cut_into_unrolls_is_the_same_episode(lengths: list[int], flags: list[list[bool]], rarely: bool) -> None:
    """Unrolls shorter and longer than the window, in any order, with starts anywhere."""
    xs, kept = sequence(21, rate=0.1)
    starts = jnp.asarray(flags) & kept if rarely else jnp.asarray(flags)
    end, whole = unroll(MEMORY, MEMORY.initial(LANES), xs, starts)
    carry, parts, t = MEMORY.initial(LANES), [], 0
    for length in lengths:
        carry, features = unroll(MEMORY, carry, xs[t : t + length], starts[t : t + length])
        parts.append(features)
        t += length
    np.testing.assert_allclose(jnp.concatenate(parts), whole, rtol=1e-4, atol=1e-5)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(end), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


MEMORY = memory()


def test_lanes_may_have_gone_different_ways() -> None:
    """A carry put together from two that wrote their rings up to different places."""
    xs, starts = sequence(9)
    long, _ = unroll(MEMORY, MEMORY.initial(LANES), xs, starts)
    short, _ = unroll(MEMORY, MEMORY.initial(LANES), xs[:2], starts[:2])
    mixed = jax.tree.map(lambda a, b: jnp.concatenate([a[:1], b[1:]]), long, short)
    more, on = sequence(6, seed=4)
    for go in (unroll, stepped):
        _, together = go(MEMORY, mixed, more, on)
        np.testing.assert_allclose(together[:, :1], go(MEMORY, long, more, on)[1][:, :1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(together[:, 1:], go(MEMORY, short, more, on)[1][:, 1:], rtol=1e-4, atol=1e-5)


# ---- reach --------------------------------------------------------------------------------------------------------------


def of_inputs(m: GTrXL, xs: Any, starts: Any) -> np.ndarray:
    """Largest derivative of each lane's last features by the inputs of each step, (T, B)."""

    def last(xs: Any) -> Any:
        return jnp.sum(m.unroll(m.initial(LANES), xs, starts)[1][-1] ** 2)

    return np.abs(np.asarray(jax.jit(jax.grad(last))(xs))).max(-1)


@pytest.mark.parametrize(("layers", "window", "steps"), [(1, 4, 12), (2, 4, 14), (3, 2, 12), (2, 17, 40), (1, 3, 70)])
def test_layers_times_window_steps_back_is_seen_and_nothing_further(layers: int, window: int, steps: int) -> None:
    m = memory(layers=layers, window=window)
    reached = of_inputs(m, *sequence(steps))
    edge = steps - 1 - layers * window
    assert edge > 0
    assert not reached[:edge].any()
    assert (reached[edge:] > 1e-8).all()


@pytest.mark.parametrize("cut", [1, 3, 9])
def test_what_was_before_the_unroll_is_seen_as_far(cut: int) -> None:
    """Through the carry: one input changed, and what follows, exactly."""
    m, (xs, starts), at = memory(layers=2, window=3), sequence(14), 2
    changed = xs.at[at].add(1.0)

    def features(xs: Any) -> np.ndarray:
        carry, first = unroll(m, m.initial(LANES), xs[:cut], starts[:cut])
        _, second = stepped(m, carry, xs[cut:], starts[cut:])
        return np.concatenate([first, second])

    differs = (features(changed) != features(xs)).any(-1)
    assert differs[at : at + 7].all()
    assert not differs[:at].any()
    assert not differs[at + 7 :].any()


def test_nothing_crosses_a_start() -> None:
    xs, starts = sequence(12)
    starts = starts.at[7, 1].set(True)
    m = memory(window=20)
    reached = of_inputs(m, xs, starts)
    assert not reached[:7, 1].any()
    assert (reached[7:, 1] > 1e-8).all()
    assert (reached[:, 0] > 1e-8).all()  # the lanes beside it go on
    _, whole = unroll(m, m.initial(LANES), xs, starts)
    _, fresh = unroll(m, m.initial(LANES), xs[7:], starts[7:])
    np.testing.assert_allclose(whole[7:, 1], fresh[:, 1], rtol=1e-4, atol=1e-5)
    assert np.abs(np.asarray(whole[7:, 0] - fresh[:, 0])).max() > 1e-3


def test_how_far_each_step_may_look() -> None:
    starts = jnp.asarray([[0, 1], [0, 0], [1, 0], [0, 1], [0, 0]], bool)
    reach = reaches(jnp.asarray([2, 2], jnp.int32), starts, 3)
    np.testing.assert_array_equal(reach.T, [[2, 3, 0, 1, 2], [0, 1, 2, 0, 1]])


# ---- gradients ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("go", ["unroll", "step"])
def test_no_gradient_goes_through_the_carry_but_its_keys_teach_the_weights(go: str) -> None:
    xs, starts = sequence(6)
    carry, _ = unroll(MEMORY, MEMORY.initial(LANES), xs, starts)
    more, on = sequence(1, seed=2)

    def after(m: GTrXL, rings: Any, xs: Any) -> tuple[Any, Any]:
        there = carry._replace(rings=rings)
        end, features, _ = m.unroll(there, xs, on) if go == "unroll" else m.step(there, xs[0], on[0])
        return jnp.sum(features**2), sum(jnp.sum(ring**2) for ring in end.rings)

    of_rings = jax.jit(jax.grad(lambda rings: after(MEMORY, rings, more)[0]))(carry.rings)
    assert not any(np.asarray(ring).any() for ring in of_rings)
    of_stored = jax.jit(jax.grad(lambda xs: after(MEMORY, carry.rings, xs)[1]))(more)
    assert not np.asarray(of_stored).any()
    by_weights = eqx.filter_jit(eqx.filter_grad(lambda m, rings: after(m, rings, more)[0]))
    of_weights, forgotten = by_weights(MEMORY, carry.rings), by_weights(MEMORY, tuple(jnp.zeros_like(r) for r in carry.rings))
    for layer, other in zip(of_weights.layers, forgotten.layers, strict=True):
        assert np.abs(np.asarray(layer.attention.w_k - other.attention.w_k)).max() > 1e-4
        assert np.abs(np.asarray(layer.attention.w_v - other.attention.w_v)).max() > 1e-4


def test_stepped_and_unrolled_by_one_have_the_same_gradients() -> None:
    """With a past, two ways to the same scores: keys made for every slot, and the query taken to the slots."""
    xs, starts = sequence(6)
    carry, _ = unroll(MEMORY, MEMORY.initial(LANES), xs, starts)
    more, on = sequence(1, seed=2)
    a = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(m.unroll(carry, more, on)[1] ** 2)))(MEMORY)
    b = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(m.step(carry, more[0], on[0])[1] ** 2)))(MEMORY)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_gradients_are_those_of_differences() -> None:
    """Of the equations by hand, in double precision, along a random direction of every parameter; several blocks with starts."""
    m = memory(layers=1, window=3)
    xs, starts = sequence(70, rate=0.1)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(m.unroll(m.initial(LANES), xs, starts)[1][:, 0] ** 2)))(m)
    leaves, shape = jax.tree.flatten(numbers(m))
    draw = np.random.default_rng(0)
    for k, (leaf, of_leaf) in enumerate(zip(leaves, jax.tree.leaves(gradient), strict=True)):
        direction = draw.normal(size=leaf.shape)
        moved = ([*leaves[:k], leaf + sign * 1e-6 * direction, *leaves[k + 1 :]] for sign in (1.0, -1.0))
        up, down = (np.sum(by_hand(jax.tree.unflatten(shape, each), xs[:, 0], starts[:, 0]) ** 2) for each in moved)
        assert abs(up - down) > 1e-8
        assert float(np.sum(of_leaf * direction)) == pytest.approx((up - down) / 2e-6, rel=2e-3, abs=2e-3)


# ---- beginnings, precision, and that it learns ----------------------------------------------------------------------------


def test_gates_begin_near_the_identity() -> None:
    """With closed products the update gate is sigmoid(-2); with the usual draws three layers pass on most of their input."""
    gate = Gate(8, precision="float32", key=jax.random.key(0))
    closed = eqx.tree_at(lambda g: (g.w, g.u), gate, (jnp.zeros_like(gate.w), jnp.zeros_like(gate.u)))
    x = jax.random.normal(jax.random.key(1), (20, 8))
    h = np.tanh(0.5 * np.asarray(x @ gate.u_h))  # y = 0: r = 1/2
    z = 1 / (1 + np.exp(2.0))
    np.testing.assert_allclose(closed(x, jnp.zeros_like(x)), (1 - z) * x + z * h, rtol=1e-5, atol=1e-6)

    m = GTrXL(64, 64, layers=3, heads=4, window=8, key=jax.random.key(2))
    xs = jax.random.normal(jax.random.key(3), (12, LANES, 64))
    starts = jnp.zeros((12, LANES), bool)

    def kept(m: GTrXL) -> float:
        """Cosine between what comes in and what comes out."""
        a, b = np.ravel(m._begun(xs @ m.w_x)), np.ravel(unroll(m, m.initial(LANES), xs, starts)[1])
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    unbiased = eqx.tree_at(lambda m: [gate.b_g for layer in m.layers for gate in (layer.gate, layer.gate_out)], m, [jnp.zeros((64,))] * 6)
    assert kept(m) > 0.75
    assert kept(unbiased) < 0.25  # the control: gates without the bias


def test_half_precision_is_close() -> None:
    m, half = memory(), memory(precision="bfloat16")
    xs, starts = sequence(9, rate=0.1)
    _, exact = unroll(m, m.initial(LANES), xs, starts)
    for go in (unroll, stepped):
        _, features = go(half, half.initial(LANES), xs, starts)
        assert features.dtype == np.float32
        difference = np.abs(np.asarray(features - exact))
        assert 1e-5 < difference.max() < 0.1


def test_positions_are_told_apart() -> None:
    """Sinusoids of different ages differ, and the same age looks the same whatever the time: a shift of the episode shifts the features."""
    table = sinusoids(65, 12)
    assert np.abs(table[:, None] - table[None])[~np.eye(65, dtype=bool)].reshape(64, 65, 12).max(-1).min() > 0.1
    a = Attention(8, heads=2, window=4, precision="float32", key=jax.random.key(0))
    n = jax.random.normal(jax.random.key(1), (1, 9, 8))
    reach = jnp.minimum(jnp.arange(9, dtype=jnp.int32), 4)[None]
    early = a.unroll(jnp.zeros((1, 4, 8)), n, reach)
    late = a.unroll(n[:, :4], n[:, 4:], reach[:, 4:])
    np.testing.assert_allclose(late, early[:, 4:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("window", "learns"), [(3, True), (2, False)])
def test_it_learns_to_say_what_was_three_steps_ago_if_that_is_in_reach(window: int, learns: bool) -> None:
    m = GTrXL(2, 16, layers=1, heads=2, window=window, key=jax.random.key(0))
    adam = optax.adam(3e-3)
    starts = jnp.zeros((16, 32), bool).at[0].set(True)

    def loss(m: GTrXL, key: Any) -> Any:
        xs = jax.random.rademacher(key, (16, 32, 2), jnp.float32)
        features = m.unroll(m.initial(32), xs, starts)[1]
        return jnp.mean((features[3:, :, :2] - xs[:-3]) ** 2)

    @eqx.filter_jit
    def trained(m: GTrXL) -> Any:
        def update(loop: Any, key: Any) -> Any:
            m, state = loop
            error, gradient = eqx.filter_value_and_grad(loss)(m, key)
            with jax.numpy_dtype_promotion("standard"):
                moved, state = adam.update(gradient, state)
            return (eqx.apply_updates(m, moved), state), error

        return jax.lax.scan(update, (m, adam.init(m)), jax.random.split(jax.random.key(1), 400))[1]

    errors = trained(m)
    assert errors[0] > 0.8
    assert errors[-20:].mean() < 0.3 if learns else errors[-20:].mean() > 0.8
