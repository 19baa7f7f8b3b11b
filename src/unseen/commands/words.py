"""Settings that the command line writes in one word: `gru:128`, `lstm`, `memax:FART:64`, `n=5`."""

from __future__ import annotations

import tomllib
from typing import Any

import tyro

from unseen.agents.settings import GRU, LRU, LSTM, MEM, FeedForward, Memax, Memory
from unseen.errors import UserError, unknown

_SIZED = {"gru": GRU, "lstm": LSTM, "lru": LRU}
_NAMES = (*_SIZED, "feed-forward", "memax", "mem")
_OF_MEM = {"capacity": int, "neighbours": int, "key_size": int, "every": int, "recalls": str, "gradient": str}
registry = tyro.constructors.ConstructorRegistry()


def memory_from_word(word: str) -> Memory:
    """The memory a word names.

    Raises:
        UserError: for an unknown name, or a size that is no positive number.
    """
    name, *rest = word.split(":")
    if name == "mem":
        return _mem_from(rest, word)
    if name == "feed-forward" and len(rest) <= 1:
        return FeedForward(*(_size(s, word) for s in rest))
    if name == "memax" and len(rest) in (1, 2):
        return Memax(rest[0], *(_size(s, word) for s in rest[1:]))
    if name in _SIZED and len(rest) <= 1:
        return _SIZED[name](*(_size(s, word) for s in rest))
    if name in _NAMES:
        raise UserError(
            f"memory {word!r} is not understood; write gru:128, lstm:128, lru:128, feed-forward, memax:MODEL:128 or "
            "mem:lstm:128:capacity=512"
        )
    raise unknown("memory", name, _NAMES)


def _mem_from(parts: list[str], word: str) -> MEM:
    """`lstm:128:capacity=512`: the working memory, then options."""
    options: dict[str, Any] = {}
    for part in (part for part in parts if "=" in part):
        name, value = part.split("=", 1)
        if name not in _OF_MEM:
            raise unknown(f"option in memory {word!r}", name, _OF_MEM)
        options[name] = _size(value, word) if _OF_MEM[name] is int else value
    working = ":".join(part for part in parts if "=" not in part)
    if not working:
        return MEM(**options)
    inner = memory_from_word(working)
    if isinstance(inner, Memax | MEM):
        raise UserError(f"memory {word!r}: {working!r} is no working memory of mem; write mem:lstm:128, gru, lru or feed-forward:128")
    return MEM(inner, **options)


def memory_to_word(memory: Memory) -> str:
    """The word for a memory."""
    if isinstance(memory, FeedForward):
        return "feed-forward" if memory.size is None else f"feed-forward:{memory.size}"
    if isinstance(memory, MEM):
        usual = MEM()
        changed = [f"{name}={getattr(memory, name)}" for name in _OF_MEM if getattr(memory, name) != getattr(usual, name)]
        return ":".join(["mem", memory_to_word(memory.working), *changed])
    if isinstance(memory, Memax):
        return f"memax:{memory.model}:{memory.size}"
    return f"{type(memory).__name__.lower()}:{memory.size}"


def option_from_word(word: str) -> tuple[str, Any]:
    """`name=value`, the value as TOML writes it; a bare word is a string."""
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise UserError(f"environment option {word!r} is not understood; write name=value")
    try:
        return name, tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return name, value


def _size(text: str, word: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"memory {word!r}: size {text!r} must be a whole number of at least 1")
    return int(text)


@registry.primitive_rule
def _memory(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    if info.type != Memory:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="gru:N|lstm:N|lru:N|feed-forward|memax:MODEL:N|mem:lstm:N[:capacity=N…]",
        instance_from_str=lambda words: memory_from_word(words[0]),
        is_instance=lambda x: isinstance(x, Memory),
        str_from_instance=lambda memory: [memory_to_word(memory)],
    )


@registry.primitive_rule
def _options(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    if info.type != dict[str, Any]:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="[NAME=VALUE …]",
        instance_from_str=lambda words: dict(option_from_word(word) for word in words),
        is_instance=lambda x: isinstance(x, dict),
        str_from_instance=lambda options: [f"{k}={v}" for k, v in options.items()],
    )
