"""Which fields an `Episodes` has, what each has a row for, and the name of every column in a table."""

# pyright: strict
from __future__ import annotations

import re
from enum import StrEnum

from unseen.errors import UserError


class Rows(StrEnum):
    """What a column has one row for."""

    STEP = "step"
    OBSERVATION = "observation"  # an episode of T steps has T + 1 of these
    EPISODE = "episode"


FIELDS = {
    "observations": Rows.OBSERVATION,
    "actions": Rows.STEP,
    "rewards": Rows.STEP,
    "terminated": Rows.STEP,
    "truncated": Rows.STEP,
    "behaviour_log_probability": Rows.STEP,
    "signals": Rows.OBSERVATION,
    "text": Rows.STEP,
    "tokens": Rows.STEP,
    "reads": Rows.STEP,
    "accounts": Rows.STEP,
    "info": Rows.EPISODE,
}
REQUIRED = ("observations", "actions", "rewards", "terminated", "truncated")
GROUPS = ("observations", "signals", "text", "tokens", "reads", "accounts", "info")  # mappings from a name to a column
SINGULAR = {
    "observations": "observation",
    "actions": "action",
    "rewards": "reward",
    "signals": "signal",
    "reads": "read",
    "accounts": "account",
}
WIDEST = 64  # vectors up to this width get a table column per component; anything larger is one column of arrays

ColumnName = tuple[str, str | None]  # field, and the name inside it where the field is a mapping


def check_name(field: str, name: str) -> None:
    """Names end up in table columns as `signal.NAME[0]`, so brackets and empty names are refused."""
    if not name or "[" in name or "]" in name:
        raise UserError(f"{field} has a column named {name!r}; a name must not be empty or contain brackets")


def label(column: ColumnName) -> str:
    """The name of a column in messages, as in `signals['heaven']`."""
    field, name = column
    return field if name is None else f"{field}[{name!r}]"


def table_name(column: ColumnName) -> str:
    """The name of a column in a table: `observation`, `observation.velocity`, `action`, `signal.heaven`, …"""
    field, name = column
    short = SINGULAR.get(field, field)
    return short if name is None or column == ("observations", "observation") else f"{short}.{name}"


def parse_table_name(text: str) -> tuple[ColumnName, int | None] | None:
    """The column and vector component that a table's column name stands for; None where it stands for nothing of ours."""
    match = re.fullmatch(r"([^\[\]]+?)(?:\[(\d+)\])?", text)
    if match is None:
        return None
    short, dot, name = match[1].partition(".")
    field = next((f for f in FIELDS if SINGULAR.get(f, f) == short), None)
    if field is None or bool(dot) != (field in GROUPS and match[1] != "observation") or (dot and not name):
        return None
    key = "observation" if match[1] == "observation" else name if dot else None
    return (field, key), None if match[2] is None else int(match[2])


def split(shape: tuple[int, ...]) -> bool:
    """Whether a column of rows with this shape becomes one table column per component."""
    return len(shape) == 1 and shape[0] <= WIDEST
