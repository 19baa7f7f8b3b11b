"""Random-action steps per second of every registered environment and of every `.pomdp` file of the package, at 1, 64 and 1,024 copies.

Fresh random actions at every step. Every leaf of every observation, reward, end flag and state is added into a sum that is returned.
Restarts: a lane whose episode terminated or was cut at its horizon begins a new one, its final observation having been read;
new starts are generated for all lanes at every step and selected where they are needed, as in the training loop without a reset pool.
The copies are split over one host device per core, where there are enough of them; compilation is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from figures import arguments, conditions, peak_memory_mib, show, write

COPIES = (1, 64, 1024)


def random_actions(space: gymnasium.Space, key: Any, copies: int) -> Any:
    """Uniform actions, (copies, ...)."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return jax.random.randint(key, (copies,), int(space.start), int(space.start + space.n), jnp.int32)
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        high = jnp.asarray(space.nvec, jnp.int32)
        return jax.random.randint(key, (copies, *space.shape), 0, high, jnp.int32)
    if isinstance(space, gymnasium.spaces.Box):
        return jax.random.uniform(key, (copies, *space.shape), jnp.float32, jnp.asarray(space.low), jnp.asarray(space.high))
    raise TypeError(f"no random actions for {space}")


def consumed(tree: Any, copies: int) -> Any:
    """The sum of every leaf, lane by lane."""
    return sum(jnp.sum(x.reshape(copies, -1).astype(jnp.float32), axis=1) for x in jax.tree.leaves(tree))


def walk(environment: Any, copies: int, devices: int) -> Callable[[Any, Any], Any]:
    """(key, steps) -> the sums of everything that `copies` environments showed in that many random steps."""
    from unseen.learning.levels import mixture
    from unseen.learning.source import generate

    levels = mixture(environment)
    space = environment.action_space(levels.entries[0])
    lanes = copies // devices

    def one_device(keys: Any, steps: Any) -> Any:
        key, k_first = jax.random.split(keys[0])
        level, observation, state = generate(k_first, lanes, environment, levels)
        time_0 = jnp.zeros((lanes,), jnp.int32)

        def step(t: Any, loop: Any) -> Any:
            level, state, time, total = loop
            k_action, k_step, k_begin = jax.random.split(jax.random.fold_in(key, t), 3)
            action = random_actions(space, k_action, lanes)
            after = levels.mapped(environment.step, level, jax.random.split(k_step, lanes), state, action)
            time = time + 1
            over = after.terminated | (time >= levels.horizon_of(level))
            new_level, new_observation, new_state = generate(k_begin, lanes, environment, levels)

            def chosen(new: Any, old: Any) -> Any:
                return jnp.where(over.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

            shown = jax.tree.map(chosen, new_observation, after.observation)
            total = total + consumed((after, shown), lanes)
            level, state = jax.tree.map(chosen, (new_level, new_state), (level, after.state))
            return level, state, jnp.where(over, 0, time), total

        loop = (level, state, time_0, consumed(observation, lanes))
        return jax.lax.fori_loop(jnp.zeros((), jnp.int32), steps, step, loop)[3]

    mesh = Mesh(np.asarray(jax.devices()[:devices]), ("lane",))
    spec = PartitionSpec("lane")
    mapped = jax.shard_map(one_device, mesh=mesh, in_specs=(spec, PartitionSpec()), out_specs=spec, check_vma=False)
    return jax.jit(lambda key, steps: mapped(jax.random.split(key, devices), steps))


def steps_per_s(environment: Any, copies: int, seconds: float) -> float:
    """The median of three timed walks whose length is chosen to fill the time."""
    devices = len(jax.devices()) if copies >= 64 else 1
    program = walk(environment, copies, devices)
    steps = 64
    jax.block_until_ready(program(jax.random.key(0), jnp.asarray(steps, jnp.int32)))
    while True:
        spent = []
        for k in range(3):
            begun = time.perf_counter()
            jax.block_until_ready(program(jax.random.key(k + 1), jnp.asarray(steps, jnp.int32)))
            spent.append(time.perf_counter() - begun)
        middle = sorted(spent)[1]
        if middle > seconds / 4:
            return copies * steps / middle
        steps = min(steps * 64, max(2 * steps, round(steps * seconds / 2 / middle)))


def contestants() -> dict[str, Any]:
    """Registered environments, and the package's files under `file_NAME`."""
    import unseen
    from unseen.environments.tabular import TabularEnvironment

    found = {name.replace("-", "_"): unseen.make(name) for name in unseen.environments.names()}
    folder = Path(str(files("unseen.environments.tabular") / "files"))
    return found | {f"file_{path.stem}": TabularEnvironment.from_file(path) for path in sorted(folder.glob("*.pomdp"))}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each figure takes")
    options = parser.parse_args()
    seconds = 0.01 if options.quick else options.seconds

    from unseen.experiments.platform import prepare

    prepare()
    print(conditions(["jax"]))
    figures: dict[str, float] = {}
    rows = []
    chosen = contestants()
    if options.quick:
        chosen = {name: chosen[name] for name in ("heavenhell_3", "file_tiger")}
    for name, environment in chosen.items():
        rates = {copies: steps_per_s(environment, copies, seconds) for copies in COPIES}
        figures |= {f"{name}_{copies}": rate for copies, rate in rates.items()}
        rows.append([name, *(f"{rate:,.0f}" for rate in rates.values())])
        print("  ".join(rows[-1]), flush=True)
    figures["min_tabular_1024"] = min(rate for name, rate in figures.items() if name.startswith("file_") and name.endswith("_1024"))
    figures["peak_memory_mib"] = peak_memory_mib()
    show(f"random-action steps/s on {len(jax.devices())} devices", ["environment", *(f"{c:,} copies" for c in COPIES)], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
