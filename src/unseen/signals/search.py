"""Which sets of signals to test, how many false discoveries that may cost, and the smallest set worth telling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from scipy.stats import false_discovery_control

from unseen.errors import UserError

Subset = tuple[str, ...]
FEW = 4  # signals of which every subset is tested


@runtime_checkable
class Test(Protocol):
    """A criterion on one data set: results with `effect`, `normalised` and `p` for each set of signals."""

    def test(self, subsets: Sequence[Sequence[str]]) -> list[Any]: ...


Criterion = Callable[[Subset], Test]  # what is given beside the history -> the test


class Row(NamedTuple):
    """One set of signals.

    Attributes:
        signals: their names.
        effect: the criterion's own statistic: HSIC of the residuals, or the mean gain in squared error.
        normalised: 0 is what chance gives, 1 the most possible; a wider set has a smaller one for the same news.
        p: of "tells nothing beyond the history".
        adjusted: p adjusted for the number of sets tested (Benjamini & Hochberg 1995).
        verdict: "informative", "nothing found", or why it could not be tested.
    """

    signals: Subset
    effect: float
    normalised: float
    p: float
    adjusted: float
    verdict: str


@dataclass(frozen=True)
class Stage:
    """One step of forward selection: what each signal left adds to those already chosen."""

    given: Subset
    rows: tuple[Row, ...]


def subsets(names: Sequence[str], reference: Sequence[str] = ()) -> list[Subset]:
    """Every non-empty subset of at most 4 names, single ones of more; then the reference signals, each by itself."""
    sizes = range(1, len(names) + 1) if len(names) <= FEW else range(1, 2)
    return [tuple(s) for size in sizes for s in combinations(names, size)] + [(name,) for name in reference]


def require_draws(draws: int, tests: int, alpha: float) -> None:
    """A p-value is at least 1 / (draws + 1); among many tests even that must be able to pass.

    Raises:
        UserError: with the number that is needed.
    """
    needed = math.ceil(tests / alpha) - 1
    if draws < needed:
        raise UserError(
            f"draws = {draws}; {tests} tests at a false-discovery rate of {alpha:g} need at least {needed}: no smaller one can reject"
        )


def tested(test: Test, sets: Sequence[Subset], alpha: float) -> list[Row]:
    """A row for each set, the false-discovery rate among them held at `alpha` (Benjamini & Hochberg).

    The sets overlap and share their draws; the procedure is proved for independent or positively dependent tests only.
    """
    if not sets:
        return []
    results = test.test(sets)
    adjusted = false_discovery_control([r.p for r in results])
    return [
        Row(s, r.effect, r.normalised, r.p, float(q), "informative" if q <= alpha else "nothing found")
        for s, r, q in zip(sets, results, adjusted, strict=True)
    ]


def forward(criterion: Criterion, first: Sequence[Row], alpha: float, most: int) -> list[Stage]:
    """Forward selection: take the informative signal with the largest effect, condition on it, ask again.

    Each later stage holds the false-discovery rate at `alpha` among the signals it tests (Benjamini-Hochberg); over stages it is not
    controlled. Stops when nothing left is informative, or after `most` signals.

    Args:
        criterion: the test, given a set of signals beside the history.
        first: rows of single signals, given nothing, adjusted together with the sets they were tested among.
        alpha: false-discovery rate of each stage.
        most: signals to choose at most.
    """
    stages = [Stage((), tuple(row for row in first if len(row.signals) == 1))]
    while (best := _best(stages[-1].rows)) is not None and len(stages) <= most:
        given = (*stages[-1].given, *best.signals)
        left = [row.signals for row in stages[-1].rows if row is not best]
        if not left:
            stages.append(Stage(given, ()))
            break
        stages.append(Stage(given, tuple(tested(criterion(given), left, alpha))))
    return stages


def _best(rows: Sequence[Row]) -> Row | None:
    """The informative row with the largest normalised effect."""
    informative = [row for row in rows if row.verdict == "informative"]
    return max(informative, key=lambda row: row.normalised) if informative else None


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Informative ones first, by effect; what could not be tested last."""
    rank = {"informative": 0, "nothing found": 1}
    return sorted(rows, key=lambda row: (rank.get(row.verdict, 2), -row.normalised if np.isfinite(row.normalised) else 0.0))
