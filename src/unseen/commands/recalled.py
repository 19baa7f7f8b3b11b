"""The quickstart's section on memory: an agent trained now, what it recalled, and whether that carries over."""

from __future__ import annotations

import warnings
from pathlib import Path

from unseen.reports.blocks import Block, Code, Player, Section, Table, Text
from unseen.reports.statistics import Interval
from unseen.reports.text import number

TASK = "memory/arbitrary-visuomotor-mapping"
NAMED = {"train": "training level", "interpolate": "held out, interpolate", "extrapolate": "held out, extrapolate"}
EPISODES = 50


def recalled_section(folder: Path, env_steps: int) -> Section:
    """An agent with an episodic memory: its scores on trained and held-out levels, and one of its episodes to step through.

    Args:
        folder: where the run is kept.
        env_steps: to train for.
    """
    import unseen
    from unseen.commands.progress import progress
    from unseen.experiments.generalisation import HEADLINE, levels_by_role, scores

    memory = unseen.MEM(unseen.LSTM(64), capacity=256, neighbours=5, key_size=32)
    agent = unseen.Agent(memory=memory, embedding=64, head=(64,))
    algorithm = unseen.PPO(learning_rate=1e-3, normalise_returns=True)
    experiment = unseen.Experiment(TASK, agent, algorithm, env_steps=env_steps)
    with progress(experiment, f"{TASK}, episodic memory") as show, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="agent.memory.capacity")  # a trained agent needs about 150 steps, not the 2,250 allowed
        run = unseen.train(experiment, folder / "episodic", callbacks=[show])
    table, levels = scores(run, episodes=EPISODES, roles=HEADLINE), levels_by_role(run.environment, HEADLINE)
    rows = []
    for row in table.iter_rows(named=True):
        marks = run.environment.references(levels[row["role"]][0])
        reach = 1.96 * row["standard_error"]
        players = [None if m is None else round(m.mean, 1) for m in (marks.random, marks.memoryless, marks.perfect_memory)]
        rows.append([NAMED[row["role"]], Interval(row["return"], row["return"] - reach, row["return"] + reach), *players])
    caption = f"Right answers in an episode, {EPISODES} episodes each, 95 % intervals of one agent; players measured beforehand"
    told = Text(
        "A picture, and four buttons: the first time it is shown, the right one is marked; later it must be remembered. This agent writes "
        f"every step into an episodic memory and reads the nearest ones back. After {number(env_steps)} steps of training:"
    )
    blocks: list[Block] = [told, Table(["level", "the agent", "random", "memoryless", "perfect memory"], rows, caption)]
    blocks.append(Player(run.watched(), "One of its episodes, step by step, with the steps that it recalled."))
    blocks.append(
        Code(f"unseen train {TASK} --algorithm ppo --agent.memory mem:lstm:64:capacity=256\nunseen reproduce memory --scale smoke")
    )
    return Section("What is remembered, and what it recalls", blocks)
