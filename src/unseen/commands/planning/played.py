"""`unseen plan evaluate|sweep|worth|obey|steer`: somebody plays, and is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unseen.commands.planning.agents import agent_of, price_of, world_of
from unseen.commands.planning.directories import EPISODES, directory, free, same, stem, usual_folder
from unseen.commands.planning.settings import Evaluate, Obey, Steer, Sweep, Worth
from unseen.commands.planning.terminal import counting, noted, print_frame, print_summary
from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.planning.schedules import schedule
from unseen.runs.files import make_directory


def evaluate(command: Evaluate) -> int:
    from unseen.planning.play import evaluate

    agent = agent_of(command.model, command.speech, command.schedule, command.world)
    world, price = world_of(command.world), price_of(command.model)
    usual = usual_folder(command.world, command.model, stem(command.schedule))
    folder = free(command.out, usual, EPISODES)
    said = {"episodes": command.episodes, "seed": command.seed, "live": command.live, "signals": command.signals}
    with noted(), counting(command.episodes, command.schedule) as ended:
        played = evaluate(agent, world, **said, watch=ended)
    played.write(directory(folder) / EPISODES)
    _report(f"{command.world.environment}, {command.schedule}", {command.schedule: played}, folder, _about(command), price=price)
    return 1 if _failures(played) else 0


def sweep(command: Sweep) -> int:
    from unseen.planning.play import evaluate

    if not command.schedules:
        raise UserError("--schedules: give at least one")
    words = {str(schedule(word)): word for word in command.schedules}  # a mistake is told before the work
    if command.cost == "seconds" and command.model.cassette is not None:
        raise UserError("--cost seconds: what a cassette plays back takes no time; give another cost, or no --cassette")
    world, agent = world_of(command.world), agent_of(command.model, command.speech, next(iter(words)), command.world)
    price = price_of(command.model)
    if command.cost == "dollars" and price is None:
        raise UserError("--cost dollars needs --prices FILE")
    folder = command.out or usual_folder(command.world, command.model, "sweep")
    _claim(directory(folder), command)
    played: dict[str, Episodes] = {}
    for word in words:
        path = folder / f"{stem(word)}.parquet"
        if not path.exists():
            with noted(), counting(command.episodes, word) as ended:
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


def worth(command: Worth) -> int:
    world, place = world_of(command.world), command.out or usual_folder(command.world, command.model, "worth")
    if command.from_log.log == ():
        raise UserError("--log: give at least one file or directory of recordings")
    if command.from_log.log is not None:
        from unseen.commands.planning.logged import worth_from_log

        return worth_from_log(command, world, command.from_log.log, directory(place))
    from unseen.planning.paired_runs import worth
    from unseen.reports.page import Page, write
    from unseen.reports.planning import worth_section

    agent = agent_of(command.model, command.speech, command.schedule, command.world)
    found = worth(agent, world, command.episodes, command.seed, each=command.each, replicates=command.replicates)
    folder = directory(place)
    found.states.write_parquet(folder / "states.parquet")
    print_frame(found.by_situation())
    print(f"report: {write(Page(f'What planning was worth: {command.world.environment}', [worth_section(found)]), folder / 'report.html')}")
    return 0


def obey(command: Obey) -> int:
    from unseen.environments.text.graph_search import GraphSearch
    from unseen.planning.steering import obedience
    from unseen.reports.page import Page, write
    from unseen.reports.planning import obedience_section

    world = world_of(command.world)
    if not isinstance(world, GraphSearch):
        raise UserError(f"obedience is measured on graph-search, where the correct plan is known; not on {command.world.environment}")
    agent = agent_of(command.model, command.speech, command.schedule, command.world)
    table = obedience(agent, world, command.episodes, command.seed, steps=command.steps)
    folder = directory(command.out or usual_folder(command.world, command.model, "obedience"))
    table.write_parquet(folder / "states.parquet")
    print_frame(table.group_by("kind", maintain_order=True).mean().drop("seed", "step"))
    print(f"report: {write(Page('Does it obey?', [obedience_section(table)]), folder / 'report.html')}")
    return 0


def steer(command: Steer) -> int:
    from rich.console import Console

    from unseen.commands.planning.steer import steer
    from unseen.planning.steering import read_script, steered

    agent = agent_of(command.model, command.speech, command.schedule, command.world)
    world = world_of(command.world)
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
    print_summary(played)
    print(f"episode: {path}")
    return 0


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
    same(folder / "sweep.json", asked, "a sweep")


def _about(command: Evaluate | Sweep) -> str:
    """What a page says of how it was made."""
    world, model = command.world, command.model
    options = ", ".join(f"{name} {value}" for name, value in world.environment_options.items())
    who = model.model if model.url is None else f"{model.model} at {model.url}"
    said = {name: value for name, value in vars(command.speech).items() if value is not None}
    how = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said.items())
    where = f"{world.environment} ({options})" if options else world.environment
    return f"{where}, played by {who}; {how}; seeds {command.seed} to {command.seed + command.episodes - 1}."


def _failures(played: Episodes) -> int:
    """Episodes that ended because the model failed for good."""
    return sum(bool(str(error)) for error in played.info["error"])


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
        print_frame(table.select("schedule", *short).rename(short))
    else:
        print_summary(whole(next(iter(played.values()))))
    print(f"report: {write(Page(title, sections, about), folder / 'report.html')}")
