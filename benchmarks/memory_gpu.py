"""What agents of the memory suite train at on a GPU: environment steps per second of the whole loop, learning included.

    python benchmarks/memory_gpu.py --json docs/results/speed/gpu_memory_agents.json
    python benchmarks/gpu_page.py docs/results

`memory/arbitrary-visuomotor-mapping`, one trunk for actor and critic, rollouts of 64 steps, 2 epochs of 4 minibatches; compilation apart.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from figures import arguments, conditions, write
from gpu import in_turns

TASK = "memory/arbitrary-visuomotor-mapping"
COPIES = (1_024, 4_096, 32_768)


def agents() -> dict[str, Any]:
    import unseen

    how = {"critic": unseen.Critic(shared_trunk=True), "embedding": 16, "layer": 128, "head": (128,), "previous_reward": True}
    mem = unseen.MEM(unseen.LSTM(128), capacity=256, neighbours=10, key_size=64)
    return {"gru": unseen.Agent(unseen.GRU(128), **how), "mem": unseen.Agent(mem, **how)}


def trained(agent: Any, environments: int, seconds: float) -> dict[str, float]:
    """Steps per second of every turn, what compiling took, and the return at the end."""
    import unseen
    from unseen.experiments.seeds import keys_of, layout, over_seeds
    from unseen.learning.learner import make_learner

    algorithm = unseen.PPO(environments=environments, rollout=64, epochs=2, minibatches=4, learning_rate=7e-4, normalise_returns=True)
    spread = layout(1)
    learner = make_learner(unseen.make(TASK), agent, algorithm)
    held = jax.jit(over_seeds(learner.init, spread))(keys_of(spread, 0))
    begun = time.perf_counter()
    program = jax.jit(over_seeds(learner.update, spread), donate_argnums=0).lower(held).compile()
    compile_s = time.perf_counter() - begun
    state = [held]

    def advance() -> int:
        state[0] = jax.block_until_ready(program(state[0]))
        return environments * algorithm.rollout

    rates = in_turns(advance, seconds)
    found = {"steps_per_s": float(np.median(rates)), "slowest_turn": min(rates), "fastest_turn": max(rates), "compile_s": compile_s}
    return found | {"return": float(jax.tree.map(lambda x: x[0], state[0].log).means()["return"])}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of the four turns")
    parser.add_argument("--agents", nargs="+", default=["gru", "mem"], choices=["gru", "mem"])
    parser.add_argument("--copies", nargs="+", type=int, default=list(COPIES))
    options = parser.parse_args()
    print(conditions(["jax", "equinox"]))
    figures: dict[str, float] = {}
    for name in options.agents:
        for environments in (32,) if options.quick else options.copies:
            found = trained(agents()[name], environments, 0.1 if options.quick else options.seconds)
            figures |= {f"{name}_{environments}_{what}": value for what, value in found.items()}
            print(name, environments, {what: round(value, 1) for what, value in found.items()}, flush=True)
            write(figures, options.json)


if __name__ == "__main__":
    main()
