"""One fold of the second stage: what nuisances fitted elsewhere say about its rows.

Two kinds with the same face. `RowFold` weighs every row by estimated probabilities and flows. `CellFold`, for counted states, weighs
cells by the fold's own frequencies (self-normalised), so that no estimated probability is ever divided by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from unseen.outcomes.functionals import Along, Functional, Regions, rows_at_once
from unseen.outcomes.linear import chunks
from unseen.outcomes.nuisances import Nuisances, floored
from unseen.outcomes.problem import Problem
from unseen.outcomes.rows import Rows, quotient


def residuals(rows: Rows, q: Float64[np.ndarray, "m A"], q_next: Float64[np.ndarray, "m A"], discount: float) -> Float64[np.ndarray, " m"]:
    """delta = R + gamma (1 - D) sum_a pi_e(a|S~) Q(S~, a) - Q(S, A)."""
    v_next = (rows.next_policy * q_next).sum(axis=1)
    return rows.rewards + discount * rows.alive * v_next - q[np.arange(len(rows)), rows.actions]


@dataclass(frozen=True, eq=False)
class RowFold:
    """Rows weighed by estimated probabilities.

    Attributes:
        problem: they belong to.
        rows: of this fold.
        training: the rows that the nuisances were fitted on.
        nuisances: from elsewhere.
        floor: smallest probability that is divided by.
    """

    problem: Problem
    rows: Rows
    training: Rows
    nuisances: Nuisances
    floor: float

    @cached_property
    def q(self) -> Float64[np.ndarray, "m A"]:
        """(m, A) initial Q at S."""
        return self.nuisances.q.values(self.rows.states)

    @cached_property
    def delta(self) -> Float64[np.ndarray, " m"]:
        """(m,) residuals."""
        return residuals(self.rows, self.q, self.nuisances.q.values(self.rows.next_states), self.problem.discount)

    @cached_property
    def behaviour(self) -> Float64[np.ndarray, "m A"]:
        """(m, A) estimated behaviour probabilities, not floored."""
        return self.nuisances.behaviour(self.rows)

    @cached_property
    def inverse(self) -> Float64[np.ndarray, " m"]:
        """(m,) 1 / pi_b(A|S), floored."""
        return 1 / floored(self.behaviour, self.rows, self.floor)[0]

    @property
    def rho(self) -> Float64[np.ndarray, " m"]:
        """(m,) pi_e / pi_b of the action taken."""
        return self.rows.taken * self.inverse

    def local_targets(self) -> Float64[np.ndarray, "m A"]:
        """(m, A) Q1 + 1{A=a} delta / pi_b."""
        return self.q + self.rows.indicator * (self.delta * self.inverse)[:, None]

    def targets(self) -> Float64[np.ndarray, "m A"]:
        """(m, A) Phi = Q1(S, a) + 1{A=a} delta / pi_b + mean_j w(S_j|S, a) rho_j delta_j."""
        assert self.nuisances.ratio is not None
        return self.local_targets() + self.nuisances.ratio.forward(self.rows.states, self.rows, self.rho * self.delta)

    def scores(self, functional: Functional) -> Callable[[slice], Float64[np.ndarray, "c k"]]:
        """From some of the rows to sum_a u(S, a) Q1(S, a) + (local + rho omega) delta; omega by the flow or counts of the training."""
        local, weighted, onward = self.local_targets(), (self.rho * self.delta)[:, None], self._onward(functional)
        return lambda part: functional.mix(self.rows.take(part), local[part]) + weighted[part] * onward(part)

    def _onward(self, functional: Functional) -> Callable[[slice], Float64[np.ndarray, "c k"]]:
        """From some of the rows to their omega."""
        nuisances = self.nuisances
        if nuisances.table is not None:
            omega = self._from_table(cell_measure(self.problem, functional, nuisances.table.density, self.training))
            return lambda part: omega[part]
        assert nuisances.flow is not None
        assert nuisances.inverse is not None
        parts = chunks(len(self.training), rows_at_once(functional))
        begun = ((self.training.take(part), nuisances.inverse[part, None]) for part in parts)
        beta = nuisances.flow.from_rows((some, functional.mix(some, some.indicator * inverse)) for some, inverse in begun)
        flow = nuisances.flow
        return lambda part: flow.at(self.rows.states[part], beta)

    def _from_table(self, measure: Float64[np.ndarray, "S A k"]) -> Float64[np.ndarray, "m k"]:
        table = self.nuisances.table
        assert table is not None
        assert self.rows.s is not None
        return quotient(table.flow(measure), table.density[:, None])[self.rows.s]

    def start_weights(
        self, starts: Float64[np.ndarray, "q d"], share: Float64[np.ndarray, " q"], policy: Float64[np.ndarray, "q A"]
    ) -> Float64[np.ndarray, " m"]:
        """(m,) rho nu, with nu from the flow equation begun in the starts."""
        if self.nuisances.table is not None:
            p, table = self.problem, self.nuisances.table
            assert p.cells is not None
            assert self.rows.s is not None
            at_start = start_measure(p, starts, share, policy)
            here = quotient(at_start.sum(axis=1), table.density)[self.rows.s]
            return self.rho * (here + self._from_table(at_start[:, :, None])[:, 0])
        assert self.nuisances.flow is not None
        beta = self.nuisances.flow.from_starts(starts, share)
        return self.rho * self.nuisances.flow.at(self.rows.states, beta)[:, 0]


@dataclass(frozen=True, eq=False)
class CellFold:
    """Rows of counted states, weighed by how often this fold visits their cells.

    Q-DR = Q1 + delta-bar + M Pi delta-bar, where delta-bar are the fold's own cell means and M and Q1 come from elsewhere; a cell that
    the fold never visits is left uncorrected.

    Attributes:
        problem: they belong to.
        rows: of this fold.
        nuisances: from elsewhere.

    Source: specification, 4.8 (derived there).
    """

    problem: Problem
    rows: Rows
    nuisances: Nuisances

    @cached_property
    def q_table(self) -> Float64[np.ndarray, "S A"]:
        """(S, A) initial Q."""
        assert self.problem.cells is not None
        return self.nuisances.q.values(self.problem.cells.states())

    @cached_property
    def q(self) -> Float64[np.ndarray, "m A"]:
        """(m, A) initial Q at S."""
        assert self.rows.s is not None
        return self.q_table[self.rows.s]

    @cached_property
    def delta(self) -> Float64[np.ndarray, " m"]:
        """(m,) residuals."""
        assert self.rows.s_next is not None
        return residuals(self.rows, self.q, self.q_table[self.rows.s_next], self.problem.discount)

    @cached_property
    def visits(self) -> Float64[np.ndarray, "S A"]:
        """(S, A) share of the fold's rows in each cell."""
        return self.rows.by_cell(self.rows.share, len(self.q_table))

    @property
    def uncorrected(self) -> Bool[np.ndarray, "S A"]:
        """(S, A) cells that the fold never visits."""
        return self.visits == 0

    @cached_property
    def mean_delta(self) -> Float64[np.ndarray, "S A"]:
        """(S, A) delta-bar, 0 where the fold has no row."""
        return quotient(self.rows.by_cell(self.rows.share * self.delta, len(self.q_table)), self.visits)

    @cached_property
    def corrected(self) -> Float64[np.ndarray, "S A"]:
        """(S, A) Q-DR."""
        assert self.nuisances.table is not None
        return self.q_table + self.nuisances.table.propagate(self.mean_delta)

    def targets(self) -> Float64[np.ndarray, "m A"]:
        """(m, A) Q-DR at the rows' states."""
        assert self.rows.s is not None
        return self.corrected[self.rows.s]

    @cached_property
    def inverse(self) -> Float64[np.ndarray, " m"]:
        """(m,) frequency of the state over that of the row's cell."""
        assert self.rows.s is not None
        return quotient(self.visits.sum(axis=1)[self.rows.s], self.visits[self.rows.s, self.rows.actions])

    def scores(self, functional: Functional) -> Callable[[slice], Float64[np.ndarray, "c k"]]:
        """From some of the rows to sum_a u(S, a) Q1(S, a) + delta {u(S, A) / frequency of A + pi_e mu M / frequency of the cell}."""
        measure = cell_measure(self.problem, functional, self.visits.sum(axis=1), self.rows)
        if not reads_modifiers(functional, self.rows):
            weights = self._by_cell(measure)
            return lambda part: functional.mix(self.rows.take(part), self.q[part]) + weights[part] * self.delta[part, None]
        onward = self._by_cell(measure, local=0.0)

        def some(part: slice) -> Float64[np.ndarray, "c k"]:
            rows = self.rows.take(part)
            local = functional.mix(rows, rows.indicator * self.inverse[part, None])
            return functional.mix(rows, self.q[part]) + (local + onward[part]) * self.delta[part, None]

        return some

    def start_weights(
        self, starts: Float64[np.ndarray, "q d"], share: Float64[np.ndarray, " q"], policy: Float64[np.ndarray, "q A"]
    ) -> Float64[np.ndarray, " m"]:
        """(m,) of the value begun in the starts."""
        return self._by_cell(start_measure(self.problem, starts, share, policy)[:, :, None])[:, 0]

    def _by_cell(self, measure: Float64[np.ndarray, "S A k"], local: float = 1.0) -> Float64[np.ndarray, "m k"]:
        table = self.nuisances.table
        assert table is not None
        assert self.rows.s is not None
        reached = local * measure + table.covered_policy[:, :, None] * table.flow(measure)[:, None, :]
        return quotient(reached, self.visits[:, :, None])[self.rows.s, self.rows.actions]


Fold = RowFold | CellFold


def cell_measure(p: Problem, functional: Functional, visits: Float64[np.ndarray, " S"], rows: Rows) -> Float64[np.ndarray, "S A k"]:
    """(S, A, k) mu(s, a) = p_b(s) E[u(S, V, a) | S = s]: the functional as weights of cells, states weighted by their visits.

    A function u of the state is asked once for each state; one that looks at modifiers V too is averaged over the rows.
    """
    hot = np.eye(p.actions)
    if not reads_modifiers(functional, rows):
        density, some = (visits / visits.sum())[:, None], p.cell_rows
        return np.stack([density * functional.mix(some, np.tile(hot[a], (len(some), 1))) for a in range(p.actions)], axis=1)
    measure: Any = 0.0
    for part in chunks(len(rows), rows_at_once(functional)):
        measure = measure + _summed(functional, rows.take(part), rows.share[part], len(visits), hot)
    return measure


def _summed(
    functional: Functional, rows: Rows, share: Float64[np.ndarray, " m"], states: int, hot: Float64[np.ndarray, "A A"]
) -> Float64[np.ndarray, "S A k"]:
    """(S, A, k) sums of u(S, V, a) over rows, by state."""
    assert rows.s is not None
    found = []
    for one in hot:
        each = functional.mix(rows, np.tile(one, (len(rows), 1))) * share[:, None]
        found.append(np.stack([np.bincount(rows.s, column, states) for column in each.T], axis=1))
    return np.stack(found, axis=1)


def reads_modifiers(functional: Functional, rows: Rows) -> bool:
    """Whether u may look at more than the state."""
    return rows.modifiers is not None and isinstance(functional, Regions | Along)


def start_measure(
    p: Problem, starts: Float64[np.ndarray, "q d"], share: Float64[np.ndarray, " q"], policy: Float64[np.ndarray, "q A"]
) -> Float64[np.ndarray, "S A"]:
    """(S, A) share of the start states in each cell, the first action drawn from the policy."""
    assert p.cells is not None
    s = p.cells.of(starts)
    measure = np.zeros((len(p.cells), p.actions))
    np.add.at(measure, s, share[:, None] * policy)
    return measure
