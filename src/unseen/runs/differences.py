"""The first field in which two experiments differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

_ABSENT = object()


def first_difference(there: Mapping[str, Any], here: Mapping[str, Any], ignore: Collection[str] = ()) -> tuple[str, str, str] | None:
    """The first field, in the order they are written, that differs between two parsed TOML documents.

    Args:
        there: one document.
        here: the other.
        ignore: dotted fields, or whole tables, that may differ.

    Returns:
        The dotted field and both values in words, or None.
    """
    for field, old, new in _differences("", there, here):
        if not any(field == name or field.startswith((f"{name}.", f"{name}[")) for name in ignore):
            return field, _words(old), _words(new)
    return None


def _differences(field: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(f"{field}.{name}" if field else name, old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            yield from _differences(f"{field}[{i}]", old[i] if i < len(old) else _ABSENT, new[i] if i < len(new) else _ABSENT)
    elif not _same(old, new):
        yield field, old, new


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, bool) != isinstance(new, bool):
        return False  # Python holds True == 1
    return old == new or (old != old and new != new)  # a NaN is the same setting as a NaN


def _words(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)
