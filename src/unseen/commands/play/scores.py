"""A person's mean score beside the reference players, and on the scale from random (0) to perfect memory (100)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unseen.environments.contract import References, Score

PLAYERS = ("random", "memoryless", "perfect_memory", "oracle")


class Summary(NamedTuple):
    """Undiscounted scores of some episodes.

    Attributes:
        episodes: how many.
        mean: of the scores; NaN for none.
        standard_error: of the mean; NaN for fewer than two episodes.
        normalised: 100 (mean - random) / (perfect memory - random); NaN where one of the two is not known or they are equal.
        normalised_error: the standard error on that scale, of the person's mean alone.
    """

    episodes: int
    mean: float
    standard_error: float
    normalised: float
    normalised_error: float


def summarise(scores: Sequence[float], references: References) -> Summary:
    """The mean with its standard error, as it is and normalised."""
    n = len(scores)
    mean = float(np.mean(scores)) if n else math.nan
    error = float(np.std(scores, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    per_unit = references.normalised(1.0) - references.normalised(0.0)
    return Summary(n, mean, error, references.normalised(mean), abs(per_unit * error))


def known(references: References) -> dict[str, Score]:
    """The reference players that have a score, by the name people read."""
    scores = {player: getattr(references, player) for player in PLAYERS}
    return {player.replace("_", " "): score for player, score in scores.items() if score is not None}


def said(summary: Summary, references: References) -> str:
    """What the terminal says at the end, one line for each player."""
    count = "1 episode" if summary.episodes == 1 else f"{summary.episodes} episodes"
    rows = {f"you, {count}": (summary.mean, summary.standard_error)}
    rows |= {player: (score.mean, score.standard_error) for player, score in known(references).items()}
    width = max(map(len, rows))
    lines = [f"  {player:{width}}  {_with_error(*each)}" for player, each in rows.items()]
    if not math.isnan(summary.normalised):
        value = _with_error(summary.normalised, summary.normalised_error)
        lines.append(f"  normalised, random 0 and perfect memory 100: {value}")
    return "\n".join(["mean score ± standard error", *lines])


def _with_error(mean: float, error: float) -> str:
    return f"{mean:.4g}" if math.isnan(error) or error == 0 else f"{mean:.4g} ± {error:.2g}"
