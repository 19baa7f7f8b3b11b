"""Recurrent PPO on CartPole without velocities: ours beside sb3-contrib and beside a plain JAX loop, in one run.

64 environments x 128 steps, LSTM-128 for the actor and another for the critic, heads of 128. Ours and the plain loop embed the two
observed numbers in 16 units first (this package always embeds); sb3-contrib feeds them to the LSTM as they are and so has slightly
less to do. Contestants take turns; a speed is the median over the turns, after compilation. Each trains on until its budget of
environment steps, and must have reached the stated return within it.

Restarts: ours looks at its lanes at every step and redraws where an episode ended; the plain loop draws a fresh start for every
environment at every step and selects; sb3-contrib resets on the host.

`possible_*` is the speed that ours would have if its matrix products ran as fast as the fastest ones measured here (before and
after each race) and all else took no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cartpole import TIME_LIMIT, PositionCartPole, Positions, begin, move, seen
from figures import arguments, conditions, peak_memory_mib, show, write
from peers import plain_recurrent_ppo

ENVIRONMENTS, ROLLOUT = 64, 128
STEPS = ENVIRONMENTS * ROLLOUT
BAR = 100.0  # mean return of the last episodes; random play scores about 22
# epochs x minibatches -> (learning rate, environment steps within which the bar must be reached)
SETTINGS = {"4x4": (4, 4, 1e-3, 40 * STEPS), "1x1": (1, 1, 4e-3, 200 * STEPS)}


class Contestant(NamedTuple):
    """`update(n)` does n updates and returns when they are done; `score()` is the mean return of recent episodes."""

    update: Callable[[int], None]
    score: Callable[[], float]
    compile_s: float
    program_mib: float  # what the compiled program needs at once; nan where nothing is compiled


def compiled(update: Callable, state: Any) -> tuple[Any, float, float]:
    begun = time.perf_counter()
    program = jax.jit(update, donate_argnums=0).lower(state).compile()
    found = program.memory_analysis()
    needed = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes - found.alias_size_in_bytes
    return program, time.perf_counter() - begun, needed / 2**20


def ours(epochs: int, minibatches: int, learning_rate: float, seed: int) -> Contestant:
    from unseen import LSTM, PPO, Agent
    from unseen.experiments.seeds import keys_of, layout, over_seeds
    from unseen.learning.learner import make_learner
    from unseen.learning.sharing import Sharing, lanes_to_share

    agent = Agent(memory=LSTM(128), head=(128,), embedding=16, previous_action=False)
    algorithm = PPO(environments=ENVIRONMENTS, rollout=ROLLOUT, epochs=epochs, minibatches=minibatches, learning_rate=learning_rate)
    spread = layout(1, lanes=lanes_to_share(algorithm))  # as `unseen train` does: the devices share the one seed's lanes
    learner = make_learner(PositionCartPole(), agent, algorithm, sharing=Sharing(spread.sharing))
    held = {"state": jax.jit(over_seeds(learner.init, spread))(keys_of(spread, seed))}
    program, compile_s, mib = compiled(over_seeds(learner.update, spread), held["state"])

    def update(n: int) -> None:
        for _ in range(n):
            held["state"] = program(held["state"])
        jax.block_until_ready(held["state"])

    return Contestant(update, lambda: float(jax.tree.map(lambda x: x[0], held["state"].log).means()["return"]), compile_s, mib)


def plain(epochs: int, minibatches: int, learning_rate: float, seed: int) -> Contestant:
    settings = plain_recurrent_ppo.Settings(ENVIRONMENTS, ROLLOUT, epochs, minibatches, learning_rate=learning_rate, time_limit=TIME_LIMIT)
    init, one = plain_recurrent_ppo.make(settings, begin, move, seen, 2, 2)
    held = {"state": jax.jit(init)(jax.random.key(seed))}
    program, compile_s, mib = compiled(one, held["state"])
    ended: list[tuple[float, float]] = []

    def update(n: int) -> None:
        scores = []
        for _ in range(n):
            held["state"], score = program(held["state"])
            scores.append(score)
        jax.block_until_ready(held["state"])
        ended.extend((float(total), float(count)) for total, count in scores)

    def score() -> float:
        """Over the latest updates that hold at least 100 episodes together."""
        total = count = 0.0
        for a, b in reversed(ended):
            total, count = total + a, count + b
            if count >= 100:
                break
        return total / max(count, 1.0)

    return Contestant(update, score, compile_s, mib)


def sb3(epochs: int, minibatches: int, learning_rate: float, seed: int) -> Contestant:
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.env_util import make_vec_env

    model = RecurrentPPO(
        "MlpLstmPolicy",
        make_vec_env(Positions, n_envs=ENVIRONMENTS, seed=seed),
        n_steps=ROLLOUT,
        batch_size=STEPS // minibatches,
        n_epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        device="cpu",
        policy_kwargs={
            "lstm_hidden_size": 128,
            "enable_critic_lstm": True,
            "shared_lstm": False,
            "net_arch": {"pi": [128], "vf": [128]},
        },
    )

    def update(n: int) -> None:
        model.learn(n * STEPS, reset_num_timesteps=False)

    def score() -> float:
        return float(np.mean([episode["r"] for episode in model.ep_info_buffer or ()] or [0.0]))

    return Contestant(update, score, 0.0, float("nan"))


class Track(NamedTuple):
    """One contestant's turns: seconds per update in each, and the steps at which the bar was first seen reached."""

    seconds: list[float]
    reached: list[int]
    scores: list[float]


def race(contestants: dict[str, Contestant], updates: int, per_turn: int) -> dict[str, Track]:
    """Turn after turn, until each has done its updates; the first update of each is not timed."""
    tracks = {name: Track([], [], []) for name in contestants}
    for contestant in contestants.values():
        contestant.update(1)
    done = 1
    while done < updates:
        n = min(per_turn, updates - done)
        done += n
        for name, contestant in contestants.items():
            track = tracks[name]
            begun = time.perf_counter()
            contestant.update(n)
            track.seconds.append((time.perf_counter() - begun) / n)
            track.scores.append(contestant.score())
            if track.scores[-1] >= BAR and not track.reached:
                track.reached.append(done * STEPS)
    return tracks


def gflop_per_step(epochs: int) -> float:
    """Billions of operations in the matrix products of one environment step of ours: acting, valuing, learning.

    Forward products of the actor to act and of the critic to value; forward, and twice as much backward, of both in every epoch.
    """
    embedding, lstm, head = 16, 128, 128
    common = 2 * embedding + embedding * 4 * lstm + lstm * 4 * lstm + lstm * head
    actor, critic = common + 2 * head, common + head
    return 2.0 * (actor + critic) * (1 + 3 * epochs) / 1e9


def peak_gflops() -> float:
    """What matrix products reach at best, all cores together: the fastest of many, in several sizes."""
    multiply, best = jax.jit(jnp.matmul), 0.0
    for size in (512, 1024, 2048):
        a = jax.random.normal(jax.random.key(0), (size, size))
        for _ in range(2**26 // size**2 // 4):
            begun = time.perf_counter()
            multiply(a, a).block_until_ready()
            best = max(best, 2.0 * size**3 / (time.perf_counter() - begun) / 1e9)
    return best


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", choices=[*SETTINGS], help="one setting only")
    parser.add_argument("--without-sb3", action="store_true", help="leave the slow contestant out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import torch

    from unseen.experiments.platform import prepare

    prepare()
    print(conditions(["jax", "optax", "sb3-contrib", "torch", "gymnasium"]))
    print(f"torch threads {torch.get_num_threads()}, JAX devices {len(jax.devices())}; time limit {TIME_LIMIT}, bar {BAR:.0f}")
    makers = {"unseen": ours, "plain": plain} | ({} if options.without_sb3 else {"sb3": sb3})
    figures = {"peak_gflops": peak_gflops()}
    for name, (epochs, minibatches, learning_rate, budget) in SETTINGS.items():
        if options.only not in (None, name):
            continue
        contestants = {who: make(epochs, minibatches, learning_rate, options.seed) for who, make in makers.items()}
        updates = 2 if options.quick else budget // STEPS
        tracks = race(contestants, updates, 1 if options.quick else max(1, updates // 10))
        rows = []
        for who, track in tracks.items():
            rates = STEPS / np.asarray(track.seconds)
            figures[f"{who}_{name}"] = float(np.median(rates))
            figures[f"{who}_return_{name}"] = max(track.scores)
            figures[f"{who}_reached_{name}"] = float(bool(track.reached))
            contestant = contestants[who]
            rows.append(
                [
                    who,
                    f"{np.median(rates):,.0f}",
                    f"{rates.min():,.0f} to {rates.max():,.0f}",
                    f"{max(track.scores):.0f}",
                    f"{track.reached[0]:,}" if track.reached else f"not in {updates * STEPS:,}",
                    f"{contestant.compile_s:.1f}",
                    f"{contestant.program_mib:.0f}",
                ]
            )
        figures["peak_gflops"] = max(figures["peak_gflops"], peak_gflops())
        figures[f"possible_{name}"] = figures["peak_gflops"] / gflop_per_step(epochs)
        for peer in list(tracks)[1:]:
            figures[f"ratio_{peer}_{name}"] = figures[f"unseen_{name}"] / figures[f"{peer}_{name}"]
            figures[f"possible_ratio_{peer}_{name}"] = figures[f"possible_{name}"] / figures[f"{peer}_{name}"]
        columns = ["", "steps/s", "min to max", "best return", f"return {BAR:.0f} at step", "compile s", "program MiB"]
        show(f"recurrent PPO, {name} (epochs x minibatches), learning rate {learning_rate}", columns, rows)
    figures["peak_memory_mib"] = peak_memory_mib()
    write(figures, options.json)


if __name__ == "__main__":
    main()
