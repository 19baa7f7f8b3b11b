"""Transitions: logged decisions one step at a time, as the estimators of `outcomes` read them."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from unseen.data.columns import ranges
from unseen.data.episodes import Episodes
from unseen.data.layout import split
from unseen.data.propensities import read_propensities
from unseen.data.schema import Kind, Label, Schema, StateColumn, all_missing, encode_labels, fit_schema, sorted_labels
from unseen.data.table import Frame, as_frame, column, flags, labels, missing, numbers, require_present
from unseen.data.trajectories import Trajectories, arrange, check_endings
from unseen.errors import UserError, unknown

MOST_DOSES = 50  # a column of fractions with more distinct values than this is a measurement, not a choice


@dataclass(frozen=True, eq=False)
class Transitions:
    """n one-step transitions (S, A, R, S') of N trajectories, ordered by trajectory and time.

    Attributes:
        states: (n, d) encoded by `schema`: numbers as they are, categories as the index of their level.
        actions: (n,) index into `action_labels`.
        rewards: (n,).
        next_states: (n, d); where a row terminated and no next state is known, its own state, to be multiplied by 1 - terminated.
        terminated: (n,) nothing follows, so the next state is worth 0.
        trajectory: (n,) from 0 to N - 1, for clustering.
        time: (n,) step number, as given.
        rows: (n,) the row of the table each came from, counted from 0.
        starts: (N, d) the first state of every trajectory, also of those whose rows were all dropped.
        ids: (N,) what the table calls each trajectory.
        schema: the state columns with their types and levels.
        action_labels: the actions as the table calls them.
        propensities: behaviour probabilities as logged: (n,) of the action taken, (n, A) of all actions, or None.
        dropped: decisions left out because they neither terminated nor have a next state.
        dropped_of: (N,) how many of them each trajectory lost, where that is known.
        modifiers: (n, k) encoded by `modifier_schema`: what is known at each decision besides the state, or None. Policies are not asked
            about them and nothing is fitted on them; effects can be compared by them, as far as they tell nothing that the state does not.
        modifier_schema: their columns.
    """

    states: Float64[np.ndarray, "n d"]
    actions: Int64[np.ndarray, " n"]
    rewards: Float64[np.ndarray, " n"]
    next_states: Float64[np.ndarray, "n d"]
    terminated: Bool[np.ndarray, " n"]
    trajectory: Int64[np.ndarray, " n"]
    time: Int64[np.ndarray, " n"]
    rows: Int64[np.ndarray, " n"]
    starts: Float64[np.ndarray, "N d"]
    ids: Shaped[np.ndarray, " N"]
    schema: Schema
    action_labels: tuple[Label, ...]
    propensities: Float64[np.ndarray, "..."] | None = None
    dropped: int = 0
    dropped_of: Int64[np.ndarray, " N"] | None = None
    modifiers: Float64[np.ndarray, "n k"] | None = None
    modifier_schema: Schema | None = None

    def __len__(self) -> int:
        return len(self.rewards)

    def __repr__(self) -> str:
        state = ", ".join(c.name for c in self.schema.columns)
        size = f"{len(self)} of {self.n_trajectories} trajectories, {self.dropped} dropped"
        return f"Transitions({size}; {self.n_actions} actions; state: {state})"

    @property
    def n_trajectories(self) -> int:
        """N."""
        return len(self.ids)

    @property
    def n_actions(self) -> int:
        """A."""
        return len(self.action_labels)

    @property
    def n_states(self) -> int:
        """Number of combinations of levels; raises `UserError` where a state column is numeric."""
        return self.schema.n_states

    @property
    def state_columns(self) -> tuple[StateColumn, ...]:
        """Names, types and levels of the state columns."""
        return self.schema.columns

    @property
    def state_index(self) -> Int64[np.ndarray, " n"]:
        """(n,) number of each state; raises `UserError` where a state column is numeric."""
        return self.schema.index(self.states)

    @property
    def next_state_index(self) -> Int64[np.ndarray, " n"]:
        """(n,) number of each next state."""
        return self.schema.index(self.next_states)

    @property
    def start_index(self) -> Int64[np.ndarray, " N"]:
        """(N,) number of each start state."""
        return self.schema.index(self.starts)

    def encode_states(self, table: object) -> Float64[np.ndarray, "m d"]:
        """(m, d) states from a table (or mapping) with the same named columns; an unseen level is a `UserError` naming row and column."""
        return self.schema.encode(table)

    def decode_states(self, states: Float64[np.ndarray, "m d"]) -> Any:
        """Encoded states as the same named columns, in the dataframe library the data came in; what a policy is asked with."""
        return self.schema.decode(states)

    @property
    def described(self) -> Schema:
        """The state's columns, with those of the modifiers behind them."""
        others = () if self.modifier_schema is None else self.modifier_schema.columns
        return Schema((*self.schema.columns, *others), self.schema.backend)

    def describe(self, states: Float64[np.ndarray, "m d"], modifiers: Float64[np.ndarray, "m k"] | None) -> Any:
        """Encoded states as named columns, with those of the modifiers behind them; what a region's function is asked with."""
        return self.schema.decode(states) if modifiers is None else self.described.decode(np.concatenate([states, modifiers], axis=1))

    def encode_actions(self, actions: object) -> Int64[np.ndarray, " m"]:
        """(m,) indices from action labels (one, or a sequence); an unknown one is a `UserError`."""
        values = actions.tolist() if isinstance(actions, np.ndarray) else actions
        many: list[Any] = [values] if isinstance(values, str) or not isinstance(values, Sequence) else list(values)
        packed = np.empty(len(many), object)
        packed[:] = many
        return encode_labels(packed, self.action_labels, "action", "action")

    def select(self, trajectories: Sequence[int] | np.ndarray) -> Transitions:
        """Whole trajectories by number, in this order and numbered anew; a repeated one counts as another trajectory, so
        that a learner may learn from one copy and be judged on the other: a bootstrap must split the originals first."""
        chosen = np.asarray(trajectories, np.int64) if len(trajectories) == 0 else np.asarray(trajectories)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or np.any((chosen < 0) | (chosen >= self.n_trajectories)):
            raise UserError(f"select takes trajectory numbers from 0 to {self.n_trajectories - 1}")
        bounds = np.searchsorted(self.trajectory, np.arange(self.n_trajectories + 1))
        counts = np.diff(bounds)[chosen]
        keep = ranges(bounds[chosen], counts)
        return Transitions(
            states=self.states[keep],
            actions=self.actions[keep],
            rewards=self.rewards[keep],
            next_states=self.next_states[keep],
            terminated=self.terminated[keep],
            trajectory=np.repeat(np.arange(len(chosen), dtype=np.int64), counts),
            time=self.time[keep],
            rows=self.rows[keep],
            starts=self.starts[chosen],
            ids=self.ids[chosen],
            schema=self.schema,
            action_labels=self.action_labels,
            propensities=None if self.propensities is None else self.propensities[keep],
            dropped=self.dropped if self.dropped_of is None else int(self.dropped_of[chosen].sum()),
            dropped_of=None if self.dropped_of is None else self.dropped_of[chosen],
            modifiers=None if self.modifiers is None else self.modifiers[keep],
            modifier_schema=self.modifier_schema,
        )

    @staticmethod
    def from_table(
        table: object,
        *,
        id: str,
        time: str,
        state: str | Sequence[str] | Mapping[str, Kind],
        action: str,
        reward: str,
        terminated: str,
        truncated: str | None = None,
        propensity: str | Mapping[Any, str] | None = None,
        next_state: str | Sequence[str] | None = None,
        actions: Sequence[Any] | None = None,
        modifiers: str | Sequence[str] | Mapping[str, Kind] = (),
    ) -> Transitions:
        """From a table with one row per decision: a path (.parquet, .csv), any dataframe narwhals knows, or a mapping of columns.

        The next state of a row is the state in the following row of its trajectory. A trajectory may end with a row that holds only
        the final state (action and reward missing), as files of `Episodes.write` do. Rows may come in any order.

        Args:
            table: the log.
            id: column naming the trajectory.
            time: column with whole step numbers, consecutive within a trajectory.
            state: column or columns of the state; a mapping declares them "numeric" or "categorical". Undeclared, numbers are numeric
                (a state numbered 0, 1, 2, … must be declared), and text, booleans and categories are categorical.
            action: column with the action's label.
            reward: column with the reward.
            terminated: column of booleans (or 0 and 1): nothing follows this decision.
            truncated: likewise: the recording was cut behind this decision.
            propensity: column with the probability the behaviour policy gave the action taken, or a mapping from every action to
                the column with its probability.
            next_state: columns with the next state, in the order of `state`; missing where unknown.
            actions: all allowed actions; those in the log when left out.
            modifiers: columns that are no part of the state, by which effects are to be compared; as `state`. Known before each decision,
                and given state and action they must tell nothing about reward, next state or what is done: what does belongs in the state.

        Raises:
            UserError: the first thing wrong, with row (counted from 0) and column.
        """
        frame = as_frame(table)
        if len(frame) == 0:
            raise UserError("the table has no rows")
        next_names = None if next_state is None else [next_state] if isinstance(next_state, str) else list(next_state)
        names = [state] if isinstance(state, str) else list(state)
        if next_names is not None and len(next_names) != len(names):
            raise UserError(f"next_state names {len(next_names)} columns but state {len(names)}; they must match in number and order")
        trajectories = arrange(column(frame, id, "id"), column(frame, time, "time"), id, time)

        decision = _decisions(frame, trajectories, action, reward) if next_names is None else np.ones(len(frame), np.bool_)
        rewards = numbers(column(frame, reward, "reward"), reward, "reward", decision)
        ended = flags(column(frame, terminated, "terminated"), terminated, "terminated", decision)
        cut = np.zeros_like(ended) if truncated is None else flags(column(frame, truncated, "truncated"), truncated, "truncated", decision)
        check_endings(trajectories, ended, cut, decision, terminated if truncated is None else f"{terminated}/{truncated}")
        allowed = list(propensity) if actions is None and isinstance(propensity, Mapping) else actions
        codes, action_labels = _actions(frame, action, decision, allowed)
        propensities = read_propensities(frame, propensity, codes, action_labels, decision)

        taken = {id: "id", time: "time", action: "action", reward: "reward", terminated: "terminated"}
        taken |= {truncated: "truncated"} if truncated else {}
        taken |= dict.fromkeys(names, "state") | dict.fromkeys(next_names or (), "next state")
        others = fit_modifiers(frame, modifiers, taken)
        schema = fit_schema(frame, state, next_names)
        states = schema.encode_columns(frame, names)
        next_states, known = _next_states(frame, schema, states, trajectories, next_names)
        keep = decision & (ended | known)
        rows = trajectories.order[keep[trajectories.order]]
        if len(rows) == 0:
            raise UserError(f"no transition is left: none of the {int(decision.sum())} decisions terminated or has a next state")
        return Transitions(
            states=states[rows],
            actions=codes[rows],
            rewards=rewards[rows],
            next_states=np.where(known[:, None], next_states, states)[rows],
            terminated=ended[rows],
            trajectory=trajectories.of_row[rows],
            time=trajectories.time[rows],
            rows=rows,
            starts=states[trajectories.first_rows],
            ids=trajectories.ids,
            schema=schema,
            action_labels=action_labels,
            propensities=None if propensities is None else propensities[rows],
            dropped=int((decision & ~keep).sum()),
            dropped_of=np.bincount(trajectories.of_row[decision & ~keep], minlength=len(trajectories.ids)).astype(np.int64),
            modifiers=None if others is None else others.encode_columns(frame, [c.name for c in others.columns], decision)[rows],
            modifier_schema=others,
        )

    @staticmethod
    def from_episodes(
        episodes: Episodes,
        *,
        state: str | Sequence[str] | Mapping[str, Kind] = "observation",
        actions: Sequence[Any] | None = None,
        modifiers: str | Sequence[str] | Mapping[str, Kind] = (),
    ) -> Transitions:
        """From episodes, whose final observations are known, so that nothing is dropped.

        Args:
            episodes: with one discrete action per step.
            state: observations or signals, named as in `Episodes.to_polars`: "observation", "observation.NAME", "signal.NAME";
                integer scalars and text are categorical, everything else numeric, unless a mapping says otherwise.
            actions: all allowed actions; those taken when left out.
            modifiers: observations or signals that are no part of the state, by which effects are to be compared.

        Raises:
            UserError: an unknown name, an array that is no vector, a continuous action.
        """
        if episodes.actions.ndim != 1:
            raise UserError(f"actions have shape {episodes.actions.shape}; transitions need one discrete action per step")
        data: dict[str, Any] = {
            "episode": episodes.episode_of_step,
            "t": episodes.time_of_step,
            "action": episodes.actions.tolist() if episodes.actions.dtype.kind == "T" else episodes.actions,
            "reward": episodes.rewards,
            "terminated": episodes.terminated,
            "truncated": episodes.truncated,
        }
        kinds, now = _columns(episodes, state, episodes.rows_of_steps)
        _, following = _columns(episodes, state, episodes.rows_of_steps + 1)
        others, seen = _columns(episodes, modifiers, episodes.rows_of_steps)
        data |= seen | now | {f"next_{part}": values for part, values in following.items()}
        if episodes.behaviour_log_probability is not None:
            data["propensity"] = np.exp(episodes.behaviour_log_probability.astype(np.float64))
        return Transitions.from_table(
            data,
            id="episode",
            time="t",
            state=kinds,
            action="action",
            reward="reward",
            terminated="terminated",
            truncated="truncated",
            propensity="propensity" if "propensity" in data else None,
            next_state=[f"next_{part}" for part in kinds],
            actions=actions,
            modifiers=others,
        )

    @staticmethod
    def from_d3rlpy(dataset: Any, **options: Any) -> Transitions:
        """From a data set of d3rlpy; see `unseen.data.d3rlpy.from_d3rlpy`."""
        from unseen.data.d3rlpy import from_d3rlpy

        return from_d3rlpy(dataset, **options)

    @staticmethod
    def from_minari(dataset: Any, **options: Any) -> Transitions:
        """From a Minari dataset or the id of a local one (extra `minari`); options as in `from_episodes`."""
        return Transitions.from_episodes(Episodes.from_minari(dataset), **options)


def _decisions(frame: Frame, trajectories: Trajectories, action: str, reward: str) -> Bool[np.ndarray, " n"]:
    """(n,) false for the last row of a trajectory where it holds a final state and nothing else."""
    empty = missing(column(frame, action, "action")) & missing(column(frame, reward, "reward"))
    return ~(empty & (trajectories.following < 0))


def _actions(
    frame: Frame, name: str, decision: Bool[np.ndarray, " n"], allowed: Sequence[Any] | None
) -> tuple[Int64[np.ndarray, " n"], tuple[Label, ...]]:
    series = column(frame, name, "action")
    require_present(series, name, "action", decision)
    found = labels(series, name, "action")
    known = sorted_labels(set(found[decision]), name) if allowed is None else tuple(allowed)
    if allowed is not None and (len(set(known)) != len(known) or not known):
        raise UserError(f"actions are {list(known)}; each must be named once, and there must be one")
    fractions = any(isinstance(value, float) for value in known)
    if allowed is None and fractions and len(known) > MOST_DOSES:
        raise UserError(
            f"action column {name!r} has {len(known)} different values, many of them fractions; actions are choices: bin it first"
        )
    return encode_labels(found, known, name, "action", decision), known


def _next_states(
    frame: Frame, schema: Schema, states: Float64[np.ndarray, "n d"], trajectories: Trajectories, names: Sequence[str] | None
) -> tuple[Float64[np.ndarray, "n d"], Bool[np.ndarray, " n"]]:
    """(n, d) next states and (n,) where they are known."""
    if names is None:
        return states[trajectories.following], trajectories.following >= 0
    known = ~all_missing(frame, names, "next state")
    return schema.encode_columns(frame, names, known), known


def fit_modifiers(frame: Frame, modifiers: str | Sequence[str] | Mapping[str, Kind], taken: Mapping[str, str]) -> Schema | None:
    """The columns of effect modifiers; None where there are none.

    Raises:
        UserError: a column with another role, or named twice.
    """
    names = [modifiers] if isinstance(modifiers, str) else list(modifiers)
    for name in names:
        if name in taken:
            why = "effects can be compared by it as it is" if taken[name] == "state" else "modifiers are known before the decision"
            raise UserError(f"column {name!r} is the {taken[name]} and cannot be a modifier; {why}")
    if len(set(names)) < len(names):
        raise UserError(f"modifiers name {names}; each column once")
    return fit_schema(frame, modifiers) if names else None


def _columns(
    episodes: Episodes, names: str | Sequence[str] | Mapping[str, Kind], rows: Int64[np.ndarray, " n"]
) -> tuple[dict[str, Kind], dict[str, Any]]:
    """Kinds and values of observations and signals at these rows, a column for each component."""
    declared: Mapping[str, Kind] = names if isinstance(names, Mapping) else {}
    kinds: dict[str, Kind] = {}
    found: dict[str, Any] = {}
    for name in [names] if isinstance(names, str) else list(names):
        for part, values in _parts(episodes, name).items():
            categorical = part == name and values.dtype.kind in "biuT"
            kinds[part] = declared.get(name, "categorical" if categorical else "numeric")
            found[part] = [str(v) for v in values[rows]] if values.dtype.kind == "T" else values[rows]
    return kinds, found


def _parts(episodes: Episodes, name: str) -> dict[str, np.ndarray]:
    """The columns of an observation or signal, one per component."""
    found = {"observation" if key == "observation" else f"observation.{key}": values for key, values in episodes.observations.items()}
    found |= {f"signal.{key}": values for key, values in episodes.signals.items()}
    if name not in found:
        raise unknown("observation or signal", name, found)
    values = found[name]
    if values.ndim == 1:
        return {name: values}
    if not split(values.shape[1:]):
        raise UserError(f"{name} has rows of shape {values.shape[1:]}; a state is a scalar or a vector of at most 64 numbers")
    return {f"{name}[{i}]": values[:, i] for i in range(values.shape[1])}
