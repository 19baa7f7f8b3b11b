"""What all learners share: scikit-learn's conventions, and predictions asked for with the table's own columns and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from unseen.errors import UserError
from unseen.outcomes.nuisances import QModel
from unseen.outcomes.problem import Problem, problem


@dataclass(frozen=True)
class PlugIn:
    """A number without a standard error: what a model says, taken at its word.

    Attributes:
        value: (k,).
        names: of the k numbers.
        learner: whose.
    """

    value: Float64[np.ndarray, " k"]
    names: tuple[str, ...]
    learner: str

    @property
    def estimate(self) -> Any:
        """The number; (k,) where there are several."""
        return float(self.value[0]) if len(self.value) == 1 else self.value

    @property
    def standard_error(self) -> Any:
        """Not a number: errors of the fitted model pass through to first order, and nothing here measures them."""
        return float("nan") if len(self.value) == 1 else np.full(len(self.value), np.nan)

    def interval(self, level: float = 0.95) -> tuple[Any, Any]:
        """There is none.

        Raises:
            UserError: always, naming the learners that have one.
        """
        raise UserError(
            f"{self.learner} is a plug-in estimate and has no interval; use DRQLearner or, for values only, DoubleReinforcementLearning"
        )


class Learner(BaseEstimator):
    """Base of everything with `fit(data, policy)`; learners set `problem_` and `g_`."""

    discount: float
    features: Any
    actions: str
    random_state: int
    problem_: Problem
    g_: QModel

    def predict(self, states: Any, actions: Any = None) -> Float64[np.ndarray, "..."]:
        """Q(s, a).

        Args:
            states: a table (path, dataframe or mapping) with the named state columns; encoded (m, d) numbers are taken as they are.
            actions: one label for all, or a label for every row; None: every action.

        Returns:
            (m,) values, or (m, A) with a column for each of `data.action_labels`.

        Raises:
            UserError: missing columns, unseen levels, unknown actions.
        """
        check_is_fitted(self, "g_")
        data = self.problem_.data
        encoded = self._encoded(states)
        q = self.g_.values(encoded)
        if actions is None:
            return q
        index = data.encode_actions(actions)
        if len(index) not in (1, len(encoded)):
            raise UserError(f"{len(index)} actions for {len(encoded)} states; give one for all, or one each")
        return q[np.arange(len(encoded)), np.broadcast_to(index, len(encoded))]

    def _problem(self, data: Any, policy: Any, weight: Any, counted: bool | None = None, without_tables: bool = False) -> Problem:
        """Data and policy made ready as the settings say."""
        return problem(
            data,
            policy,
            self.discount,
            features=self.features,
            actions=self.actions,
            seed=self.random_state,
            weight=weight,
            counted=counted,
            without_tables=without_tables,
        )

    def predict_value(self, states: Any) -> Float64[np.ndarray, " m"]:
        """(m,) v(s) = sum_a pi_e(a|s) Q(s, a)."""
        check_is_fitted(self, "g_")
        encoded = self._encoded(states)
        return (self.problem_.policy_at(encoded) * self.g_.values(encoded)).sum(axis=1)

    def value(self, starts: Any = None) -> Any:
        """Mean of v over first states: those of the data, or a table of others."""
        check_is_fitted(self, "g_")
        p = self.problem_
        v = (p.start_policy * self.g_.values(p.starts)).sum(axis=1) if starts is None else self.predict_value(starts)
        mean = float(p.start_share @ v) if starts is None else float(np.mean(v))
        return PlugIn(np.array([mean]), ("value",), type(self).__name__)

    def contrast(self, states: Any, treat: Any, control: Any) -> Any:
        """Q(s, treat) - Q(s, control) for every state of a table."""
        difference = self.predict(states, treat) - self.predict(states, control)
        return PlugIn(difference, tuple(f"{treat} - {control}" for _ in difference), type(self).__name__)

    def summary(self, level: float = 0.95) -> Any:
        """Data, value with its interval, coefficients, scores of the nuisances and the verdict; print it."""
        from unseen.outcomes.summary import summary

        check_is_fitted(self, "g_")
        return summary(self, level)

    def save(self, path: Any) -> Any:
        """Write the fitted learner to a file that `unseen.outcomes.load` reads; see there."""
        from unseen.outcomes.persist import save

        return save(self, path)

    def _encoded(self, states: Any) -> Float64[np.ndarray, "m d"]:
        data = self.problem_.data
        if isinstance(states, np.ndarray) and states.dtype.kind in "fiu" and states.ndim == 2:
            if states.shape[1] != len(data.schema.columns):
                raise UserError(f"states have {states.shape[1]} columns; the data have {len(data.schema.columns)}")
            return states.astype(np.float64)
        return data.encode_states(states)
