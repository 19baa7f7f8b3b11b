"""What memories cost: acting and learning steps per second of each, at 256 units, and MEM against the LSTM it contains.

    python benchmarks/memory.py --json docs/results/speed/memory.json

Learning: the gradient of a sum over the features of an unroll of 64 steps with respect to all parameters, 256 sequences at a time, inputs
of 256. Acting: 64 single steps. MEM's slots are full from the first step on, with 10 neighbours and keys of 256, and jumpy
backpropagation; `mem_over_lstm_N` is the time of a learning step with N slots over that of the LSTM alone, both timed in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from figures import arguments, conditions, peak_memory_mib, show, write

WIDTH, BATCH, STEPS = 256, 256, 64
SLOTS = (128, 1024)


def memories() -> dict[str, Any]:
    """Settings by name."""
    import unseen

    lstm = unseen.LSTM(WIDTH)
    episodic = {f"mem_{n}": unseen.MEM(lstm, capacity=n, neighbours=10, key_size=WIDTH) for n in SLOTS}
    return {"feedforward": unseen.FeedForward(WIDTH), "gru": unseen.GRU(WIDTH), "lstm": lstm, "lru": unseen.LRU(WIDTH), **episodic}


def full(memory: Any, batch: int) -> Any:
    """A carry as after a long time: every slot live, no two alike."""
    carry = memory.initial(batch)
    if not hasattr(carry, "slots"):
        return carry
    keys = jax.random.split(jax.random.key(1), 3)
    slots = type(carry.slots)(*(jax.random.normal(k, part.shape) for k, part in zip(keys, carry.slots, strict=True)))
    return memory.refreshed(carry._replace(slots=slots, time=jnp.full((batch,), 10 * memory.capacity, jnp.int32)))


def programs(memory: Any, batch: int, steps: int) -> dict[str, Callable[[], Any]]:
    """One learning step and one stretch of acting, compiled."""
    xs = jax.random.normal(jax.random.key(2), (steps, batch, WIDTH))
    starts = jnp.zeros((steps, batch), bool)
    carry = full(memory, batch)

    @eqx.filter_jit
    def learn(memory: Any, carry: Any) -> Any:
        return eqx.filter_grad(lambda m: jnp.sum(m.unroll(carry, xs, starts)[1]))(memory)

    @eqx.filter_jit
    def act(memory: Any, carry: Any) -> Any:
        def step(carry: Any, inputs: Any) -> Any:
            carry, features, _ = memory.step(carry, *inputs)
            return carry, jnp.sum(features)

        return jax.lax.scan(step, carry, (xs, starts))

    made = {"learn": lambda: jax.block_until_ready(learn(memory, carry)), "act": lambda: jax.block_until_ready(act(memory, carry))}
    for run in made.values():
        run()
    return made


def main() -> None:
    options = arguments(__doc__).parse_args()
    from unseen.agents.build import _memory

    batch, steps, rounds = (8, 4, 1) if options.quick else (BATCH, STEPS, 5)
    print(conditions(["jax", "equinox"]))
    made = {name: programs(_memory(memory, WIDTH, "float32", jax.random.key(0)), batch, steps) for name, memory in memories().items()}
    spent: dict[tuple[str, str], list[float]] = {(name, what): [] for name in made for what in ("learn", "act")}
    for _ in range(rounds):
        for name, runs in made.items():
            for what, run in runs.items():
                begun = time.perf_counter()
                run()
                spent[name, what].append(time.perf_counter() - begun)
    middle = {key: sorted(each)[len(each) // 2] for key, each in spent.items()}
    figures = {f"{name}_{what}_steps_per_s": batch * steps / seconds for (name, what), seconds in middle.items()}
    figures |= {f"mem_over_lstm_{n}": middle[f"mem_{n}", "learn"] / middle["lstm", "learn"] for n in SLOTS}
    figures |= {f"mem_over_lstm_{n}_acting": middle[f"mem_{n}", "act"] / middle["lstm", "act"] for n in SLOTS}
    figures["peak_memory_mib"] = peak_memory_mib()
    rows = [[name, *(f"{figures[f'{name}_{what}_steps_per_s']:,.0f}" for what in ("learn", "act"))] for name in made]
    show(f"steps/s at {WIDTH} units, batch {batch}", ["memory", "learning", "acting"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
