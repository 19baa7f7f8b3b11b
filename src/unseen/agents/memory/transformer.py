"""A gated Transformer-XL: attention over the last steps of the episode, with gates where a transformer adds residuals.

An unroll is a few large products over all of its steps. A step writes into a ring in place and reads that ring as it is: keys and values
are never made of it, their weights go to the query and to what was read instead.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.agents.layers import Linear, matmul

GATE = 2.0  # b_g at the beginning: an update gate of sigmoid(-2) = 0.12 keeps most of what passes by
HIDDEN = 4  # width of the position-wise layer, in multiples of the memory's
EPSILON = 1e-5  # of the layer norms
BLOCK = 32  # steps, at least, whose attention is one product where an unroll is longer than the window


class GTrXLCarry(NamedTuple):
    """Attributes:

    rings: of each layer its last inputs, normalised, without gradients; window + 1 slots a lane, so that a step can write before it reads.
    place: the slot that the next step writes.
    live: steps of this episode so far that are in reach, at most `window`.
    """

    rings: tuple[Float[Array, "B N D"], ...]
    place: Int[Array, "B"]
    live: Int[Array, "B"]


class Norm(eqx.Module):
    """The learned half of a layer norm: gain * n + offset, of what `normalised` gives."""

    gain: Float[Array, "D"]
    offset: Float[Array, "D"]

    def __init__(self, size: int):
        self.gain, self.offset = jnp.ones((size,), jnp.float32), jnp.zeros((size,), jnp.float32)

    def __call__(self, n: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        return n * jnp.broadcast_to(self.gain, n.shape) + jnp.broadcast_to(self.offset, n.shape)


class Gate(eqx.Module):
    """g(x, y) = (1 - z) x + z h;  r, z = sigmoid(y W + x U - (0, b_g));  h = tanh(y W_h + (r x) U_h).

    Source: Parisotto et al. 2020, the gate of the GRU type.
    """

    w: Float[Array, "D 3*D"]  # of y: r, z, h
    u: Float[Array, "D 2*D"]  # of x: r, z
    u_h: Float[Array, "D D"]
    b_g: Float[Array, "D"]
    precision: str = eqx.field(static=True)

    def __init__(self, size: int, *, precision: str, key: PRNGKeyArray):
        k_y, k_x, k_h = jax.random.split(key, 3)
        self.w, self.u, self.u_h = _weights(k_y, size, size, 3), _weights(k_x, size, size, 2), _weights(k_h, size, size)
        self.b_g = jnp.full((size,), GATE, jnp.float32)
        self.precision = precision

    def __call__(self, x: Float[Array, "*n D"], y: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        size = x.shape[-1]
        of_y, of_x = matmul(y, self.w, self.precision), matmul(x, self.u, self.precision)
        r = jax.nn.sigmoid(of_y[..., :size] + of_x[..., :size])
        z = jax.nn.sigmoid(of_y[..., size : 2 * size] + of_x[..., size:] - jnp.broadcast_to(self.b_g, x.shape))
        h = jnp.tanh(of_y[..., 2 * size :] + matmul(r * x, self.u_h, self.precision))
        return x + z * (h - x)


class Attention(eqx.Module):
    """y_t = concat_h(sum_a w_ta v_{t-a}) W_o;  w_ta = softmax_a((q_t + u) . k_{t-a} + (q_t + v) . r_a), a = 0 .. reach_t;
    q, k, v = norm(n) W_q, norm(n) W_k, norm(n) W_v by head, r_a = sinusoids(a) W_r, scores over sqrt(width of a head).

    Source: Dai et al. 2019, section 3.3; inputs normalised as in Parisotto et al. 2020.
    """

    norm: Norm
    w_q: Float[Array, "D D"]
    w_k: Float[Array, "D D"]
    w_v: Float[Array, "D D"]
    w_r: Float[Array, "D D"]
    w_o: Float[Array, "D D"]
    u: Float[Array, "H d"]
    v: Float[Array, "H d"]
    window: int = eqx.field(static=True)
    precision: str = eqx.field(static=True)

    def __init__(self, size: int, *, heads: int, window: int, precision: str, key: PRNGKeyArray):
        self.norm = Norm(size)
        self.w_q, self.w_k, self.w_v, self.w_r, self.w_o = (_weights(k, size, size) for k in jax.random.split(key, 5))
        self.u, self.v = (jnp.zeros((heads, size // heads), jnp.float32) for _ in range(2))
        self.window, self.precision = window, precision

    def unroll(self, before: Float[Array, "B W D"], n: Float[Array, "B T D"], reach: Int[Array, "B T"]) -> Float[Array, "B T D"]:
        """All steps at once.

        Args:
            before: normalised inputs of the `window` steps before the first, oldest first.
            n: those of the T steps.
            reach: how many steps back each of them may look.
        """
        (batch, steps, size), (heads, width), window = n.shape, self.u.shape, self.window
        # Blocks of queries, each against its own steps and the window before them, so that long unrolls cost no square of their length.
        blocks = max(1, steps // max(window, BLOCK))
        block = -(-steps // blocks)
        short = blocks * block - steps
        n, reach = jnp.pad(n, ((0, 0), (0, short), (0, 0))), jnp.pad(reach, ((0, 0), (0, short)))

        w = jnp.concatenate([self.w_q, self.w_k, self.w_v], axis=1)
        b = self.norm.offset @ w
        w = w * jnp.broadcast_to(self.norm.gain[:, None], w.shape)
        qkv = matmul(n, w, self.precision)
        qkv = qkv + jnp.broadcast_to(b, qkv.shape)
        kv_before = matmul(before, w[:, size:], self.precision)
        kv_before = kv_before + jnp.broadcast_to(b[size:], kv_before.shape)

        q = qkv[..., :size].reshape(batch, blocks, block, heads, width)
        kv = qkv[..., size:].reshape(batch, blocks, block, 2 * size)
        kv_before = kv_before[:, None]
        if blocks > 1:
            kv_before = jnp.concatenate([kv_before, kv[:, :-1, block - window :]], axis=1)
        kv = jnp.concatenate([kv_before, kv], axis=2).reshape(batch, blocks, window + block, 2, heads, width)
        # Heads first, and keys with their steps last: on a CPU the forward pass takes two thirds of what the layout they come in takes.
        queries = [jnp.moveaxis(x, 3, 2) for x in self._queries(q)]
        content = self._product("bnhid,bnhdj->bnhij", queries[0], jnp.transpose(kv[..., 0, :, :], (0, 1, 3, 4, 2)))
        position = self._product("bnhid,ahd->bnhia", queries[1], self._relative()[::-1])
        ages = window - jax.lax.broadcasted_iota(jnp.int32, position.shape, 4)
        near = ages <= jnp.broadcast_to(reach.reshape(batch, blocks, 1, block, 1), position.shape)
        position = jnp.where(near, position, -jnp.inf)
        weights = jax.nn.softmax(content + _shifted(position), axis=-1)
        y = self._product("bnhij,bnhjd->bnhid", weights, jnp.moveaxis(kv[..., 1, :, :], 3, 2))
        return matmul(jnp.moveaxis(y, 2, 3).reshape(batch, -1, size)[:, :steps], self.w_o, self.precision)

    def step(
        self, slots: Float[Array, "B N D"], n: Float[Array, "B D"], place: Int[Array, "B"], reach: Int[Array, "B"]
    ) -> Float[Array, "B D"]:
        """One step, from a ring that already holds it at `place`.

        Scores are (q W_k^T) . n_j and what is read is (sum_j w_j n_j) W_v: weights that sum to 1 let the offset pass, and what it adds
        to the scores is the same for all of a query.
        """
        (batch, size), (heads, width) = n.shape, self.u.shape
        q = matmul(self.norm(n), self.w_q, self.precision).reshape(batch, heads, width)
        of_content, of_position = self._queries(q)
        asked = self._product("bhd,xhd->bhx", of_content, self.w_k.reshape(size, heads, width))
        asked = asked * jnp.broadcast_to(self.norm.gain, asked.shape)
        # Slots before heads throughout: with the queries on the left the product takes five times as long on a CPU.
        content = self._product("bjx,bhx->bjh", slots, asked)
        slot = jnp.arange(self.window + 1, dtype=jnp.int32)
        age = (place[:, None] - slot[None]) % (self.window + 1)
        position = _rows(self._product("bhd,ahd->bah", of_position, self._relative()), age)
        near = jnp.broadcast_to((age <= reach[:, None])[..., None], content.shape)
        weights = jax.nn.softmax(jnp.where(near, content + position, -jnp.inf), axis=1)
        read = self.norm(self._product("bjh,bjx->bhx", weights, slots))
        y = self._product("bhx,xhd->bhd", read, self.w_v.reshape(size, heads, width))
        return matmul(y.reshape(batch, size), self.w_o, self.precision)

    def _queries(self, q: Float[Array, "*n H d"]) -> tuple[Float[Array, "*n H d"], Float[Array, "*n H d"]]:
        """Those for contents and those for positions, scaled."""
        scale = q.shape[-1] ** -0.5
        return (q + jnp.broadcast_to(self.u, q.shape)) * scale, (q + jnp.broadcast_to(self.v, q.shape)) * scale

    def _relative(self) -> Float[Array, "N H d"]:
        """Keys of the relative positions 0 to `window`."""
        r = matmul(jnp.asarray(sinusoids(self.window + 1, len(self.w_r))), self.w_r, self.precision)
        return r.reshape(self.window + 1, *self.u.shape)

    def _product(self, equation: str, a: Array, b: Array) -> Array:
        if self.precision == "bfloat16":
            return jnp.einsum(equation, a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32)
        return jnp.einsum(equation, a, b)


class Layer(eqx.Module):
    """x' = g(x, relu(attention(x)));  x'' = g'(x', relu(W_2 relu(W_1 norm(x') + b_1) + b_2)).

    Source: Parisotto et al. 2020: norms where submodules begin, so that x passes unchanged where the gates let it.
    """

    attention: Attention
    gate: Gate
    norm: Norm
    hidden: Linear
    out: Linear
    gate_out: Gate

    def __init__(self, size: int, *, heads: int, window: int, precision: str, key: PRNGKeyArray):
        keys = jax.random.split(key, 5)
        self.attention = Attention(size, heads=heads, window=window, precision=precision, key=keys[0])
        self.gate = Gate(size, precision=precision, key=keys[1])
        self.norm = Norm(size)
        self.hidden = Linear(size, HIDDEN * size, follows="relu", precision=precision, key=keys[2])
        self.out = Linear(HIDDEN * size, size, follows="relu", precision=precision, key=keys[3])
        self.gate_out = Gate(size, precision=precision, key=keys[4])

    def __call__(self, x: Float[Array, "*n D"], attended: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        x = self.gate(x, jax.nn.relu(attended))
        return self.gate_out(x, jax.nn.relu(self.out(jax.nn.relu(self.hidden(self.norm(normalised(x)))))))


class GTrXL(eqx.Module):
    """x = W x_t + b, then layers of gated attention and gated position-wise products; features: the last layer's output.

    What a layer remembers is constant where an unroll begins; inside the unroll gradients go through it. Each layer looks `window` steps
    further back than the one below, and no further than the episode's start.

    Source: Parisotto et al. 2020, with the attention of Dai et al. 2019.
    """

    w_x: Float[Array, "I D"]
    b: Float[Array, "D"]
    layers: tuple[Layer, ...]
    window: int = eqx.field(static=True)
    precision: str = eqx.field(static=True)

    def __init__(self, inputs: int, size: int, *, layers: int, heads: int, window: int, precision: str = "float32", key: PRNGKeyArray):
        k_x, *keys = jax.random.split(key, layers + 1)
        self.w_x, self.b = _weights(k_x, inputs, size), jnp.zeros((size,), jnp.float32)
        self.layers = tuple(Layer(size, heads=heads, window=window, precision=precision, key=k) for k in keys)
        self.window, self.precision = window, precision

    @property
    def features(self) -> int:
        return len(self.b)

    def initial(self, batch: int) -> GTrXLCarry:
        rings = tuple(jnp.zeros((batch, self.window + 1, self.features), jnp.float32) for _ in self.layers)
        return GTrXLCarry(rings, jnp.zeros((batch,), jnp.int32), jnp.zeros((batch,), jnp.int32))

    def step(self, carry: GTrXLCarry, x: Float[Array, "B I"], start: Bool[Array, "B"]) -> tuple[GTrXLCarry, Float[Array, "B D"], dict]:
        place, reach = carry.place, jnp.where(start, 0, carry.live)
        x = self._begun(matmul(x, self.w_x, self.precision))
        lane, rings = jnp.arange(len(x), dtype=jnp.int32), []
        for layer, ring in zip(self.layers, carry.rings, strict=True):
            n = normalised(x)
            # Written before it is read: then a scan of steps writes in place.
            ring = jax.lax.stop_gradient(ring).at[lane, place].set(n)
            x = layer(x, layer.attention.step(ring, n, place, reach))
            rings.append(jax.lax.stop_gradient(ring))
        return GTrXLCarry(tuple(rings), (place + 1) % (self.window + 1), jnp.minimum(reach + 1, self.window)), x, {}

    def unroll(
        self, carry: GTrXLCarry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[GTrXLCarry, Float[Array, "T B D"], dict]:
        return self.unroll_projected(carry, matmul(xs, self.w_x, self.precision), starts)

    def unroll_projected(
        self, carry: GTrXLCarry, projections: Float[Array, "T B D"], starts: Bool[Array, "T B"]
    ) -> tuple[GTrXLCarry, Float[Array, "T B D"], dict]:
        x = jnp.swapaxes(self._begun(projections), 0, 1)
        reach = reaches(carry.live, starts, self.window).T
        after = (carry.place + len(starts)) % (self.window + 1)
        rings = []
        for layer, ring in zip(self.layers, carry.rings, strict=True):
            before, n = jax.lax.stop_gradient(_turned(ring, carry.place)), normalised(x)
            last = jnp.concatenate([before, jax.lax.stop_gradient(n)], axis=1)[:, len(starts) :]
            rings.append(_turned(last, -after))
            x = layer(x, layer.attention.unroll(before[:, 1:], n, reach))
        live = jnp.minimum(reach[:, -1] + 1, self.window)
        return GTrXLCarry(tuple(rings), after, live), jnp.swapaxes(x, 0, 1), {}

    def _begun(self, projections: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        return projections + jnp.broadcast_to(self.b, projections.shape)


def normalised(x: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
    """(x - mean) / sqrt(variance + epsilon), over the last axis."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred * centred, axis=-1, keepdims=True) + EPSILON)


def reaches(live: Int[Array, "B"], starts: Bool[Array, "T B"], window: int) -> Int[Array, "T B"]:
    """How many steps back each step may look: to the episode's start, at most `window`, where `live` were in reach before the first."""
    t = jnp.broadcast_to(jnp.arange(len(starts), dtype=jnp.int32)[:, None], starts.shape)
    begun = jax.lax.cummax(jnp.where(starts, t, -1), axis=0)  # -1: before the unroll
    return jnp.minimum(jnp.where(begun < 0, t + live[None], t - begun), window)


def sinusoids(positions: int, size: int) -> np.ndarray:
    """sin(a / 10000^(2i / size)), i < size / 2, then the cosines; (positions, size)."""
    angle = np.arange(positions)[:, None] / 10_000.0 ** (np.arange(0, size, 2) / size)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)[:, :size].astype(np.float32)


def _shifted(scores: Float[Array, "*n C N"]) -> Float[Array, "*n C K"]:
    """Row i moved i to the right, -inf around it, (C, N) to (C, N - 1 + C): from how far back to which step, and the band's mask.

    Rows are padded by their number and read again one shorter. With this, attention and its gradients take 0.6 of the time that they
    take where the entries are gathered (354 against 603 ms on a CPU; 256 lanes, 64 steps, window 64, 4 heads of 64).
    """
    *lead, c, n = scores.shape
    padded = jnp.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(0, c)], constant_values=-jnp.inf)
    return padded.reshape(*lead, c * (n + c))[..., : c * (n + c - 1)].reshape(*lead, c, n + c - 1)


def _turned(ring: Float[Array, "B N D"], by: Int[Array, "B"]) -> Float[Array, "B N D"]:
    """Each lane's ring from slot `by` on."""
    slot = jnp.arange(ring.shape[1], dtype=jnp.int32)
    return _rows(ring, (by[:, None] + slot[None]) % ring.shape[1])


def _rows(table: Float[Array, "B N W"], index: Int[Array, "B K"]) -> Float[Array, "B K W"]:
    """Rows of each lane's table."""
    return jax.vmap(lambda rows, k: rows.at[k].get(mode="promise_in_bounds"))(table, index)


def _weights(key: PRNGKeyArray, inputs: int, outputs: int, parts: int = 1) -> Float[Array, "i o"]:
    """Xavier-normal weights of `parts` layers side by side, without biases."""
    return jnp.concatenate([Linear(inputs, outputs, key=k).w for k in jax.random.split(key, parts)], axis=1)
