"""The recurrent halves of GRU and LSTM, with their weight gradients taken in one product after the backward scan.

A scan differentiated as it stands adds an outer product to the weight gradient at every step. Here the backward scan only
carries the gradient of the state; the gates' gradients of all steps meet the states in one matrix product at the end.
tests/agents/test_recurrences.py holds both against the plain differentiated cell.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def _kept(start: Bool[Array, "*n"]) -> Float[Array, "*n 1"]:
    """0 where an episode starts (the carry is fresh there), 1 elsewhere."""
    return 1.0 - start.astype(jnp.float32)[..., None]


UNROLLED = 8  # steps a turn of the loop takes on an accelerator, where starting kernels bounds small states


def _unrolled() -> int:
    return 1 if jax.default_backend() == "cpu" else UNROLLED


def gru_cell(
    w: Float[Array, "H 3*H"], b_n: Float[Array, "H"], h_tm1: Float[Array, "B H"], x_t: Float[Array, "B 3*H"]
) -> tuple[Float[Array, "B H"], tuple[Array, Array, Array, Array]]:
    """One step: r, z = sigmoid(x + h w); n = tanh(x_n + r (h w_n + b_n)); h' = (1 - z) n + z h.

    Returns the new state, and (r, z, n, h w_n + b_n) for the backward pass.
    """
    size = h_tm1.shape[-1]
    g = h_tm1 @ w
    rz = jax.nn.sigmoid(x_t[:, : 2 * size] + g[:, : 2 * size])
    r, z = rz[:, :size], rz[:, size:]
    m = g[:, 2 * size :] + jnp.broadcast_to(b_n, h_tm1.shape)
    n = jnp.tanh(x_t[:, 2 * size :] + r * m)
    return n + z * (h_tm1 - n), (r, z, n, m)


@jax.custom_vjp
def gru_scan(
    w: Float[Array, "H 3*H"], b_n: Float[Array, "H"], h_0: Float[Array, "B H"], xs: Float[Array, "T B 3*H"], starts: Bool[Array, "T B"]
) -> Float[Array, "T B H"]:
    """States of a GRU whose input projections `xs` (with their biases) are already made; the state is 0 before a start."""
    return _gru_forward(w, b_n, h_0, xs, starts)[0]


def _gru_forward(w, b_n, h_0, xs, starts):
    def step(h_tm1, inputs):
        x_t, start_t = inputs
        before = h_tm1 * jnp.broadcast_to(_kept(start_t), h_tm1.shape)
        h_t, gates = gru_cell(w, b_n, before, x_t)
        return h_t, (h_t, before, *gates)

    hs, *saved = jax.lax.scan(step, h_0, (xs, starts), unroll=_unrolled())[1]
    return hs, (w, *saved, starts)


def _gru_backward(saved, d_hs):
    w, before, r, z, n, m, starts = saved
    w_transposed = w.T

    def step(d_h, inputs):
        d_out, before_t, r_t, z_t, n_t, m_t, start_t = inputs
        d_h = d_h + d_out
        d_n = d_h * (1.0 - z_t) * (1.0 - n_t * n_t)
        d_z = d_h * (before_t - n_t) * z_t * (1.0 - z_t)
        d_r = d_n * m_t * r_t * (1.0 - r_t)
        d_g = jnp.concatenate([d_r, d_z, d_n * r_t], axis=-1)
        d_before = d_h * z_t + d_g @ w_transposed
        return d_before * jnp.broadcast_to(_kept(start_t), d_before.shape), (d_g, d_n)

    d_h0, (d_g, d_n) = jax.lax.scan(step, jnp.zeros_like(before[0]), (d_hs, before, r, z, n, m, starts), reverse=True, unroll=_unrolled())
    size = before.shape[-1]
    d_w = before.reshape(-1, size).T @ d_g.reshape(-1, 3 * size)
    d_b = jnp.sum(d_g[..., 2 * size :], axis=(0, 1))
    d_xs = jnp.concatenate([d_g[..., : 2 * size], d_n], axis=-1)
    return d_w, d_b, d_h0, d_xs, None


gru_scan.defvjp(_gru_forward, _gru_backward)


def lstm_cell(
    w: Float[Array, "H 4*H"], h_tm1: Float[Array, "B H"], c_tm1: Float[Array, "B H"], x_t: Float[Array, "B 4*H"]
) -> tuple[Float[Array, "B H"], Float[Array, "B H"], Float[Array, "B 4*H"]]:
    """One step: i, f, o = sigmoid(x + h w), g = tanh(x + h w); c' = f c + i g; h' = o tanh(c').

    Returns h', c' and the four gates (i, f, o, g) for the backward pass.
    """
    size = h_tm1.shape[-1]
    a = x_t + h_tm1 @ w
    ifo, g = jax.nn.sigmoid(a[:, : 3 * size]), jnp.tanh(a[:, 3 * size :])
    c_t = ifo[:, size : 2 * size] * c_tm1 + ifo[:, :size] * g
    return ifo[:, 2 * size :] * jnp.tanh(c_t), c_t, jnp.concatenate([ifo, g], axis=-1)


@jax.custom_vjp
def lstm_scan(
    w: Float[Array, "H 4*H"],
    h_0: Float[Array, "B H"],
    c_0: Float[Array, "B H"],
    xs: Float[Array, "T B 4*H"],
    starts: Bool[Array, "T B"],
) -> tuple[Float[Array, "T B H"], Float[Array, "T B H"]]:
    """Hidden and cell states of an LSTM whose input projections `xs` are already made; both are 0 before a start."""
    return _lstm_forward(w, h_0, c_0, xs, starts)[0]


def _lstm_forward(w, h_0, c_0, xs, starts):
    def step(carry, inputs):
        x_t, start_t = inputs
        keep = jnp.broadcast_to(_kept(start_t), carry[0].shape)
        h_tm1, c_tm1 = carry[0] * keep, carry[1] * keep
        h_t, c_t, gates = lstm_cell(w, h_tm1, c_tm1, x_t)
        return (h_t, c_t), (h_t, c_t, h_tm1, c_tm1, gates)

    hs, cs, h_before, c_before, gates = jax.lax.scan(step, (h_0, c_0), (xs, starts), unroll=_unrolled())[1]
    return (hs, cs), (w, cs, h_before, c_before, gates, starts)


def _lstm_backward(saved, d_out):
    w, cs, h_before, c_before, gates, starts = saved
    w_transposed = w.T
    size = cs.shape[-1]

    def step(carry, inputs):
        d_h, d_c = carry
        d_h_out, d_c_out, c_t, c_tm1, gates_t, start_t = inputs
        i, f, o, g = (gates_t[:, k * size : (k + 1) * size] for k in range(4))
        tanh_c = jnp.tanh(c_t)
        d_h = d_h + d_h_out
        d_c = d_c + d_c_out + d_h * o * (1.0 - tanh_c * tanh_c)
        d_a = jnp.concatenate(
            [d_c * g * i * (1.0 - i), d_c * c_tm1 * f * (1.0 - f), d_h * tanh_c * o * (1.0 - o), d_c * i * (1.0 - g * g)], axis=-1
        )
        keep = jnp.broadcast_to(_kept(start_t), d_h.shape)
        return ((d_a @ w_transposed) * keep, d_c * f * keep), d_a

    zero = jnp.zeros_like(cs[0])
    (d_h0, d_c0), d_a = jax.lax.scan(step, (zero, zero), (*d_out, cs, c_before, gates, starts), reverse=True, unroll=_unrolled())
    d_w = h_before.reshape(-1, size).T @ d_a.reshape(-1, 4 * size)
    return d_w, d_h0, d_c0, d_a, None


lstm_scan.defvjp(_lstm_forward, _lstm_backward)
