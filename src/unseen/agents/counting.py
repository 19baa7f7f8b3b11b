"""How many parameters a module has, and memories of other kinds that have as many: what a fair comparison of memories holds equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from unseen.agents.build import _memory
from unseen.agents.settings import MEM, GTrXL, Memax, Memory
from unseen.errors import UserError

WIDEST = 2**16  # as in learning/guard.py
WITHIN = 0.05


def parameters(module: Any) -> int:
    """Numbers that training may change: the entries of all inexact arrays, or of their shapes as `jax.eval_shape` gives them.

    A complex entry is two.
    """
    leaves = [leaf for leaf in jax.tree.leaves(module) if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return sum(leaf.size * (2 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else 1) for leaf in leaves)


def memory_parameters(memory: Memory, inputs: int) -> int:
    """Parameters of a memory whose inputs have this width, without making them."""
    return parameters(eqx.filter_eval_shape(lambda: _memory(memory, inputs, "float32", jax.random.key(0))))


def matched(memory: Memory, inputs: int, target: int) -> Memory:
    """The same memory with another width, whose parameters come nearest to `target` in number.

    Neighbouring widths differ by about 2 / width of their count, and GTrXL's, which are multiples of its heads, by 2 heads / width: the
    nearest is within 100 / width percent, or 100 heads / width percent. Widths of 100 (GTrXL: 100 heads) and more are thus within 1 %.

    Args:
        memory: settings; all but the width stays. MEM's is that of its working memory, and FeedForward() gets a layer.
        inputs: width of what the memory is given: the embeddings of observation and previous action.
        target: how many parameters it shall have, as `memory_parameters` of another one.

    Raises:
        UserError: for a memory without a width of its own to choose, or if the nearest count is more than 5 % off.
    """
    step, of_width = _widths(memory)

    def count(k: int) -> int:
        return memory_parameters(of_width(k * step), inputs)

    low, high = 1, WIDEST // step  # counts grow with the width: the first that is at least the target, by halving
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) >= target else (middle + 1, high)
    counts = {k: count(k) for k in (low - 1, low) if k > 0}
    best = min(counts, key=lambda k: abs(counts[k] - target))
    if abs(counts[best] - target) > WITHIN * target:
        off = 100 * (counts[best] / target - 1) if target > 0 else float("inf")
        raise UserError(
            f"target = {target:,} parameters: the nearest of {type(memory).__name__} with inputs of {inputs} is size {best * step}, "
            f"{counts[best]:,} ({off:+.0f} %); it must be within 5 %: choose another target{_besides(memory)}"
        )
    return of_width(best * step)


def _widths(memory: Memory) -> tuple[int, Callable[[int], Memory]]:
    """What the width is a multiple of, and the memory at a width."""
    match memory:
        case MEM(working):
            return 1, lambda size: dataclasses.replace(memory, working=dataclasses.replace(working, size=size))
        case GTrXL():
            return memory.heads, lambda size: dataclasses.replace(memory, size=size)
        case Memax():
            raise UserError(
                f"memory = {memory!r}; it must be FeedForward, GRU, LSTM, LRU, GTrXL or MEM: memax models choose their own parts"
            )
    return 1, lambda size: dataclasses.replace(memory, size=size)


def _besides(memory: Memory) -> str:
    """What else of the memory its count depends on."""
    match memory:
        case GTrXL():
            return ", fewer layers, or fewer heads"
        case MEM():
            return ", or another key_size"
    return ""
