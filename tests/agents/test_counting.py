"""Numbers of parameters: against closed forms, without building anything, and matched between kinds of memories."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import unseen
from unseen.agents.build import _memory
from unseen.agents.counting import matched, memory_parameters, parameters
from unseen.errors import UserError

I, H = 24, 32


def gtrxl(inputs: int, size: int, layers: int) -> int:
    attention = 5 * size**2 + 2 * size + 2 * size  # five products; gain and offset; u and v
    gate = (3 + 2 + 1) * size**2 + size
    position_wise = (4 * size**2 + 4 * size) + (4 * size**2 + size) + 2 * size
    return inputs * size + size + layers * (attention + position_wise + 2 * gate)


BY_HAND = {
    "gru": (unseen.GRU(H), 3 * H * (I + H) + 3 * H + H),
    "lstm": (unseen.LSTM(H), 4 * H * (I + H) + 4 * H),
    "lru": (unseen.LRU(H), 2 * H + 3 * (I * H + H) + 3 * (H * H + H)),
    "gtrxl": (unseen.GTrXL(H, layers=2, heads=4), gtrxl(I, H, 2)),
    "gtrxl of three": (unseen.GTrXL(H, layers=3, heads=8, window=5), gtrxl(I, H, 3)),
    "feed-forward": (unseen.FeedForward(H), I * H + H),
    "nothing": (unseen.FeedForward(), 0),
    "mem": (unseen.MEM(unseen.LSTM(H), key_size=9), 4 * H * (I + H + H) + 4 * H + 2 * ((I + H) * 9 + 9)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_counts_are_those_of_the_closed_form(name: str) -> None:
    memory, expected = BY_HAND[name]
    assert memory_parameters(memory, I) == expected
    assert parameters(_memory(memory, I, "float32", jax.random.key(0))) == expected


def test_only_inexact_arrays_count_and_complex_ones_twice() -> None:
    module = {"w": jnp.zeros((2, 3)), "k": jnp.zeros((5,), jnp.int32), "c": jnp.zeros((4,), jnp.complex64), "name": "x", "rate": 0.5}
    assert parameters(module) == 6 + 8
    assert parameters(eqx.filter_eval_shape(lambda: module)) == 6 + 8


KINDS = {
    "gru": unseen.GRU(),
    "lstm": unseen.LSTM(),
    "lru": unseen.LRU(),
    "gtrxl": unseen.GTrXL(heads=4),
    "feed-forward": unseen.FeedForward(),
    "mem of lstm": unseen.MEM(key_size=16),
    "mem of gru": unseen.MEM(unseen.GRU(), key_size=16, recalls="both"),
    "mem of feed-forward": unseen.MEM(unseen.FeedForward(), key_size=16),
}


def size_of(memory: Any) -> int:
    return memory.working.size if isinstance(memory, unseen.MEM) else memory.size


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("inputs", "target"), [(64, 400_000), (128, 1_000_000), (128, memory_parameters(unseen.LSTM(512), 128))])
def test_matched_memories_have_as_many_parameters(name: str, inputs: int, target: int) -> None:
    """Within 5 %, and no neighbouring width comes nearer."""
    memory = KINDS[name]
    found = matched(memory, inputs, target)
    off = abs(memory_parameters(found, inputs) - target)
    assert off <= 0.05 * target
    step = memory.heads if isinstance(memory, unseen.GTrXL) else 1
    assert size_of(found) % step == 0
    assert off <= target * step / size_of(found)
    for other in (size_of(found) - step, size_of(found) + step):
        assert off <= abs(memory_parameters(resized(found, other), inputs) - target)
    assert resized(found, 7) == resized(memory, 7)  # nothing but the width has changed


def resized(memory: Any, size: int) -> Any:
    if isinstance(memory, unseen.MEM):
        return eqx.tree_at(lambda m: m, memory, unseen.MEM(resized(memory.working, size), **rest(memory, "working")))
    return type(memory)(size, **rest(memory, "size"))


def rest(memory: Any, but: str) -> dict[str, Any]:
    return {name: value for name, value in vars(memory).items() if name != but}


def test_a_memory_matches_itself() -> None:
    for memory in (unseen.GRU(100), unseen.LSTM(33), unseen.GTrXL(96, layers=1), unseen.MEM(unseen.LSTM(70))):
        assert matched(memory, 50, memory_parameters(memory, 50)) == memory


@pytest.mark.parametrize(
    ("memory", "target", "message"),
    [
        (unseen.MEM(), 20_000, "size 1, 67,084 .* within 5 %.* another key_size"),
        (unseen.GTrXL(), 20_000, r"size 20, 23,100 \(\+16 %\); it must be within 5 %: .* fewer layers, or fewer heads"),
        (unseen.FeedForward(), 10**9, "target = 1,000,000,000 parameters"),
        (unseen.GRU(), 0, "target = 0 parameters"),
        (unseen.Memax(), 10_000, "memax models"),
    ],
)
def test_what_cannot_be_matched_is_refused(memory: Any, target: int, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        matched(memory, 128, target)
    assert "\n" not in str(error.value)
