"""The second stage of `reproduce planning`: reinforcement, with supervised priming or without, of agents that may plan or never do.

The paper trained models of 8 billion weights on Crafter, and hardly any number of that training was found: every number here is ours. Which
of the four variants learns fastest, and how often they come to plan, is what it shows; that is asked of small models here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.graph_search import GraphSearch
from unseen.experiments.reproduce.directory import Clock, claim
from unseen.experiments.reproduce.planning import SCALES, TAUGHT_FROM, WORDING, Kind, Say, Scale, Work, graph, scale_named
from unseen.planning.agent import Agent
from unseen.planning.models.local import LocalModel
from unseen.planning.peoples_plans import human_plans
from unseen.planning.rl.rollouts import APART
from unseen.planning.rl.settings import RL
from unseen.planning.sft import SFT
from unseen.runs.files import local_path, make_directory, write_atomic

PEOPLE_FROM = 10_000  # seeds of the instances for people's plans
SLICE = 10  # updates between two looks at the clock


class Variant(NamedTuple):
    """One way to train.

    Attributes:
        name: for tables.
        start: which small model it starts from; see `planning.Work.student`.
        plans: whether it may plan.
        price: of a plan's token, in units of the reward.
    """

    name: str
    start: Kind
    plans: bool
    price: float = 0.0

    @property
    def schedule(self) -> str:
        return "dynamic" if self.plans else "never"


PRIMED = Variant("SFT + RL, may plan", "student", True)
VARIANTS = (
    PRIMED,
    Variant("SFT + RL, never plans", "twin", False),
    Variant("base + RL, may plan", "base", True),
    Variant("base + RL, never plans", "base", False),
)
PRICED = Variant("SFT + RL, plans at a price", "student", True, price=0.5)


@dataclass(frozen=True)
class Grid:
    """Variants that are compared.

    Attributes:
        name: of its folder; empty: the first stage's own, whose students it starts from.
        world: where, and how its small models are taught.
        variants: which.
        rl: how they are reinforced; whether they may plan, a price and the seed are the cell's own.
        seeds: of each variant; the taught models are shared.
        instances, attempts: for the comparison of people's plans.
    """

    name: str
    world: Scale
    variants: tuple[Variant, ...]
    rl: RL
    seeds: int = 3
    instances: int = 50
    attempts: int = 8

    @property
    def fixed(self) -> tuple[str, ...]:
        """The schedules that an agent which decides for itself is compared with."""
        return tuple(word for word in self.world.schedules if word in ("never", "always") or word.startswith("every:"))


SIX = Scale(
    "graph-search",
    graph(6, 12, 0),
    lessons=4_000,
    noise={"mistakes": 0.1, "slips": 0.03, "stale": 0.25, "late": 0.5},
    sft=SFT(updates=2_500, batch=32, save_every=250),
    hidden=64,
    layers=2,
    schedules=("never", "every:4", "every:3", "every:2", "always"),
)
# Graph search pays 100 for the target; a hundredth of it makes returns of about 1.
GRAPH = RL(live=32, steps=16, minibatch=128, accumulate=1, learning_rate=3e-4, critic_learning_rate=5e-3, reward_scale=0.01, discount=0.97)
GRIDS: Mapping[str, tuple[Grid, ...]] = {
    "smoke": (Grid("", SCALES["smoke"], VARIANTS[::2], replace(GRAPH, updates=12, warmup=2, save_every=4), 1, 8, 2),),
    "laptop": (
        Grid("six-nodes", SIX, (*VARIANTS, PRICED), replace(GRAPH, updates=60)),
        Grid("", SCALES["laptop"], VARIANTS[:2], replace(GRAPH, updates=60)),
    ),
    "paper": (Grid("", SCALES["paper"], VARIANTS, RL(updates=100, live=64, steps=32, minibatch=512, learning_rate=1e-4)),),
}
MINUTES = {"smoke": 3.0, "laptop": 180.0, "paper": None}


class Outcome(NamedTuple):
    """One variant, one seed.

    Attributes:
        variant, seed: which.
        curves: of training; None where it was not finished.
        after: episodes of the trained agent, deciding for itself; None likewise.
        stopped: why it ended early; empty where it did not.
        fixed: schedule -> its episodes under it; of the primed agent only.
    """

    variant: Variant
    seed: int
    curves: pl.DataFrame | None
    after: Episodes | None
    stopped: str = ""
    fixed: Mapping[str, Episodes] = {}


class Found(NamedTuple):
    """What there is of a grid.

    Attributes:
        grid: which.
        outcomes: of every cell, finished or not.
        before: start -> episodes of the models that training starts from, deciding for themselves or never planning.
        fixed: schedule -> episodes of the taught student.
        people: a row per attempt under each kind of plan, of the student before and of the primed agent after reinforcement (column when).
        familiar: how many of the instances that anybody was scored on occur among those that somebody was trained on. Small trees are few:
            these are left out of everything that is here.
    """

    grid: Grid
    outcomes: tuple[Outcome, ...]
    before: Mapping[str, Episodes]
    fixed: Mapping[str, Episodes]
    people: pl.DataFrame | None
    familiar: int = 0


def run(directory: str | os.PathLike[str], scale_name: str, *, minutes: float | None = None, say: Say = print) -> tuple[Found, ...]:
    """Do what is missing of every grid, as far as the time goes, and return what there is.

    Args:
        directory: that of the first stage.
        scale_name: "smoke", "laptop" or "paper".
        minutes: another limit than the scale's own.
        say: told what is being done, line by line.

    Raises:
        UserError: an unknown scale, minutes that are not positive, or a directory of another scale.
    """
    scale_named(scale_name)
    clock = Clock(MINUTES.get(scale_name) if minutes is None else minutes)
    folder = local_path(directory)
    claim(folder, scale_name)
    return tuple(_grid(folder / grid.name, grid, clock, say) for grid in GRIDS.get(scale_name, ()))


def _grid(folder: Path, grid: Grid, clock: Clock, say: Say) -> Found:
    make_directory(folder)
    work = Work(folder, grid.world, clock, say)
    taught = work.taught()
    students: dict[Kind, LocalModel] = {}
    for start in _starts(grid):
        student = None if taught is None else work.student(taught, start)
        if student is not None:
            students[start] = student
    fixed, before = {}, {}
    if "student" in students:
        fixed = {word: work.played(students["student"], word) for word in grid.fixed}
    for variant in grid.variants:
        name = f"{variant.start}, {variant.schedule}"
        if variant.start in students and name not in before:
            before[name] = work.played(students[variant.start], variant.schedule, f"{variant.start}-{variant.schedule}")
    outcomes = tuple(_outcome(work, grid, variant, seed, variant.start in students) for variant, seed in _cells(grid))
    people = _people(work, grid, students.get("student"))
    return _unfamiliar(Found(grid, outcomes, _there(before), _there(fixed), people), work.world)


def _unfamiliar(found: Found, world: TextEnvironment) -> Found:
    """Without the episodes on instances that occur among those of the lessons or of reinforcement."""
    if not isinstance(world, GraphSearch):
        return found  # worlds are drawn from millions
    grid = found.grid
    last = PEOPLE_FROM + grid.instances
    scored = {seed: _instance(world, seed) for seed in (*range(grid.world.episodes), *range(PEOPLE_FROM, last))}
    trained = {_instance(world, seed) for seed in range(TAUGHT_FROM, TAUGHT_FROM + grid.world.lessons)}
    begun: dict[int, int] = {}  # by seed: its variants begin the same episodes, one of them the most
    for o in found.outcomes:
        if o.curves is not None and len(o.curves):
            begun[o.seed] = max(begun.get(o.seed, 0), int(o.curves["episodes"].sum()) + grid.rl.live)
    for seed, count in begun.items():
        first = _first_seed(grid, seed)
        trained |= {_instance(world, number) for number in range(first, first + count)}
    fresh = {seed for seed, instance in scored.items() if instance not in trained}

    def kept(episodes: Episodes) -> Episodes:
        return episodes.select(np.isin(episodes.info["seed"], list(fresh)))

    outcomes = tuple(
        o._replace(after=None if o.after is None else kept(o.after), fixed={w: kept(e) for w, e in o.fixed.items()}) for o in found.outcomes
    )
    before, fixed = ({name: kept(episodes) for name, episodes in played.items()} for played in (found.before, found.fixed))
    people = None if found.people is None else found.people.filter(pl.col("seed").is_in(list(fresh)))
    return Found(grid, outcomes, before, fixed, people, len(scored) - len(fresh))


def _instance(world: GraphSearch, seed: int) -> tuple[str, str]:
    """What makes an instance: the graph, and the way from start to target."""
    world.reset(seed)
    known = world.signals()
    return known["graph"], known["path"]


def _first_seed(grid: Grid, seed: int) -> int:
    """Of a cell's training episodes, as `RL.first_seed` says."""
    return grid.rl.first_seed + APART * seed


def _starts(grid: Grid) -> list[Kind]:
    """Every model that training starts from, once."""
    return list(dict.fromkeys(variant.start for variant in grid.variants))


def _there(played: Mapping[str, Episodes | None]) -> dict[str, Episodes]:
    return {name: episodes for name, episodes in played.items() if episodes is not None}


def _cells(grid: Grid) -> Iterator[tuple[Variant, int]]:
    """Every variant once before any of them twice, so that a cut run compares them all."""
    return ((variant, seed) for seed in range(grid.seeds) for variant in grid.variants)


def _outcome(work: Work, grid: Grid, variant: Variant, seed: int, taught: bool) -> Outcome:
    place = _place(work.folder, variant, seed)
    if not (place / "done.txt").exists() and (work.clock.over or not taught or not _reinforced(work, grid, variant, seed, place)):
        return Outcome(variant, seed, None, None)
    model = _trained(place)
    after = work.played(model, variant.schedule, f"{place.name}-after")
    words = grid.fixed if variant == PRIMED else ()
    fixed = {word: work.played(model, word, f"{place.name}-{word.replace(':', '-')}") for word in words}
    stopped = (place / "done.txt").read_text(encoding="utf-8").strip()
    return Outcome(variant, seed, pl.read_parquet(place / "curves.parquet"), after, stopped, _there(fixed))


def _place(folder: Path, variant: Variant, seed: int) -> Path:
    words = "".join(letter if letter.isalnum() else " " for letter in variant.name.lower()).split()
    return folder / "rl" / f"{'-'.join(words)}-{seed}"


def _trained(place: Path) -> LocalModel:
    return LocalModel.load(place / "checkpoint" / "model", device="cpu")


def _reinforced(work: Work, grid: Grid, variant: Variant, seed: int, place: Path) -> bool:
    """Train to the end, slice by slice; False where the time was over before it."""
    from unseen.planning.rl.loop import reinforce

    make_directory(place)
    plans = "may" if variant.plans else "never"
    settings = replace(grid.rl, plans=plans, plan_price=variant.price, seed=seed)
    scale, name = grid.world, place.name
    for updates in [*range(SLICE, settings.updates, SLICE), settings.updates]:
        if work.clock.over:
            return False
        start = LocalModel.load(work.folder / variant.start / "checkpoint" / "model", device="cpu")
        longest = 1 + max(map(start.count, work.world.actions))
        found = reinforce(
            start,
            work.world,
            replace(settings, updates=updates, save_every=min(settings.save_every, SLICE)),
            place,
            prompts=WORDING,
            history=scale.history,
            max_plan_tokens=scale.max_plan_tokens,
            max_action_tokens=longest,
            say=lambda line: work.say(f"{name}: {line}"),
        )
        if found.stopped:
            break
    found.curves.write_parquet(place / "curves.parquet")
    write_atomic(place / "done.txt", f"{found.stopped}\n".encode())
    return True


def _people(work: Work, grid: Grid, student: LocalModel | None) -> pl.DataFrame | None:
    """People's plans before and after, on instances of their own; None where none of known quality are known, or nothing is taught."""
    if not isinstance(work.world, GraphSearch) or student is None:
        return None
    places = {str(seed): _place(work.folder, PRIMED, seed) for seed in range(grid.seeds)}
    models = {"before": lambda: student} | {
        seed: (lambda place=place: _trained(place)) for seed, place in places.items() if (place / "done.txt").exists()
    }
    tables = []
    for when, model in models.items():
        path = work.folder / f"people-{when}.parquet"
        if not path.exists():
            if work.clock.over:
                continue
            work.say(f"people's plans, {when if when == 'before' else f'after, seed {when}'}")
            _asked(work.agent(model(), "dynamic"), work.world, grid).write_parquet(path)
        tables.append(pl.read_parquet(path).with_columns(when=pl.lit("before" if when == "before" else "after"), trained=pl.lit(when)))
    return pl.concat(tables) if tables else None


def _asked(agent: Agent, world: GraphSearch, grid: Grid) -> pl.DataFrame:
    return human_plans(agent, world, grid.instances, seed=PEOPLE_FROM, attempts=grid.attempts)
