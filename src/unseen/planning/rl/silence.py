"""Whether planning has stopped: measured against how often it planned at first, and said without a cause, which is not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ROLLOUTS = 3  # at the end that are compared with as many at the beginning
STOPPED = 0.02  # of the planning frequency at first, below which planning has stopped

Curves = Sequence[Mapping[str, Any]]


def stopped_planning(curves: Curves) -> bool:
    """Whether the last rollouts planned in less than 2 % as many steps as the first, or in none.

    Args:
        curves: rows with `planning_frequency`, one for every update.
    """
    if len(curves) < ROLLOUTS:
        return False
    first, last = _frequencies(curves)
    return last == 0 or last < STOPPED * first


def in_words(curves: Curves) -> str:
    """Both frequencies."""
    first, last = _frequencies(curves)
    return f"{last:.2%} of steps planned in the last {ROLLOUTS} rollouts, {first:.2%} in the first {ROLLOUTS}"


def _frequencies(curves: Curves) -> tuple[float, float]:
    first, last = (float(np.mean([row["planning_frequency"] for row in some])) for some in (curves[:ROLLOUTS], curves[-ROLLOUTS:]))
    return first, last
