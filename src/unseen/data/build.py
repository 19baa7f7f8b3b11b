"""Episodes from lists of episodes, and from the padded arrays that compiled rollouts make."""

# pyright: strict
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from unseen.data.columns import Column, Ragged, as_column, join
from unseen.data.episodes import Episodes
from unseen.data.layout import FIELDS, GROUPS, REQUIRED, ColumnName, Rows, label
from unseen.errors import UserError, unknown

Arrays = Mapping[str, Any] | Any


def from_list(episodes: Iterable[Mapping[str, Any]]) -> Episodes:
    """From one dict per episode, keyed by the fields of `Episodes`.

    Args:
        episodes: dicts with observations (T + 1, …) or name -> (T + 1, …), actions (T, …), rewards (T,), terminated and truncated
            (one boolean for the last step, or (T,)), and any optional field; `info` holds plain values, `tokens` lists of lists.

    Raises:
        UserError: a missing or unknown field, episodes with different columns, or any broken promise of `Episodes`.
    """
    episodes = list(episodes)
    if not episodes:
        raise UserError("from_list needs at least one episode; without one the columns are unknown")
    tables = [_episode_columns(e, episode) for e, episode in enumerate(episodes)]
    for e, table in enumerate(tables):
        for column in tables[0].keys() ^ table.keys():
            raise UserError(f"{label(column)} is in only one of episodes 0 and {e}; all episodes need the same columns")
        for column, values in table.items():
            _same_row_shape(column, e, tables[0][column], values)
    columns = {column: join([table[column] for table in tables]) for column in tables[0]}
    lengths = [len(table["rewards", None]) for table in tables]
    return Episodes.from_columns(columns, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def _episode_columns(e: int, episode: Mapping[str, Any]) -> dict[ColumnName, Column]:
    for field in episode:
        if field not in FIELDS:
            raise unknown("field of an episode", field, FIELDS)
    for field in REQUIRED:
        if field not in episode:
            raise UserError(f"episode {e} has no {field!r}; needed: {', '.join(REQUIRED)}")
    columns: dict[ColumnName, Column] = {}
    for column, values in _flat(episode).items():
        name = f"{label(column)} of episode {e}"
        if column[0] == "tokens":
            columns[column] = values if isinstance(values, Ragged) else Ragged.from_list(values)
        elif column[0] == "info":
            columns[column] = as_column([values], name)
        else:
            columns[column] = as_column(values, name)
    rewards = columns["rewards", None]
    assert isinstance(rewards, np.ndarray)
    if rewards.ndim != 1 or rewards.dtype.kind not in "biuf":
        raise UserError(f"rewards of episode {e} have dtype {rewards.dtype} and shape {rewards.shape}; they must be one number per step")
    for field in ("rewards", "behaviour_log_probability"):
        values = columns.get((field, None))
        if isinstance(values, np.ndarray) and values.dtype.kind in "biu":
            columns[field, None] = values.astype(np.float64)
    for field in ("terminated", "truncated"):
        columns[field, None] = _flags(columns[field, None], len(rewards))
    for column, values in columns.items():  # here, because lengths wrong in opposite directions cancel once joined
        expected = {Rows.STEP: len(rewards), Rows.OBSERVATION: len(rewards) + 1, Rows.EPISODE: 1}[FIELDS[column[0]]]
        rows = len(values) if isinstance(values, Ragged) or values.ndim else 0
        if rows != expected:
            raise UserError(f"{label(column)} of episode {e} has {rows} rows, but its {len(rewards)} rewards ask for {expected}")
    return columns


def _flags(values: Column, steps: int) -> Column:
    """One boolean for the last step becomes one per step."""
    if isinstance(values, Ragged) or values.ndim:
        return values
    flags = np.zeros(steps, values.dtype)
    flags[-1:] = values
    return flags


def _same_row_shape(column: ColumnName, e: int, first: Column, values: Column) -> None:
    if isinstance(first, np.ndarray) and isinstance(values, np.ndarray):
        text = (first.dtype.kind == "T") != (values.dtype.kind == "T")
        if first.shape[1:] != values.shape[1:] or text:
            raise UserError(
                f"{label(column)} is {values.dtype}{list(values.shape[1:])} per row in episode {e} "
                f"but {first.dtype}{list(first.shape[1:])} in episode 0; all episodes need the same"
            )


def from_padded(
    *,
    observations: Arrays,
    actions: Any,
    rewards: Any,
    terminated: Any,
    truncated: Any,
    valid: Any = None,
    behaviour_log_probability: Any = None,
    signals: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
    reads: Mapping[str, Any] | None = None,
    accounts: Mapping[str, Any] | None = None,
    info: Mapping[str, Any] | None = None,
) -> Episodes:
    """From time-major padded arrays (NumPy or JAX), one episode per column b, padded behind its end.

    Column b has L_b = Σ_t valid[t, b] steps; its final observation is `observations[L_b, b]`. Columns without a valid step are left out.

    Args:
        observations: (T + 1, B, …), or name -> (T + 1, B, …).
        actions: (T, B, …).
        rewards: (T, B).
        terminated: (T, B).
        truncated: (T, B).
        valid: (T, B), per column true up to its last step and false behind it; all true when left out.
        behaviour_log_probability: (T, B).
        signals: name -> (T + 1, B, …).
        text: name -> (T, B).
        reads: name -> (T, B, …).
        accounts: name -> (T, B, …).
        info: name -> (B, …).

    Raises:
        UserError: a shape that does not fit, a hole in `valid`, or any broken promise of `Episodes`.
    """
    given = {
        "observations": observations,
        "actions": actions,
        "rewards": rewards,
        "terminated": terminated,
        "truncated": truncated,
        "behaviour_log_probability": behaviour_log_probability,
        "signals": signals,
        "text": text,
        "reads": reads,
        "accounts": accounts,
        "info": info,
    }
    arrays = {column: as_column(values, label(column)) for column, values in _flat(given).items()}
    horizon_and_batch = arrays["rewards", None].shape
    if len(horizon_and_batch) != 2:
        raise UserError(f"rewards have shape {horizon_and_batch}; padded arrays are time-major, so rewards must be (T, B)")
    horizon, batch = horizon_and_batch
    mask = np.ones((horizon, batch), np.bool_) if valid is None else np.asarray(valid)
    if mask.shape != (horizon, batch) or mask.dtype != np.bool_:
        raise UserError(f"valid has dtype {mask.dtype} and shape {mask.shape}; it must be bool {(horizon, batch)}")
    lengths = mask.sum(axis=0)
    holes = np.flatnonzero((mask[1:] & ~mask[:-1]).any(axis=0))
    if len(holes):
        raise UserError(f"valid turns true again after false in column {holes[0]}; each column holds one episode, padded behind its end")

    kept = lengths > 0
    per_row: dict[Rows, np.ndarray] = {
        Rows.STEP: mask.T,
        Rows.OBSERVATION: (np.arange(horizon + 1) <= lengths[:, None]) & kept[:, None],
    }
    columns: dict[ColumnName, Column] = {}
    for column, array in arrays.items():
        rows = FIELDS[column[0]]
        expected = {Rows.STEP: (horizon, batch), Rows.OBSERVATION: (horizon + 1, batch), Rows.EPISODE: (batch,)}[rows]
        if array.shape[: len(expected)] != expected:
            raise UserError(
                f"{label(column)} has shape {array.shape}; beside rewards of shape {(horizon, batch)} it must begin with {expected}"
            )
        columns[column] = array[kept] if rows == Rows.EPISODE else array.swapaxes(0, 1)[per_row[rows]]
    return Episodes.from_columns(columns, np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64))


def _flat(given: Mapping[str, Any]) -> dict[ColumnName, Any]:
    """Values under (field, name); a plain array of observations is named "observation"."""
    flat: dict[ColumnName, Any] = {}
    for field, values in given.items():
        if values is None:
            continue
        if field not in GROUPS:
            flat[field, None] = values
        elif isinstance(values, Mapping):
            flat.update({(field, name): value for name, value in cast("Mapping[str, Any]", values).items()})
        elif field == "observations":
            flat[field, "observation"] = values
        else:
            raise UserError(f"{field} must be a mapping from names to arrays, not {type(values).__name__}")
    return flat
