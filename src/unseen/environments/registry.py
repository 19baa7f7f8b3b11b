"""From a name to an environment: registered names, numbered families, `.pomdp` files, gymnax and Gymnasium."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unseen.errors import UserError, unknown

_NAVIGATION, _CARDS = "unseen.environments.navigation", "unseen.environments.cards"
_CLINICAL = "unseen.environments.clinical"
_MEMORY_SUITE = "unseen.environments.memory_suite.suite"
_MEMORY_TASKS = (
    "arbitrary-visuomotor-mapping",
    "continuous-recognition",
    "change-detection",
    "what-then-where",
    "spot-diff",
    "spot-diff-passive",
    "spot-diff-multi",
    "spot-diff-motion",
    "visible-goal-with-buildings",
    "invisible-goal-with-buildings",
    "invisible-goal-empty-arena",
    "explore-goal-locations",
    "transitive-inference",
)


@dataclass(frozen=True)
class _Entry:
    """A factory, or where to import it from ("module:attribute"), and the options that its name already fixes."""

    factory: Callable[..., Any] | str
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def build(self, name: str, options: Mapping[str, Any]) -> Any:
        factory = self.factory if callable(self.factory) else _import(self.factory)
        _check_options(name, factory, self.fixed, options)
        return factory(**self.fixed, **options)


_ENTRIES: dict[str, _Entry] = {
    "synthetic": _Entry("unseen.environments.synthetic:InformedPOMDP"),
    "heavenhell-3": _Entry(f"{_NAVIGATION}.heavenhell:HeavenHell", {"n": 3}),
    "shopping-5": _Entry(f"{_NAVIGATION}.shopping:Shopping", {"n": 5}),
    "car-flag": _Entry(f"{_NAVIGATION}.carflag:CarFlag", {"observe_velocity": True}),
    "car-flag-no-velocity": _Entry(f"{_NAVIGATION}.carflag:CarFlag", {"observe_velocity": False}),
    "cleaner": _Entry(f"{_NAVIGATION}.cleaner:Cleaner"),
    "memory-four-rooms-7x7": _Entry(f"{_NAVIGATION}.four_rooms:MemoryFourRooms", {"size": 7}),
    "memory-four-rooms-9x9": _Entry(f"{_NAVIGATION}.four_rooms:MemoryFourRooms", {"size": 9}),
    "higher-lower-easy": _Entry(f"{_CARDS}.higher_lower:HigherLower", {"decks": 1}),
    "higher-lower-medium": _Entry(f"{_CARDS}.higher_lower:HigherLower", {"decks": 2}),
    "higher-lower-hard": _Entry(f"{_CARDS}.higher_lower:HigherLower", {"decks": 3}),
    "repeat-first-easy": _Entry(f"{_CARDS}.repeat_first:RepeatFirst", {"decks": 1}),
    "repeat-first-medium": _Entry(f"{_CARDS}.repeat_first:RepeatFirst", {"decks": 8}),
    "repeat-first-hard": _Entry(f"{_CARDS}.repeat_first:RepeatFirst", {"decks": 16}),
    "repeat-previous-easy": _Entry(f"{_CARDS}.repeat_previous:RepeatPrevious", {"decks": 1, "k": 4}),
    "repeat-previous-medium": _Entry(f"{_CARDS}.repeat_previous:RepeatPrevious", {"decks": 2, "k": 32}),
    "repeat-previous-hard": _Entry(f"{_CARDS}.repeat_previous:RepeatPrevious", {"decks": 3, "k": 64}),
    "count-recall-easy": _Entry(f"{_CARDS}.count_recall:CountRecall", {"decks": 1, "kind": "colours"}),
    "count-recall-medium": _Entry(f"{_CARDS}.count_recall:CountRecall", {"decks": 2, "kind": "suits"}),
    "count-recall-hard": _Entry(f"{_CARDS}.count_recall:CountRecall", {"decks": 4, "kind": "ranks"}),
    "concentration-easy": _Entry(f"{_CARDS}.concentration:Concentration", {"decks": 1, "kind": "colours"}),
    "concentration-medium": _Entry(f"{_CARDS}.concentration:Concentration", {"decks": 2, "kind": "colours"}),
    "concentration-hard": _Entry(f"{_CARDS}.concentration:Concentration", {"decks": 1, "kind": "ranks"}),
    "position-cartpole-easy": _Entry(f"{_CARDS}.cartpole:PositionCartPole", {"time_limit": 200}),
    "position-cartpole-medium": _Entry(f"{_CARDS}.cartpole:PositionCartPole", {"time_limit": 400}),
    "position-cartpole-hard": _Entry(f"{_CARDS}.cartpole:PositionCartPole", {"time_limit": 600}),
    "tumour": _Entry(f"{_CLINICAL}.tumour:Tumour", {"observe_parameters": True}),
    "tumour-type-only": _Entry(f"{_CLINICAL}.tumour:Tumour", {"observe_parameters": False}),
    **{f"memory/{task}": _Entry(f"{_MEMORY_SUITE}:compact", {"name": task}) for task in _MEMORY_TASKS},
    **{f"memory-fp/{task}": _Entry(f"{_MEMORY_SUITE}:first_person", {"name": task}) for task in _MEMORY_TASKS},
}

# Families with any size, as in heavenhell-7; the environment itself says which sizes it takes.
_FAMILIES = {
    "heavenhell": f"{_NAVIGATION}.heavenhell:HeavenHell",
    "shopping": f"{_NAVIGATION}.shopping:Shopping",
}

# Names with a prefix are somebody else's environments, brought in by `unseen.environments.adapters`.
_PREFIXES = {
    "gymnax": "unseen.environments.adapters:from_gymnax",
    "gym": "unseen.environments.adapters:external",
}


def make(name: str, /, **options: Any) -> Any:
    """Build the environment called `name`.

    Args:
        name: a registered name (`names()`), "heavenhell-N" or "shopping-N" of any size, the path of a `.pomdp` file,
            "gymnax:NAME", or "gym:ID" (an external environment, stepped on the host).
        options: keyword arguments of the environment, such as `time_limit=50`; for every environment of this package and from
            gymnax also `noisy`, the noise on its signals (see `environments.NoisySignals`).

    Raises:
        UserError: unknown name or option (with the nearest valid one), a value that is not allowed, a missing file.
    """
    if (noise := options.pop("noisy", None)) is not None:
        return _import("unseen.environments.noisy:NoisySignals")(make(name, **options), noise)
    if entry := _ENTRIES.get(name) or _family(name):
        return entry.build(name, options)
    if name.lower().endswith(".pomdp"):
        return _from_file(name, options)
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _PREFIXES:
        return _adapted(prefix, rest, name, options)
    if colon:
        raise unknown("prefix", prefix, _PREFIXES)
    raise unknown("environment", name, _ENTRIES)


def register(name: str, factory: Callable[..., Any], *, replace: bool = False) -> None:
    """Add an environment, so that `make(name, **options)` calls `factory(**options)`.

    Args:
        name: a new name, without ":" and not ending in ".pomdp" (`make` gives those a meaning of their own).
        factory: called once per `make`; its keyword arguments are the environment's options.
        replace: allow a name that is already taken.

    Raises:
        UserError: the name is taken or not allowed, or the factory cannot be called.
    """
    if not name or ":" in name or name.lower().endswith(".pomdp") or name != name.strip():
        raise UserError(f"environment name {name!r} is not allowed; use one without ':' or outer blanks that does not end in '.pomdp'")
    if not callable(factory):
        raise UserError(f"factory of environment {name!r} is {factory!r}; give something that can be called, such as the class")
    if not replace and (name in _ENTRIES or _family(name)):
        raise UserError(f"environment {name!r} is already registered; choose another name or pass replace=True")
    _ENTRIES[name] = _Entry(factory)


def names() -> list[str]:
    """Every registered name, sorted. The numbered families are listed by their best-known member."""
    return sorted(_ENTRIES)


def _family(name: str) -> _Entry | None:
    match = re.fullmatch(r"(.+)-([0-9]{1,9})", name)
    if match is None or match[1] not in _FAMILIES or match[2].startswith("0"):
        return None
    return _Entry(_FAMILIES[match[1]], {"n": int(match[2])})


def _from_file(name: str, options: Mapping[str, Any]) -> Any:
    path = Path(name)
    if not path.is_file():
        folder = path.parent
        neighbours = sorted(str(p) for p in folder.glob("*.pomdp")) if folder.is_dir() else []
        raise unknown(f".pomdp file (there is no file of that name in {str(folder)!r})", name, neighbours)
    from_file = _import("unseen.environments.tabular:TabularEnvironment").from_file
    _check_options(name, from_file, {}, options)
    return from_file(path, **options)


def _adapted(prefix: str, rest: str, name: str, options: Mapping[str, Any]) -> Any:
    if not rest:
        raise UserError(f"environment {name!r} names nothing after the colon; write {prefix}:NAME")
    adapter = _import(_PREFIXES[prefix])
    _check_options(name, adapter, {}, options)
    return adapter(rest, **options)


def _import(home: str) -> Any:
    module, _, attribute = home.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _check_options(name: str, factory: Callable[..., Any], fixed: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise for an option the factory does not take, or that the environment's name already decides."""
    parameters = inspect.signature(factory).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    # What has no default is what `make` itself passes (a file's path, an adapted environment's name).
    allowed = [p.name for p in parameters if p.name not in fixed and p.default is not p.empty]
    for option in options:
        if option not in allowed:
            raise unknown(f"option of {name}", option, allowed)
