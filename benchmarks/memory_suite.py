"""Random-action steps per second of the memory suite, all thirteen tasks in both embodiments, every frame consumed.

Fresh random actions at every step. Every entry of every observation (every byte of every picture) and every reward is added to running
totals of its own, entry by entry, which are returned: a sum over a picture would take ten times as long as painting it. Episodes that
end begin anew from a pool of 4,096 levels made beforehand, as in training; its entries are used at most 8 times and redrawn outside the
timed part, which is shorter than the pool's first round; what counts as seen there is the new episode's first observation, as in
training. Copies are split over one host device per core. A first-person step is one picture, that is four frames of the task's clock;
the rate counts pictures.
The peer is memory-maze's 9x9 maze (64 by 64 pixels) rendered in software, in an environment of its own: `--peer PYTHON`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from environments import random_actions
from figures import arguments, conditions, peak_memory_mib, show, write

POOL = 4096
COPIES = 1024


def walk(environment: Any, copies: int, devices: int, pool: int) -> tuple[Callable[[int], Any], float]:
    """(steps -> the sums of everything seen), and the seconds that compiling and filling the pool took."""
    from unseen.learning.levels import mixture
    from unseen.learning.source import Pool

    levels = mixture(environment)
    space = environment.action_space(levels.entries[0])
    lanes = copies // devices

    def filled(keys: Any) -> Any:
        return jax.tree.map(lambda x: x[None], Pool.filled(keys[0], pool // devices, environment, levels))

    def one_device(keys: Any, pools: Any, steps: Any) -> Any:
        key, k_first = jax.random.split(keys[0])
        source, (level, observation, state) = jax.tree.map(lambda x: x[0], pools).begin(k_first, lanes, environment, levels)

        def step(t: Any, loop: Any) -> Any:
            source, level, state, age, total = loop
            k_action, k_step, k_begin = jax.random.split(jax.random.fold_in(key, t), 3)
            action = random_actions(space, k_action, lanes)
            after = levels.mapped(environment.step, level, jax.random.split(k_step, lanes), state, action)
            age = age + 1
            over = after.terminated | (age >= levels.horizon_of(level))
            begun = level, after.observation, after.state
            source, (level, shown, state) = source.restarted(k_begin, over, begun, environment, levels)
            total = jax.tree.map(jnp.add, total, (shown, after.reward))
            return source, level, state, jnp.where(over, 0, age), total

        total = observation, jnp.zeros((lanes,), jnp.float32)
        loop = (source, level, state, jnp.zeros((lanes,), jnp.int32), total)
        return jax.lax.fori_loop(jnp.zeros((), jnp.int32), steps, step, loop)[-1]

    mesh, lane = Mesh(np.asarray(jax.devices()[:devices]), ("lane",)), PartitionSpec("lane")
    keys = jax.random.split(jax.random.key(0), devices)
    began = time.perf_counter()
    pools = jax.jit(jax.shard_map(filled, mesh=mesh, in_specs=lane, out_specs=lane, check_vma=False))(keys)
    program = jax.jit(jax.shard_map(one_device, mesh=mesh, in_specs=(lane, lane, PartitionSpec()), out_specs=lane, check_vma=False))
    run = lambda steps: jax.block_until_ready(program(keys, pools, jnp.asarray(steps, jnp.int32)))  # noqa: E731
    run(2)
    return run, time.perf_counter() - began


def steps_per_s(environment: Any, copies: int, seconds: float, pool: int = POOL) -> tuple[float, float]:
    """The median of three timed walks, and the seconds before the first."""
    devices = len(jax.devices()) if copies >= 64 else 1
    run, before = walk(environment, copies, devices, pool)
    steps = 16
    while True:
        spent = []
        for _ in range(3):
            begun = time.perf_counter()
            run(steps)
            spent.append(time.perf_counter() - begun)
        middle = sorted(spent)[1]
        if middle > seconds / 4:
            return copies * steps / middle, before
        steps = min(steps * 16, max(2 * steps, round(steps * seconds / 2 / middle)))


def peer_frames_per_s(python: Path, seconds: float) -> float:
    """Pictures per second of memory-maze under another interpreter."""
    script = Path(__file__).parent / "peers" / "memory_maze_frames.py"
    done = subprocess.run([str(python), str(script), str(seconds)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each figure takes")
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--copies", type=int, help=f"instead of {COPIES:,}; more on an accelerator")
    parser.add_argument("--peer", type=Path, help="a Python with memory-maze installed")
    options = parser.parse_args()
    seconds = 0.01 if options.quick else options.seconds

    import unseen
    from unseen.experiments.platform import prepare

    prepare()
    print(conditions(["jax"]))
    figures: dict[str, float] = {}
    rows = []
    names = [name for name in unseen.environments.names() if name.startswith("memory") and "/" in name and options.only in name]
    if options.quick:
        names = [name for name in names if name.endswith("/continuous-recognition")]
    for name in sorted(names, key=lambda name: name.startswith("memory-fp")):
        copies = options.copies or (64 if options.quick and name.startswith("memory-fp") else COPIES)
        rate, before = steps_per_s(unseen.make(name), copies, seconds, 64 if options.quick else POOL)
        kind, task = name.split("/")
        figures[f"{'firstperson' if kind == 'memory-fp' else 'compact'}_{task.replace('-', '_')}"] = rate
        rows.append([name, f"{copies:,}", f"{rate:,.0f}", f"{before:.1f}"])
        print("  ".join(rows[-1]), flush=True)
    for prefix, figure in (("compact_", "min_compact_steps_per_s"), ("firstperson_", "min_firstperson_frames_per_s")):
        rates = [rate for name, rate in figures.items() if name.startswith(prefix)]
        if rates:
            figures[figure] = min(rates)
    if options.peer:
        figures["peer_memory_maze_frames_per_s"] = peer_frames_per_s(options.peer, max(seconds, 0.5))
        if "min_firstperson_frames_per_s" in figures:
            figures["ratio_memory_maze"] = figures["min_firstperson_frames_per_s"] / figures["peer_memory_maze_frames_per_s"]
    figures["peak_memory_mib"] = peak_memory_mib()
    show(f"random-action steps/s on {len(jax.devices())} devices", ["environment", "copies", "steps/s", "s before"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
