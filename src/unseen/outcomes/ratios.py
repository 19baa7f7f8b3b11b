"""Conditional discounted density ratios w(s'|s, a) = sum_{t>=1} gamma^t p_t(s'|s, a) / p_b(s'): counted, linear, or over pairs.

The ratio never appears alone. The second stage needs its mean against residuals for many queries (`forward`), and checks need its mean
against functions; both are written so that nothing of the size of rows times rows is held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from unseen.outcomes.linear import ActionFeatures, chunks, solve
from unseen.outcomes.rows import Rows, quotient
from unseen.outcomes.tables import Cells, Table

QUERIES = 1_024  # whose pairs are held at a time
PAIRS = 500  # rows that each query is averaged over, where pairs are dear
CAP = 0.99  # quantile of the ratio at which it is cut


@runtime_checkable
class Ratio(Protocol):
    """A fitted density ratio."""

    def forward(self, queries: Float64[np.ndarray, "q d"], rows: Rows, values: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "q A"]:
        """(q, A) mean over rows of w(S_j | s, a) values_j, for every query state and action."""
        ...


@dataclass(frozen=True, eq=False)
class TabularRatio:
    """M / p_b of a counted process.

    Attributes:
        cells: numbers the states.
        table: the counted process; its rows' state distribution is p_b.
    """

    cells: Cells
    table: Table

    def forward(self, queries: Float64[np.ndarray, "q d"], rows: Rows, values: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "q A"]:
        """(q, A); 0 for states outside of the table."""
        assert rows.s is not None
        density = self.table.density
        per_state = quotient(np.bincount(rows.s, rows.share * values, len(density)), density)
        # M f = gamma P (I - gamma P_pi)^-1 f: the value of a reward that is f in every state, without the first step.
        later = self.table.successor_mean(per_state)
        s = self.cells.of(queries)
        return np.where((s >= 0)[:, None], later[s], 0.0)


@dataclass(frozen=True, eq=False)
class LinearRatio:
    """w = gamma psi(s, a)' Theta chi(s'), Theta = A^-1 C B^-1: least-squares temporal differences for the successor ratio.

    A = E[psi (psi - gamma (1 - D) psi_pi(S~))'], B = E[chi chi'], C = E[(1 - D) psi chi(S~)'].

    Attributes:
        psi: features of state and action.
        theta: (p, q).
        discount: gamma.

    Source: specification, 3.3 (b), derived there.
    """

    psi: ActionFeatures
    theta: Float64[np.ndarray, "p q"]
    discount: float

    @staticmethod
    def fitted(psi: ActionFeatures, rows: Rows, discount: float, ridge: float = 0.0) -> LinearRatio:
        """From rows; `ridge` is relative to the mean diagonal of A and B."""
        a = b = c = 0.0
        share = rows.share
        for part in chunks(len(rows)):
            some, weight = rows.take(part), share[part, None]
            chi, chi_next = psi.features(some.states), psi.features(some.next_states)
            x, x_next = psi.mix(chi, some.indicator), psi.mix(chi_next, some.next_policy)
            alive = weight * some.alive[:, None]
            a = a + (x * weight).T @ x - discount * (x * alive).T @ x_next
            b = b + (chi * weight).T @ chi
            c = c + (x * alive).T @ chi_next
        left = solve(np.asarray(a), np.asarray(c), ridge)
        return LinearRatio(psi, solve(np.asarray(b), left.T, ridge).T, discount)

    def forward(self, queries: Float64[np.ndarray, "q d"], rows: Rows, values: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "q A"]:
        """(q, A): the mean of chi times values comes first, so that no pair is ever formed."""
        share, mean = rows.share, 0.0
        for part in chunks(len(rows)):
            mean = mean + self.psi.features(rows.states[part]).T @ (share[part] * values[part])
        direction = self.discount * self.theta @ np.asarray(mean)
        return np.concatenate([self.psi.values(self.psi.features(queries[part]), direction) for part in chunks(len(queries))])

    def pairs(self, queries: Float64[np.ndarray, "q d"], states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "q A m"]:
        """(q, A, m) the ratio itself."""
        chi = self.psi.features(states)
        phi = self.psi.features(queries)
        hot = np.eye(self.psi.actions)
        each = [self.psi.mix(phi, np.tile(hot[a], (len(phi), 1))) @ self.theta @ chi.T for a in range(self.psi.actions)]
        return self.discount * np.stack(each, axis=1)


@dataclass(frozen=True, eq=False)
class PairRatio:
    """A ratio that is a function of pairs: cut at its 99th percentile, rescaled to its expected mass, averaged over random rows.

    Attributes:
        pairs: (q, A, m) ratios of query states and row states.
        mass: (q, A) expected mean of the ratio over rows, m(s, a); None: not rescaled.
        cap: largest ratio that is kept.
        capped: share of the ratios that it cuts, on a sample of the training rows.
        seed: of the rows drawn.
        most: rows for each block of queries.
    """

    pairs: Callable[[Any, Any], Any]
    mass: Callable[[Any], Any] | None
    cap: float
    capped: float
    seed: int = 0
    most: int = PAIRS

    def forward(self, queries: Float64[np.ndarray, "q d"], rows: Rows, values: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "q A"]:
        """(q, A)."""
        rng = np.random.default_rng(self.seed)
        blocks = []
        for i in range(0, len(queries), QUERIES):
            block = queries[i : i + QUERIES]
            if len(rows) > self.most:
                chosen = rng.choice(len(rows), self.most, replace=False)
                share = rows.weight[chosen] / rows.weight[chosen].sum()
            else:
                chosen, share = np.arange(len(rows)), rows.share
            w = np.minimum(self.pairs(block, rows.states[chosen]), self.cap)
            if self.mass is not None:
                w = w * (self.mass(block) / np.maximum(w @ share, 1e-12))[:, :, None]
            blocks.append(w @ (share * values[chosen]))
        return np.concatenate(blocks) if blocks else np.zeros((0, rows.n_actions))


def stabilised(pairs: Callable[[Any, Any], Any], mass: Callable[[Any], Any] | None, rows: Rows, seed: int, most: int = PAIRS) -> PairRatio:
    """A pair ratio with a cap from a sample of the training rows."""
    rng = np.random.default_rng(seed)
    some = rows.states[rng.permutation(len(rows))[:300]]
    sample = np.asarray(pairs(some, rows.states[rng.permutation(len(rows))[:300]]))
    cap = float(np.quantile(sample, CAP))
    return PairRatio(pairs, mass, cap, float(np.mean(sample > cap)), seed, most)
