"""`reproduce planning`: a small model is taught to plan, and asked how often it should; the same without plans beside it.

The paper takes models of 70 billion (zero-shot) and 8 billion weights; which settings of graph search it used was not found. This is
its first stage and its sweep at a scale that needs no downloaded weights: every number is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make
from unseen.errors import unknown
from unseen.experiments.reproduce.directory import Clock, claim
from unseen.planning.agent import Agent
from unseen.planning.collecting import collect, teacher_of
from unseen.planning.lessons import Pair, pairs, texts
from unseen.planning.models.local import LocalModel
from unseen.planning.models.small import small_model, word_tokenizer
from unseen.planning.paired_runs import Worth, worth
from unseen.planning.play import evaluate
from unseen.planning.prompts import Prompts
from unseen.planning.sft import SFT, fine_tune
from unseen.planning.steering import obedience
from unseen.planning.teachers.walker import RandomWalker
from unseen.runs.files import local_path, make_directory

Say = Callable[[str], None]
Kind = Literal["student", "twin", "base"]
WORDING = "compact"
TAUGHT_FROM = 100_000  # seeds of recordings; evaluation begins at 0
EVERY = ("every:8", "every:6", "every:4", "every:3", "every:2")


@dataclass(frozen=True)
class Scale:
    """How much of it.

    Attributes:
        environment, options: where.
        lessons: recorded episodes of the teacher; `style` of their plans, all styles where it is None.
        noise: of the teacher: without mistakes and plans that are out of date a student never sees what it will get itself into.
        hidden, layers, heads, context: of the student.
        sft: how it is taught; its twin without plans likewise.
        history, max_plan_tokens: of the agent.
        schedules: that are compared, on so many episodes each.
        states: episodes from which states are taken, for what a plan was worth and for obedience; replicates of each.
        minutes: after which nothing further is begun; None: no limit.
    """

    environment: str
    options: Mapping[str, Any]
    lessons: int
    sft: SFT
    style: str | None = "remember"
    noise: Mapping[str, float] = field(default_factory=dict)
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    context: int = 1_024
    history: int = 2
    max_plan_tokens: int = 40
    schedules: tuple[str, ...] = ("never", *EVERY, "always", "dynamic", "on-event", "random:0.3")
    episodes: int = 200
    states: int = 100
    replicates: int = 8
    minutes: float | None = None


def graph(nodes: int, max_steps: int, min_backtracks: int) -> dict[str, Any]:
    return {"nodes": nodes, "radius": 2, "max_steps": max_steps, "min_backtracks": min_backtracks, "form": "compact"}


BARE = 0.2  # share of episodes that are shown without plans, so that the student can act without one
NOISE = {"mistakes": 0.1, "slips": 0.03, "stale": 0.25, "late": 0.5}
SCALES = {
    "smoke": Scale(
        "graph-search",
        graph(6, 12, 0),
        lessons=1_000,
        noise=NOISE,
        sft=SFT(updates=400, batch=32, save_every=100),
        hidden=64,
        layers=2,
        schedules=("never", "every:4", "every:2", "always", "dynamic"),
        episodes=60,
        states=20,
        replicates=4,
        minutes=3.0,
    ),
    "laptop": Scale(
        "graph-search",
        graph(10, 20, 1),
        lessons=6_000,
        noise=NOISE,
        sft=SFT(updates=3_500, batch=48, prompt_loss=0.3, save_every=250),
        minutes=60.0,
    ),
    "paper": Scale(
        "crafter",
        {"precise_location": True, "skip_items": ["grass", "sand", "path"]},
        lessons=3_000,
        sft=SFT(updates=20_000, batch=256, learning_rate=5e-4, save_every=1_000),
        style=None,
        noise={"mistakes": 0.05, "stale": 0.2},
        hidden=448,
        layers=8,
        heads=8,
        context=2_048,
        history=3,
        max_plan_tokens=96,
        schedules=("never", "every:16", "every:12", "every:8", "every:6", "every:4", "every:3", "every:2", "always", "dynamic"),
        episodes=100,
        states=50,
        replicates=4,
    ),
}


class Results(NamedTuple):
    """What there is so far; what was not reached is empty or None.

    Attributes:
        scale: its name.
        taught: the teacher's recordings.
        played: episodes by schedule, of the student that was taught plans.
        twin: episodes of the student that was not.
        worth: of a new plan, measured.
        obeyed: a row per state and kind of plan from outside.
        parameters: of a student.
    """

    scale: str
    taught: Episodes | None = None
    played: Mapping[str, Episodes] = {}
    twin: Episodes | None = None
    worth: Worth | None = None
    obeyed: pl.DataFrame | None = None
    parameters: int = 0


@dataclass
class Work:
    """A directory and what is kept in it: of the first stage, and of each grid of the second."""

    folder: Path
    scale: Scale
    clock: Clock
    say: Say
    world: TextEnvironment = field(init=False)

    def __post_init__(self) -> None:
        self.world = make(self.scale.environment, **self.scale.options)

    def episodes(self, name: str, make_them: Callable[[], Episodes]) -> Episodes | None:
        """What is kept under a name, or else made now; None where the time is over."""
        path = self.folder / f"{name}.parquet"
        if not path.exists():
            if self.clock.over:
                return None
            self.say(name)
            make_them().write(path)
        return Episodes.read(path)

    def taught(self) -> Episodes | None:
        """The teacher's recordings."""
        teacher = teacher_of(self.scale.environment, **self.scale.noise)
        return self.episodes("teacher", lambda: collect(teacher, self.world, self.scale.lessons, TAUGHT_FROM, style=self.scale.style))

    def student(self, taught: Episodes, name: Kind) -> LocalModel | None:
        """A small model, taught as far as it takes; None where the time was over before it was.

        "student" is taught the teacher's plans, "twin" the same trajectories without a word of them, "base" a random walker's legal moves
        and plans. All of them speak the words of the teacher.
        """
        scale, place = self.scale, self.folder / name
        done = place / "done.txt"
        if done.exists():
            return LocalModel.load(place / "checkpoint" / "model", device="cpu")
        if self.clock.over:
            return None
        self.say(f"{name}: supervised fine-tuning")
        with_plans = self._lessons(taught, bare=BARE)
        walked = self._lessons(self._walked()) if name == "base" else []
        lessons = {"student": with_plans, "twin": self._lessons(taught, plans=False), "base": walked}[name]
        tokenizer = word_tokenizer(texts([*with_plans, *walked]), self.world.actions)
        sizes = {"hidden": scale.hidden, "layers": scale.layers, "heads": scale.heads, "context": scale.context}
        student = LocalModel(small_model(tokenizer, **sizes), tokenizer, name=name)
        make_directory(place)
        # what is seen is all that a base has to learn beside the grammar
        how = replace(scale.sft, prompt_loss=1.0) if name == "base" else scale.sft
        fine_tune(student, lessons, how, place, say=lambda line: self.say(f"{name}: {line}"))
        done.write_text("taught\n", encoding="utf-8")
        return student

    def _lessons(self, recorded: Episodes, **how: Any) -> list[Pair]:
        return list(pairs(recorded, self.world.instructions, Prompts.named(WORDING), history=self.scale.history, **how))

    def _walked(self) -> Episodes:
        return collect(RandomWalker(), self.world, self.scale.lessons, TAUGHT_FROM)

    def played(self, student: LocalModel, word: str, name: str = "") -> Episodes | None:
        """Episodes of a model under a schedule, kept under a name of their own or the schedule's."""
        return self.episodes(name or word.replace(":", "-"), lambda: evaluate(self.agent(student, word), self.world, self.scale.episodes))

    def agent(self, student: LocalModel, schedule: str) -> Agent:
        scale = self.scale
        longest = 1 + max(map(student.count, self.world.actions))
        return Agent(student, schedule, WORDING, history=scale.history, max_plan_tokens=scale.max_plan_tokens, max_action_tokens=longest)


def scale_named(name: str) -> Scale:
    """The scale called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in SCALES:
        raise unknown("scale of planning", name, SCALES)
    return SCALES[name]


def run(directory: str | os.PathLike[str], scale_name: str, *, minutes: float | None = None, say: Say = print) -> Results:
    """Do what is missing, as far as the time goes, and return what there is.

    Args:
        directory: where everything is kept; give the same one again to go on.
        scale_name: "smoke", "laptop" or "paper".
        minutes: another limit than the scale's own.
        say: told what is being done, line by line.

    Raises:
        UserError: an unknown scale, minutes that are not positive, or a directory of another scale.
    """
    scale = scale_named(scale_name)
    clock = Clock(scale.minutes if minutes is None else minutes)
    folder = local_path(directory)
    claim(folder, scale_name)
    work = Work(folder, scale, clock, say)
    taught = work.taught()
    if taught is None:
        return Results(scale_name)
    student = work.student(taught, "student")
    if student is None:
        return Results(scale_name, taught)
    played = {word: work.played(student, word) for word in scale.schedules}
    reached = {word: episodes for word, episodes in played.items() if episodes is not None}
    twin = work.student(taught, "twin")
    bare = None if twin is None else work.played(twin, "never", "twin-never")
    parameters = student.capabilities.parameters or 0
    return Results(scale_name, taught, reached, bare, _worth(work, student), _obeyed(work, student), parameters)


def _worth(work: Work, student: LocalModel) -> Worth | None:
    """Under a schedule that plans seldom, so that plans are held for a while."""
    path, scale = work.folder / "worth.parquet", work.scale
    if not path.exists():
        if work.clock.over:
            return None
        work.say("worth of a new plan, by paired re-runs")
        worth(work.agent(student, "every:4"), work.world, scale.states, replicates=scale.replicates).states.write_parquet(path)
    return Worth(pl.read_parquet(path), scale.replicates)


def _obeyed(work: Work, student: LocalModel) -> pl.DataFrame | None:
    from unseen.environments.text.graph_search import GraphSearch

    path = work.folder / "obedience.parquet"
    if not isinstance(work.world, GraphSearch):
        return None
    if not path.exists():
        if work.clock.over:
            return None
        work.say("obedience to plans from outside")
        obedience(work.agent(student, "dynamic"), work.world, work.scale.states).write_parquet(path)
    return pl.read_parquet(path)
