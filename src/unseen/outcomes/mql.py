"""MQL: minimax Q learning, whose residuals vanish against every function in the ball of a kernel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from scipy.spatial.distance import cdist

from unseen.errors import UserError
from unseen.outcomes.features import median_distance
from unseen.outcomes.learner import Learner
from unseen.outcomes.linear import LinearQ, chunks, solve
from unseen.outcomes.nuisances import TableQ
from unseen.outcomes.problem import Problem


class MQL(Learner):
    """argmin_q (1/n^2) sum_{j,k} delta_j K((S, A)_j, (S, A)_k) delta_k, q linear in its parameters: a closed form.

    theta = (X' K X + c I)^-1 X' K R, X = psi(S, A) - gamma (1-D) psi_pi(S~).

    Args:
        discount: gamma.
        model: "tabular" (an indicator for every visited cell), "linear"; "auto": tabular where states are counted.
        bandwidth: of the Gaussian kernel on standardised states, times a match of the actions; None: median distance. Where states are
            counted the kernel is that of their columns too, so that neighbours share what they know.
        ridge: c, relative to the mean diagonal.
        landmarks: rows that stand for all in the kernel (Nystrom).
        features, actions, random_state: as in `DRQLearner`.

    Source: Uehara, Huang, Jiang (2020); closed form derived in the specification, section 7.
    """

    def __init__(
        self,
        discount: float = 0.95,
        *,
        model: Literal["auto", "tabular", "linear"] = "auto",
        bandwidth: float | None = None,
        ridge: float = 1e-4,
        landmarks: int = 1_000,
        features: Any = "standard",
        actions: Literal["separate", "additive"] = "separate",
        random_state: int = 0,
    ):
        self.discount = discount
        self.model = model
        self.bandwidth = bandwidth
        self.ridge = ridge
        self.landmarks = landmarks
        self.features = features
        self.actions = actions
        self.random_state = random_state

    def fit(self, data: Any, policy: Any, sample_weight: Any = None) -> MQL:
        """Estimate Q of `policy` from `data`; arguments as in `DRQLearner.fit`."""
        if self.model not in ("auto", "tabular", "linear"):
            raise UserError(f"model = {self.model!r}; MQL has a closed form for 'tabular' and 'linear'")
        counted = {"auto": None, "tabular": True, "linear": False}[self.model]
        p = self._problem(data, policy, sample_weight, counted)
        self.problem_ = p
        if p.cells is None:
            a = b = 0.0
            root = self._root(p)
            for part in chunks(len(p.rows)):
                some = p.rows.take(part)
                x = p.psi.mix(p.features(some.states), some.indicator)
                onward = p.psi.mix(p.features(some.next_states), some.next_policy)
                z = root(some) * some.weight[:, None]
                a = a + z.T @ (x - p.discount * some.alive[:, None] * onward)
                b = b + z.T @ some.rewards
            a, b = np.asarray(a), np.asarray(b)
            self.g_ = LinearQ(p.psi, solve(a.T @ a, a.T @ b, self.ridge))
            return self
        self.g_ = TableQ(p.cells, self._table(p), 0.0)
        return self

    def _table(self, p: Problem) -> Float64[np.ndarray, "S A"]:
        """The same with an indicator for every visited cell, from sums over cells."""
        from unseen.outcomes.tables import Table

        counts = p.counts(p.rows)
        table = Table.from_counts(counts, p.policy_table, p.discount)
        used = np.flatnonzero(table.visited.ravel())
        n = counts.visits.ravel()[used]
        bellman = np.eye(len(used)) - p.discount * (table.transition @ table.step).tocsr()[used][:, used].toarray()
        kernel = self._cell_kernel(p, used)
        x, r = bellman * n[:, None], (counts.rewards.ravel())[used]
        theta = solve(x.T @ kernel @ x, x.T @ kernel @ r, self.ridge)
        q = np.zeros(table.visits.size)
        q[used] = theta
        return table.filled(q.reshape(table.visits.shape))

    def _cell_kernel(self, p: Problem, used: Any) -> Float64[np.ndarray, "c c"]:
        assert p.cells is not None
        x = p.features.columns(p.cells.states(), every_level=True)[used // p.actions]
        same = (used % p.actions)[:, None] == (used % p.actions)[None]
        return np.exp(-cdist(x, x, "sqeuclidean") / (2 * self._bandwidth(x) ** 2)) * same

    def _root(self, p: Problem) -> Any:
        """From rows to (m, l) features whose products are the kernel's, by landmarks."""
        rng = np.random.default_rng(self.random_state)
        chosen = rng.permutation(len(p.rows))[: self.landmarks]
        x, actions = p.features.columns(p.rows.states[chosen], every_level=True), p.rows.actions[chosen]
        width = self._bandwidth(x)

        def kernel(states: Any, taken: Any) -> Any:
            return np.exp(-cdist(states, x, "sqeuclidean") / (2 * width**2)) * (taken[:, None] == actions[None])

        value, vector = np.linalg.eigh(kernel(x, actions))
        keep = value > 1e-10 * value.max()
        whiten = vector[:, keep] / np.sqrt(value[keep])
        return lambda rows: kernel(p.features.columns(rows.states, every_level=True), rows.actions) @ whiten

    def _bandwidth(self, x: Float64[np.ndarray, "m c"]) -> float:
        if self.bandwidth is not None:
            if not self.bandwidth > 0:
                raise UserError(f"bandwidth = {self.bandwidth}; it must be above 0, or None for the median distance")
            return self.bandwidth
        some = x[np.random.default_rng(self.random_state).permutation(len(x))[:500]]
        return median_distance(some)
