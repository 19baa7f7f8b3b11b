"""Green, amber or red: what the diagnostics say together, by thresholds kept as data."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal


@dataclass(frozen=True)
class Verdict:
    """May the estimates be trusted?

    Attributes:
        colour: "green": nothing was found against them; "amber": with care; "red": no. Thresholds were chosen on simulated settings and
            tested on others (`docs/results/verdicts.md`).
        reasons: in words, the worst first; empty when green.
    """

    colour: Literal["green", "amber", "red"]
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.colour}{': ' if self.reasons else ''}{'; '.join(self.reasons)}"


@cache
def thresholds() -> dict[str, dict[str, Any]]:
    """From `thresholds.toml`."""
    return tomllib.loads((files("unseen.outcomes") / "thresholds.toml").read_text(encoding="utf-8"))


def judged(facts: dict[str, Any], folds: int) -> Verdict:
    """Every diagnostic against its thresholds; without cross-fitting a verdict is amber at best."""
    return coloured(measured(facts), folds)


def measured(facts: dict[str, Any]) -> dict[str, float]:
    """The numbers among the diagnostics that have thresholds."""
    values = {name: float(value) for name, value in facts.items() if isinstance(value, int | float)}
    values |= {"ess_value": facts["weights"]["value"].ess, "hill_value": facts["weights"]["value"].hill}
    return {name: values[name] for name in thresholds()}


def coloured(values: dict[str, float], folds: int) -> Verdict:
    """The verdict on these numbers."""
    red, amber = [], []
    for name, rule in thresholds().items():
        value = values[name]
        if math.isnan(value):
            continue
        beyond = (lambda limit, v=value: v < limit) if rule.get("below") else (lambda limit, v=value: v > limit)
        if beyond(rule["red"]):
            red.append(rule["says"].format(value=value))
        elif beyond(rule["amber"]):
            amber.append(rule["says"].format(value=value))
    if folds == 1:
        amber.append("nuisances were not cross-fitted (folds=1)")
    colour: Literal["green", "amber", "red"] = "red" if red else "amber" if amber else "green"
    return Verdict(colour, (*red, *amber))
