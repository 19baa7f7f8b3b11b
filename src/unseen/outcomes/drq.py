"""DRQLearner: doubly robust, Neyman-orthogonal estimates of individualized outcomes Q(s, a) under a policy, from logged decisions."""

from __future__ import annotations

import operator
from dataclasses import replace
from functools import reduce
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from sklearn.base import clone

from unseen.errors import UserError, unknown
from unseen.outcomes.fold import CellFold, Fold, RowFold
from unseen.outcomes.inference import Inference
from unseen.outcomes.learner import Learner
from unseen.outcomes.leaves import fit_trees
from unseen.outcomes.linear import BellmanMoments, LinearQ, solve
from unseen.outcomes.nuisances import FirstStage, QModel, TableQ, fit_nuisances
from unseen.outcomes.problem import Problem
from unseen.outcomes.regression import fit_q, regressor
from unseen.outcomes.rows import Rows, folds_by_trajectory
from unseen.outcomes.threads import at_once

MANY = 20_000  # rows from which on threads are worth their start


class DRQLearner(Inference, Learner):
    """Q^pi(s, a) as a regression on pseudo-outcomes whose error is a product of the nuisances' errors.

    Phi(S_i, a) = Q1(S_i, a) + 1{A_i = a} delta_i / pi_b(a|S_i) + mean_j w(S_j|S_i, a) rho_j delta_j,
    g = argmin sum_i sum_a lambda(a|S_i) (Phi(S_i, a) - g(S_i, a))^2,

    with delta the Bellman residual of Q1, rho = pi_e / pi_b, and w the conditional discounted state-density ratio; all three are
    fitted on other trajectories than those they are used on. E[Phi | s, a] = Q(s, a) if Q1 is right, or if pi_b and w are.

    Args:
        discount: gamma in [0, 1); 1 where every trajectory terminates.
        final: class of g: "tabular" (saturated), "linear", "neural", trees ("forest", "boosting", "lightgbm", whose leaves are as large
            as the loss on held-out trajectories allows), or a regressor with `sample_weight`, used as it is: pseudo-outcomes err more
            than outcomes, so give it larger leaves or more penalty than Q1's. "auto": tabular where states are counted, else linear.
        initial_q: Q1: "tabular", "linear", "neural", "zero", a regressor, or an object with `values(states)`. "auto": tabular where
            states are counted; else as `final`. Trees are refitted in up to 100 sweeps for every fold; "linear" beneath a `final` of trees
            takes a hundredth of the time.
        behaviour: pi_b: "logged", "tabular", "logistic", "forest", "boosting", "lightgbm", a classifier, or a policy that is known.
            "auto": logged where it was, else tabular where states are counted, else logistic.
        ratio: w: "tabular", "linear" (LSTD form), "network" (successor density), "kernel" (minimax), or an object with
            `forward(queries, rows, values)`. A linear `final` needs none: it uses the flow equation, unless one is named.
        row_weight: lambda: "uniform", or "policy" as published, which says nothing about actions that the policy never takes.
        folds: of trajectories, for cross-fitting; 1: none.
        self_normalised: weigh cells by their own frequency instead of by estimated probabilities. "auto": where states are counted.
        features: of linear models, classifiers and the flow: "standard", "splines", "fourier", "leaves", or a transformer.
        actions: "separate" coefficients for every action, or "additive".
        sweeps: of fitted Q evaluation; None: until it has converged.
        ridge: of linear models, relative to the mean diagonal.
        smoothing: of counted transitions.
        calibration: of behaviour classifiers: "temperature", "none", or "auto".
        floor: smallest behaviour probability that is divided by; the share of rows below is in `diagnostics`.
        stabilise: cut pairwise ratios at their 99th percentile and rescale them to their expected mass.
        iterations: 2 takes for Q1 another DRQ fitted on the training folds, and so on; each multiplies the time by `folds`.
        n_jobs: folds at a time, in threads. "auto": one for each core where nuisances are counted or linear and rows are at least 20,000,
            else 1. The numbers do not depend on it. Functions that say who is in a region are then asked by several threads at once,
            and while folds are fitted, matrix products of the whole process run on one thread.
        random_state: of folds and of everything drawn.

    Attributes:
        g_: the fitted second stage; leaf_: rows in its smallest leaf, where it is of trees. folds_: what nuisances said about each
            fold. diagnostics: overlap, moments and the verdict.

    Source: Javurek et al. (2026), DRQ-learner; formulas re-derived in the specification, sections 4 and 5. The paper's own
    pseudo-outcomes and normalisation were not found.
    """

    def __init__(
        self,
        discount: float = 0.95,
        *,
        final: Any = "auto",
        initial_q: Any = "auto",
        behaviour: Any = "auto",
        ratio: Any = "auto",
        row_weight: Literal["uniform", "policy"] = "uniform",
        folds: int = 5,
        self_normalised: bool | Literal["auto"] = "auto",
        features: Any = "standard",
        actions: Literal["separate", "additive"] = "separate",
        sweeps: int | None = None,
        ridge: float = 0.0,
        smoothing: float = 0.0,
        calibration: Literal["auto", "none", "temperature"] = "auto",
        floor: float = 0.01,
        stabilise: bool = True,
        iterations: int = 1,
        n_jobs: int | Literal["auto"] = "auto",
        random_state: int = 0,
    ):
        self.discount = discount
        self.final = final
        self.initial_q = initial_q
        self.behaviour = behaviour
        self.ratio = ratio
        self.row_weight = row_weight
        self.folds = folds
        self.self_normalised = self_normalised
        self.features = features
        self.actions = actions
        self.sweeps = sweeps
        self.ridge = ridge
        self.smoothing = smoothing
        self.calibration = calibration
        self.floor = floor
        self.stabilise = stabilise
        self.iterations = iterations
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, data: Any, policy: Any, sample_weight: Any = None) -> DRQLearner:
        """Estimate Q of `policy` from `data`.

        Args:
            data: `Transitions`.
            policy: anything with `probabilities(states)`, a function of the states, or one of `unseen.outcomes.policies`.
            sample_weight: (n,) of the transitions.

        Returns:
            self.

        Raises:
            UserError: data, policy or settings that do not go together, in one line.
        """
        without_tables = not isinstance(self.final, str) or self.final not in ("auto", "tabular")
        p = self._problem(data, policy, sample_weight, self._counted(), without_tables)
        return self._fit(p)

    def _fit(self, p: Problem) -> DRQLearner:
        first, final = self._first_stage(p), self._final(p)
        self.jobs_ = self._jobs(first, len(p.rows))
        self.__dict__.pop("leaf_", None)
        pairwise = final != "linear" or first.ratio != "auto"
        by_cell = self._by_cell(p, first)
        self.fold_ = folds_by_trajectory(p.rows.trajectory, p.data.n_trajectories, self.folds, self.random_state)
        of_row = self.fold_[p.rows.trajectory]
        parts = [np.flatnonzero(of_row == k) for k in range(int(self.fold_.max()) + 1)]
        each = [p.rows.take(part) for part in parts]
        moments = self._moments(p, first, each)

        def fitted(k: int, near: Any = None) -> Fold:
            training = p.rows.take(np.flatnonzero(of_row != k)) if self.folds > 1 else p.rows
            seed = self.random_state + k
            settings = self._iterated(p, first, training, seed)
            nuisances = fit_nuisances(
                p, training, settings, pairwise=pairwise and not by_cell, seed=seed, moments=moments.get(k), near=near
            )
            return CellFold(p, each[k], nuisances) if by_cell else RowFold(p, each[k], training, nuisances, self.floor)

        begun = fitted(0)  # where the other folds' behaviour policies begin
        folds = [begun, *at_once(lambda k: fitted(k, begun.nuisances.behaviour), range(1, len(each)), self.jobs_)]
        self.problem_, self.folds_, self.parts_ = p, folds, parts
        self.__dict__.pop("scores_", None)
        self.g_ = self._second_stage(p, final, pairwise or by_cell)
        self._forget()
        return self

    def _second_stage(self, p: Problem, final: Any, pairwise: bool) -> QModel:
        weight = self.lambda_(p.rows) * p.rows.share[:, None]
        if isinstance(final, str) and final == "linear":
            return LinearQ(p.psi, self._theta(p, weight, pairwise))
        if isinstance(final, str) and final == "neural" and all(isinstance(f, RowFold) for f in self.folds_):
            return self._neural(p, weight)
        targets = self._targets()
        if isinstance(final, str) and final == "tabular":
            return self._saturated(p, targets)
        if isinstance(final, str) and final == "neural":
            from unseen.outcomes.q_network import fit_pairwise

            return fit_pairwise(p.rows.states, targets, lambda i, rng: 0.0, weight, p.features, self.random_state)
        scale = weight * len(weight)  # averages 1 / A, so that regressors' own penalties mean the same at any n
        if isinstance(final, str):
            half = self.fold_[p.rows.trajectory] % 2 if self.folds > 1 else None
            g, self.leaf_ = fit_trees(final, p.rows, targets, scale, p.features, p.psi.mode, p.data.n_trajectories, self.random_state, half)
            return g
        states = np.repeat(p.rows.states, p.actions, axis=0)
        actions = np.tile(np.arange(p.actions), len(p.rows))
        return fit_q(states, actions, targets.ravel(), scale.ravel(), final, p.features, p.actions, p.psi.mode)

    def _theta(self, p: Problem, weight: Float64[np.ndarray, "n A"], pairwise: bool) -> Float64[np.ndarray, " p"]:
        """H^-1 E[sum_a lambda psi Phi], or the same through the flow equation: p functions instead of one of pairs."""
        projection = self.projection()
        if pairwise:
            targets = self._targets()
            phi = p.features(p.rows.states)
            right = p.psi.mix(phi, weight * targets).sum(axis=0)
            return solve(projection.gram(p.rows), right)
        self.scores_ = self.scores(projection)
        return solve(projection.gram(p.rows), self.scores_.sum(axis=0))

    def _saturated(self, p: Problem, targets: Float64[np.ndarray, "n A"]) -> QModel:
        """Cell means of the pseudo-outcomes; for cells weighed by frequency, the folds' tables by their numbers of rows."""
        assert p.cells is not None
        assert p.rows.s is not None
        states = len(p.cells)
        if all(isinstance(f, CellFold) for f in self.folds_):
            q = np.tensordot(self.fold_share, np.stack([f.corrected for f in self.folds_]), axes=1)  # type: ignore[union-attr]
        else:
            total = np.bincount(p.rows.s, p.rows.share, states)
            sums = np.stack([np.bincount(p.rows.s, p.rows.share * targets[:, a], states) for a in range(p.actions)], axis=1)
            start = np.mean([f.nuisances.q.values(p.cells.states()) for f in self.folds_], axis=0)
            q = np.where(total[:, None] > 0, sums / np.maximum(total, 1e-300)[:, None], start)
        visits = p.counts(p.rows).visits
        return TableQ(p.cells, q, float(np.average(q, weights=visits)))

    def _neural(self, p: Problem, weight: Float64[np.ndarray, "n A"]) -> QModel:
        """Minibatches of pairs: S from all rows, Z' from the rows of its fold."""
        from unseen.outcomes.q_network import fit_pairwise

        local = self.by_row([f.local_targets() for f in self.folds_])  # type: ignore[union-attr]
        of_row = self.fold_[p.rows.trajectory]

        def pair_term(i: Any, rng: Any) -> Any:
            term = np.zeros((len(i), p.actions))
            for k, fold in enumerate(self.folds_):
                mine = of_row[i] == k
                if not mine.any():
                    continue
                assert isinstance(fold, RowFold)
                assert fold.nuisances.ratio is not None
                j = rng.integers(len(fold.rows), size=min(256, len(fold.rows)))
                term[mine] = fold.nuisances.ratio.forward(p.rows.states[i[mine]], fold.rows.take(j), (fold.rho * fold.delta)[j])
            return term

        return fit_pairwise(p.rows.states, local, pair_term, weight, p.features, self.random_state)

    def _targets(self) -> Float64[np.ndarray, "n A"]:
        """(n, A) pseudo-outcomes, kept for the diagnostics."""
        self.targets_ = self.by_row([f.targets() for f in self.folds_])
        return self.targets_

    def _moments(self, p: Problem, first: FirstStage, folds: list[Rows]) -> dict[int, BellmanMoments]:
        """For a linear initial Q: sums over every fold's complement, from one pass over the rows."""
        if self.folds == 1 or self.iterations > 1 or not (isinstance(first.initial_q, str) and first.initial_q == "linear"):
            return {}
        each = [BellmanMoments.of(p.psi, rows) for rows in folds]
        return {k: reduce(operator.add, [m for j, m in enumerate(each) if j != k]) for k in range(len(each))}

    def _first_stage(self, p: Problem) -> FirstStage:
        if self.row_weight not in ("uniform", "policy"):
            raise unknown("row_weight", str(self.row_weight), ("uniform", "policy"))
        if not 0 < self.floor < 1:
            raise UserError(f"floor = {self.floor}; a probability above 0 and below 1, as in 0.01")
        initial_q = self.initial_q
        if isinstance(initial_q, str) and initial_q == "auto":
            final = self._final(p)
            initial_q = "tabular" if p.cells is not None else final
        return FirstStage(
            behaviour=self.behaviour,
            calibration=self.calibration,
            initial_q=initial_q,
            sweeps=self.sweeps,
            ratio=self.ratio,
            ridge=self.ridge,
            smoothing=self.smoothing,
            stabilise=self.stabilise,
            floor=self.floor,
        )

    def _jobs(self, first: FirstStage, rows: int) -> int:
        """Folds at a time."""
        jobs: Any = self.n_jobs
        if jobs != "auto":
            if not isinstance(jobs, int | np.integer) or isinstance(jobs, bool) or not (jobs == -1 or jobs > 0):
                raise UserError(f"n_jobs = {jobs!r}; a number of threads, -1 for one on each core, or 'auto'")
            return int(jobs)
        plain = ("auto", "tabular", "linear", "logistic", "logged", "zero")
        alone = all(isinstance(x, str) and x in plain for x in (first.behaviour, first.initial_q, first.ratio))
        return -1 if alone and isinstance(self.features, str) and self.iterations == 1 and rows >= MANY else 1

    def _iterated(self, p: Problem, first: FirstStage, training: Any, seed: int) -> FirstStage:
        """The first stage of one fold; with further iterations its initial Q is a DRQ of the training rows."""
        if not isinstance(self.iterations, int) or self.iterations < 1:
            raise UserError(f"iterations = {self.iterations!r}; give a whole number from 1 on")
        if self.iterations == 1:
            return first
        inner: Any = clone(self)
        inner.set_params(iterations=self.iterations - 1, random_state=seed + 1_000 * self.iterations)
        return replace(first, initial_q=inner._fit(replace(p, rows=training)).g_)

    def _final(self, p: Problem) -> Any:
        if not isinstance(self.final, str):
            return regressor(self.final, self.random_state)
        if self.final == "auto":
            return "tabular" if p.cells is not None else "linear"
        if self.final == "tabular" and p.cells is None:
            raise UserError("final='tabular' needs states that can be counted: declare the state columns categorical, or use 'linear'")
        if self.final not in ("tabular", "linear", "neural"):
            regressor(self.final, self.random_state)
        return self.final

    def _counted(self) -> bool | None:
        """Whether states must be counted, must not be, or as they are."""
        named = {v for v in (self.final, self.initial_q, self.behaviour, self.ratio) if isinstance(v, str)}
        return True if "tabular" in named or self.self_normalised is True else None

    def _by_cell(self, p: Problem, first: FirstStage) -> bool:
        if self.self_normalised not in (True, False, "auto"):
            raise UserError(f"self_normalised = {self.self_normalised!r}; allowed: True, False, 'auto'")
        usable = p.cells is not None and isinstance(first.ratio, str) and first.ratio in ("auto", "tabular")
        if self.self_normalised is True and not usable:
            raise UserError("self_normalised=True needs counted states and the tabular ratio; leave it 'auto'")
        return usable and self.self_normalised is not False
