"""Episodes: what was seen, done and received, from reset to the final observation."""

# pyright: strict
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, Shaped

from unseen.data.check import check_episodes
from unseen.data.columns import Column, Ragged, join, ranges, take
from unseen.data.layout import FIELDS, GROUPS, REQUIRED, ColumnName, Rows, label
from unseen.errors import UserError, unknown

if TYPE_CHECKING:
    import pandas  # pyright: ignore[reportMissingTypeStubs]
    import polars

Columns = Mapping[str, Shaped[np.ndarray, "..."]]


def _empty() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps, as views into the columns of an `Episodes`; fields as there, `info` as plain values."""

    observations: Columns
    actions: Shaped[np.ndarray, "T ..."]
    rewards: Float[np.ndarray, " T"]
    terminated: Bool[np.ndarray, " T"]
    truncated: Bool[np.ndarray, " T"]
    behaviour_log_probability: Float[np.ndarray, " T"] | None = None
    signals: Columns = field(default_factory=_empty)
    text: Columns = field(default_factory=_empty)
    tokens: Mapping[str, Ragged] = field(default_factory=_empty)
    reads: Columns = field(default_factory=_empty)
    accounts: Columns = field(default_factory=_empty)
    info: Mapping[str, Any] = field(default_factory=_empty)

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def observation(self) -> Shaped[np.ndarray, "rows ..."]:
        """(T + 1, …) the observations, where there is one array of them."""
        return _only_observation(self.observations)


@dataclass(frozen=True, eq=False)
class Episodes:
    """E episodes of N steps in all, as columns; an episode of T steps has T + 1 observations, so the final one is never lost.

    Steps of episode e are rows `offsets[e]:offsets[e + 1]`; its observations are rows `offsets[e] + e : offsets[e + 1] + e + 1`.
    Every promise below is checked at construction; an `Episodes` that exists keeps them.

    Attributes:
        observations: name -> (N + E, …); one plain array is stored as "observation".
        actions: (N, …).
        rewards: (N,) float32 or float64, finite.
        terminated: (N,) the environment ended; only ever true on an episode's last step.
        truncated: (N,) the episode was cut, and a value may be bootstrapped; never true together with `terminated`.
            An episode with neither flag is unfinished: its recording stopped after the final observation.
        offsets: (E + 1,) int64; every episode has at least one step.
        behaviour_log_probability: (N,) of the action taken.
        signals: name -> (N + E, …) what a critic may be told, one per observation.
        text: name -> (N,) text of a step, such as a language model's completion.
        tokens: name -> `Ragged` of N integer rows.
        reads: name -> (N, …) what a memory recalled at a step.
        accounts: name -> (N, …) what a step cost and what was decided in it, such as tokens of a plan.
        info: name -> (E, …) facts about an episode, such as its seed or level; may hold NaN.

    Raises:
        UserError: the first broken promise, with its column, episode and step.
    """

    observations: Columns
    actions: Shaped[np.ndarray, "N ..."]
    rewards: Shaped[np.ndarray, "..."]
    terminated: Shaped[np.ndarray, "..."]
    truncated: Shaped[np.ndarray, "..."]
    offsets: Shaped[np.ndarray, "..."]
    behaviour_log_probability: Shaped[np.ndarray, "..."] | None = None
    signals: Columns = field(default_factory=_empty)
    text: Columns = field(default_factory=_empty)
    tokens: Mapping[str, Ragged] = field(default_factory=_empty)
    reads: Columns = field(default_factory=_empty)
    accounts: Columns = field(default_factory=_empty)
    info: Columns = field(default_factory=_empty)

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Check every promise of the class; raises `UserError` with the first one broken."""
        check_episodes(self.columns(), self.offsets)

    # --- reading

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(e) for e in range(len(self)))

    def __getitem__(self, e: int) -> Episode:
        return self.episode(e)

    def __repr__(self) -> str:
        names = ", ".join(label(column) for column in self.columns())
        return f"Episodes({len(self)} episodes, {self.steps} steps: {names})"

    @property
    def steps(self) -> int:
        """N, the number of steps."""
        return int(self.offsets[-1])

    @property
    def lengths(self) -> Int64[np.ndarray, " E"]:
        """(E,) steps per episode."""
        return np.diff(self.offsets)

    @property
    def episode_of_step(self) -> Int64[np.ndarray, " N"]:
        """(N,) the episode each step belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @property
    def time_of_step(self) -> Int64[np.ndarray, " N"]:
        """(N,) steps since the episode began."""
        return ranges(np.zeros(len(self), np.int64), self.lengths)

    @property
    def rows_of_steps(self) -> Int64[np.ndarray, " N"]:
        """(N,) row of the observation each action was chosen on; the next observation is one row further."""
        return np.arange(self.steps, dtype=np.int64) + self.episode_of_step

    @property
    def final_rows(self) -> Int64[np.ndarray, " E"]:
        """(E,) row of each final observation."""
        return self.offsets[1:] + np.arange(len(self), dtype=np.int64)

    @property
    def observation(self) -> Shaped[np.ndarray, "rows ..."]:
        """(N + E, …) the observations, where there is one array of them."""
        return _only_observation(self.observations)

    def returns(self, discount: float = 1.0) -> Float[np.ndarray, " E"]:
        """G_e = Σ_t discount^t r_t, in float64.

        Args:
            discount: in [0, 1].

        Returns:
            (E,) one return per episode, counted from its first step.
        """
        if not 0.0 <= discount <= 1.0:
            raise UserError(f"discount is {discount}; allowed: 0 to 1")
        weighted = np.float64(discount) ** self.time_of_step * self.rewards.astype(np.float64)
        return np.add.reduceat(weighted, self.offsets[:-1]) if len(self) else np.zeros(0)

    def episode(self, e: int) -> Episode:
        """Episode e as views, negative from the end."""
        if not -len(self) <= e < len(self):
            raise IndexError(f"episode {e} of {len(self)}")  # IndexError: what Python's own sequence protocol expects
        e = range(len(self))[e]
        first, last = int(self.offsets[e]), int(self.offsets[e + 1])
        at = {Rows.STEP: slice(first, last), Rows.OBSERVATION: slice(first + e, last + e + 1)}
        parts = {c: cast("Any", v)[e] if FIELDS[c[0]] == Rows.EPISODE else take(v, at[FIELDS[c[0]]]) for c, v in self.columns().items()}
        return Episode(**_fields(parts))

    # --- columns

    def columns(self) -> dict[ColumnName, Column]:
        """Every column under (field, name inside the field or None), in a fixed order."""
        found: dict[ColumnName, Column] = {}
        for name in FIELDS:
            value = getattr(self, name)
            if name in GROUPS:
                found.update({(name, key): column for key, column in value.items()})
            elif value is not None:
                found[name, None] = value
        return found

    @classmethod
    def from_columns(cls, columns: Mapping[ColumnName, Column], offsets: Int[np.ndarray, " boundaries"]) -> Episodes:
        """The inverse of `columns`."""
        missing = [name for name in REQUIRED if all(c[0] != name for c in columns)]
        if missing:
            raise UserError(f"episodes need {missing[0]!r}, which is missing")
        return cls(**_fields(columns), offsets=offsets)

    def identical(self, other: Episodes) -> bool:
        """Whether both hold the same columns with the same dtypes, shapes and values."""
        mine, theirs = self.columns(), other.columns()
        if mine.keys() != theirs.keys() or not np.array_equal(self.offsets, other.offsets):
            return False
        return all(_identical(column, theirs[name]) for name, column in mine.items())

    def select(self, which: Sequence[int] | Sequence[bool] | np.ndarray) -> Episodes:
        """The episodes at these indices (in that order, repeats allowed) or where this (E,) mask is true."""
        chosen = np.asarray(which)
        if chosen.size == 0 and chosen.dtype != np.bool_:
            chosen = chosen.astype(np.int64)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or np.any((chosen < -len(self)) | (chosen >= len(self))):
            raise UserError(f"select takes a mask of {len(self)} booleans or indices from {-len(self)} to {len(self) - 1}")
        chosen = chosen.astype(np.int64) % max(len(self), 1)
        lengths, starts = self.lengths[chosen], self.offsets[:-1][chosen]
        rows = {
            Rows.STEP: ranges(starts, lengths),
            Rows.OBSERVATION: ranges(starts + chosen, lengths + 1),
            Rows.EPISODE: chosen,
        }
        columns = {name: take(column, rows[FIELDS[name[0]]]) for name, column in self.columns().items()}
        return Episodes.from_columns(columns, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @staticmethod
    def concatenate(parts: Iterable[Episodes]) -> Episodes:
        """All episodes of all parts, in order; the parts must have the same columns, dtypes and row shapes."""
        parts = list(parts)
        if not parts:
            raise UserError("concatenate needs at least one Episodes")
        tables = [part.columns() for part in parts]
        for i, table in enumerate(tables[1:], start=1):
            for name in tables[0].keys() ^ table.keys():
                raise UserError(f"concatenate: {label(name)} is in only one of parts 0 and {i}; all parts need the same columns")
            for name, column in table.items():
                if _form(column) != _form(tables[0][name]):
                    raise UserError(f"concatenate: {label(name)} is {_form(tables[0][name])} in part 0 but {_form(column)} in part {i}")
        columns = {name: join([table[name] for table in tables]) for name in tables[0]}
        lengths = np.concatenate([part.lengths for part in parts])
        return Episodes.from_columns(columns, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    # --- from and to elsewhere; each imports its library when first used

    @staticmethod
    def from_list(episodes: Iterable[Mapping[str, Any]]) -> Episodes:
        """From one dict per episode; see `unseen.data.build.from_list`."""
        from unseen.data.build import from_list

        return from_list(episodes)

    @staticmethod
    def from_padded(**arrays: Any) -> Episodes:
        """From time-major padded arrays, one episode per column; see `unseen.data.build.from_padded`."""
        from unseen.data.build import from_padded

        return from_padded(**arrays)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one Parquet file, whole or not at all; `read` gives back the identical `Episodes`."""
        from unseen.data.parquet import write

        write(self, path)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Episodes:
        """Read a file of `write`. Safe on untrusted files: no pickle, every value checked.

        Raises:
            UserError: missing, truncated, tampered with, of another kind or of a newer version.
        """
        from unseen.data.parquet import read

        return read(path)

    def to_polars(self) -> polars.DataFrame:
        """One row per step; see `unseen.data.frames` for the columns."""
        from unseen.data.frames import to_polars

        return to_polars(self)

    def to_pandas(self) -> pandas.DataFrame:
        """One row per step; see `unseen.data.frames` for the columns. Needs pandas."""
        from unseen.data.frames import to_pandas

        return to_pandas(self)

    @staticmethod
    def from_frame(frame: object) -> Episodes:
        """From a dataframe (polars, pandas, pyarrow, …) with the columns `to_polars` writes."""
        from unseen.data.frames import from_frame

        return from_frame(frame)

    from_polars = from_frame
    from_pandas = from_frame

    def to_minari(self, dataset_id: str, **options: Any) -> Any:
        """Store as a local Minari dataset; see `unseen.data.minari.to_minari`. Needs the extra `minari`."""
        from unseen.data.minari import to_minari

        return to_minari(self, dataset_id, **options)

    @staticmethod
    def from_minari(dataset: Any) -> Episodes:
        """From a Minari dataset or the id of a local one; see `unseen.data.minari.from_minari`. Needs the extra `minari`."""
        from unseen.data.minari import from_minari

        return from_minari(dataset)


def _fields(columns: Mapping[ColumnName, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for (name, key), column in columns.items():
        if key is None:
            values[name] = column
        else:
            values.setdefault(name, {})[key] = column
    return values


def _only_observation(observations: Columns) -> np.ndarray:
    if "observation" not in observations:
        raise unknown("observation", "observation", observations)
    return observations["observation"]


def _form(column: Column) -> str:
    if isinstance(column, Ragged):
        return f"ragged {column.values.dtype}"
    return f"{column.dtype}{list(column.shape[1:]) if column.ndim > 1 else ''}"


def _identical(a: Column, b: Column) -> bool:
    if isinstance(a, Ragged) or isinstance(b, Ragged):
        return isinstance(a, Ragged) and isinstance(b, Ragged) and _identical(a.values, b.values) and _identical(a.offsets, b.offsets)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind == "f":  # bit for bit: NaN equals itself, 0.0 is not -0.0
        return a.tobytes() == b.tobytes()
    return np.array_equal(a, b)
