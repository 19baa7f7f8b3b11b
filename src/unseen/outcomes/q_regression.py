"""QRegression: the trajectory plug-in, a regression on importance-weighted returns."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from unseen.errors import UserError, unknown
from unseen.outcomes.learner import Learner
from unseen.outcomes.linear import LinearQ, chunks, solve
from unseen.outcomes.nuisances import FirstStage, TableQ, fit_behaviour, floored
from unseen.outcomes.regression import fit_q, regressor
from unseen.outcomes.returns import cumulative, positions, require_whole, weighted_returns
from unseen.outcomes.rows import quotient


class QRegression(Learner):
    """argmin_g E_b[(Y - g(S, A))^2], Y_t = R_t + gamma rho_{t+1} R_{t+1} + gamma^2 rho_{t+1} rho_{t+2} R_{t+2} + ...

    Args:
        discount: gamma.
        model: "tabular", "linear", a regressor or its name; "auto": tabular where states are counted, else linear.
        behaviour, floor, calibration: as in `DRQLearner`.
        row_weight: "none", or "cumulative" for gamma^t rho_{0:t} as public code has it (which of the two is published is not stated).
        features, actions, ridge, random_state: as in `DRQLearner`.

    Trajectories that were cut lose the rewards behind the cut; nothing is bootstrapped.

    Source: Liu et al. (2018); row weights as in COBS.
    """

    def __init__(
        self,
        discount: float = 0.95,
        *,
        model: Any = "auto",
        behaviour: Any = "auto",
        row_weight: Literal["none", "cumulative"] = "none",
        features: Any = "standard",
        actions: Literal["separate", "additive"] = "separate",
        ridge: float = 0.0,
        floor: float = 0.01,
        calibration: Literal["auto", "none", "temperature"] = "auto",
        random_state: int = 0,
    ):
        self.discount = discount
        self.model = model
        self.behaviour = behaviour
        self.row_weight = row_weight
        self.features = features
        self.actions = actions
        self.ridge = ridge
        self.floor = floor
        self.calibration = calibration
        self.random_state = random_state

    def fit(self, data: Any, policy: Any, sample_weight: Any = None) -> QRegression:
        """Estimate Q of `policy` from `data`; arguments as in `DRQLearner.fit`."""
        if self.row_weight not in ("none", "cumulative"):
            raise unknown("row_weight", str(self.row_weight), ("none", "cumulative"))
        tabular = isinstance(self.model, str) and self.model == "tabular"
        p = self._problem(data, policy, sample_weight, True if tabular else None)
        require_whole(p)
        rows, first = p.rows, FirstStage(behaviour=self.behaviour, calibration=self.calibration, floor=self.floor)
        taken, self.floored_ = floored(fit_behaviour(p, rows, first, self.random_state)(rows), rows, self.floor)
        rho = rows.taken / taken
        targets = weighted_returns(rows.rewards, p.discount * rho, rows.trajectory)
        weight = rows.weight
        if self.row_weight == "cumulative":
            with np.errstate(divide="ignore"):
                weight = weight * p.discount ** positions(rows.trajectory) * np.exp(cumulative(np.log(rho), rows.trajectory))
        if not (weight > 0).any():
            raise UserError("every cumulative weight is 0: no trajectory follows the policy; use row_weight='none'")
        self.problem_ = p
        kind = self.model
        if isinstance(kind, str) and kind == "auto":
            kind = "tabular" if p.cells is not None else "linear"
        if isinstance(kind, str) and kind == "tabular":
            assert p.cells is not None
            total, sums = rows.by_cell(weight, len(p.cells)), rows.by_cell(weight * targets, len(p.cells))
            overall = float(np.average(targets, weights=weight))
            q = quotient(sums, total, overall)
            self.g_ = TableQ(p.cells, q, overall)
        elif isinstance(kind, str) and kind == "linear":
            gram = right = 0.0
            for part in chunks(len(rows)):
                some = rows.take(part)
                x = p.psi.mix(p.features(some.states), some.indicator)
                gram = gram + (x * weight[part, None]).T @ x
                right = right + x.T @ (weight[part] * targets[part])
            self.g_ = LinearQ(p.psi, solve(np.asarray(gram), np.asarray(right), self.ridge))
        else:
            model = regressor(kind, self.random_state)
            scale = weight / weight.mean()
            self.g_ = fit_q(rows.states, rows.actions, targets, scale, model, p.features, p.actions, p.psi.mode)
        return self
