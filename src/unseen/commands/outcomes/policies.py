"""Policies and actions as words on the command line."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unseen.data import Transitions
from unseen.data.table import as_frame
from unseen.errors import UserError, unknown


def policy_named(word: str, data: Transitions) -> Any:
    """uniform, always:ACTION, a table, or a function in a file of the user's."""
    from unseen.outcomes import Always, FromFunction, FromTable, Uniform

    if word == "uniform":
        return Uniform()
    if word.startswith("always:"):
        return Always(label_of(word.removeprefix("always:"), data.action_labels))
    path, _, name = word.rpartition(".py")
    if path and (not name or name.startswith(":")):
        file = Path(f"{path}.py")
        if not file.is_file():
            raise UserError(f"no file {str(file)!r}; a policy file defines policy(states)")
        found = guarded(lambda: runpy.run_path(str(file)), str(file))
        wanted = name.removeprefix(":") or "policy"
        if wanted not in found:
            raise unknown(f"name in {file}", wanted, [n for n in found if not n.startswith("_")])
        ask = getattr(found[wanted], "probabilities", found[wanted])
        return FromFunction(lambda states: guarded(lambda: ask(states), f"{file}: {wanted}(states)"))
    if word.endswith((".parquet", ".csv")):
        frame = as_frame(word)
        if "action" in frame.columns:
            return FromTable(frame, "action")
        absent = [label for label in data.action_labels if str(label) not in frame.columns]
        if absent:
            raise UserError(
                f"{word} has no column {str(absent[0])!r}; it needs one of probabilities for every action, or one named 'action'"
            )
        return FromTable(frame, {label: str(label) for label in data.action_labels})
    raise UserError(f"policy {word!r} is none of uniform, always:ACTION, FILE.py[:NAME], FILE.parquet, FILE.csv")


def guarded(call: Callable[[], Any], what: str) -> Any:
    """A call of the user's own code; what goes wrong there is one line."""
    try:
        return call()
    except Exception as error:
        told = next(iter(str(error).splitlines()), "")
        raise UserError(f"{what} fails with {type(error).__name__}: {told}; mend the file") from error


def label_of(word: str, labels: Sequence[Any]) -> Any:
    """The action that a word on the command line means: "1" may be the number 1."""
    for label in labels:
        if str(label) == word:
            return label
    raise unknown("action", word, [str(label) for label in labels])


def named_policies(words: Sequence[str]) -> list[tuple[str, str]]:
    """(name, policy) of NAME=POLICY, or of a policy that is its own name."""
    pairs = [(name, rest) if (rest := word.partition("=")[2]) and (name := word.partition("=")[0]) else (word, word) for word in words]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise UserError(f"policies {names} share a name; write NAME=POLICY")
    return pairs
