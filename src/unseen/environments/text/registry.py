"""Environments in words by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from unseen.environments.text.contract import TextEnvironment
from unseen.errors import UserError, unknown

_HOMES = {
    "graph-search": ("unseen.environments.text.graph_search", "GraphSearch"),
    "crafter": ("unseen.environments.text.crafter", "Crafter"),
}
MINIGRID = "minigrid/"
_ADDED: dict[str, Callable[..., TextEnvironment]] = {}


def names() -> list[str]:
    """Every name that `make` takes; beside them "minigrid/LEVEL", as in "minigrid/BabyAI-GoToRedBall-v0"."""
    return sorted({*_HOMES, *_ADDED})


def register(name: str, make: Callable[..., TextEnvironment]) -> None:
    """Add an environment of one's own under a name.

    Raises:
        UserError: the name is taken, or begins as those of MiniGrid do.
    """
    if name.startswith(MINIGRID):
        raise UserError(f"names that begin with {MINIGRID!r} are levels of MiniGrid; give {name!r} another name")
    if name in names():
        raise UserError(f"there is a text environment {name!r} already; give another name")
    _ADDED[name] = make


def make(name: str, **options: Any) -> TextEnvironment:
    """A text environment by name.

    Args:
        name: one of `names()`.
        options: as its class takes them.

    Raises:
        UserError: an unknown name, an option that it does not have, or a value that it does not take.
    """
    if name.startswith(MINIGRID):
        from unseen.environments.text.minigrid import minigrid_text

        return minigrid_text(name.removeprefix(MINIGRID), **options)
    if name not in names():
        raise unknown("text environment", name, [*names(), f"{MINIGRID}LEVEL"])
    if name in _ADDED:
        home = _ADDED[name]
        parameters = inspect.signature(home).parameters
        allowed: Iterable[str] = options if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) else parameters
    else:
        module, kind = _HOMES[name]
        home = getattr(importlib.import_module(module), kind)
        allowed = options_of(home)
    for option in options:
        if option not in allowed:
            raise unknown(f"option of {name}", option, allowed)
    return home(**options)


def options_of(kind: Any) -> Mapping[str, Any]:
    """The options of a class and their default values."""
    parameters = inspect.signature(kind.__init__).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "self"}
