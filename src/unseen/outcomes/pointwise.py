"""PointwiseDebias: correct an initial Q one query at a time, in the style of D2OPE."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.distance import cdist

from unseen.errors import UserError
from unseen.outcomes.features import median_distance
from unseen.outcomes.fold import RowFold
from unseen.outcomes.learner import Learner
from unseen.outcomes.network import Network
from unseen.outcomes.nuisances import FirstStage, fit_nuisances
from unseen.outcomes.problem import Problem
from unseen.outcomes.ratio_networks import sigmoid, softplus
from unseen.outcomes.rows import Rows, folds_by_trajectory, quotient

HIDDEN = (32, 32, 32, 32)  # D2OPE's four layers of 32
ACTION_SCALE = 10.0  # its factor on the action's coordinate
BATCH = 64
UPDATES = 1_000


class PointwiseDebias(Learner):
    """Q(s, a) = Q1(s, a) + (1 - gamma)^-1 mean_j omega(S_j, A_j; s, a) delta_j, omega with the query's own point mass in it.

    Of counted states omega is known in closed form, (1 - gamma) [1{S = s, A = a} / (p_b pi_b) + w rho], and this is DRQ without its
    regression. Elsewhere omega is a network over pairs, fitted by a kernel minimax loss; it has to imitate a Dirac mass, and its error
    does not cancel: that is what `DRQLearner` avoids.

    Args:
        discount: gamma, below 1.
        initial_q, behaviour, sweeps, folds, floor, features, actions, random_state: as in `DRQLearner`.
        updates: gradient steps of the network.
        most: rows that each query is averaged over.

    Source: Shi et al. (2021), D2OPE; its networks, here with a kernel on states and actions and in NumPy.
    """

    def __init__(
        self,
        discount: float = 0.95,
        *,
        initial_q: Any = "auto",
        behaviour: Any = "auto",
        sweeps: int | None = None,
        folds: int = 2,
        features: Any = "standard",
        actions: Literal["separate", "additive"] = "separate",
        floor: float = 0.01,
        updates: int = UPDATES,
        most: int = 2_000,
        random_state: int = 0,
    ):
        self.discount = discount
        self.initial_q = initial_q
        self.behaviour = behaviour
        self.sweeps = sweeps
        self.folds = folds
        self.features = features
        self.actions = actions
        self.floor = floor
        self.updates = updates
        self.most = most
        self.random_state = random_state

    def fit(self, data: Any, policy: Any, sample_weight: Any = None) -> PointwiseDebias:
        """Estimate Q of `policy` from `data`; arguments as in `DRQLearner.fit`."""
        p = self._problem(data, policy, sample_weight)
        if p.discount == 1:
            raise UserError("PointwiseDebias divides by 1 - discount; use a discount below 1")
        first = FirstStage(behaviour=self.behaviour, initial_q=self.initial_q, sweeps=self.sweeps, floor=self.floor)
        fold = folds_by_trajectory(p.rows.trajectory, p.data.n_trajectories, self.folds, self.random_state)[p.rows.trajectory]
        corrections = []
        for k in range(int(fold.max()) + 1):
            training = p.rows.take(fold != k) if self.folds > 1 else p.rows
            nuisances = fit_nuisances(p, training, first, pairwise=p.cells is not None, seed=self.random_state + k, with_flow=False)
            one = RowFold(p, p.rows.take(fold == k), training, nuisances, self.floor)
            pairs = None if p.cells is not None else _omega(p, training, self.updates, self.random_state + k)
            corrections.append(_Correction(one, pairs, self.most, self.random_state + k))
        self.problem_, self.g_ = p, _Debiased(corrections)
        return self


class _Debiased:
    """The mean of the folds' corrected Q, weighted by their rows."""

    def __init__(self, corrections: list[_Correction]):
        self.corrections = corrections

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        weight = np.array([c.fold.rows.weight.sum() for c in self.corrections])
        return np.tensordot(weight / weight.sum(), np.stack([c.values(states) for c in self.corrections]), axes=1)


class _Correction:
    """One fold: residuals of its rows, weighed for each query by what was fitted elsewhere."""

    def __init__(self, fold: RowFold, pairs: Any, most: int, seed: int):
        self.fold, self.pairs, self.most, self.seed = fold, pairs, most, seed

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        fold = self.fold
        start = fold.nuisances.q.values(states)
        if self.pairs is None:
            return start + self._counted(states)
        rows = fold.rows
        chosen = np.random.default_rng(self.seed).permutation(len(rows))[: self.most]
        omega = self.pairs(states, rows.states[chosen], rows.actions[chosen])
        share = rows.weight[chosen] / rows.weight[chosen].sum()
        omega = omega / np.maximum(omega @ share, 1e-12)[:, :, None]  # omega has mean 1 over the data's distribution
        return start + omega @ (share * fold.delta[chosen]) / (1 - fold.problem.discount)

    def _counted(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        fold, p = self.fold, self.fold.problem
        assert p.cells is not None
        assert fold.nuisances.table is not None
        assert fold.nuisances.ratio is not None
        density = fold.nuisances.table.density
        local = quotient(fold.rows.by_cell(fold.rows.share * fold.delta * fold.inverse, len(density)), density[:, None])
        s = p.cells.of(states)
        return np.where((s >= 0)[:, None], local[s], 0.0) + fold.nuisances.ratio.forward(states, fold.rows, fold.rho * fold.delta)


def _omega(p: Problem, rows: Rows, updates: int, seed: int) -> Any:
    """Fit omega(s', a'; s, a) by its moments: E_j[omega_j {f(Z_j) - gamma (1-D_j) f_pi(S~_j)}] = (1 - gamma) f(z) for every query z.

    Returns:
        (q, A, m) from query states, and states and actions of rows.
    """
    rng = np.random.default_rng(seed)
    hot = np.eye(p.actions)

    def points(states: Any, actions: Any) -> Any:
        return np.hstack([p.features.columns(states, every_level=True), ACTION_SCALE * hot[actions]]).astype(np.float32)

    z = points(rows.states, rows.actions)
    network = Network.drawn((2 * z.shape[1], *HIDDEN, 1), seed)
    some = z[rng.permutation(len(z))[:500]]
    width = median_distance(some, "cityblock")
    for update in range(updates):
        q, j = rng.integers(len(rows), size=BATCH), rng.integers(len(rows), size=BATCH)
        onward = np.array([rng.choice(p.actions, p=row) for row in rows.next_policy[j]], np.int64)
        layers = network.forward(np.concatenate([np.repeat(z[q], BATCH, axis=0), np.tile(z[j], (BATCH, 1))], axis=1))
        out = layers[-1][:, 0]
        omega = softplus(out).reshape(BATCH, BATCH).astype(np.float64)
        places = np.concatenate([z[j], points(rows.next_states[j], onward), z[q]])
        discounted = p.discount * rows.alive[j]
        coefficients = np.concatenate([omega / BATCH, -omega * discounted / BATCH, -(1 - p.discount) * np.eye(BATCH)], axis=1)
        near = np.exp(-cdist(z[q], z[q], "cityblock") / width)
        np.fill_diagonal(near, 0.0)
        slope = 2 * near @ coefficients @ np.exp(-cdist(places, places, "cityblock") / width) / (BATCH * (BATCH - 1))
        by_omega = (slope[:, :BATCH] - slope[:, BATCH : 2 * BATCH] * discounted) / BATCH
        output = (by_omega.ravel() * sigmoid(out)).astype(np.float32)[:, None]
        network.update(network.gradients(layers, output * np.float32(BATCH)), 1e-3 * (1 - update / updates), clip=1.0)

    def pairs(queries: Float64[np.ndarray, "q d"], states: Float64[np.ndarray, "m d"], actions: Int64[np.ndarray, " m"]) -> Any:
        right = points(states, actions)
        out = np.empty((len(queries), p.actions, len(right)))
        for i in range(len(queries)):
            for a in range(p.actions):
                left = np.tile(points(queries[[i]], np.array([a])), (len(right), 1))
                out[i, a] = softplus(network(np.concatenate([left, right], axis=1))[:, 0])
        return out

    return pairs
