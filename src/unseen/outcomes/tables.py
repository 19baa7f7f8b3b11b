"""Everything about tables: counting cells, the exact Q of a counted model, and what flows where under the evaluation policy.

States are numbered among those observed. A cell (s, a) that was never visited has no data: where the evaluation policy would take it,
the policy's mass is moved to the visited actions of that state, in proportion to their counts; a state in which nothing was ever
done counts as an average one. Both masses are reported (`uncovered`), and such cells are not estimable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import sparse
from scipy.sparse.linalg import splu

from unseen.data import Transitions
from unseen.errors import UserError
from unseen.outcomes.rows import Rows, quotient

SAME = 1e-5  # single precision: how far a policy's probabilities may differ within a state that is taken to be all it sees


@dataclass(frozen=True, eq=False)
class Cells:
    """The observed states, numbered.

    Attributes:
        data: whose.
        keys: (S,) numbers that the schema gives them, in order.
    """

    data: Transitions
    keys: Int64[np.ndarray, " S"]

    @staticmethod
    def observed(data: Transitions) -> Cells:
        """Every state that occurs, be it first, in between or last."""
        return Cells(data, np.unique(np.concatenate([data.state_index, data.next_state_index, data.start_index])))

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, states: Float64[np.ndarray, "m d"]) -> Int64[np.ndarray, " m"]:
        """(m,) number of each encoded state, -1 where it was never observed."""
        asked = self.data.schema.index(states)
        place = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        return np.where(self.keys[place] == asked, place, -1)

    def states(self) -> Float64[np.ndarray, "S d"]:
        """(S, d) the encoded states."""
        levels = [len(c.levels) for c in self.data.schema.columns]
        return np.stack(np.unravel_index(self.keys, levels), axis=1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Counts:
    """Sums over rows, by cell; those of disjoint sets of rows add up.

    Attributes:
        visits: (S, A) weight of the rows in each cell.
        rewards: (S, A) weighted sums.
        following: (S A, S) weight of the rows that went on to each state; terminated rows went nowhere.
    """

    visits: Float64[np.ndarray, "S A"]
    rewards: Float64[np.ndarray, "S A"]
    following: Any

    @staticmethod
    def of(rows: Rows, s: Int64[np.ndarray, " n"], s_next: Int64[np.ndarray, " n"], states: int) -> Counts:
        """Count rows whose states have numbers `s` and `s_next`."""
        a = rows.n_actions
        cell = s * a + rows.actions
        alive = rows.weight * rows.alive
        return Counts(
            rows.by_cell(rows.weight, states),
            rows.by_cell(rows.weight * rows.rewards, states),
            sparse.csr_array((alive, (cell, s_next)), shape=(states * a, states)),
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.visits + other.visits, self.rewards + other.rewards, self.following + other.following)


@dataclass(frozen=True, eq=False)
class Table:
    """A counted Markov decision process under the evaluation policy.

    Attributes:
        visits: (S, A) weight of each cell.
        reward: (S, A) mean reward; 0 where never visited.
        transition: (S A, S) P(s' | s, a) of going on to s'; rows add up to less than 1 where episodes end.
        policy: (S, A) of the evaluation policy, over all actions.
        discount: gamma.
    """

    visits: Float64[np.ndarray, "S A"]
    reward: Float64[np.ndarray, "S A"]
    transition: Any
    policy: Float64[np.ndarray, "S A"]
    discount: float

    @staticmethod
    def from_counts(counts: Counts, policy: Float64[np.ndarray, "S A"], discount: float, smoothing: float = 0.0) -> Table:
        """Divide by the visits.

        Args:
            counts: of the rows.
            policy: (S, A).
            discount: gamma.
            smoothing: c of P = (count + c / S) / (visits + c): transitions to everywhere, a c-th of a visit in all.
        """
        visits, states = counts.visits, counts.visits.shape[0]
        inverse = quotient(1.0, visits).ravel()
        if smoothing == 0:
            transition = sparse.diags_array(inverse) @ counts.following
        else:
            seen = (visits.ravel() > 0)[:, None]
            dense = (counts.following.toarray() + smoothing / states) / (visits.ravel()[:, None] + smoothing)
            transition = sparse.csr_array(np.where(seen, dense, 0.0))
        return Table(visits, counts.rewards * inverse.reshape(visits.shape), sparse.csr_array(transition), policy, discount)

    @property
    def visited(self) -> Bool[np.ndarray, "S A"]:
        """(S, A) cells with data."""
        return self.visits > 0

    @cached_property
    def density(self) -> Float64[np.ndarray, " S"]:
        """(S,) p_b: share of the rows in each state."""
        visits = self.visits.sum(axis=1)
        return visits / visits.sum()

    @cached_property
    def covered_policy(self) -> Float64[np.ndarray, "S A"]:
        """(S, A) the evaluation policy over visited cells; zeros in states where nothing was done."""
        kept = self.policy * self.visited
        total = self.visits.sum(axis=1, keepdims=True)
        usual = quotient(self.visits, total)
        return kept + (1 - kept.sum(axis=1, keepdims=True)) * usual

    @cached_property
    def uncovered(self) -> Float64[np.ndarray, " S"]:
        """(S,) mass that the evaluation policy gives to actions never tried there; 1 in states where nothing was done."""
        return 1 - (self.policy * self.visited).sum(axis=1)

    @cached_property
    def step(self) -> Any:
        """(S, S A) sparse: from a state to the cell that follows it under the covered policy; an average cell where nothing was done."""
        states, actions = self.visits.shape
        cells = np.arange(states * actions)
        by_policy = sparse.csr_array((self.covered_policy.ravel(), (cells // actions, cells)), shape=(states, states * actions))
        nothing = np.flatnonzero(self.visits.sum(axis=1) == 0)
        if len(nothing) == 0:
            return by_policy
        average = sparse.csr_array(self.visits.reshape(1, -1) / self.visits.sum())
        rows = sparse.csr_array((np.ones(len(nothing)), (nothing, np.zeros(len(nothing), np.int64))), shape=(states, 1))
        return sparse.csr_array(by_policy + rows @ average)

    @cached_property
    def _solver(self) -> Any:
        states = self.visits.shape[0]
        matrix = sparse.csc_array(sparse.eye_array(states) - self.discount * (self.step @ self.transition))
        try:
            return splu(matrix)
        except RuntimeError:  # exactly singular: visits go on for ever
            raise UserError("under this policy some states are never left, so a discount of 1 adds up for ever; use one below 1") from None

    def propagate(self, reward: Float64[np.ndarray, "S A"]) -> Float64[np.ndarray, "S A"]:
        """r + gamma P v, v = (I - gamma P_pi)^-1 r_pi: Q of any reward under the policy; G r in the specification's notation."""
        return reward + self.successor_mean(self.step @ reward.ravel())

    def q(self, sweeps: int | None = None) -> Float64[np.ndarray, "S A"]:
        """(S, A) Q^pi of the counted process; cells never visited get the mean of their state's.

        Args:
            sweeps: of fitted Q evaluation from 0; None: converged, which is a linear solve.
        """
        if sweeps is None:
            return self.filled(self.propagate(self.reward))
        q = np.zeros_like(self.reward)
        for _ in range(sweeps):
            q = self.reward + self.discount * (self.transition @ (self.step @ q.ravel())).reshape(q.shape)
        return self.filled(q)

    def filled(self, q: Float64[np.ndarray, "S A"]) -> Float64[np.ndarray, "S A"]:
        """The same values, and in cells never visited the mean over the visited cells of the state (or over all)."""
        total = self.visits.sum(axis=1)
        overall = float((self.visits * q).sum() / self.visits.sum())
        mean = quotient((self.visits * q).sum(axis=1), total, overall)
        return np.where(self.visited, q, mean[:, None])

    def flow(self, start: Float64[np.ndarray, "S A k"]) -> Float64[np.ndarray, "S k"]:
        """mu M: discounted visits of every state from step 1 on, begun in cells with weights `start` (which may be negative).

        (mu M)(x) = sum_{s,a} mu(s,a) sum_{t>=1} gamma^t p_t(x | s, a).
        """
        first = self.discount * (self.transition.T @ start.reshape(-1, start.shape[2]))
        return self._solver.solve(np.ascontiguousarray(first), trans="T")

    def successor_mean(self, f: Float64[np.ndarray, " S"]) -> Float64[np.ndarray, "S A"]:
        """M f: discounted sum of f over the states visited from step 1 on."""
        return (self.discount * (self.transition @ self._solver.solve(f))).reshape(self.visits.shape)


def policy_table(cells: Cells, parts: list[Any], actions: int) -> Float64[np.ndarray, "S A"]:
    """(S, A) a policy as a table, from its probabilities at rows with state numbers.

    Raises:
        UserError: probabilities that differ within a state: the policy sees more than the state.
    """
    table = np.full((len(cells), actions), np.nan)
    for s, p in parts:
        table[s] = p
    for s, p in parts:
        if len(s) and np.abs(table[s] - p).max() > SAME:
            row = int(np.argmax(np.abs(table[s] - p).max(axis=1)))
            raise UserError(
                f"the policy's probabilities differ within one state (row {row}), so it sees more than the state columns; "
                "give them all, or estimate Q without a table (final='linear')"
            )
    return np.where(np.isnan(table), 1 / actions, table)
