"""What memories cost: acting and learning steps per second of each, at 256 units, and MEM against the LSTM it contains.

    python benchmarks/memory.py --json docs/results/speed/memory.json

Learning: the gradient of a sum over the features of an unroll of 64 steps with respect to all parameters, 256 sequences at a time, inputs
of 256. Acting: 64 single steps, the carry donated, as training does it. MEM's slots are full from the first step on, with 10 neighbours
and keys of 256, and jumpy backpropagation. `mem_over_lstm_N` is the time of a learning step with N slots over that of the LSTM alone, both
timed in turns; `_recalled` of one that is told what acting with the same parameters recalled, and `_acting` of acting.
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
    others = {"lru": unseen.LRU(WIDTH), "gtrxl": unseen.GTrXL(WIDTH)}
    return {"feedforward": unseen.FeedForward(WIDTH), "gru": unseen.GRU(WIDTH), "lstm": lstm, **others, **episodic}


def full(memory: Any, batch: int) -> Any:
    """A carry as after a long time: every slot live, no two alike."""
    carry = memory.initial(batch)
    if not hasattr(carry, "slots"):
        return carry
    slots = carry.slots._replace(content=jax.random.normal(jax.random.key(1), carry.slots.content.shape))
    return memory.refreshed(carry._replace(slots=slots, time=jnp.full((batch,), 10 * memory.capacity, jnp.int32)))


def programs(memory: Any, batch: int, steps: int) -> dict[str, Callable[[], Any]]:
    """One learning step and one stretch of acting, compiled; a learning step from what was recalled, for a memory that takes it."""
    xs = jax.random.normal(jax.random.key(2), (steps, batch, WIDTH))
    starts = jnp.zeros((steps, batch), bool)
    carry = full(memory, batch)
    lanes = [jax.tree.map(jnp.copy, carry)]

    @eqx.filter_jit
    def learn(memory: Any, carry: Any) -> Any:
        return eqx.filter_grad(lambda m: jnp.sum(m.unroll(carry, xs, starts)[1]))(memory)

    @eqx.filter_jit
    def learn_recalled(memory: Any, carry: Any, found: Any) -> Any:
        return eqx.filter_grad(lambda m: jnp.sum(m.unroll_recalled(carry, xs, starts, found)[1]))(memory)

    @eqx.filter_jit(donate="all-except-first")
    def act(memory: Any, carry: Any) -> Any:
        def step(carry: Any, inputs: Any) -> Any:
            carry, features, _ = memory.step(carry, *inputs)
            return carry, jnp.sum(features)

        return jax.lax.scan(step, carry, (xs, starts))

    def acting() -> None:
        lanes[0], _ = jax.block_until_ready(act(memory, lanes[0]))

    made: dict[str, Callable[[], Any]] = {"learn": lambda: jax.block_until_ready(learn(memory, carry)), "act": acting}
    if hasattr(memory, "unroll_recalled"):
        found = eqx.filter_jit(lambda m, c: m.unroll(c, xs, starts)[2])(memory, carry)
        made["recalled"] = lambda: jax.block_until_ready(learn_recalled(memory, carry, found))
    for run in made.values():
        run()
    return made


def in_turns(runs: dict[Any, Callable[[], Any]], rounds: int) -> dict[Any, float]:
    """Median seconds of each, one after the other in every round."""
    spent: dict[Any, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            spent[name].append(time.perf_counter() - begun)
    return {name: sorted(each)[len(each) // 2] for name, each in spent.items()}


def main() -> None:
    options = arguments(__doc__).parse_args()
    from unseen.agents.build import _memory

    batch, steps, rounds = (8, 4, 1) if options.quick else (BATCH, STEPS, 9)
    print(conditions(["jax", "equinox"]))
    made = {name: programs(_memory(memory, WIDTH, "float32", jax.random.key(0)), batch, steps) for name, memory in memories().items()}
    of_all = in_turns({(name, what): made[name][what] for name in made for what in ("learn", "act")}, rounds)
    figures = {f"{name}_{what}_steps_per_s": batch * steps / seconds for (name, what), seconds in of_all.items()}
    for n in SLOTS:
        lstm, mem = made["lstm"], made[f"mem_{n}"]
        pairs = {"": (mem["learn"], lstm["learn"]), "_recalled": (mem["recalled"], lstm["learn"]), "_acting": (mem["act"], lstm["act"])}
        for suffix, pair in pairs.items():
            seconds = in_turns(dict(enumerate(pair)), rounds)
            figures[f"mem_over_lstm_{n}{suffix}"] = seconds[0] / seconds[1]
    figures["peak_memory_mib"] = peak_memory_mib()
    rows = [[name, *(f"{figures[f'{name}_{what}_steps_per_s']:,.0f}" for what in ("learn", "act"))] for name in made]
    show(f"steps/s at {WIDTH} units, batch {batch}", ["memory", "learning", "acting"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
