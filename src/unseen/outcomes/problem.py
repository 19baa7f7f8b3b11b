"""A data set and a policy, made ready: checked, encoded, with features, and numbered states where states can be counted."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from unseen.data import Transitions
from unseen.errors import UserError
from unseen.outcomes.features import StateFeatures
from unseen.outcomes.linear import ActionFeatures
from unseen.outcomes.policies import Columns, PolicyAt, at_states, evaluated
from unseen.outcomes.rows import Rows, query_rows, quotient, rows_of
from unseen.outcomes.tables import Cells, Counts, policy_table

MOST_STATES = 2_000  # observed states that are still counted by default


@dataclass(frozen=True, eq=False)
class Problem:
    """What every learner starts from.

    Attributes:
        data: the transitions.
        policy: to be judged.
        discount: gamma.
        rows: of the data, with the policy's probabilities.
        starts: (N, d) first states; start_policy: (N, A).
        psi: features of state and action.
        cells: numbers of the states, or None where they are not counted.
        seed: of everything drawn.
    """

    data: Transitions
    policy: Any
    discount: float
    rows: Rows
    starts: Float64[np.ndarray, "N d"]
    start_policy: Float64[np.ndarray, "N A"]
    psi: ActionFeatures
    cells: Cells | None
    seed: int

    @property
    def features(self) -> StateFeatures:
        """phi(s)."""
        return self.psi.features

    @property
    def actions(self) -> int:
        """A."""
        return self.data.n_actions

    @cached_property
    def start_share(self) -> Float64[np.ndarray, " N"]:
        """(N,) each trajectory's share among the starts: the mean weight of its rows, over all."""
        count = self.data.n_trajectories
        rows = np.bincount(self.rows.trajectory, minlength=count)
        mean = quotient(np.bincount(self.rows.trajectory, self.rows.weight, count), rows, float(self.rows.weight.mean()))
        return mean / mean.sum()

    @cached_property
    def fingerprint(self) -> int:
        """Of data, discount and weights: estimates with another one have no paired difference."""
        d = self.data
        parts = (d.states, d.actions, d.rewards, d.trajectory, self.rows.weight, np.array([self.discount]))
        found = 0
        for part in parts:
            found = zlib.crc32(np.ascontiguousarray(part).tobytes(), found)
        return found or 1

    @cached_property
    def start_s(self) -> Int64[np.ndarray, " N"]:
        """(N,) numbers of the first states."""
        assert self.cells is not None
        return self.cells.of(self.starts)

    @cached_property
    def policy_table(self) -> Float64[np.ndarray, "S A"]:
        """(S, A) the policy at every observed state."""
        assert self.cells is not None
        assert self.rows.s is not None
        assert self.rows.s_next is not None
        go_on = self.rows.alive > 0
        parts = [
            (self.rows.s_next[go_on], self.rows.next_policy[go_on]),
            (self.start_s, self.start_policy),
            (self.rows.s, self.rows.policy),
        ]
        return policy_table(self.cells, parts, self.actions)

    @cached_property
    def cell_rows(self) -> Rows:
        """One row a state, to ask functionals about states."""
        assert self.cells is not None
        return query_rows(self.cells.states(), self.policy_table, np.arange(len(self.cells)))

    def counts(self, rows: Rows) -> Counts:
        """Rows by cell."""
        assert self.cells is not None
        assert rows.s is not None
        assert rows.s_next is not None
        return Counts.of(rows, rows.s, rows.s_next, len(self.cells))

    def policy_at(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A) the policy at other states than those of the data.

        Raises:
            UserError: a policy given by columns knows only the data's.
        """
        if not hasattr(self.policy, "probabilities") and not callable(self.policy):
            raise UserError("a policy given by columns is not known at other states; give one with probabilities(states)")
        return at_states(self.policy, self.data, states)


def problem(
    data: Any,
    policy: Any,
    discount: float,
    *,
    features: Any = "standard",
    actions: str = "separate",
    seed: int = 0,
    weight: Any = None,
    counted: bool | None = None,
    without_tables: bool = False,
) -> Problem:
    """Check and encode.

    Args:
        data: `Transitions`.
        policy: see `unseen.outcomes.policies`.
        discount: gamma, in [0, 1); 1 only where every trajectory terminates.
        features: kind of `StateFeatures`.
        actions: how linear models join state and action.
        seed: of random features.
        weight: (n,) of the rows; all alike by default.
        counted: whether states are numbered; None: where all columns are categorical and at most 2,000 states occur.
        without_tables: whether states need not be counted where a policy that is given by rows is no function of them.

    Raises:
        UserError: what is wrong with them.
    """
    if not isinstance(data, Transitions):
        raise UserError(
            f"a {type(data).__name__} is no data set; make one with Transitions.from_table(...) or Transitions.from_episodes(...)"
        )
    _check_discount(data, discount)
    if not np.isfinite(data.rewards).all():
        row = int(data.rows[int(np.argmin(np.isfinite(data.rewards)))])
        raise UserError(f"reward in row {row} is not finite; correct it")
    if data.n_actions < 2:
        raise UserError(f"only one action ({data.action_labels[0]!r}) occurs; there is nothing to compare: name all with actions=[...]")
    if actions not in ("separate", "additive"):
        raise UserError(f"actions = {actions!r}; allowed: 'separate' (a block of coefficients for each action), 'additive'")
    at: PolicyAt = evaluated(policy, data)
    rows = rows_of(data, at, None if weight is None else checked_weight(weight, len(data)))
    cells = None
    if counted is not False and data.schema.discrete:
        cells = Cells.observed(data)
        if counted is None and len(cells) > MOST_STATES:
            cells = None
    elif counted:
        data.schema.index(data.states[:1])  # says which column is numeric
    if cells is not None:
        rows = replace(rows, s=cells.of(data.states), s_next=cells.of(data.next_states))
    psi = ActionFeatures(StateFeatures(data.schema, data.states, features, seed), data.n_actions, actions)
    found = Problem(data, policy, discount, rows, data.starts, at.starts, psi, cells, seed)
    return _counted_where_it_can_be(found) if without_tables and isinstance(policy, Columns) and cells is not None else found


def _counted_where_it_can_be(p: Problem) -> Problem:
    """A policy that is given row by row may see more than the state; then it is no table, and states are not counted."""
    try:
        _ = p.policy_table
    except UserError:
        return replace(p, cells=None, rows=replace(p.rows, s=None, s_next=None))
    return p


def checked_weight(weight: Any, n: int) -> Float64[np.ndarray, " n"]:
    """Row weights: positive, finite, one a row."""
    given = np.asarray(weight, np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or (given <= 0).any():
        raise UserError(f"sample_weight needs {n} positive numbers, one for each transition")
    return given


def _check_discount(data: Transitions, discount: float) -> None:
    if not isinstance(discount, int | float) or isinstance(discount, bool) or not 0 <= discount <= 1:
        raise UserError(f"discount = {discount!r}; it must lie between 0 and 1")
    if discount == 1:
        ended = np.zeros(data.n_trajectories, np.bool_)
        ended[data.trajectory[data.terminated]] = True
        if not ended.all() or data.dropped:
            which = data.ids[int(np.argmin(ended))]
            raise UserError(
                f"discount = 1 needs trajectories that all terminate, and {which!r} does not; use a discount below 1, or set terminated"
            )
