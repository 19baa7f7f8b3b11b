"""What `reproduce informed` trains: the tasks of the informed actor-critic paper, what their critics are told, and three scales.

Tasks, critics, networks and learning rates are IAAC's where a source names them (second hand). Which signals it told on heaven-hell,
shopping, cleaner and memory-four-rooms, its entropy weights by task, the sixth POPGym task, POPGym's difficulty and its episodes an
update were not found: those are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unseen.agents.settings import GRU, Agent, Critic
from unseen.errors import unknown
from unseen.experiments.settings import Experiment
from unseen.learning.settings import A2C

NONE, STATE_ONLY = "none", "state only"


@dataclass(frozen=True)
class Task:
    """One environment, what its critics are told, and what the source is silent about.

    Attributes:
        environment: registered name.
        family: whose networks: the navigation tasks', POPGym's, or small ones for the synthetic POMDP, whose are not found.
        told: signals of each informed critic, the most interesting first; "state" is history and state.
        entropy: weight at the start; it falls to a tenth over the budget.
        state_only: whether the critic without a history is run (the paper: navigation only).
        steps: factor on the scale's budget.
    """

    environment: str
    family: Literal["navigation", "popgym", "synthetic"]
    told: tuple[str, ...]
    entropy: float = 0.0
    state_only: bool = False
    steps: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def critics(self) -> dict[str, Critic]:
        """Label -> critic, in the order in which they are trained."""
        informed = {name: Critic(signals=(name,)) for name in self.told}
        only = {STATE_ONLY: Critic(history=False, signals=("state",), allow_biased=True)} if self.state_only else {}
        return {NONE: Critic()} | informed | only


# heaven-hell's and shopping's entropy weights were chosen on two seeds (benchmarks/critic_curves.py), the others by the size of rewards.
TASKS = (
    Task("heavenhell-3", "navigation", ("heaven", "state", "position"), 0.1, True),
    Task("synthetic", "synthetic", ("1245", "state", "123", "12"), 0.1),
    Task("shopping-5", "navigation", ("item", "state", "position"), 3.0, True),
    Task("car-flag-no-velocity", "navigation", ("velocity", "state", "heaven", "velocity_heaven"), 0.03, True),
    Task("position-cartpole-easy", "popgym", ("angle_velocity", "state", "velocities", "x_velocity")),
    Task("higher-lower-easy", "popgym", ("previous", "state", "both", "expert")),
    Task("repeat-first-easy", "popgym", ("first", "state", "dealt", "hand")),
    Task("count-recall-easy", "popgym", ("frequency", "state", "expert")),
    Task("repeat-previous-easy", "popgym", ("target", "state", "recent", "dealt")),
    Task("concentration-easy", "popgym", ("flipped", "state", "values", "first", "second")),
    Task("memory-four-rooms-7x7", "navigation", ("good_colour", "state", "exits", "pose"), 0.1, True),
    Task("cleaner", "navigation", ("robots", "state", "dirty"), 0.3, True, steps=1.25),
    Task("memory-four-rooms-9x9", "navigation", ("good_colour", "state", "exits", "pose"), 0.1, True),
    Task("car-flag", "navigation", ("velocity", "state", "heaven"), 0.03, True),
)


@dataclass(frozen=True)
class Scale:
    """How much of it.

    Attributes:
        seeds, env_steps: of each cell.
        minutes: after which no further cell is begun and one under way is left to be resumed; None: no limit.
        tasks: which; each with at most `critics` critics.
        popgym_width: of the recurrent memory on POPGym's tasks (published: 256).
        small: networks of a width that only shows that everything runs.
        episodes, prediction_episodes: recorded for the two criteria; 25 steps each, as published.
        permutations: of the residual test.
    """

    seeds: int
    env_steps: int
    minutes: float | None
    tasks: tuple[Task, ...] = TASKS
    critics: int = 99
    popgym_width: int = 256
    small: bool = False
    episodes: int = 250
    prediction_episodes: int = 2_500
    permutations: int = 1_000


_SMOKE = (
    Task("synthetic", "synthetic", ("1245",), 0.1),
    Task("heavenhell-1", "navigation", ("heaven",), 0.03),
)
SCALES: dict[str, Scale] = {
    "smoke": Scale(2, 2_000, 1.5, _SMOKE, small=True, episodes=40, prediction_episodes=60, permutations=99),
    # On two cores four seeds take as long as three.
    "laptop": Scale(4, 300_000, 90.0, popgym_width=128, prediction_episodes=500),
    "paper": Scale(20, 2_000_000, None),
}


@dataclass(frozen=True)
class Cell:
    """One critic on one task."""

    task: Task
    critic: str
    experiment: Experiment

    @property
    def name(self) -> str:
        """Of its run directory."""
        return f"{self.task.environment}-{self.critic.replace(' ', '-').replace('_', '-')}"


def scale_named(name: str) -> Scale:
    """The scale called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    return SCALES[name]


def cells(scale: Scale) -> list[Cell]:
    """All cells, round by round: every task's first critics before any task's further ones, so that a cut run compares on many tasks."""
    by_task = [list(_of(task, scale)) for task in scale.tasks]
    first = [cell for of_task in by_task for cell in of_task[:3]]
    return first + [cell for of_task in by_task for cell in of_task[3:]]


def _of(task: Task, scale: Scale) -> Iterator[Cell]:
    for label, critic in list(task.critics.items())[: scale.critics]:
        yield Cell(task, label, experiment(task, critic, scale))


def experiment(task: Task, critic: Critic, scale: Scale) -> Experiment:
    """The settings of one cell.

    Source: IAAC, hyperparameters (second hand): navigation GRU 128, heads 512-256, embeddings 64, learning rate 1e-3 (for some tasks
    3e-4, which was not found), two episodes an update, TD(0), target copied every 10,000 steps; POPGym GRU 256, heads 128-128,
    LeakyReLU, learning rate 5e-4, no entropy bonus. That a time limit ends an episode is asym-rlpo's code. Departures on POPGym: no
    layer norm before the memory, signals embedded in 128 numbers (published: 64 for cards); its episodes an update, its estimator and
    its target network were not found: four, TD(lambda), and no delay. With the navigation tasks' TD(0) and a target that is 10,000
    steps old, and without entropy bonus, cart-pole's policy froze at a push to one side within 50,000 steps (measured). The synthetic
    POMDP's networks were not found either.
    """
    env_steps = round(scale.env_steps * task.steps)
    common: dict[str, Any] = {
        "entropy": task.entropy,
        "entropy_end": task.entropy / 10,
        "entropy_steps": env_steps,
        "time_limit": "terminate",
    }
    if task.family == "navigation":
        algorithm = A2C(learning_rate=1e-3, **common)
        agent = Agent(critic=critic, policy_scale=1.0)
    elif task.family == "synthetic":
        algorithm = A2C(episodes_per_update=8, learning_rate=1e-3, **common)
        agent = Agent(memory=GRU(32), critic=critic, embedding=32, head=(64,), policy_scale=1.0)
    else:
        algorithm = A2C(episodes_per_update=4, learning_rate=5e-4, estimator="td-lambda", target_period=1, **common)
        memory = GRU(scale.popgym_width)
        agent = Agent(memory=memory, critic=critic, embedding=128, head=(128, 128), activation="leaky_relu", policy_scale=1.0)
    if scale.small:
        agent = Agent(memory=GRU(16), critic=critic, embedding=8, head=(16,), policy_scale=1.0)
    return Experiment(task.environment, agent, algorithm, env_steps=env_steps, seeds=scale.seeds, environment_options=dict(task.options))
