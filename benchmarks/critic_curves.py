"""Four critics on heaven-hell-3 and shopping-5, as published: whole episodes, TD(0), a target network, no shared parameters.

    python benchmarks/critic_curves.py runs/critics     # trains what is missing; stop and start it as you like
    python benchmarks/critic_curves.py --show           # the figures and the table of what is finished

Cells (environment x critic x block of seeds) are run directories of their own; an interrupted one resumes. The curves of a finished
one are kept in docs/results/critics, beside its settings, and it is not trained again.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import polars as pl

import unseen
from unseen.experiments.toml import to_toml

CRITICS = {
    "symmetric": unseen.Critic(),
    "informed": None,  # history and the environment's own partial signal
    "history+state": unseen.Critic(signals=("state",)),
    "state only": unseen.Critic(history=False, signals=("state",), allow_biased=True),
}
# The entropy weights are not in any source: chosen here with the history+state critic on two seeds at 400,000 steps,
# from 0.03, 0.1, 0.3 (heaven-hell) and 0.3, 1, 3 (shopping). They fall to a tenth over the budget, as published.
TASKS = {"heavenhell-3": ("heaven", 0.1), "shopping-5": ("item", 3.0)}
BLOCKS = ((0, 4), (4, 6))  # first seed, number of seeds: a small block first, so that a stopped run compares all critics
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
METRICS = ("return", "discounted_return", "length")


def experiment(environment: str, critic: str, first_seed: int, seeds: int, env_steps: int) -> unseen.Experiment:
    signal, entropy = TASKS[environment]
    algorithm = unseen.A2C(learning_rate=1e-3, entropy=entropy, entropy_end=entropy / 10, entropy_steps=env_steps, time_limit="terminate")
    agent = unseen.Agent(critic=CRITICS[critic] or unseen.Critic(signals=(signal,)), policy_scale=1.0)
    return unseen.Experiment(environment, agent, algorithm, env_steps=env_steps, first_seed=first_seed, seeds=seeds)


def cell(environment: str, critic: str, first_seed: int) -> str:
    return f"{environment}-{critic.replace(' ', '-').replace('+', '-')}-{first_seed}"


def kept(environment: str, critic: str, first_seed: int, seeds: int, env_steps: int) -> Path | None:
    """The curves of a finished cell, or None; those of other settings do not count."""
    path = RESULTS / "critics" / f"{cell(environment, critic, first_seed)}.parquet"
    settings = to_toml(experiment(environment, critic, first_seed, seeds, env_steps))
    return path if path.exists() and path.with_suffix(".toml").read_text(encoding="utf-8") == settings else None


def keep(run: unseen.Run, name: str) -> None:
    """The curves of a finished run into docs/results/critics, with the settings they were made with."""
    folder = RESULTS / "critics"
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("seed", "env_steps", "wall_s", "metric", "value")
    run.metrics().filter(pl.col("metric").is_in(METRICS)).select(columns).write_parquet(folder / f"{name}.parquet")
    (folder / f"{name}.toml").write_text(to_toml(run.experiment), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", default=Path("runs/critics"))
    parser.add_argument("--env-steps", type=int, default=1_000_000)
    parser.add_argument("--show", action="store_true", help="write the figures and the table of what is finished, and train nothing")
    arguments = parser.parse_args()
    if arguments.show:
        from critic_tables import show

        show(RESULTS, arguments.env_steps)
        return
    for (first_seed, seeds), environment, critic in itertools.product(BLOCKS, TASKS, CRITICS):
        if kept(environment, critic, first_seed, seeds, arguments.env_steps):
            continue
        name = cell(environment, critic, first_seed)
        wanted = experiment(environment, critic, first_seed, seeds, arguments.env_steps)
        run = unseen.train(wanted, arguments.root / name, save_every_s=120.0)
        keep(run, name)
        last = run.metrics().filter(metric="return").group_by("seed").last().sort("seed")["value"].to_list()
        print(environment, critic, f"seeds {first_seed}-{first_seed + seeds - 1}: final returns", [round(x, 2) for x in last], flush=True)


if __name__ == "__main__":
    main()
