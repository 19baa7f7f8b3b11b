"""What tells one training from another besides its settings: the environment's own settings, and the weights and tokens it starts from."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from unseen.environments.text.contract import TextEnvironment
from unseen.planning.models.local import LocalModel

DEEP = 4  # objects within objects in which settings are looked for
LOOKED_AT = 4_096  # numbers of each tensor, evenly spaced: no two trainings agree in all of them, and large weights are read in no time


def settings_of(environment: TextEnvironment, seed: int) -> dict[str, str]:
    """What an environment was made with, as far as it keeps it: plain values in it that neither a reset nor a step changes.

    Args:
        environment: a copy of it is played with.
        seed: of an episode.
    """
    one, other = copy.deepcopy(environment), copy.deepcopy(environment)
    one.reset(seed)
    one.step(one.actions[0])
    other.reset(seed + 1)
    known = dict(_plain(other))
    return {name: value for name, value in _plain(one) if known.get(name) == value}


def _plain(thing: Any, name: str = "", depth: int = DEEP) -> Iterator[tuple[str, str]]:
    """Every plain value in an object, by the names that lead to it."""
    for key, value in _inside(thing).items():
        path = f"{name}.{key.strip('_')}" if name else key.strip("_")
        if _is_plain(value):
            text = repr(sorted(map(repr, value)) if isinstance(value, set | frozenset) else value)
            yield path, text if len(text) <= 80 else f"{text[:60]}… {hashlib.sha256(text.encode()).hexdigest()[:12]}"
        elif depth > 1:
            yield from _plain(value, path, depth - 1)


def _inside(thing: Any) -> Mapping[str, Any]:
    if isinstance(thing, type) or callable(thing):
        return {}
    if isinstance(thing, tuple) and hasattr(thing, "_asdict"):
        return thing._asdict()  # pyright: ignore[reportAttributeAccessIssue]
    if is_dataclass(thing):
        return {field.name: getattr(thing, field.name) for field in fields(thing)}
    return getattr(thing, "__dict__", {})


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return False  # its fields have names of their own
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    return value is None or isinstance(value, bool | int | float | str)


def digest_of(model: LocalModel) -> dict[str, str]:
    """What tells a model's weights and its tokens from others'."""
    weights, tokens = hashlib.sha256(), hashlib.sha256()
    for name, tensor in sorted(model.model.state_dict().items()):
        flat = tensor.detach().flatten()
        some = flat[:: max(1, -(-flat.numel() // LOOKED_AT))].float().cpu().numpy()
        weights.update(f"{name} {tuple(tensor.shape)}".encode() + np.ascontiguousarray(some).tobytes())
    tokenizer = model.tokenizer
    spoken = (sorted(tokenizer.get_vocab().items()), tokenizer.chat_template, sorted(model.ends))
    tokens.update(repr(spoken).encode())
    return {"starting weights": weights.hexdigest()[:16], "tokenizer": tokens.hexdigest()[:16]}
