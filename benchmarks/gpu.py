"""What one accelerator does: training steps per second, environment steps per second, and whether a run is the same twice.

    python benchmarks/gpu.py --json docs/results/speed/gpu.json    # about 6 minutes on one GPU
    python benchmarks/gpu.py --only a2c_heavenhell_3 environments

Training is timed after compilation, in turns of about `--seconds`; the first turn is thrown away. Every figure is printed as soon as
it is there and written at once, so that a run that is cut short keeps what it has; a section that fails is named and the others go on.

* `a2c_*`: the published agents on the published tasks, 20 seeds under one vmap, two whole episodes an update.
* `ppo_*`: cart-pole without velocities, rollouts of 64 steps, 4 epochs of 4 minibatches; without a memory (heads 64, 64) and with a
  GRU of 128 for the actor and another for the critic (heads 128); `bf16` takes the matrix products in bfloat16.
* `environments`: random actions, everything shown is read (`benchmarks/environments.py`).
* `same`: a short run twice with one seed, compared bit for bit, and a walk on the accelerator against the CPU's.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from environments import random_actions, steps_per_s
from figures import arguments, conditions, written

PAPER_SEEDS, PAPER_STEPS = 20, 2_000_000
ENVIRONMENTS = ("heavenhell-3", "position-cartpole-easy", "memory-four-rooms-7x7", "concentration-easy")
Figures = dict[str, float]


def in_turns(advance: Callable[[], int], seconds: float, turns: int = 4) -> list[float]:
    """Steps per second of each turn but the first; `advance` does some work and returns its environment steps."""
    rates = []
    for _ in range(turns):
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            done += advance()
        rates.append(done / (time.perf_counter() - begun))
    return rates[1:]


def a2c(task: str, critic: str, quick: bool, seconds: float) -> Figures:
    """A cell of the paper-scale reproduction of the informed critic."""
    from unseen import make
    from unseen.experiments.compiled import CompiledSeeds
    from unseen.experiments.reproduce.informed_grid import cells, scale_named

    cell = next(c for c in cells(scale_named("laptop" if quick else "paper")) if (c.task.environment, c.critic) == (task, critic))
    engine = CompiledSeeds(cell.experiment, make(task))
    mark = [0]
    stride = 200 if quick else 1_000

    def advance() -> int:
        before = int(engine.env_steps().sum())
        mark[0] += stride
        engine.advance(mark[0])
        return int(engine.env_steps().sum()) - before

    rates = in_turns(advance, seconds)
    rate = float(np.median(rates))
    name = f"a2c_{task.replace('-', '_')}"
    return {
        f"{name}_steps_per_s": rate,
        f"{name}_slowest_turn": min(rates),
        f"{name}_fastest_turn": max(rates),
        f"{name}_compile_s": engine.compile_s,
        f"{name}_mib": (engine.memory or float("nan")) / 2**20,
        f"{name}_paper_cell_minutes": PAPER_SEEDS * PAPER_STEPS / rate / 60,
    }


def ppo(memory: str, environments: int, precision: str, quick: bool, seconds: float) -> Figures:
    from unseen import GRU, PPO, Agent, FeedForward, make
    from unseen.experiments.seeds import keys_of, layout, over_seeds
    from unseen.learning.learner import make_learner

    kinds = {"feedforward": (FeedForward(), (64, 64)), "gru": (GRU(128), (128,))}
    remembers, head = kinds[memory]
    agent = Agent(memory=remembers, head=head, embedding=16, previous_action=False, precision=precision)  # type: ignore[arg-type]
    environments = 64 if quick else environments
    algorithm = PPO(environments=environments, rollout=64, epochs=4, minibatches=4, learning_rate=1e-3)
    spread = layout(1)
    learner = make_learner(make("position-cartpole-easy"), agent, algorithm)
    held = jax.jit(over_seeds(learner.init, spread))(keys_of(spread, 0))
    begun = time.perf_counter()
    program = jax.jit(over_seeds(learner.update, spread), donate_argnums=0).lower(held).compile()
    compile_s = time.perf_counter() - begun
    state = [held]

    def advance() -> int:
        state[0] = jax.block_until_ready(program(state[0]))
        return environments * algorithm.rollout

    rates = in_turns(advance, seconds)
    name = f"ppo_{memory}{'_bf16' if precision == 'bfloat16' else ''}_{environments}"
    return {
        f"{name}_steps_per_s": float(np.median(rates)),
        f"{name}_slowest_turn": min(rates),
        f"{name}_fastest_turn": max(rates),
        f"{name}_compile_s": compile_s,
        f"{name}_return": float(jax.tree.map(lambda x: x[0], state[0].log).means()["return"]),
    }


def environments(names: tuple[str, ...], copies: tuple[int, ...], quick: bool, seconds: float) -> Figures:
    from unseen import make

    figures = {}
    for name in names[:1] if quick else names:
        for n in (64,) if quick else copies:
            figures[f"{name.replace('-', '_')}_{n}"] = rate = steps_per_s(make(name), n, seconds)
            print(f"  {name} x {n:,}: {rate:,.0f}", flush=True)
    return figures


def same(quick: bool, seconds: float) -> Figures:
    """1 where equal bit for bit, 0 where not."""
    from unseen import A2C, Agent, Critic, Experiment, make
    from unseen.experiments.compiled import CompiledSeeds

    steps = 500 if quick else 4_000
    experiment = Experiment("heavenhell-3", Agent(critic=Critic(signals=("heaven",))), A2C(), env_steps=steps, seeds=4)

    def trained() -> dict[str, np.ndarray]:
        engine = CompiledSeeds(experiment, make("heavenhell-3"))
        engine.advance(steps)
        return engine.arrays()

    first, second = trained(), trained()
    equal = all(np.array_equal(first[name], second[name], equal_nan=first[name].dtype.kind == "f") for name in first)
    walks = [walked("heavenhell-3", device) for device in (jax.devices()[0], jax.devices("cpu")[0])]
    agree = all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(walks[0]), jax.tree.leaves(walks[1]), strict=True))
    return {"same_run_twice": float(equal), "same_walk_as_on_a_cpu": float(agree)}


def walked(name: str, device: Any) -> Any:
    """Everything 64 copies show over 100 random steps without restarts, on one device."""
    from unseen import make
    from unseen.learning.levels import mixture
    from unseen.learning.source import generate

    environment, copies = make(name), 64
    levels = mixture(environment)
    space = environment.action_space(levels.entries[0])

    def walk(key: Any) -> Any:
        level, observation, state = generate(key, copies, environment, levels)

        def step(state: Any, key: Any) -> tuple[Any, Any]:
            k_action, k_step = jax.random.split(key)
            action = random_actions(space, k_action, copies)
            after = levels.mapped(environment.step, level, jax.random.split(k_step, copies), state, action)
            return after.state, (after.observation, after.reward, after.terminated)

        return observation, jax.lax.scan(step, state, jax.random.split(key, 100))[1]

    with jax.default_device(device):
        return jax.tree.map(np.asarray, jax.jit(walk)(jax.random.key(0)))


def sections() -> dict[str, Callable[[bool, float], Figures]]:
    """By name, the ones that matter most first."""
    found: dict[str, Callable[[bool, float], Figures]] = {"a2c_heavenhell_3": partial(a2c, "heavenhell-3", "heaven")}
    for memory, precision in (("gru", "float32"), ("feedforward", "float32"), ("gru", "bfloat16")):
        for count in (4_096, 32_768):
            found[f"ppo_{memory}_{precision}_{count}"] = partial(ppo, memory, count, precision)
    found["same"] = same
    found["environments"] = partial(environments, ENVIRONMENTS, (4_096, 262_144))
    found["a2c_repeat_first"] = partial(a2c, "repeat-first-easy", "first")
    found["a2c_memory_four_rooms"] = partial(a2c, "memory-four-rooms-7x7", "good_colour")
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="*", choices=sorted(sections()), help="sections, by name; without it, all")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn")
    options = parser.parse_args()
    seconds = 0.05 if options.quick else options.seconds
    print(f"{jax.devices()[0].device_kind}; {conditions(['jax', 'equinox', 'optax'])}", flush=True)
    figures: Figures = {}
    for name, section in sections().items():
        if options.only and name not in options.only:
            continue
        begun = time.perf_counter()
        try:
            found = section(options.quick, seconds)
        except Exception:
            traceback.print_exc()
            continue
        figures |= found
        print(f"-- {name} ({time.perf_counter() - begun:.0f} s)", flush=True)
        written(figures, options.json)
        for figure, value in found.items():
            print(f"   {figure} {value:.6g}", flush=True)


if __name__ == "__main__":
    main()
