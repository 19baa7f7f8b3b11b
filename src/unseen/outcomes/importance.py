"""The importance-sampling family: values of a policy from whole trajectories, without any model of outcomes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from unseen.errors import UserError, unknown
from unseen.outcomes.estimates import Estimate
from unseen.outcomes.nuisances import FirstStage, fit_behaviour, floored
from unseen.outcomes.problem import problem
from unseen.outcomes.returns import cumulative, positions, require_whole
from unseen.outcomes.rows import quotient

METHODS = ("trajectory", "per-decision", "weighted", "weighted-per-decision")


class ImportanceSampling(BaseEstimator):
    """V from trajectories reweighted by rho_{0:t} = prod_{k<=t} pi_e / pi_b.

    trajectory (IS): mean_i rho_{0:T} sum_t gamma^t R_t; per-decision (PDIS): mean_i sum_t gamma^t rho_{0:t} R_t; weighted (WIS,
    WPDIS): the same with weights that are divided by their mean, for each step in the per-decision form.

    Args:
        discount: gamma.
        method: "trajectory", "per-decision", "weighted", "weighted-per-decision".
        behaviour, calibration, floor, features, random_state: as in `DRQLearner`.

    Attributes:
        cumulative_: (n,) rho_{0:t}. ess_: effective number of trajectories at every step.

    An ended trajectory keeps its last weight in later steps' means; one that was cut counts as if it ended there.
    """

    def __init__(
        self,
        discount: float = 0.95,
        *,
        method: Literal["trajectory", "per-decision", "weighted", "weighted-per-decision"] = "per-decision",
        behaviour: Any = "auto",
        calibration: Literal["auto", "none", "temperature"] = "auto",
        floor: float = 0.01,
        features: Any = "standard",
        random_state: int = 0,
    ):
        self.discount = discount
        self.method = method
        self.behaviour = behaviour
        self.calibration = calibration
        self.floor = floor
        self.features = features
        self.random_state = random_state

    def fit(self, data: Any, policy: Any, sample_weight: Any = None) -> ImportanceSampling:
        """Reweight `data` by `policy`; rows cannot be weighted."""
        if self.method not in METHODS:
            raise unknown("method", str(self.method), METHODS)
        if sample_weight is not None:
            raise UserError("importance sampling weighs trajectories by itself; leave sample_weight out")
        p = problem(data, policy, self.discount, features=self.features, seed=self.random_state)
        rows = p.rows
        require_whole(p)
        first = FirstStage(behaviour=self.behaviour, calibration=self.calibration, floor=self.floor)
        taken, self.floored_ = floored(fit_behaviour(p, rows, first, self.random_state)(rows), rows, self.floor)
        with np.errstate(divide="ignore"):
            self.cumulative_ = np.exp(cumulative(np.log(rows.taken / taken), rows.trajectory))
        self.problem_ = p
        return self

    @property
    def weights(self) -> Float64[np.ndarray, "N T"]:
        """(N, T) rho_{0:t}, the last one repeated behind a trajectory's end; 1 where a trajectory has no row."""
        check_is_fitted(self, "cumulative_")
        rows, total = self.problem_.rows, self.problem_.data.n_trajectories
        at = positions(rows.trajectory)
        table = np.full((total, int(at.max()) + 1), np.nan)
        table[rows.trajectory, at] = self.cumulative_
        table[np.isnan(table[:, 0]), 0] = 1.0
        for t in range(1, table.shape[1]):
            table[:, t] = np.where(np.isnan(table[:, t]), table[:, t - 1], table[:, t])
        return table

    @property
    def ess_(self) -> Float64[np.ndarray, " T"]:
        """(T,) (sum rho)^2 / sum rho^2 of the cumulative ratios at every step."""
        w = self.weights
        return quotient(w.sum(axis=0) ** 2, (w**2).sum(axis=0))

    def value(self) -> Estimate:
        """Mean over trajectories with its standard error; weighted forms by the delta method."""
        w, rows, p = self.weights, self.problem_.rows, self.problem_
        at = positions(rows.trajectory)
        rewards = np.zeros_like(w)
        rewards[rows.trajectory, at] = p.discount**at * rows.rewards
        weighted = self.method.startswith("weighted")
        if self.method in ("trajectory", "weighted"):
            w, rewards = w[:, -1:], rewards.sum(axis=1, keepdims=True)
        product = w * rewards
        mean_w = w.mean(axis=0) if weighted else np.ones(w.shape[1])
        if (mean_w == 0).any():
            raise UserError("every cumulative weight is 0 from some step on: no trajectory follows the policy so far")
        step = product.mean(axis=0) / mean_w
        influence = (product - step * w if weighted else product - step) / mean_w
        label = f"value, importance sampling ({self.method})"
        return Estimate(("value",), np.array([float(step.sum())]), influence.sum(axis=1, keepdims=True), label, data=p.fingerprint)

    def predict(self, states: Any, actions: Any = None) -> Any:
        """Not available.

        Raises:
            UserError: always.
        """
        raise UserError("importance sampling estimates values only; for Q(s, a) from trajectories use QRegression")
