"""From a Gymnasium id to an environment: packages imported on demand, typos answered with the nearest id."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gymnasium

from unseen.errors import UserError

# Beginnings of ids whose package registers them when imported: prefix -> (module, what to install).
_PACKAGES = {
    "MiniGrid-": ("minigrid", "unseen[minigrid]"),
    "BabyAI-": ("minigrid", "unseen[minigrid]"),
    "MiniWorld-": ("miniworld", "miniworld"),
    "ALE/": ("ale_py", "ale-py"),
    "popgym-": ("popgym", "popgym"),
    "highway-": ("highway_env", "highway-env"),
    "Fetch": ("gymnasium_robotics", "gymnasium-robotics"),
    "PointMaze_": ("gymnasium_robotics", "gymnasium-robotics"),
    "AntMaze_": ("gymnasium_robotics", "gymnasium-robotics"),
    "AdroitHand": ("gymnasium_robotics", "gymnasium-robotics"),
}

_modules_may_be_imported: ContextVar[bool] = ContextVar("modules_may_be_imported", default=True)


@contextmanager
def module_imports(allowed: bool) -> Generator[None]:
    """Inside, an id "module:ID" imports its module only where `allowed`; an id read from a file must not: it may be a stranger's.

    A context and not an argument: an option of an environment can name another environment, which must be refused as well.
    One inside another can only forbid.
    """
    token = _modules_may_be_imported.set(allowed and _modules_may_be_imported.get())
    try:
        yield
    finally:
        _modules_may_be_imported.reset(token)


def find(identifier: str) -> None:
    """Make sure Gymnasium knows the id, importing the package that registers it where we know which.

    Raises:
        UserError: an unknown id, a missing package, or a module that must not be imported here.
    """
    module, _, rest = identifier.rpartition(":")
    if module and not _modules_may_be_imported.get() and sys.modules.get(module) is None:
        raise UserError(
            f"Gymnasium environment {identifier!r} is named in a file and would run the code of the module {module!r}; "
            f"import {module} first, or trust the file: unseen.load(..., trust=True), --trust on the command line"
        )
    known = next((found for prefix, found in _PACKAGES.items() if identifier.startswith(prefix)), None)
    if rest.startswith("unseen/"):
        from unseen.environments.adapters.registration import register_all

        register_all()
    elif module:
        _import(module, identifier, None)
    elif known and identifier not in gymnasium.registry:
        _import(known[0], identifier, known[1])
    try:
        gymnasium.spec(rest)
    except gymnasium.error.Error as error:
        near = difflib.get_close_matches(rest, gymnasium.registry, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else "import the package that registers it, or write 'module:ID'"
        raise UserError(f"unknown Gymnasium environment {rest!r}; {hint}") from error


def _import(module: str, identifier: str, install: str | None) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        here = Path(f"{module.partition('.')[0]}.py").exists()
        own = "it lies in this folder: put PYTHONPATH=. before the command" if here else "install the package it comes from"
        fix = f"run: pip install '{install}'" if install else own
        raise UserError(f"Gymnasium environment {identifier!r} needs the module {error.name}; {fix}") from error


def make_gymnasium(identifier: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    find(identifier)  # again in a worker, where nothing is imported yet
    try:
        return gymnasium.make(identifier, disable_env_checker=True, **options)
    except (TypeError, gymnasium.error.Error, ImportError) as error:
        raise UserError(f"Gymnasium environment {identifier!r} could not be made with {dict(options)}: {error}") from error
