"""Logs of fully observed processes as tables, and their exact values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float64, Int64

from unseen.data.schema import encode_labels
from unseen.data.table import as_frame, column, fail, numbers
from unseen.environments.tabular.mdp import TabularMDP
from unseen.errors import UserError
from unseen.outcomes.policies import FromTable

EMPTY_AT_THE_END = ("action", "reward", "terminated", "propensity")  # columns that say nothing of a last state


def walk(mdp: TabularMDP, behaviour: Float[np.ndarray, "S A"], trajectories: int, length: int, seed: int) -> pl.DataFrame:
    """A table of whole trajectories, each cut after `length` decisions; all of them take a step at a time."""
    rng = np.random.default_rng(seed)
    choices = behaviour.cumsum(axis=1)
    follow = _Followers(mdp.transition)
    who, s = np.arange(trajectories), rng.choice(mdp.states, trajectories, p=mdp.start)
    rows: list[tuple[Any, ...]] = []
    for t in range(length):
        a = np.minimum((rng.random(len(s))[:, None] >= choices[s]).sum(axis=1), mdp.actions - 1)
        x = follow(s * mdp.actions + a, rng.random(len(s)))
        ended = mdp.terminal[x]
        rows.append((who, np.full(len(s), t), s, a, mdp.step[s, a] + mdp.arrival[x], ended))
        who, s = who[~ended], x[~ended]
    nothing = np.zeros(len(s), np.int64)
    rows.append((who, np.full(len(s), length), s, nothing, nothing.astype(float), nothing.astype(bool)))
    who, t, s, a, reward, ended = (np.concatenate(part) for part in zip(*rows))
    return laid_out(
        {
            "id": who,
            "time": t,
            **{name: mdp.columns[s, i] for i, name in enumerate(mdp.column_names)},
            "action": np.array(mdp.action_names)[a],
            "reward": reward,
            "terminated": ended,
            "propensity": behaviour[s, a],
        },
        t == length,
    )


def laid_out(columns: Mapping[str, np.ndarray], last: Bool[np.ndarray, " n"]) -> pl.DataFrame:
    """Rows by trajectory and time; those of a last state hold no decision."""
    blanked = [pl.when(pl.Series(last)).then(None).otherwise(pl.col(name)).alias(name) for name in EMPTY_AT_THE_END]
    return pl.DataFrame(dict(columns)).with_columns(blanked).sort("id", "time")


class _Followers:
    """Draws next states from the rows of a sparse matrix: one search in the cumulative sum of all its entries."""

    def __init__(self, transition: Any):
        self.first, self.target = transition.indptr[:-1], transition.indices
        self.total = transition.data.cumsum()
        self.bounds = np.append(0.0, self.total)[transition.indptr]
        self.last = transition.indptr[1:] - 1

    def __call__(self, rows: Int64[np.ndarray, " m"], u: Float64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        low, high = self.bounds[rows], self.bounds[rows + 1]
        place = np.searchsorted(self.total, low + u * (high - low), side="right")
        return self.target[np.clip(place, self.first[rows], self.last[rows])].astype(np.int64)  # rounding must not leave the row


def as_policy(mdp: TabularMDP, probabilities: Float[np.ndarray, "S A"]) -> FromTable:
    """A policy that answers from the named columns of a state."""
    states = {name: mdp.columns[:, i] for i, name in enumerate(mdp.column_names)}
    # An action may be called as a column of the state is: sepsis has both an antibiotic given and one to give.
    of_action = {name: f"p({name})" for name in mdp.action_names}
    by_action = {of_action[name]: probabilities[:, a] for a, name in enumerate(mdp.action_names)}
    return FromTable(pl.DataFrame({**states, **by_action}), of_action)


@dataclass(frozen=True, eq=False)
class TableTruth:
    """Exact values by a linear solve.

    Attributes:
        mdp: the process.
        policy: (S, A) probabilities.
        discount: gamma.
    """

    mdp: TabularMDP
    policy: Float[np.ndarray, "S A"]
    discount: float

    @cached_property
    def table(self) -> Float[np.ndarray, "S A"]:
        """(S, A) Q."""
        return self.mdp.q(self.policy, self.discount)

    @cached_property
    def _number(self) -> dict[tuple[int, ...], int]:
        return {tuple(row): i for i, row in enumerate(self.mdp.columns.tolist())}

    def q(self, states: Any, actions: Any) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        """(m,) Q(s, a) and zeros.

        Raises:
            UserError: a state that does not exist, an unknown action.
        """
        frame = as_frame(states)
        names = self.mdp.column_names
        asked = np.stack([numbers(column(frame, name, "state"), name, "state") for name in names], axis=1)
        s = np.empty(len(asked), np.int64)
        for row, key in enumerate(map(tuple, asked.tolist())):
            if key not in self._number:
                raise fail(", ".join(names), row, f"there is no state {dict(zip(names, key))} in {self.mdp.name}")
            s[row] = self._number[key]
        q = self.table[s, action_numbers(actions, self.mdp.action_names, len(s))]
        return q, np.zeros_like(q)

    def value(self) -> tuple[float, float]:
        """Mean of v over first states, and 0."""
        return float(self.mdp.start @ (self.policy * self.table).sum(axis=1)), 0.0


def action_numbers(actions: Any, names: Sequence[str], rows: int) -> Int64[np.ndarray, " m"]:
    """(rows,) numbers of one label, or of a label for every row.

    Raises:
        UserError: an unknown label, or labels for another number of rows.
    """
    many = [actions] if isinstance(actions, str) else list(actions)
    if len(many) not in (1, rows):
        raise UserError(f"{len(many)} actions for {rows} states; give one for all, or one each")
    return np.broadcast_to(encode_labels(np.array(many, object), tuple(names), "action", "action"), rows)
