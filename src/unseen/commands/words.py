"""Settings that the command line writes in one word: `gru:128`, `lstm`, `memax:FART:64`, `n=5`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable
from typing import Any

import tyro

from unseen.agents.settings import CPC, GRU, LRU, LSTM, MEM, Auxiliary, FeedForward, GTrXL, Memax, Memory, Reconstruction, Residual
from unseen.errors import UserError, unknown

_SIZED = {"gru": GRU, "lstm": LSTM, "lru": LRU}
_NAMES = (*_SIZED, "feed-forward", "gtrxl", "memax", "mem")
_OF_MEM = {"capacity": int, "neighbours": int, "key_size": int, "every": int, "recalls": str, "gradient": str}
_OF_GTRXL = {"layers": int, "heads": int, "window": int}
_AUXILIARY: dict[str, type] = {"cpc": CPC, "reconstruction": Reconstruction}
registry = tyro.constructors.ConstructorRegistry()


def memory_from_word(word: str) -> Memory:
    """The memory a word names.

    Raises:
        UserError: for an unknown name, or a size that is no positive number.
    """
    name, *rest = word.split(":")
    if name == "mem":
        return _mem_from(rest, word)
    if name == "gtrxl" and sum("=" not in part for part in rest) <= 1:
        return GTrXL(*(_size(s, word) for s in rest if "=" not in s), **_options_of(rest, word, _OF_GTRXL))
    if name == "feed-forward" and len(rest) <= 1:
        return FeedForward(*(_size(s, word) for s in rest))
    if name == "memax" and len(rest) in (1, 2):
        return Memax(rest[0], *(_size(s, word) for s in rest[1:]))
    if name in _SIZED and len(rest) <= 1:
        return _SIZED[name](*(_size(s, word) for s in rest))
    if name in _NAMES:
        raise UserError(
            f"memory {word!r} is not understood; write gru:128, lstm:128, lru:128, feed-forward, memax:MODEL:128, "
            "gtrxl:128:window=64 or mem:lstm:128:capacity=512"
        )
    raise unknown("memory", name, _NAMES)


def _mem_from(parts: list[str], word: str) -> MEM:
    """`lstm:128:capacity=512`: the working memory, then options."""
    options = _options_of(parts, word, _OF_MEM)
    working = ":".join(part for part in parts if "=" not in part)
    if not working:
        return MEM(**options)
    inner = memory_from_word(working)
    if isinstance(inner, Memax | MEM | GTrXL):
        raise UserError(f"memory {word!r}: {working!r} is no working memory of mem; write mem:lstm:128, gru, lru or feed-forward:128")
    return MEM(inner, **options)


def _options_of(parts: list[str], word: str, kinds: dict[str, type]) -> dict[str, Any]:
    """The parts that are `name=value`, for a memory that has these."""
    options: dict[str, Any] = {}
    for part in (part for part in parts if "=" in part):
        name, value = part.split("=", 1)
        if name not in kinds:
            raise unknown(f"option in memory {word!r}", name, kinds)
        options[name] = _size(value, word, name) if kinds[name] is int else value
    return options


def memory_to_word(memory: Memory) -> str:
    """The word for a memory."""
    if isinstance(memory, FeedForward):
        return "feed-forward" if memory.size is None else f"feed-forward:{memory.size}"
    if isinstance(memory, MEM):
        return ":".join(["mem", memory_to_word(memory.working), *_changed(memory, MEM(), _OF_MEM)])
    if isinstance(memory, GTrXL):
        return ":".join([f"gtrxl:{memory.size}", *_changed(memory, GTrXL(), _OF_GTRXL)])
    if isinstance(memory, Memax):
        return f"memax:{memory.model}:{memory.size}"
    return f"{type(memory).__name__.lower()}:{memory.size}"


def _changed(memory: Memory, usual: Memory, names: Iterable[str]) -> list[str]:
    return [f"{name}={getattr(memory, name)}" for name in names if getattr(memory, name) != getattr(usual, name)]


def auxiliary_from_word(word: str) -> Auxiliary | None:
    """The auxiliary loss a word names: `none`, `cpc`, `cpc:steps=10:weight=0.1`, `reconstruction:source=both`.

    Raises:
        UserError: for an unknown name or option.
    """
    name, *rest = word.split(":")
    if name == "none" and not rest:
        return None
    if name not in _AUXILIARY:
        raise unknown("auxiliary loss", name, ("none", *_AUXILIARY))
    return _AUXILIARY[name](**_options_in(rest, word, _AUXILIARY[name]))


def pictures_from_word(word: str) -> Residual | None:
    """What `convolutions`, `residual` or `residual:blocks=1:size=128` names.

    Raises:
        UserError: for an unknown name or option.
    """
    name, *rest = word.split(":")
    if name == "convolutions" and not rest:
        return None
    if name != "residual":
        raise unknown("encoder of pictures", name, ("convolutions", "residual"))
    return Residual(**_options_in(rest, word, Residual))


def _options_in(parts: list[str], word: str, settings: type) -> dict[str, Any]:
    """`steps=10`, `weight=0.1`: values as TOML writes them, for the fields of a dataclass; a list becomes a tuple."""
    names = [f.name for f in dataclasses.fields(settings)]
    options = dict(option_from_word(part) for part in parts)
    for name in options:
        if name not in names:
            raise unknown(f"option in {word!r}", name, names)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def settings_to_word(settings: Any, nothing: str) -> str:
    """The word for settings written as a name and what differs from the usual; `nothing` for None."""
    if settings is None:
        return nothing
    usual, written = type(settings)(), []
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if value != getattr(usual, f.name):
            written.append(f"{f.name}={list(value) if isinstance(value, tuple) else value}".replace(" ", ""))
    return ":".join([type(settings).__name__.lower(), *written])


def option_from_word(word: str) -> tuple[str, Any]:
    """`name=value`, the value as TOML writes it; a bare word is a string."""
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise UserError(f"environment option {word!r} is not understood; write name=value")
    try:
        return name, tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return name, value


def _size(text: str, word: str, name: str = "size") -> int:
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"memory {word!r}: {name} {text!r} must be a whole number of at least 1")
    return int(text)


@registry.primitive_rule
def _memory(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    if info.type != Memory:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="gru:N|lstm:N|lru:N|feed-forward|gtrxl:N[:window=N…]|memax:MODEL:N|mem:lstm:N[:capacity=N…]",
        instance_from_str=lambda words: memory_from_word(words[0]),
        is_instance=lambda x: isinstance(x, Memory),
        str_from_instance=lambda memory: [memory_to_word(memory)],
    )


def _in_words(metavar: str, from_word: Any, kind: Any, nothing: str) -> tyro.constructors.PrimitiveConstructorSpec:
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: from_word(words[0]),
        is_instance=lambda x: x is None or isinstance(x, kind),
        str_from_instance=lambda settings: [settings_to_word(settings, nothing)],
    )


@registry.primitive_rule
def _auxiliary(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    if info.type != (Auxiliary | None):
        return None
    return _in_words("none|cpc[:steps=N…]|reconstruction[:weight=X…]", auxiliary_from_word, Auxiliary, "none")


@registry.primitive_rule
def _pictures(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    if info.type != (Residual | None):
        return None
    return _in_words("convolutions|residual[:blocks=N…]", pictures_from_word, Residual, "convolutions")


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
