"""DoubleReinforcementLearning: the doubly robust value of a policy, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from unseen.errors import UserError
from unseen.outcomes.drq import DRQLearner
from unseen.outcomes.estimates import Estimate
from unseen.outcomes.nuisances import QModel


class DoubleReinforcementLearning(DRQLearner):
    """V = mean v(S_0) + mean rho nu(S) delta with cross-fitted nuisances: `DRQLearner` without its second stage.

    `predict` gives the mean of the folds' initial Q, which is not debiased. Arguments as in `DRQLearner`.

    Source: Kallus and Uehara (2019), unnormalised.
    """

    def _second_stage(self, p: Any, final: Any, pairwise: bool) -> QModel:
        return _Mean([f.nuisances.q for f in self.folds_])

    def contrast(self, states: Any, treat: Any, control: Any) -> Estimate:
        """Not available.

        Raises:
            UserError: always.
        """
        raise UserError("DoubleReinforcementLearning estimates values only; use DRQLearner for contrasts")


class _Mean:
    def __init__(self, models: list[QModel]):
        self.models = models

    def values(self, states: Any) -> Any:
        return np.mean([m.values(states) for m in self.models], axis=0)
