"""Training on heaven-hell-3 with the published networks: GRU-128 twice, heads of 512 and 256, two whole episodes an update, 20 seeds.

Real environment steps of all seeds per second of wall time, compilation apart; the early phase, in which episodes run to the time
limit, is given too. Every episode starts from a new level; nothing is stepped after its end.
"""

from __future__ import annotations

import time

from figures import arguments, conditions, peak_memory_mib, show, write


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--env-steps", type=int, default=200_000, help="of each seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--signals", nargs="*", default=["heaven"], help="what the critic is told")
    options = parser.parse_args()
    env_steps, seeds = (2_000, 2) if options.quick else (options.env_steps, options.seeds)

    from unseen.experiments.platform import prepare

    prepare()
    import jax
    import numpy as np

    import unseen
    from unseen.experiments.compiled import CompiledSeeds

    print(conditions(["jax", "equinox", "optax"]))
    agent = unseen.Agent(critic=unseen.Critic(signals=tuple(options.signals)))
    algorithm = unseen.A2C(entropy_steps=env_steps)
    experiment = unseen.Experiment("heavenhell-3", agent, algorithm, env_steps=env_steps, seeds=seeds)
    engine = CompiledSeeds(experiment, unseen.make("heavenhell-3"))
    engine.start()
    done, wall, lengths, returns = [0], [0.0], [], []
    begun = time.perf_counter()
    for k in range(20):
        metrics = engine.advance(round(env_steps * (k + 1) / 20))
        wall.append(time.perf_counter() - begun)
        done.append(int(engine.env_steps().sum()))
        lengths.append(float(np.nanmean(metrics["length"])))
        returns.append(float(np.nanmean(metrics["return"])))
    engine.refuse_not_finite()

    rates = np.diff(done) / np.diff(wall)
    figures = {
        "heavenhell3_steps_per_s": done[-1] / wall[-1],
        "heavenhell3_early_steps_per_s": float(rates[0]),
        "env_steps_per_seed": float(env_steps),
        "seeds": float(seeds),
        "final_return": returns[-1],
        "compile_s": engine.compile_s,
        "peak_memory_mib": peak_memory_mib(),
    }
    rows = [
        [f"{round(100 * (k + 1) / 20)} %", f"{done[k + 1]:,}", f"{rates[k]:,.0f}", f"{lengths[k]:.1f}", f"{returns[k]:.2f}"]
        for k in (0, 1, 2, 4, 9, 14, 19)
    ]
    title = f"heaven-hell-3, A2C, {seeds} seeds x {env_steps:,} steps on {len(jax.devices())} devices"
    show(title, ["of the run", "steps so far", "steps/s", "episode length", "return"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
