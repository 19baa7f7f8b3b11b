"""The verdict in words: where a run stands between a random player and the best that is possible."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from unseen.reports.blocks import Text
from unseen.reports.statistics import Interval
from unseen.reports.summary import Reference, score
from unseen.reports.text import Number, interval, number

CEILINGS = ("perfect memory", "oracle")  # in this order: an agent that must act on its history cannot beat the first


@dataclass(frozen=True)
class Scale:
    """A scale on which the random player is 0 and the best that is possible is 1."""

    random: float
    best: float
    name: str
    """What the best is."""

    def of(self, value: Interval) -> Interval:
        """z = (return - random) / (best - random)."""
        return Interval(*((x - self.random) / (self.best - self.random) for x in value))


def scale(references: Mapping[str, Reference], bounds: tuple[Number, Number] | None = None) -> Scale | None:
    """The scale for normalised returns; None where the random player or the best is not known.

    The best is the upper bound on the optimum where there are bounds, else the best reference player.
    """
    if bounds is not None:
        best, name = float(bounds[1]), "the upper bound on the optimum"
    else:
        name = next((name for name in CEILINGS if name in references), None)
        best = score(references[name])[0] if name else math.nan
    bottom = score(references["random"])[0] if "random" in references else math.nan
    return Scale(bottom, best, name) if name and best > bottom else None


def standing(value: Interval, reference: Reference) -> str:
    """Where an interval lies relative to a reference score ± 2 standard errors."""
    mean, error = score(reference)
    if value.low > mean + 2 * error:
        return "above"
    return "below" if value.high < mean - 2 * error else "not distinguishable from"


def beats(probability: Interval) -> str:
    """What an interval of the probability of improvement says."""
    if not probability.exists:
        return "needs two seeds"
    return "better" if probability.low > 0.5 else "worse" if probability.high < 0.5 else "no clear difference"


def verdict(
    final: Interval,
    seeds: int,
    what: str,
    references: Mapping[str, Reference],
    bounds: tuple[Number, Number] | None = None,
) -> Text:
    """Where a run stands, in one paragraph.

    Args:
        final: the final return, interquartile mean over seeds.
        seeds: how many.
        what: the name of that return, as in "final discounted return".
        references: players on the same scale.
        bounds: on the optimal value, on the same scale.
    """
    if not final.exists:
        return Text(f"The {what} is {interval(final)}, from one seed: no interval, hence no verdict. Train several seeds.", "verdict")
    words = [f"The {what} is {interval(final)} (interquartile mean of {seeds} seeds, 95\u00a0% interval)."]
    kind = "verdict"
    if "random" in references:
        relation = standing(final, references["random"])
        kind = "good" if relation == "above" else "poor"
        words.append(f"That is {relation} random actions.")
    words += _against_ceiling(final, references, bounds)
    if (on := scale(references, bounds)) is not None:
        share = 100 * on.of(final).estimate
        words.append(f"On the scale from random (0\u00a0%) to {on.name} (100\u00a0%) it reaches {number(round(share))}\u00a0%.")
    if seeds < 5:
        words.append(f"With {seeds} seeds the interval is too narrow; train at least 5.")
    return Text(" ".join(words), kind)


def _against_ceiling(final: Interval, references: Mapping[str, Reference], bounds: tuple[Number, Number] | None) -> list[str]:
    if bounds is not None:
        lower, upper = bounds
        if final.low > upper:
            return [
                "It is above the upper bound on the optimal value: episodes were cut short of it, or the bound is for another discount."
            ]
        if final.high < lower:
            return ["It is below the optimal value."]
        return ["It is not distinguishable from the optimal value."]
    name = next((name for name in CEILINGS if name in references), None)
    return [] if name is None else [f"It is {standing(final, references[name])} the {name} player."]
