"""Experiments as TOML: complete, re-runnable, and strict about names and types."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from typing import Any, Union

import tomli_w

from unseen.errors import UserError, unknown
from unseen.experiments.settings import Experiment
from unseen.learning.guard import refuse_kind


def to_toml(experiment: Experiment) -> str:
    """The experiment as TOML; a setting that is one of several kinds names its own with `kind`.

    None is left out, and so is what was added later where it has its default: older files compare equal.
    """
    return tomli_w.dumps(to_dict(experiment))


def from_toml(text: str, source: str = "experiment.toml") -> Experiment:
    """The experiment that `to_toml` wrote.

    Raises:
        UserError: naming the field, its value and what is allowed.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{source} is not valid TOML: {error}") from error
    return _parse(Experiment, table, "")


def to_dict(settings: Any) -> dict[str, Any]:
    """Nested plain values."""
    hints = typing.get_type_hints(type(settings))
    out: dict[str, Any] = {}
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if f.metadata.get("later") and value == f.default:
            continue
        if dataclasses.is_dataclass(value):
            kind = {"kind": type(value).__name__} if _kinds(hints[f.name]) else {}
            out[f.name] = kind | to_dict(value)
        elif value is not None:
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def _kinds(hint: Any) -> dict[str, type]:
    """The dataclasses of a union, by name."""
    if typing.get_origin(hint) not in (Union, types.UnionType):
        return {}
    return {t.__name__: t for t in typing.get_args(hint) if isinstance(t, type) and dataclasses.is_dataclass(t)}


def _parse(kind: type, table: Mapping[str, Any], path: str) -> Any:
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name == "kind" and path:
            continue
        if name not in fields:
            raise unknown("setting", f"{path}{name}", [f"{path}{n}" for n in fields])
        values[name] = _value(hints[name], value, f"{path}{name}")
    for name, f in fields.items():
        if name in values:
            continue
        if _optional(hints[name]):
            values[name] = None  # None is what TOML cannot say: a field that is left out
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise UserError(f"setting {path}{name} is missing")
    return kind(**values)


def _optional(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(hint)


def _value(hint: Any, value: Any, path: str) -> Any:
    kinds = _kinds(hint)
    if kinds:
        if not isinstance(value, dict) or "kind" not in value:
            raise UserError(f"{path} must be a table with a kind; allowed: {', '.join(sorted(kinds))}")
        if value["kind"] not in kinds:
            raise unknown(f"{path}.kind", str(value["kind"]), kinds)
        return _parse(kinds[value["kind"]], value, f"{path}.")
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise UserError(f"{path} = {value!r}; it must be a table")
        return _parse(hint, value, f"{path}.")
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UserError(f"{path} = {value!r}; it must be a list")
        return tuple(_value(typing.get_args(hint)[0], v, path) for v in value)
    refuse_kind(hint, value, path)
    return float(value) if hint in (float, float | None) else value
