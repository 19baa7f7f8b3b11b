"""Which key plays which action: an arrow or a letter where the action's name is understood, and a number always."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

UP, DOWN, LEFT, RIGHT, SPACE = "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Space"
DIGITS = 9  # up to as many actions a digit plays at once; of more, a number is typed and ended with Enter

_VERBS = re.compile(r"^(?:move|go|step|walk|push|strafe) (?=\w)")
_SAME = {"ahead": "forward", "forwards": "forward", "back": "backward", "backwards": "backward", "center": "centre"}
_TURNS = {f"{verb} {side}": key for verb in ("turn", "look", "rotate") for side, key in (("left", LEFT), ("right", RIGHT))}
_STAY = ("stay", "keep still", "stand still", "nothing", "do nothing", "no action", "no op", "noop", "idle", "wait")
# In this order; the first key that is free is taken. Sideways steps come after turns, so that they leave the arrows to those.
_KEYS: dict[str, tuple[str, ...]] = {
    **{name: (key,) for name, key in _TURNS.items()},
    "forward": (UP, "w"),
    "backward": (DOWN, "s"),
    "north": (UP,),
    "south": (DOWN,),
    "east": (RIGHT,),
    "west": (LEFT,),
    "up": (UP, "w"),
    "down": (DOWN, "s"),
    "look up": (UP,),
    "look down": (DOWN,),
    "left": (LEFT, "a"),
    "right": (RIGHT, "d"),
    **dict.fromkeys((*_STAY, "none", "centre"), (SPACE,)),
}


class Binding(NamedTuple):
    """How one action is played.

    Attributes:
        name: what the action is called on the page.
        key: "ArrowUp", "w", "Space", …, as a browser calls them in small letters; "" for none.
        chord: keys to hold together, where time runs, as for "forward and look left"; () for none.
        number: what to type for it.
    """

    name: str
    key: str
    chord: tuple[str, ...]
    number: str


def bindings(names: Sequence[str] | None, count: int, first: int = 0) -> tuple[Binding, ...]:
    """The keys of every action; no key plays two actions.

    Args:
        names: of the actions, None where the environment does not name them.
        count: of actions.
        first: the number the environment gives its first action.
    """
    called = [f"action {first + k}" for k in range(count)] if names is None else [str(name) for name in names]
    keys = _keys(called) if names is not None else {}
    # One digit for each of a few actions; of many, the environment's own numbers, which mean something where actions have no names.
    numbers = [str(k + 1 if count <= DIGITS else first + k) for k in range(count)]
    return tuple(Binding(called[k], keys.get(k, ""), _chord(called[k], called, keys), numbers[k]) for k in range(count))


def idle_action(names: Sequence[str] | None) -> int | None:
    """The action that does nothing, by its name; None where no name says so."""
    meanings = [_meaning(name) for name in names or ()]
    return next((k for k, meaning in enumerate(meanings) if meaning in _STAY), None)


def _keys(called: Sequence[str]) -> dict[int, str]:
    meanings = [_meaning(name) for name in called]
    turns, steps_aside = set(meanings) & set(_TURNS), set(meanings) & {"left", "right"}
    found: dict[int, str] = {}
    for meaning, wanted in _KEYS.items():
        if turns and steps_aside and meaning in ("forward", "backward"):
            wanted = wanted[::-1]  # one hand on W, A, S, D to walk, the other on the arrows to turn
        for k in (k for k, m in enumerate(meanings) if m == meaning):
            free = [key for key in wanted if key not in found.values()]
            if free:
                found[k] = free[0]
    left = [k for k, name in enumerate(called) if k not in found and not _parts(name, meanings)]
    initials = Counter(called[k][:1].lower() for k in left)
    for k in left:
        initial = called[k][:1].lower()
        if re.fullmatch("[a-z]", initial) and initials[initial] == 1 and initial not in found.values():
            found[k] = initial
    return found


def _chord(name: str, called: Sequence[str], keys: dict[int, str]) -> tuple[str, ...]:
    """The keys of the single actions that a name puts together, where all of them have one."""
    key_of = {_meaning(called[k]): key for k, key in keys.items()}
    parts = _parts(name, list(key_of))
    return tuple(key_of[part] for part in parts)


def _parts(name: str, meanings: Sequence[str]) -> list[str]:
    """The other actions that a name puts together, as in "forward and look left"; none for any other name."""
    parts = [_meaning(part) for part in re.split(r"\+|&|,|\band\b", name)]
    return parts if len(parts) > 1 and all(part in meanings for part in parts) else []


def _meaning(name: str) -> str:
    words = _VERBS.sub("", " ".join(re.sub("[^a-z0-9]", " ", str(name).lower()).split()))
    return _SAME.get(words, words)
