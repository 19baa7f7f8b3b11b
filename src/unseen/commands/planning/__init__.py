"""`unseen plan`: language-model agents that decide when to plan; each subcommand's settings and what it does."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unseen.commands.planning.agents import agent_of, price_of, remember, taught, told_prices, weights
from unseen.commands.planning.settings import Collect, Evaluate, Model, Obey, Reinforce, Steer, Sweep, Teach, World, Worth
from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make
from unseen.errors import UserError
from unseen.planning.schedules import schedule
from unseen.runs.files import make_directory, write_atomic

EPISODES, COLLECTED = "episodes.parquet", "collected.json"


def evaluate(command: Evaluate) -> int:
    from unseen.planning.play import evaluate

    agent = agent_of(command.model, command.speech, command.schedule, command.world.environment)
    world, price = _world(command.world), price_of(command.model)
    usual = _folder(command.world, command.model, _stem(command.schedule))
    folder = _free(command.out, usual, EPISODES)
    said = {"episodes": command.episodes, "seed": command.seed, "live": command.live, "signals": command.signals}
    with _noted(), _counting(command.episodes, command.schedule) as ended:
        played = evaluate(agent, world, **said, watch=ended)
    played.write(_directory(folder) / EPISODES)
    _report(f"{command.world.environment}, {command.schedule}", {command.schedule: played}, folder, _about(command), price=price)
    return 1 if _failures(played) else 0


def sweep(command: Sweep) -> int:
    from unseen.planning.play import evaluate

    if not command.schedules:
        raise UserError("--schedules: give at least one")
    words = {str(schedule(word)): word for word in command.schedules}  # a mistake is told before the work
    if command.cost == "seconds" and command.model.cassette is not None:
        raise UserError("--cost seconds: what a cassette plays back takes no time; give another cost, or no --cassette")
    world, agent = _world(command.world), agent_of(command.model, command.speech, next(iter(words)), command.world.environment)
    price = price_of(command.model)
    if command.cost == "dollars" and price is None:
        raise UserError("--cost dollars needs --prices FILE")
    folder = command.out or _folder(command.world, command.model, "sweep")
    _claim(_directory(folder), command)
    played: dict[str, Episodes] = {}
    for word in words:
        path = folder / f"{_stem(word)}.parquet"
        if not path.exists():
            with _noted(), _counting(command.episodes, word) as ended:
                found = evaluate(replace(agent, schedule=word), world, command.episodes, command.seed, live=command.live, watch=ended)
            failures = _failures(found)
            if failures or len(found) < command.episodes:
                found.write(path.with_suffix(".failed.parquet"))
                raise UserError(
                    f"{word}: the model failed for good in {command.episodes - len(found) + failures} of {command.episodes} episodes; "
                    f"what there is lies in {path.with_suffix('.failed.parquet')}. Run it again: finished schedules are kept"
                )
            found.write(path)
        played[word] = Episodes.read(path)
    _report(f"How often should it plan? {command.world.environment}", played, folder, _about(command), command.value, command.cost, price)
    return 0


def _stem(word: str) -> str:
    """A schedule's word as a part of a file's name."""
    return word.replace(":", "-").replace(",", "+").replace(" ", "_").replace("/", "-").replace("\\", "-")


def _failures(played: Episodes) -> int:
    """Episodes that ended because the model failed for good."""
    return sum(bool(str(error)) for error in played.info["error"])


def _about(command: Evaluate | Sweep) -> str:
    """What a page says of how it was made."""
    world, model = command.world, command.model
    options = ", ".join(f"{name} {value}" for name, value in world.environment_options.items())
    who = model.model if model.url is None else f"{model.model} at {model.url}"
    said = {name: value for name, value in vars(command.speech).items() if value is not None}
    how = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said.items())
    where = f"{world.environment} ({options})" if options else world.environment
    return f"{where}, played by {who}; {how}; seeds {command.seed} to {command.seed + command.episodes - 1}."


def _claim(folder: Path, command: Sweep) -> None:
    """A directory keeps the schedules of one agent in one world; another's do not belong beside them."""
    asked = {
        "environment": command.world.environment,
        "options": command.world.environment_options,
        "model": command.model.model,
        "url": command.model.url,
        **vars(command.speech),
        "episodes": command.episodes,
        "seed": command.seed,
    }
    _same(folder / "sweep.json", asked, "a sweep")


def _same(path: Path, asked: Mapping[str, Any], what: str) -> None:
    """Write down the settings of what a directory holds, or see that they are the same.

    Raises:
        UserError: they are not.
    """
    _compare(path, asked, what)
    write_atomic(path, json.dumps(asked, indent=1, default=str).encode())


def _compare(path: Path, asked: Mapping[str, Any], what: str) -> None:
    """Raises:
    UserError: what a directory holds has other settings, which are written there.
    """
    if not path.exists():
        return
    there, here = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(asked, default=str))
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            raise UserError(f"{path.parent} holds {what} with {name} = {there.get(name)!r}, not {here.get(name)!r}; give another --out")


def worth(command: Worth) -> int:
    if command.from_log.log:
        from unseen.commands.planning.logged import worth_from_log

        return worth_from_log(command, _world(command.world), _directory(command.out or _folder(command.world, command.model, "worth")))
    from unseen.planning.paired_runs import worth
    from unseen.reports.page import Page, write
    from unseen.reports.planning import worth_section

    agent = agent_of(command.model, command.speech, command.schedule, command.world.environment)
    found = worth(agent, _world(command.world), command.episodes, command.seed, each=command.each, replicates=command.replicates)
    folder = _directory(command.out or _folder(command.world, command.model, "worth"))
    found.states.write_parquet(folder / "states.parquet")
    _print(found.by_situation())
    print(f"report: {write(Page(f'What planning was worth: {command.world.environment}', [worth_section(found)]), folder / 'report.html')}")
    return 0


def obey(command: Obey) -> int:
    from unseen.environments.text.graph_search import GraphSearch
    from unseen.planning.steering import obedience
    from unseen.reports.page import Page, write
    from unseen.reports.planning import obedience_section

    world = _world(command.world)
    if not isinstance(world, GraphSearch):
        raise UserError(f"obedience is measured on graph-search, where the correct plan is known; not on {command.world.environment}")
    agent = agent_of(command.model, command.speech, command.schedule, command.world.environment)
    table = obedience(agent, world, command.episodes, command.seed, steps=command.steps)
    folder = _directory(command.out or _folder(command.world, command.model, "obedience"))
    table.write_parquet(folder / "states.parquet")
    _print(table.group_by("kind", maintain_order=True).mean().drop("seed", "step"))
    print(f"report: {write(Page('Does it obey?', [obedience_section(table)]), folder / 'report.html')}")
    return 0


def collect(command: Collect) -> int:
    from unseen.planning.collecting import collect, teacher_of

    asked = {name: getattr(command, name) for name in ("mistakes", "slips", "stale", "late")}
    teacher = teacher_of(command.world.environment, **{name: share for name, share in asked.items() if share})
    how = {"style": command.style, "interval": command.interval}
    recorded = collect(teacher, _world(command.world), command.episodes, command.seed, **how)
    folder = _directory(command.out or Path("runs") / "plan" / f"{command.world.environment}-teacher")
    recorded.write(folder / EPISODES)
    said = {"environment": command.world.environment, "options": command.world.environment_options}
    write_atomic(folder / COLLECTED, (json.dumps(said, indent=1, default=str) + "\n").encode())
    _print_summary(recorded)
    print(f"recordings: {folder}")
    return 0


def teach(command: Teach) -> int:
    from unseen.planning.lessons import pairs, texts
    from unseen.planning.models.local import LocalModel
    from unseen.planning.models.small import small_model, word_tokenizer
    from unseen.planning.prompts import Prompts
    from unseen.planning.rl.prices import priced
    from unseen.planning.sft import fine_tune

    if command.model is not None and (command.hidden, command.layers, command.heads) != (Teach.hidden, Teach.layers, Teach.heads):
        raise UserError("--hidden, --layers and --heads are those of a small model from scratch; leave them out beside --model")
    named, world, recorded = _recorded(command.recordings)
    wording = Prompts.named(command.prompts)
    how = {"history": command.history, "plans": command.plans, "asked": command.asked, "bare": command.bare}
    told = [priced(wording, price) for price in command.told_prices] or [wording]
    parts = [recorded.select(np.arange(len(recorded)) % len(told) == k) for k in range(len(told))]
    lessons = [
        pair
        for some, words in zip(parts, told, strict=True)
        for pair in pairs(some, world.instructions, words, **how, seed=command.sft.seed)
    ]
    if command.model is None:
        tokenizer = word_tokenizer(texts(lessons), world.actions)
        network = small_model(tokenizer, hidden=command.hidden, layers=command.layers, heads=command.heads, seed=command.sft.seed)
        student = LocalModel(network, tokenizer, name="small")
    else:
        found = weights(command.model)
        if found is None:
            raise UserError(f"--model {str(command.model)!r}: no weights are there; give a directory with config.json")
        student = LocalModel.load(found)
    folder = command.out or command.recordings / "sft"
    asked: dict[str, Any] = {"model": command.model, "hidden": command.hidden, "layers": command.layers, "heads": command.heads}
    asked |= how | {"prompts": command.prompts, "told_prices": command.told_prices}
    _compare(folder / "student.json", asked, "a student")
    longest = max(student.count(pair.output) for pair in lessons)
    spoken: dict[str, Any] = {"prompts": command.prompts, "history": command.history, "max_plan_tokens": max(16, longest)}
    spoken["max_action_tokens"] = 1 + max(map(student.count, world.actions))

    def accepted() -> None:
        _same(_directory(folder) / "student.json", asked, "a student")
        remember(folder, named, command.told_prices, **spoken)

    print(f"{len(lessons):,} recorded steps, {student.capabilities.parameters:,} parameters")
    fine_tune(student, lessons, command.sft, folder, accepted=accepted)
    print(f"model: {folder}")
    return 0


def learn(command: Reinforce) -> int:
    from unseen.planning.models.local import LocalModel
    from unseen.planning.rl.critic import TextCritic
    from unseen.planning.rl.loop import reinforce
    from unseen.planning.rl.processes import processes
    from unseen.planning.rl.served import ServedModel
    from unseen.planning.rl.silence import in_words

    found = weights(command.model)
    if found is None:
        raise UserError(
            f"--model {str(command.model)!r}: no weights are there; give a directory of unseen plan sft, or one with config.json"
        )
    if command.speech.top_p != 1 or command.speech.told_price is not None:
        raise UserError("--top-p and --told-price have no place in training; prices are told where --plan-price has several")
    first = processes().rank == 0  # before any weights: each process puts them on an accelerator of its own
    world, model = _world(command.world), LocalModel.load(found)
    usual = {"prompts": "standard", "history": 16, "max_plan_tokens": 256, "max_action_tokens": 32} | taught(command.model)
    how = usual | {name: getattr(command.speech, name) for name in usual if getattr(command.speech, name) is not None}
    folder = command.out or command.model.with_name(f"{command.model.name}-rl")
    prices = command.rl.prices if command.rl.told else ()
    writer = None
    if command.url is not None:
        place = command.weights or folder / "served"
        writer = ServedModel(command.url, command.served, model, place, key_variable=command.key_variable)
    critic = TextCritic(command.critic_signals, command.critic_network)

    def accepted() -> None:
        if told_prices(command.model) and not prices:
            print(f"unseen: note: {command.model} was told prices, and with one --plan-price no prompt tells it", file=sys.stderr)
        remember(_directory(folder), command.world.environment, prices, **how, plans=command.rl.plans)

    more = {"temperature": command.speech.temperature, "critic": critic, "writer": writer, "accepted": accepted}
    done = reinforce(model, world, command.rl, folder, **how, **more)
    if not first:
        return 1 if done.stopped else 0
    done.curves.write_parquet(folder / "curves.parquet")
    columns = ["update", "env_steps", "return", "score", "planning_frequency", "plan_tokens", "kl", "wall_s"]
    if len(done.curves):
        _print(done.curves.select(columns)[:: max(1, len(done.curves) // 10)])
    if done.silent:
        print(f"planning has stopped: {in_words(done.curves.to_dicts())}")
    print(f"curves: {folder / 'curves.parquet'}")
    print(f"model: {folder}" + (f" (stopped: {done.stopped})" if done.stopped else ""))
    return 1 if done.stopped else 0


def _recorded(folder: Path) -> tuple[str, TextEnvironment, Episodes]:
    """The environment of recordings, by name and itself, and the recordings."""
    try:
        said = json.loads((folder / COLLECTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{folder} is no directory of recordings; make one with unseen plan collect ENVIRONMENT") from None
    return said["environment"], make(said["environment"], **said["options"]), Episodes.read(folder / EPISODES)


def steer(command: Steer) -> int:
    from rich.console import Console

    from unseen.commands.planning.steer import steer
    from unseen.planning.steering import read_script, steered

    agent = agent_of(command.model, command.speech, command.schedule, command.world.environment)
    world = _world(command.world)
    if command.script is not None:
        played = steered(agent, world, read_script(command.script), command.seed)
    else:
        console = Console()
        played = steer(agent, world, command.seed, lambda: console.input("> "), console)
    if played is None:
        print("no step was played; nothing is saved")
        return 0
    path = command.out or Path("runs") / "plan" / f"steered-{command.world.environment.replace('/', '-')}-{command.seed}.parquet"
    make_directory(path.parent)
    played.write(path)
    _print_summary(played)
    print(f"episode: {path}")
    return 0


COMMANDS: Mapping[str, tuple[type, Callable[[Any], int]]] = {
    "evaluate": (Evaluate, evaluate),
    "sweep": (Sweep, sweep),
    "worth": (Worth, worth),
    "collect": (Collect, collect),
    "sft": (Teach, teach),
    "rl": (Reinforce, learn),
    "steer": (Steer, steer),
    "obey": (Obey, obey),
}


def _directory(path: Path) -> Path:
    make_directory(path)
    return path


def _world(asked: World) -> TextEnvironment:
    return make(asked.environment, **asked.environment_options)


def _folder(world: World, model: Model, what: str) -> Path:
    name = Path(model.model).name if model.url is None else model.model.replace("/", "-")
    return Path("runs") / "plan" / f"{world.environment.replace('/', '-')}-{name}-{what}"


def _counting(episodes: int, label: str) -> Any:
    """A bar of ended episodes; it is given to `watch`."""
    from rich.progress import Progress

    @contextmanager
    def bar() -> Any:
        with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
            task = progress.add_task(label, total=episodes)
            yield lambda live: progress.advance(task)

    return bar()


def _free(out: Path | None, usual: Path, file: str) -> Path:
    """A directory without this file in it: the one that was asked for, or the usual one, numbered where need be.

    Raises:
        UserError: the one that was asked for has it.
    """
    if out is not None:
        if (out / file).exists():
            raise UserError(f"{out} holds {file} already; give another --out")
        return out
    tried, number = usual, 2
    while (tried / file).exists():
        tried, number = usual.with_name(f"{usual.name}-{number}"), number + 1
    return tried


@contextmanager
def _noted() -> Iterator[None]:
    """Warnings as notes of one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for each in caught:
        print(f"unseen: note: {each.message}", file=sys.stderr)


def _report(
    title: str,
    played: Mapping[str, Episodes],
    folder: Path,
    about: str,
    value: str = "success",
    cost: str = "output_tokens",
    price: Any = None,
) -> None:
    from unseen.planning.accounting import goldilocks, whole
    from unseen.reports.page import Page, write
    from unseen.reports.planning import planning_sections

    sections = planning_sections(played, value, cost, price)
    failures = sum(map(_failures, played.values()))
    if failures:
        print(f"the model failed for good in {failures} episodes; they are kept, and left out of the figures")
    if len(played) > 1:
        table = goldilocks(played, value, cost, price)
        short = {"episodes": "n", "planned": "planned", f"{value}_mean": value, f"{value}_low": "low", f"{value}_high": "high"}
        short |= {f"{cost}_mean": cost.removesuffix("_tokens") if cost.endswith("_tokens") else cost}
        _print(table.select("schedule", *short).rename(short))
    else:
        _print_summary(whole(next(iter(played.values()))))
    print(f"report: {write(Page(title, sections, about), folder / 'report.html')}")


def _print_summary(played: Episodes) -> None:
    import polars as pl

    from unseen.planning.accounting import summary

    _print(summary(played).filter((pl.col("mean") != 0) | pl.col("figure").is_in(("return", "success"))))


def _print(frame: Any) -> None:
    from rich.console import Console

    from unseen.commands.table import as_table

    Console().print(as_table(frame))
