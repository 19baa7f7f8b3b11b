"""Models and agents from what the command line says of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unseen.commands.planning.settings import Model, Speech, World
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make
from unseen.errors import UserError, unknown
from unseen.planning.agent import Agent
from unseen.planning.features import features_of
from unseen.planning.models.contract import LanguageModel
from unseen.planning.models.prices import Price
from unseen.planning.prompts import Prompts
from unseen.planning.rl.prices import check_told, priced
from unseen.runs.files import write_atomic

TAUGHT = "agent.json"  # beside weights that were trained here: how the agent was spoken to


def weights(path: Path) -> Path | None:
    """The directory with the weights that a path stands for: itself, or the checkpoint of a training directory."""
    for folder in (path, path / "checkpoint" / "model"):
        if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
            return folder
    return None


def model_of(asked: Model) -> LanguageModel:
    """The model that is asked for, behind its cassette where there is one.

    Raises:
        UserError: no such model.
    """
    if asked.replay and asked.cassette is None:
        raise UserError("--replay plays back a cassette; give --cassette FILE")
    if asked.cassette is None:
        return _model(asked)
    from unseen.planning.models.cassette import Cassette

    tape = Cassette(None if asked.replay else _model(asked), asked.cassette, mode="replay" if asked.replay else "auto")
    if asked.replay and asked.model != "reader" and not tape.name.startswith(asked.model):
        raise UserError(f"{asked.cassette} is a tape of {tape.name!r}, not of {asked.model!r}")
    return tape


def price_of(asked: Model) -> Price | None:
    """What the model's tokens cost; None where no prices are given.

    Raises:
        UserError: prices without this model.
    """
    if asked.prices is None:
        return None
    table = Price.read(asked.prices)
    if asked.model not in table:
        raise unknown(f"model in {asked.prices}", asked.model, table)
    return table[asked.model]


def _model(asked: Model) -> LanguageModel:
    if asked.url is not None:
        if asked.model == "reader":
            raise UserError("--url needs --model NAME, the name of a model at that endpoint")
        from unseen.planning.models.endpoint import EndpointModel

        key, dialect, together = asked.key_variable, asked.dialect, asked.concurrency
        return EndpointModel(asked.url, asked.model, key_variable=key, dialect=dialect, concurrency=together)
    if asked.model == "reader":
        from unseen.planning.models.reader import reader

        return reader()
    found = weights(Path(asked.model))
    if found is None:
        raise UserError(
            f'--model {asked.model!r}: no weights are there; give a directory with config.json, "reader", or a name with --url URL'
        )
    from unseen.planning.models.local import LocalModel

    return LocalModel.load(found)


def agent_of(asked: Model, speech: Speech, schedule: str, world: World) -> Agent:
    """The agent that is asked for; a model that was trained here is spoken to as it was in training, where nothing else is said.

    Raises:
        UserError: no such model, the script that plays graph search is to play something else, or a price is told to a model that was never
            told one, or none to one that always was.
    """
    if asked.model == "reader" and asked.url is None and not asked.replay and world.environment != "graph-search":
        raise UserError(
            f'the script "reader" plays graph-search only; give --model DIRECTORY, or --url URL --model NAME, for {world.environment}'
        )
    known = taught(Path(asked.model)) if asked.url is None else {}
    model = model_of(asked)
    if asked.url is None and asked.model != "reader":
        _check_lessons(model, Path(asked.model), speech.told_price)
        note_other_world(Path(asked.model), world)
        if _remembered(Path(asked.model)).get("plans") == "never" and schedule != "never":
            print(
                f"unseen: note: in {asked.model} plans were forbidden while it learned; --schedule never asks for the same", file=sys.stderr
            )
    how = manner(speech, known)
    if speech.told_price is not None:
        how["prompts"] = priced(Prompts.named(how["prompts"]), speech.told_price)
    features = features_of(world.environment)
    return Agent(model, schedule, temperature=speech.temperature, top_p=speech.top_p, features=features, **how)


def manner(speech: Speech, known: dict[str, Any]) -> dict[str, Any]:
    """How an agent is spoken to: as is said, or else as it was taught, or else as is usual.

    Args:
        speech: what is said.
        known: of its training; see `taught`.
    """
    usual = {"prompts": "standard", "history": 16, "max_plan_tokens": 256, "max_action_tokens": 32} | known
    return usual | {name: getattr(speech, name) for name in usual if getattr(speech, name) is not None}


def taught(folder: Path) -> dict[str, Any]:
    """How a model that was trained in this directory was spoken to; nothing where that is not known.

    Raises:
        UserError: the file that says so is damaged.
    """
    return {name: value for name, value in _remembered(folder).items() if name in Speech.__annotations__}


def told_prices(folder: Path) -> list[float] | None:
    """Prices, one of which a model that was trained in this directory found in every prompt; None where that is not known.

    Raises:
        UserError: the file that says so is damaged.
    """
    return _remembered(folder).get("told_prices")


def remember(
    folder: Path,
    world: World,
    prices: Sequence[float],
    *,
    prompts: str,
    history: int,
    max_plan_tokens: int,
    max_action_tokens: int,
    plans: str = "may",
) -> None:
    """Write down how a model that is trained in this directory is spoken to, and where.

    Args:
        folder: of the training.
        world: where.
        prices: that stood in prompts; none: no price did.
        prompts, history, max_plan_tokens, max_action_tokens: of the agent.
        plans: whether it might write any; see `RL`.
    """
    said: dict[str, Any] = {
        "prompts": prompts,
        "history": history,
        "max_plan_tokens": max_plan_tokens,
        "max_action_tokens": max_action_tokens,
    }
    said |= {"told_prices": [*prices], "environment": world.environment, "options": world.environment_options, "plans": plans}
    write_atomic(folder / TAUGHT, (json.dumps(said, indent=1, default=str) + "\n").encode())


def note_other_world(folder: Path, world: World) -> None:
    """Say so where a model that was trained in this directory is to play in another world, or with other options, than it was trained in.

    Raises:
        UserError: the file that says where it was trained is damaged.
    """
    known = _remembered(folder)
    there, here = known.get("environment"), world.environment
    if there is None:
        return
    before, now = known.get("options"), json.loads(json.dumps(world.environment_options, default=str))
    if there != here:
        print(f"unseen: note: {folder} was trained in {there}, not in {here}", file=sys.stderr)
    elif isinstance(before, dict) and before != now:
        print(f"unseen: note: {folder} was trained with {_options(before)}, and plays with {_options(now)}", file=sys.stderr)


def _options(options: dict[str, Any]) -> str:
    said = " ".join(f"{name}={value}" for name, value in options.items())
    return f"--environment-options {said}" if said else "no --environment-options"


def _remembered(folder: Path) -> dict[str, Any]:
    path = folder / TAUGHT
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged; delete it and give --prompts and --history")
    return found


def _check_lessons(model: LanguageModel, folder: Path, price: float | None) -> None:
    """See that a model is told a price where it was in training, and only there; and note one that it has not met."""
    from unseen.planning.models.local import LocalModel

    prices = told_prices(folder)
    known = ", ".join(f"{one:g}" for one in prices or ())
    if price is None and prices:
        raise UserError(f"{folder} was trained with one of the prices {known} in every prompt; give one of them as --told-price")
    if price is not None and prices is not None and not prices:
        raise UserError(
            f"--told-price {price:g}: {folder} was never told a price in training; leave it out, or train with several "
            "(unseen plan sft --told-prices, unseen plan rl --plan-price)"
        )
    if price is not None and isinstance(model, LocalModel):
        check_told(model, [price])
    if price is not None and prices and price not in prices:
        print(f"unseen: note: {folder} was never told the price {price:g}, but {known}", file=sys.stderr)


def world_of(asked: World) -> TextEnvironment:
    return make(asked.environment, **asked.environment_options)
