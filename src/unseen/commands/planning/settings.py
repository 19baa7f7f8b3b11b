"""What the subcommands of `unseen plan` may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from unseen.planning.rl.settings import RL
from unseen.planning.sft import SFT

SCHEDULES = ("never", "every:16", "every:8", "every:4", "every:2", "always", "dynamic")


@dataclass(frozen=True)
class Model:
    """Who writes."""

    model: str = "reader"
    """A directory with weights; the name of a model at --url; or "reader", a script that plays graph-search, to try things out."""
    url: str | None = None
    """Of an OpenAI-compatible endpoint, as in http://127.0.0.1:8000/v1."""
    key_variable: str | None = None
    """The environment variable that holds the endpoint's key; the key is never written anywhere. Default: no key is sent."""
    dialect: Literal["openai", "vllm"] = "openai"
    """vllm: its server can be made to begin with a plan, or kept from writing one."""
    concurrency: int = 8
    """Requests to the endpoint at the same time."""
    cassette: Path | None = None
    """Record every answer here, and ask for none that is there already: an interrupted or repeated run costs nothing twice."""
    replay: bool = False
    """Only what is on the cassette; no endpoint is asked."""
    prices: Path | None = None
    """A TOML file of dollars per million tokens by model; with it, pages say what an episode cost."""


@dataclass(frozen=True)
class Speech:
    """How it is spoken to; what a model that was trained here was trained with is the default."""

    prompts: str | None = None
    """Wordings: standard, compact, or a .toml file of your own; default: as it was trained here, or else standard."""
    history: int | None = None
    """Observations that are shown, the current one included; default: as it was trained here, or else 16."""
    max_plan_tokens: int | None = None
    """Longest plan, its tags included; default: as it was trained here, or else 256."""
    max_action_tokens: int | None = None
    """Tokens beside a plan; default: as it was trained here, or else 32."""
    temperature: float = 1.0
    """0: the likeliest token."""
    top_p: float = 1.0
    """Of the probability mass, the likeliest tokens that make it up."""
    told_price: float | None = None
    """The price of a plan's token that stands in the prompt, for a model that was trained with told prices."""


@dataclass(frozen=True)
class World:
    """Where."""

    environment: Annotated[str, tyro.conf.Positional]
    """graph-search, crafter, or minigrid/LEVEL."""
    environment_options: dict[str, Any] = field(default_factory=dict)
    """Options for the environment, as in nodes=10 radius=2."""


@dataclass(frozen=True)
class Evaluate:
    """Play whole episodes under a schedule, every token accounted for."""

    world: Annotated[World, tyro.conf.arg(name="")]
    model: Annotated[Model, tyro.conf.arg(name="")] = Model()
    speech: Annotated[Speech, tyro.conf.arg(name="")] = Speech()
    schedule: str = "dynamic"
    """never, always, every:K, age:K, dynamic, on-event, on-event:NAME, random:P, softened:P:SCHEDULE, budget:TOKENS, when-worth-it:FILE."""
    episodes: int = 20
    """How many."""
    seed: int = 0
    """Of the first."""
    live: int = 32
    """Episodes at the same time."""
    signals: tuple[str, ...] = ()
    """What is hidden from the agent and is recorded beside it, by name."""
    out: Path | None = None
    """Directory for episodes.parquet and report.html, without episodes in it; default: runs/plan/ENVIRONMENT-MODEL-SCHEDULE."""


@dataclass(frozen=True)
class Sweep:
    """How often should it plan? The same instances under several schedules: what was reached against what was spent."""

    world: Annotated[World, tyro.conf.arg(name="")]
    model: Annotated[Model, tyro.conf.arg(name="")] = Model()
    speech: Annotated[Speech, tyro.conf.arg(name="")] = Speech()
    schedules: tuple[str, ...] = SCHEDULES
    """To compare."""
    episodes: int = 100
    """Of each schedule."""
    seed: int = 0
    """Of the first."""
    live: int = 32
    """Episodes at the same time."""
    value: Literal["success", "return", "progression"] = "success"
    """What is reached, in the figure."""
    cost: Literal["output_tokens", "plan_tokens", "flops", "seconds", "dollars"] = "output_tokens"
    """What is spent, in the figure."""
    out: Path | None = None
    """Directory; schedules that are finished in it are kept. Default: runs/plan/ENVIRONMENT-MODEL-sweep."""


@dataclass(frozen=True)
class FromLog:
    """What planning was worth from recordings alone; with --log."""

    log: tuple[Path, ...] | None = None
    """Recordings under random:P or softened:P:SCHEDULE, files or directories of `unseen plan evaluate`: estimate from them what planning
    was worth, in each situation, with an interval. graph-search needs them with --signals graph."""
    policy: str = "age:4"
    """What goes on afterwards: a schedule that says itself when to plan."""
    discount: float = 0.95
    """Of rewards, per step."""
    horizon: int | None = None
    """Steps of an episode that count; default: all."""
    price: float = 0.0
    """Of a plan token, in units of reward."""
    markov: str | None = None
    """FILE.py[:NAME]: a function from a moment to the Markov state, named numbers; default: that of the environment."""
    situations: Path | None = None
    """A JSON file of [{"name": ..., "within": {"age": [2, null]}}, ...]; default: those of the environment."""
    rule: Literal["interval", "estimate", "lower"] = "interval"
    """When the schedule that follows plans: where all of an interval is above 0, and by the policy where that cannot be told; where the
    estimate is above 0; or where the lower end of its interval is."""
    truth: int = 0
    """States of the log that are also played on, with a plan and without; the model and the environment must be those of the log."""
    continuations: int = 64
    """Of each of them, and of each arm."""


@dataclass(frozen=True)
class Worth:
    """What was a new plan worth? The same states played on with the old plan and with a new one; or, with --log, from recordings."""

    world: Annotated[World, tyro.conf.arg(name="")]
    model: Annotated[Model, tyro.conf.arg(name="")] = Model()
    speech: Annotated[Speech, tyro.conf.arg(name="")] = Speech()
    schedule: str = "every:4"
    """Of the episodes from which states are taken, and after the first step of each continuation."""
    episodes: int = 100
    """From which states are taken."""
    each: int = 2
    """States of an episode."""
    replicates: int = 8
    """Continuations of each state with the old plan, and as many with a new one."""
    seed: int = 0
    """Of the first episode."""
    from_log: Annotated[FromLog, tyro.conf.arg(name="")] = FromLog()
    out: Path | None = None
    """Directory for states.parquet and report.html (with --log: worth.json, when-worth-it.json and report.html); default:
    runs/plan/ENVIRONMENT-MODEL-worth."""


@dataclass(frozen=True)
class Collect:
    """Recordings of a scripted teacher that writes plans."""

    world: Annotated[World, tyro.conf.arg(name="")]
    episodes: int = 1_000
    """How many."""
    seed: int = 100_000
    """Of the first; evaluation begins at 0, so that no student meets an instance it was taught on."""
    style: str | None = None
    """Of all plans; default: drawn for each episode."""
    interval: int | None = None
    """Steps between plans; 0: only where something happened; default: drawn from 2 to 12 for each plan."""
    mistakes: float = 0.0
    """Share of random actions."""
    slips: float = 0.0
    """Share of illegal actions (graph-search)."""
    stale: float = 0.0
    """Share of episodes in which plans go wrong and are replaced."""
    late: float = 0.0
    """Share of episodes in which plans are written every so many steps only, whatever happens (graph-search)."""
    out: Path | None = None
    """Directory; default: runs/plan/ENVIRONMENT-teacher."""


@dataclass(frozen=True)
class Teach:
    """Supervised fine-tuning on recordings: a small model from scratch, or adapters on one of your own."""

    recordings: Annotated[Path, tyro.conf.Positional]
    """A directory of `unseen plan collect`."""
    model: Path | None = None
    """Weights to start from; default: a small model with random weights and a tokenizer of the recordings' words."""
    sft: Annotated[SFT, tyro.conf.arg(name="")] = field(default_factory=SFT)
    hidden: int = 128
    """Width of the small model."""
    layers: int = 3
    """Of the small model."""
    heads: int = 4
    """Of the small model."""
    plans: bool = True
    """Without: the same trajectories, and no word of plans."""
    asked: Literal["choose", "told", "mixed"] = "mixed"
    """Whether the student chooses when to plan, is told, or each half of the time."""
    bare: float = 0.2
    """Share of episodes shown without plans, so that the student can act without one."""
    prompts: str = "compact"
    """Wordings."""
    told_prices: tuple[float, ...] = ()
    """Prices of a plan's token, one of them in each prompt: for a student that `unseen plan rl` is given several prices for."""
    history: int = 2
    """Observations that are shown."""
    out: Path | None = None
    """Directory; an interrupted run in it goes on. Default: RECORDINGS/sft."""


@dataclass(frozen=True)
class Reinforce:
    """Reinforcement learning of when to plan, from a model that was taught (`unseen plan sft`) or from any other with local weights."""

    world: Annotated[World, tyro.conf.arg(name="")]
    model: Annotated[Path, tyro.conf.arg(name="model")]
    """Weights to start from; the divergence is from them."""
    rl: Annotated[RL, tyro.conf.arg(name="")] = field(default_factory=RL)
    speech: Annotated[Speech, tyro.conf.arg(name="")] = Speech()
    critic_signals: tuple[str, ...] = ()
    """What the critic is told and the agent is not, by name: see the environment's signals."""
    critic_network: Literal["shared", "pass", "model"] | None = None
    """The critic reads in the agent's own pass, in a second pass of its weights, or with its own network; default: shared, or model."""
    url: str | None = None
    """Of a vLLM server that writes in rollouts, as in http://127.0.0.1:8000/v1; default: the model itself writes."""
    served: str = "policy"
    """The model's name there."""
    key_variable: str | None = None
    """The environment variable that holds the server's key. Default: no key is sent."""
    weights: Path | None = None
    """The directory of new weights, which the server reads too; default: OUT/served."""
    out: Path | None = None
    """Directory; an interrupted run in it goes on. Default: MODEL-rl beside the model."""


@dataclass(frozen=True)
class Steer:
    """Watch an episode in the terminal and write plans of your own into it, or from a file."""

    world: Annotated[World, tyro.conf.arg(name="")]
    model: Annotated[Model, tyro.conf.arg(name="")] = Model()
    speech: Annotated[Speech, tyro.conf.arg(name="")] = Speech()
    schedule: str = "dynamic"
    """Of the agent itself."""
    seed: int = 0
    """Of the episode."""
    script: Path | None = None
    """A TOML file with tables [[plan]] of step, text and hold; nothing is asked then."""
    out: Path | None = None
    """Where to save the episode; default: runs/plan/steered-ENVIRONMENT-SEED.parquet."""


@dataclass(frozen=True)
class Obey:
    """Does it do what a plan says? Correct, wrong and shuffled plans at the same states of graph search."""

    world: Annotated[World, tyro.conf.arg(name="")]
    model: Annotated[Model, tyro.conf.arg(name="")] = Model()
    speech: Annotated[Speech, tyro.conf.arg(name="")] = Speech()
    schedule: str = "every:4"
    """Of the agent itself; there must be plans to replace."""
    episodes: int = 100
    """From which states are taken, one of each."""
    seed: int = 0
    """Of the first."""
    steps: int = 3
    """For which a plan is held."""
    out: Path | None = None
    """Directory; default: runs/plan/ENVIRONMENT-MODEL-obedience."""
