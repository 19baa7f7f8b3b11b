"""Dosed tumours in `reproduce outcomes`: continuous states, true values by rollouts, with a patient's response observed or hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64

from unseen.data import Transitions
from unseen.experiments.logged import Logged, logged
from unseen.experiments.reproduce.outcomes_grid import ASKED, ROLLOUTS, Setting
from unseen.experiments.reproduce.outcomes_truth import Queries
from unseen.outcomes.policies import as_probabilities

OWN_SEED = 1_000_000  # of the log that the days asked about come from


@dataclass(frozen=True, eq=False)
class Patients:
    """A setting of `unseen.experiments.logged` at so many patients, with the face of `outcomes_truth.Known`.

    Attributes:
        name: "tumour" or "tumour-type-only".
        setting: n counts patients here, and epsilon_b is mixed into dosing by size.
    """

    name: str
    setting: Setting
    _data: dict[int, Transitions] = field(default_factory=dict)

    @property
    def discount(self) -> float:
        """gamma."""
        return self.setting.discount

    def data(self, seed: int) -> Transitions:
        """One data set; the latest is kept."""
        if seed not in self._data:
            self._data.clear()
            self._data[seed] = self._logged(self.setting.n, seed).transitions()
        return self._data[seed]

    def judged(self) -> Any:
        """The policy as learners are given it."""
        return self._own.policy

    def truths(self) -> Mapping[str, Any]:
        """None is known as a function."""
        return {}

    @cached_property
    def value(self) -> float:
        """V over patients as they come."""
        return self._own.truth_value()[0]

    @cached_property
    def queries(self) -> Queries:
        """Days of other patients; the truth is each patient's own, also where learners see the type only."""
        rows = self._own.table.filter(pl.col("action").is_not_null()).sample(ASKED, seed=0)
        truth = np.stack([self._own.truth_q(rows, action)[0] for action in self._own.columns["actions"]], axis=1)
        labels = self._own.columns["actions"]
        weight: Float64[np.ndarray, "m A"] = as_probabilities(self._own.policy.probabilities(rows), labels, len(rows))
        return Queries(rows, truth, weight, None)

    @cached_property
    def _own(self) -> Logged:
        return self._logged(ASKED, OWN_SEED)

    def _logged(self, patients: int, seed: int) -> Logged:
        from unseen.experiments.platform import prepare

        prepare()  # programs are compiled once, not in every process
        s = self.setting
        return logged(self.name, patients, seed=seed, rollouts=ROLLOUTS, discount=s.discount, epsilon_b=s.epsilon_b, epsilon_e=s.epsilon_e)
