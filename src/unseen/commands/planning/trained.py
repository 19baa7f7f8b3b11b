"""`unseen plan collect|sft|rl`: recordings of a teacher, a student of them, and what it learns by itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from unseen.commands.planning.agents import manner, note_other_world, remember, taught, told_prices, weights, world_of
from unseen.commands.planning.directories import EPISODES, compare, directory, for_training, same
from unseen.commands.planning.settings import Collect, Reinforce, Teach, World
from unseen.commands.planning.terminal import print_frame, print_summary, updates
from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.runs.files import write_atomic

COLLECTED = "collected.json"


def collect(command: Collect) -> int:
    from unseen.planning.collecting import collect, teacher_of

    asked = {name: getattr(command, name) for name in ("mistakes", "slips", "stale", "late")}
    teacher = teacher_of(command.world.environment, **{name: share for name, share in asked.items() if share})
    how = {"style": command.style, "interval": command.interval}
    recorded = collect(teacher, world_of(command.world), command.episodes, command.seed, **how)
    folder = directory(command.out or Path("runs") / "plan" / f"{command.world.environment}-teacher")
    recorded.write(folder / EPISODES)
    said = {"environment": command.world.environment, "options": command.world.environment_options}
    write_atomic(folder / COLLECTED, (json.dumps(said, indent=1, default=str) + "\n").encode())
    print_summary(recorded)
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
    where, recorded = _recorded(command.recordings)
    world = world_of(where)
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
    folder = for_training(command.out or command.recordings / "sft")
    asked: dict[str, Any] = {"model": command.model, "hidden": command.hidden, "layers": command.layers, "heads": command.heads}
    asked |= how | {"prompts": command.prompts, "told_prices": command.told_prices}
    compare(folder / "student.json", asked, "a student")
    longest = max(student.count(pair.output) for pair in lessons)
    spoken: dict[str, Any] = {"prompts": command.prompts, "history": command.history, "max_plan_tokens": max(16, longest)}
    spoken["max_action_tokens"] = 1 + max(map(student.count, world.actions))

    def accepted() -> None:
        same(directory(folder) / "student.json", asked, "a student")
        remember(folder, where, command.told_prices, **spoken)

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
    world, model = world_of(command.world), LocalModel.load(found)
    how = manner(command.speech, taught(command.model))
    folder = for_training(command.out or command.model.with_name(f"{command.model.name}-rl"))
    prices = command.rl.prices if command.rl.told else ()
    writer = None
    if command.url is not None:
        place = command.weights or folder / "served"
        writer = ServedModel(command.url, command.served, model, place, key_variable=command.key_variable)
    critic = TextCritic(command.critic_signals, command.critic_network)

    def accepted() -> None:
        if told_prices(command.model) and not prices:
            print(f"unseen: note: {command.model} was told prices, and with one --plan-price no prompt tells it", file=sys.stderr)
        note_other_world(command.model, command.world)
        remember(directory(folder), command.world, prices, **how, plans=command.rl.plans)

    more = {"temperature": command.speech.temperature, "critic": critic, "writer": writer, "accepted": accepted}
    with updates(command.rl.updates, sys.stdout.isatty() and first) as (say, watch):
        done = reinforce(model, world, command.rl, folder, **how, **more, say=say, watch=watch)
    if not first:
        return 1 if done.stopped else 0
    done.curves.write_parquet(folder / "curves.parquet")
    columns = ["update", "env_steps", "return", "price", "planning_frequency", "plan_tokens", "kl", "wall_s"]
    if len(done.curves):
        print_frame(done.curves.select(columns)[:: max(1, len(done.curves) // 10)])
    if done.silent:
        print(f"planning has stopped: {in_words(done.curves.to_dicts())}")
    print(f"curves: {folder / 'curves.parquet'}")
    print(f"model: {folder}" + (f" (stopped: {done.stopped})" if done.stopped else ""))
    return 1 if done.stopped else 0


def _recorded(folder: Path) -> tuple[World, Episodes]:
    """Where recordings were made, and the recordings."""
    try:
        said = json.loads((folder / COLLECTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{folder} is no directory of recordings; make one with unseen plan collect ENVIRONMENT") from None
    return World(said["environment"], said["options"]), Episodes.read(folder / EPISODES)
