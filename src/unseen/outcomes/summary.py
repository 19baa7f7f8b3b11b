"""A fitted learner in words: what went in, what came out with which interval, how the nuisances did, and whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unseen.outcomes.estimates import Estimate
from unseen.outcomes.linear import LinearQ

SHOWN = 30  # coefficients that are printed


@dataclass(frozen=True, eq=False)
class Summary:
    """What `summary()` returns; printing it shows everything.

    Attributes:
        learner: its name with the settings that differ from the defaults.
        data: sizes, in words.
        value: of the policy: an `Estimate`, or a `PlugIn` without an interval.
        coefficients: of the linear projection of Q, or None where the second stage is another.
        scores: of nuisances and second stage by name.
        diagnostics: overlap, tails and moments; None for plug-in learners.
        level: of intervals.
    """

    learner: str
    data: str
    value: Any
    coefficients: Estimate | None
    scores: dict[str, float]
    diagnostics: Any
    level: float

    def __str__(self) -> str:
        lines = [self.learner, self.data, ""]
        if self.diagnostics is not None:
            lines += [f"verdict: {self.diagnostics.verdict}"]
        if isinstance(self.value, Estimate):
            low, high = self.value.interval(self.level)
            error = self.value.standard_error
            lines += [f"value of the policy: {self.value.estimate:.4g} (standard error {error:.2g}, {self._level} {low:.4g} to {high:.4g})"]
        else:
            lines += [f"value of the policy: {self.value.estimate:.4g} (a plug-in estimate: no interval)"]
        if self.coefficients is not None:
            lines += ["", f"projection of Q on the features (numbers standardised), {self._level}:", *self._coefficients()]
        if self.scores:
            width = max(map(len, self.scores))
            lines += ["", "how well things were fitted:", *(f"  {name:{width}s}  {score:.3f}" for name, score in self.scores.items())]
        return "\n".join(lines)

    @property
    def _level(self) -> str:
        return f"{100 * self.level:g} % interval"

    def _coefficients(self) -> list[str]:
        e = self.coefficients
        assert e is not None
        low, high = (np.atleast_1d(end) for end in e.interval(self.level))
        width = max(map(len, e.names[:SHOWN]))
        rows = [f"  {name:{width}s}  {v: .4g}  {a: .4g} to {b: .4g}" for name, v, a, b in zip(e.names[:SHOWN], e.value, low, high)]
        return rows + ([f"  ... {len(e.names) - SHOWN} more"] if len(e.names) > SHOWN else [])


def summary(learner: Any, level: float = 0.95) -> Summary:
    """Of a fitted learner.

    Args:
        learner: any of this room.
        level: of intervals.
    """
    data = learner.problem_.data
    defaults = type(learner)().get_params()
    changed = {k: v for k, v in learner.get_params().items() if v is not defaults.get(k) and repr(v) != repr(defaults.get(k))}
    changed = {"discount": learner.discount} | {k: v for k, v in changed.items() if k != "discount"}
    name = f"{type(learner).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"
    states = ", ".join(c.name for c in data.state_columns)
    sizes = f"{len(data)} decisions of {data.n_trajectories} trajectories, {data.n_actions} actions; state: {states}"
    left = f"; {data.dropped} decisions left out, since what followed is not known" if data.dropped else ""
    diagnostics = getattr(learner, "diagnostics", None)
    linear = isinstance(learner.g_, LinearQ) and hasattr(learner, "coefficients")
    return Summary(
        learner=name,
        data=sizes + left,
        value=learner.value(),
        coefficients=learner.coefficients() if linear else None,
        scores=dict(diagnostics.fits) if diagnostics is not None else {},
        diagnostics=diagnostics,
        level=level,
    )
