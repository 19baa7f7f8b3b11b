"""FQE: fitted Q evaluation, the Bellman plug-in."""

from __future__ import annotations

from typing import Any, Literal

from unseen.errors import UserError
from unseen.outcomes.learner import Learner
from unseen.outcomes.nuisances import FirstStage, fit_initial_q
from unseen.outcomes.tables import Table


class FQE(Learner):
    """g_{k+1} = argmin_g E_b[(R + gamma (1-D) sum_a pi_e(a|S~) g_k(S~, a) - g(S, A))^2], sweep after sweep from 0.

    Args:
        discount: gamma.
        model: "tabular" (converged: a linear solve), "linear" (converged: its fixed point), "neural", a regressor or its name.
            "auto": tabular where states are counted, else linear.
        sweeps: stop after so many; None: converged.
        features, actions, ridge, random_state: as in `DRQLearner`.

    Attributes:
        g_: the fitted Q. notes_: sweeps made and the last change, or the growth of a linear sweep (it diverges from 1 on).

    Source: Le et al. (2019).
    """

    def __init__(
        self,
        discount: float = 0.95,
        *,
        model: Any = "auto",
        sweeps: int | None = None,
        features: Any = "standard",
        actions: Literal["separate", "additive"] = "separate",
        ridge: float = 0.0,
        random_state: int = 0,
    ):
        self.discount = discount
        self.model = model
        self.sweeps = sweeps
        self.features = features
        self.actions = actions
        self.ridge = ridge
        self.random_state = random_state

    def fit(self, data: Any, policy: Any, sample_weight: Any = None) -> FQE:
        """Estimate Q of `policy` from `data`; arguments as in `DRQLearner.fit`."""
        if self.sweeps is not None and (not isinstance(self.sweeps, int) or self.sweeps < 1):
            raise UserError(f"sweeps = {self.sweeps!r}; give a whole number from 1 on, or None")
        tabular = isinstance(self.model, str) and self.model == "tabular"
        counted = True if tabular else None if isinstance(self.model, str) and self.model == "auto" else False
        p = self._problem(data, policy, sample_weight, counted)
        self.notes_: dict[str, float] = {}
        table = Table.from_counts(p.counts(p.rows), p.policy_table, p.discount) if p.cells is not None else None
        first = FirstStage(initial_q=self.model, sweeps=self.sweeps, ridge=self.ridge)
        self.problem_, self.g_ = p, fit_initial_q(p, p.rows, first, table, self.random_state, self.notes_)
        return self
