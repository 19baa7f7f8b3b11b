"""`unseen quickstart`: a few minutes on a CPU, one page that shows what the package is for."""

from __future__ import annotations

import os
from pathlib import Path

import unseen
from unseen.commands.past import past_section
from unseen.commands.planned import planned_section, worth_section
from unseen.commands.progress import progress
from unseen.commands.recalled import recalled_section
from unseen.reports.blocks import Code, Section, Table, Text
from unseen.reports.page import Page, write
from unseen.reports.training import comparison, single, summarise

ENVIRONMENT = "heavenhell-1"
SENSORS = "position-cartpole-easy"
LOG = "frozen-lake"
CRITICS = {
    "symmetric": unseen.Critic(),
    "informed": unseen.Critic(signals=("heaven",)),
    "history and state": unseen.Critic(signals=("state",)),
    "state only": unseen.Critic(history=False, signals=("state",), allow_biased=True),
}


def quickstart(directory: str | os.PathLike[str], *, env_steps: int = 120_000, seeds: int = 6) -> Path:
    """Train four critics on heaven-hell-1, compare them with the exact optimum, and write `report.html`.

    Args:
        directory: for the runs and the page; finished runs in it are kept.
        env_steps: environment steps of each seed.
        seeds: seeds of each critic.
    """
    folder = Path(directory)
    page = Page(
        "unseen: what the agent cannot see",
        [
            _privileged_signals(folder, env_steps, seeds),
            _worth_telling(),
            past_section(),
            recalled_section(folder, 2 * env_steps),
            planned_section(),
            worth_section(),
            _not_done(),
        ],
        "Decisions under partial information. Every figure on this page was computed just now, on this machine.",
    )
    return write(page, folder / "report.html")


def _privileged_signals(folder: Path, env_steps: int, seeds: int) -> Section:
    """The hidden state, while training: what a critic is told."""
    from unseen.environments.tabular import heavenhell

    summaries = []
    for name, critic in CRITICS.items():
        experiment = unseen.Experiment(
            ENVIRONMENT,
            agent=unseen.Agent(memory=unseen.GRU(64), embedding=32, head=(64,), critic=critic),
            algorithm=unseen.PPO(environments=16, rollout=64, minibatches=2, learning_rate=1e-3, entropy=0.03),
            env_steps=env_steps,
            seeds=seeds,
        )
        with progress(experiment, f"{ENVIRONMENT}, {name} critic") as show:
            run = unseen.train(experiment, folder / name.replace(" ", "-"), callbacks=[show])
        summaries.append(summarise(run))
    lower, upper = heavenhell(1).optimal_value_bounds(gap=1e-6)
    optimum = Table(
        ["what", "value"],
        [
            ["lower bound on the optimal discounted return", lower],
            ["upper bound", upper],
            ["closed form: 0.99 to the power of 6, the seventh action pays", 0.99**6],
        ],
        "Computed from the environment's tables by heuristic search, no step limit.",
    )
    told = Text(
        "In a T-maze, one end is heaven and the other hell; only a priest in a side corridor knows which. The actor sees its own "
        "cell. While training, its critic may be told more: nothing, where heaven is, or the whole state. A critic that sees only "
        "the state is known to bias the policy gradient and must be asked for; on a maze this small it may learn all the same. "
        "This maze is chosen for speed: every critic can solve it, and between so few seeds most differences are chance. Where telling "
        "the critic matters, on larger tasks, is shown under Results in the documentation."
    )
    again = Code('unseen train heavenhell-3 --critic.signals heaven --seeds 4\nunseen train "gym:MiniGrid-MemoryS7-v0" --algorithm ppo')
    return Section("The hidden state, while training", [told, comparison(summaries, "Four critics"), optimum, single(summaries[1]), again])


def _worth_telling() -> Section:
    """Which signal to tell, asked before training."""
    from unseen.reports.ranking import ranking_section
    from unseen.signals import Residual, rank

    print(f"{SENSORS}: which velocity is worth telling the critic?", flush=True)
    ranking = rank(SENSORS, ("x_velocity", "angle_velocity"), episodes=500, settings=Residual(draws=499))
    ranked = ranking_section(ranking, "Which signal is worth telling, asked before training")
    told = Text(
        "Cart and pole, of which the agent sees positions only. From episodes of random play alone: does telling a critic one of the "
        "velocities say something about the return that the history does not?"
    )
    again = Code(f"unseen signals {SENSORS} --out signals.html")
    return Section(ranked.title, [told, *ranked.blocks, again])


def _not_done() -> Section:
    """What was not done: the value of another policy than the one that was logged, beside the truth."""
    from unseen.experiments.logged import logged
    from unseen.outcomes import FQE, DRQLearner
    from unseen.reports.outcomes import verdict_text
    from unseen.reports.statistics import Interval

    print(f"{LOG}: what would another policy have brought?", flush=True)
    log = logged(LOG, 4_000)
    data, truth = log.transitions(), log.truth_value()[0]
    poor = FQE(log.discount, sweeps=3).fit(data, log.policy)
    learner = DRQLearner(log.discount, sweeps=3).fit(data, log.policy)
    value = learner.value()
    table = Table(
        ["what", "value of the policy"],
        [
            ["the truth, from the simulator's tables", truth],
            ["fitted Q evaluation, stopped after 3 sweeps", poor.value().estimate],
            ["the same, corrected by the DRQ-learner, 95 % interval", Interval(value.estimate, *value.interval())],
        ],
        f"{len(data):,} decisions of {data.n_trajectories:,} trajectories on Frozen Lake, 80 % at random; judged is another policy.",
    )
    told = Text(
        "A log of decisions, and nothing else: no simulator, no second try. What would another policy have brought? A model of what "
        "follows that is not good enough gives a number that is wrong, with no way to tell. Corrected by what was seen, it comes with "
        "an interval, and with a verdict on whether the log can answer at all."
    )
    again = Code(f"unseen outcomes simulate {LOG}\nunseen outcomes fit --help")
    return Section("The outcome of what was not done", [told, table, verdict_text(learner.diagnostics.verdict), again])
