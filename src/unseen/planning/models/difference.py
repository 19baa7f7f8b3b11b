"""What keeps a request from being one of those on a tape, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from unseen.planning.models.contract import Message
from unseen.planning.models.request import Request

_SHOWN = 30  # characters from where two texts part


def difference(request: Request, taped: Iterable[Request]) -> str:
    """How a request differs from the nearest one on tape: with the longest common beginning, and then the most equal settings."""
    nearest = max(taped, key=lambda other: _likeness(request, other), default=None)
    if nearest is None:
        return "there is none on it at all"
    differing = [name for name in Request._fields if getattr(request, name) != getattr(nearest, name)]
    return "nearest: " + "; ".join(_differs(name, getattr(request, name), getattr(nearest, name)) for name in differing)


def _likeness(request: Request, other: Request) -> tuple[bool, int, int]:
    same = request.prompt == other.prompt
    settings = sum(getattr(request, name) == getattr(other, name) for name in Request._fields)
    return same, 0 if same else _common(request.prompt, other.prompt), settings


def _common(prompt: Sequence[Message], other: Sequence[Message]) -> int:
    """Characters, message by message, before two conversations part."""
    count = 0
    for mine, theirs in zip(prompt, other):
        if mine.role != theirs.role:
            break
        count += 1 + _same(mine.content, theirs.content)
        if mine != theirs:
            break
    return count


def _same(text: str, other: str) -> int:
    """Characters before two texts part."""
    return next((k for k, (mine, theirs) in enumerate(zip(text, other)) if mine != theirs), min(len(text), len(other)))


def _differs(name: str, mine: Any, theirs: Any) -> str:
    if name != "prompt":
        return f"{name} {_shown(mine)}, on tape {_shown(theirs)}"
    for number, (one, other) in enumerate(zip(mine, theirs), start=1):
        if one.role != other.role:
            return f"message {number} is the {one.role}'s, on tape the {other.role}'s"
        if one != other:
            same = _same(one.content, other.content)
            here, there = (repr(text[same : same + _SHOWN]) for text in (one.content, other.content))
            return f"message {number} from character {same} is {here}, on tape {there}"
    return f"{len(mine)} messages, on tape {len(theirs)}"


def _shown(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value) if isinstance(value, str) else str(value)
