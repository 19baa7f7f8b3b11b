"""Strided convolutions: the library's on an accelerator, a matrix product of gathered windows on a CPU.

Inside a loop XLA's own convolution takes a slow path on CPUs; gradients of a small image network in a scan were 13 times slower
than with the product below (1,200 against 90 ms for 1,024 grids of 7 x 7 x 51). tests/agents/test_convolution.py holds one against
the other.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped


def convolve(x: Float[Array, "n h w c"], kernel: Float[Array, "o c k k"], stride: int) -> Float[Array, "n a b o"]:
    """y[n, i, j, o] = sum over windows of x kernel[o], zero-padded so that a = ceil(h / stride) and b = ceil(w / stride)."""
    if jax.default_backend() == "cpu":
        return by_windows(x, kernel, stride)
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "OIHW", "NHWC"))


def in_blocks(function: Callable[[Array], Array], x: Shaped[Array, "n ..."], size: int) -> Float[Array, "n f"]:
    """function(x), on a CPU a block of images at a time: what lies between stays in the cache and is made again for the gradient,
    which is a third more arithmetic and half the time, since the windows of a thousand images need not be written and read.
    """
    n = x.shape[0]
    if jax.default_backend() != "cpu" or n <= size:
        return function(x)
    blocks = -(-n // size)
    padded = jnp.concatenate([x, jnp.zeros((blocks * size - n, *x.shape[1:]), x.dtype)])
    y = jax.lax.map(jax.checkpoint(lambda block: function(block)), padded.reshape(blocks, size, *x.shape[1:]))
    return y.reshape(blocks * size, -1)[:n]


def by_windows(x: Float[Array, "n h w c"], kernel: Float[Array, "o c k k"], stride: int) -> Float[Array, "n a b o"]:
    """The same as one product: every window laid out as a row."""
    o, c, k, _ = kernel.shape
    (a, above, below), (b, left, right) = _same(x.shape[1], k, stride), _same(x.shape[2], k, stride)
    x = jnp.pad(x, ((0, 0), (above, below), (left, right), (0, 0)))
    step = stride
    if k % stride == 0:  # blocks of stride x stride become channels: fewer and longer pieces to gather
        x, c, k, step = _blocks(x, a, b, k, stride), c * stride**2, k // stride, 1
        kernel = kernel.reshape(o, -1, k, stride, k, stride).transpose(0, 3, 5, 1, 2, 4).reshape(o, c, k, k)
    shifted = [x[:, i : i + (a - 1) * step + 1 : step, j : j + (b - 1) * step + 1 : step] for i in range(k) for j in range(k)]
    rows = jnp.concatenate(shifted, axis=-1).reshape(-1, k * k * c)
    return (rows @ kernel.transpose(2, 3, 1, 0).reshape(k * k * c, o)).reshape(-1, a, b, o)


def _same(size: int, window: int, stride: int) -> tuple[int, int, int]:
    """Positions of a window, and the padding before and after."""
    positions = -(-size // stride)
    total = max((positions - 1) * stride + window - size, 0)
    return positions, total // 2, total - total // 2


def _blocks(x: Float[Array, "n h w c"], a: int, b: int, window: int, stride: int) -> Float[Array, "n p q d"]:
    """Space to depth: (p stride, q stride, c) to (p, q, stride stride c), as far as the windows reach."""
    p, q = a - 1 + window // stride, b - 1 + window // stride
    n, _, _, c = x.shape
    x = x[:, : p * stride, : q * stride].reshape(n, p, stride, q, stride, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, p, q, stride * stride * c)
