"""What `reproduce memory` trains: the tasks of the memory suite, the ablations of the Memory Recall Agent, and three scales.

Which ablations the paper ran, its hyperparameters and its numbers were not found: the matrix is the specification's proposal, and every
number here is ours. An agent's row is one setting; nothing else differs between rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax

from unseen.agents.build import build
from unseen.agents.counting import matched, parameters
from unseen.agents.settings import CPC, GRU, LRU, LSTM, MEM, Agent, Critic, FeedForward, GTrXL, Memory, Reconstruction, Residual
from unseen.environments.registry import make
from unseen.errors import unknown
from unseen.experiments.settings import Experiment
from unseen.learning.settings import PPO, Algorithm, VTrace

FEED_FORWARD, WORKING, EPISODIC, MRA = "feed-forward", "LSTM", "LSTM + MEM", "MRA"
INFORMED = "MRA, critic told"


@dataclass(frozen=True)
class Task:
    """A task of the suite.

    Attributes:
        name: without the embodiment.
        capacity: slots of an episodic memory in the compact embodiment: as many as a trained agent's episode has steps, on the longest
            level (the time limit, which is ten times as long on a screen, ends only what an untrained agent plays).
        told: what an informed critic is told.
        psychlab: whether it is one of the screen tasks, whose memoryless mark has a closed form.
    """

    name: str
    capacity: int
    told: str = "answer"
    psychlab: bool = False


TASKS = (
    Task("arbitrary-visuomotor-mapping", 256, psychlab=True),
    Task("change-detection", 256, psychlab=True),
    Task("invisible-goal-with-buildings", 225, told="goal"),
    Task("transitive-inference", 900),
    Task("continuous-recognition", 256, psychlab=True),
    Task("what-then-where", 256, psychlab=True),
    Task("visible-goal-with-buildings", 225, told="goal"),
    Task("invisible-goal-empty-arena", 225, told="goal"),
    Task("explore-goal-locations", 225, told="goal"),
    Task("spot-diff", 900),
    Task("spot-diff-passive", 900),
    Task("spot-diff-multi", 900),
    Task("spot-diff-motion", 900),
)


class Held(NamedTuple):
    """Slots of an episodic memory, and steps between two writes."""

    capacity: int
    every: int = 1


def held(task: Task, embodiment: str) -> Held:
    """What holds an episode: in the compact embodiment step by step; in first person 1,024 slots, written as seldom as need be.

    Source: 1,024 slots are proposed (specification §4.4), the paper's number was not found.
    """
    if embodiment == "memory":
        return Held(task.capacity)
    environment = make(f"{embodiment}/{task.name}")
    longest = max(int(environment.horizon(params)) for _, params in environment.levels["train"])
    return Held(SLOTS, -(-longest // SLOTS))


def _mem(size: int, held: Held, **how: Any) -> MEM:
    return MEM(LSTM(size), capacity=held.capacity, neighbours=min(10, held.capacity), key_size=size // 2, every=held.every, **how)


class Row(NamedTuple):
    """What sets an agent of the matrix apart: its memory (from width and slots), its auxiliary loss, whether its critic is told.

    `equal` rows have their memory's width chosen so that it has as many parameters as the LSTM.
    """

    memory: Callable[[int, Held], Memory]
    auxiliary: CPC | Reconstruction | None = None
    informed: bool = False
    equal: bool = False


AGENTS: Mapping[str, Row] = {
    FEED_FORWARD: Row(lambda size, _: FeedForward(size)),
    WORKING: Row(lambda size, _: LSTM(size)),
    EPISODIC: Row(lambda size, held: _mem(size, held)),
    MRA: Row(lambda size, held: _mem(size, held), CPC()),
    INFORMED: Row(lambda size, held: _mem(size, held), CPC(), informed=True),
    "LSTM + CPC": Row(lambda size, _: LSTM(size), CPC()),
    "LSTM + REC": Row(lambda size, _: LSTM(size), Reconstruction(source="both")),
    "LSTM + MEM, no jumpy gradient": Row(lambda size, held: _mem(size, held, gradient="query")),
    "LSTM + MEM + REC": Row(lambda size, held: _mem(size, held), Reconstruction(source="both")),
    "GRU": Row(lambda size, _: GRU(size), equal=True),
    "LRU": Row(lambda size, _: LRU(size), equal=True),
    "GTrXL": Row(lambda size, _: GTrXL(size, heads=2), equal=True),
}


@dataclass(frozen=True)
class Scale:
    """How much of it.

    Attributes:
        seeds, env_steps: of each agent on each task.
        minutes: after which no further cell is begun and one under way is left to be resumed; None: no limit.
        tasks, agents: which.
        size: width of every memory and of embeddings.
        episodes: of each evaluation.
        algorithm: the learner.
        embodiment: "memory" or "memory-fp".
        shared_trunk: whether actor and critic share encoder and memory, as in the published agent. Apart needs fewer steps and more time:
            after 90 seconds of two cores 38 right answers of 50 shared (980,000 steps) against 26 apart (590,000), visuomotor mapping,
            MEM of 128, one seed each.
        rates: learning rates to choose among, by training scores of a pilot of the first seed; one: nothing is chosen.
    """

    seeds: int
    env_steps: int
    minutes: float | None
    tasks: tuple[Task, ...]
    agents: tuple[str, ...]
    size: int
    episodes: int
    algorithm: Algorithm
    embodiment: str = "memory"
    shared_trunk: bool = False
    rates: tuple[float, ...] = ()


LAPTOP = PPO(environments=128, rollout=128, epochs=2, minibatches=4, learning_rate=1e-3, entropy=0.003, normalise_returns=True)
PAPER = VTrace(environments=512, rollout=100, lag=1, optimiser="adam", learning_rate=5e-4, entropy=1e-2, max_gradient_norm=40.0)
SCALES = {
    "smoke": Scale(
        1,
        30_000,
        3.0,
        (TASKS[0], TASKS[2]),
        (WORKING, MRA),
        16,
        8,
        replace(LAPTOP, environments=16, rollout=64, minibatches=2),
        shared_trunk=True,
    ),
    "laptop": Scale(3, 5_000_000, 240.0, TASKS[:4], (FEED_FORWARD, WORKING, EPISODIC, MRA, INFORMED), 128, 100, LAPTOP, shared_trunk=True),
    "paper": Scale(5, 200_000_000, None, TASKS, tuple(AGENTS), 256, 200, PAPER, shared_trunk=True, rates=(2e-4, 5e-4, 1e-3)),
    "paper-first-person": Scale(
        seeds=3,
        env_steps=200_000_000,
        minutes=None,
        tasks=TASKS,
        agents=tuple(AGENTS),
        size=256,
        episodes=100,
        algorithm=replace(PAPER, environments=64),
        embodiment="memory-fp",
        shared_trunk=True,
        rates=(2e-4, 5e-4, 1e-3),
    ),
}
SLOTS = 1_024
PILOT = 10  # a pilot for choosing a learning rate has this fraction of the budget


class Cell(NamedTuple):
    """One agent on one task, one seed."""

    task: Task
    agent: str
    seed: int
    experiment: Experiment

    @property
    def name(self) -> str:
        """Of its run directory."""
        return f"{self.task.name}-{slug(self.agent)}-{self.seed}"


def slug(label: str) -> str:
    """A label as part of a file's name."""
    return "-".join("".join(c if c.isalnum() else " " for c in label.lower()).split())


def scale_named(name: str) -> Scale:
    """The scale called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    return SCALES[name]


def cells(scale: Scale) -> list[Cell]:
    """All cells, seed by seed: every agent on every task once before any of them twice, so that a cut run compares them all.

    An informed critic comes last of each round: it is one comparison beside the matrix.
    """
    order = sorted(range(len(scale.agents)), key=lambda k: AGENTS[scale.agents[k]].informed)
    return [
        Cell(task, scale.agents[k], seed, experiment(task, scale.agents[k], seed, scale))
        for seed in range(scale.seeds)
        for task in scale.tasks
        for k in order
    ]


def experiment(task: Task, agent: str, seed: int, scale: Scale) -> Experiment:
    """The settings of one cell."""
    row = AGENTS[agent]
    told = (task.told,) if row.informed else ()
    settings = Agent(
        memory=row.memory(scale.size, held(task, scale.embodiment)),
        critic=Critic(signals=told, shared_trunk=scale.shared_trunk),
        embedding=16,
        layer=None if scale.embodiment == "memory-fp" else scale.size,
        head=(scale.size,),
        auxiliary=row.auxiliary,
        pictures=Residual() if scale.embodiment == "memory-fp" else None,
        previous_reward=True,
    )
    if row.equal:
        settings = replace(settings, memory=as_large_as(LSTM(scale.size), settings, f"{scale.embodiment}/{task.name}"))
    return Experiment(f"{scale.embodiment}/{task.name}", settings, scale.algorithm, env_steps=scale.env_steps, seeds=1, first_seed=seed)


@cache
def as_large_as(usual: Memory, settings: Agent, environment: str) -> Memory:
    """The memory of these settings with the width that has as many parameters as the usual one, in an agent for this environment."""
    of_usual = _shapes(replace(settings, memory=usual), environment).actor.trunk
    inputs = of_usual.observation.features + (of_usual.action.features if of_usual.action is not None else 0) + settings.previous_reward
    return matched(settings.memory, inputs, parameters(of_usual.memory))


def counted(experiment: Experiment) -> dict[str, int]:
    """Parameters of the whole agent as trained, and of its actor's memory."""
    shapes = _shapes(experiment.agent, experiment.environment)
    return {"agent": parameters(shapes.trained), "memory": parameters(shapes.actor.trunk.memory)}


def _shapes(settings: Agent, name: str) -> Any:
    """The agent's modules as shapes: nothing is drawn."""
    environment = make(name)
    params = environment.levels["train"][0][1]
    spaces = environment.observation_space(params), environment.action_space(params), dict(environment.signal_spaces(params))
    return eqx.filter_eval_shape(lambda key: build(settings, *spaces, key, environment=name), jax.random.key(0))
