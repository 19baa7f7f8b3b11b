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


SINGLE = 1e-5  # returns are summed in single precision; what differs by less than this share is the same
EXACT = 1e-3  # bounds closer than this share of the scale count as one number
WIDE = 0.01  # bounds further apart than this share of themselves may not tell whether a return is optimal


@dataclass(frozen=True)
class Scale:
    """A scale on which the random player is 0 and the best that is possible is 1."""

    random: float
    best: float
    name: str
    """What the best is."""

    least: float | None = None
    """What the best is at least, where it is known only between bounds, of which `best` is the upper."""

    def of(self, value: Interval) -> Interval:
        """z = (return - random) / (best - random)."""
        return Interval(*((x - self.random) / (self.best - self.random) for x in value))


def scale(references: Mapping[str, Reference], bounds: tuple[Number, Number] | None = None) -> Scale | None:
    """The scale for normalised returns; None where the random player or the best is not known.

    The best is the upper bound on the optimum where there are bounds, else the best reference player.
    """
    bottom = score(references["random"])[0] if "random" in references else math.nan
    if bounds is None:
        name = next((name for name in CEILINGS if name in references), None)
        best = score(references[name])[0] if name else math.nan
        return Scale(bottom, best, name) if name and best > bottom else None
    least, best = map(float, bounds)
    span = best - bottom
    if not span > SINGLE * max(abs(best), abs(bottom)):  # nothing to gain, or no random player
        return None
    if best - least <= EXACT * span:
        return Scale(bottom, best, "the optimum")
    return Scale(bottom, best, f"the optimum's upper bound (its lower bound is at {number((least - bottom) / span)})", least)


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
        words.append(_share(final.estimate, on))
    if seeds < 5:
        words.append(f"With {seeds} seeds the interval is too narrow; train at least 5.")
    return Text(" ".join(words), kind)


def _share(final: float, on: Scale) -> str:
    """Where a return lies on the scale: one number, or two where the optimum is known only between bounds."""

    def percent(best: float) -> int:
        return round(100 * (final - on.random) / (best - on.random))

    if on.least is None:
        return f"On the scale from random (0\u00a0%) to {on.name} (100\u00a0%) it reaches {number(percent(on.best))}\u00a0%."
    ruler = f"On the scale from random (0\u00a0%) to the optimum (100\u00a0%), which lies between {number(on.least)} and {number(on.best)},"
    if on.least <= on.random:  # all that is known is that the optimum is no worse than random
        return f"{ruler} it reaches {number(percent(on.best))}\u00a0% if the optimum is {number(on.best)}, more if it is less."
    low, high = sorted((percent(on.best), percent(on.least)))
    return f"{ruler} it reaches {number(low)} to {number(high)}\u00a0%."


def _against_ceiling(final: Interval, references: Mapping[str, Reference], bounds: tuple[Number, Number] | None) -> list[str]:
    if bounds is not None:
        lower, upper = bounds
        size = max(abs(lower), abs(upper))
        if final.low > upper + SINGLE * size:
            return ["It is above the optimal value, which no player exceeds on average: the last episodes were lucky."]
        if final.high < lower - SINGLE * size:
            return ["It is below the optimal value."]
        if upper - lower > max(WIDE * size, final.high - final.low):
            return [f"Whether it is optimal is not known: the optimal value lies between {number(lower)} and {number(upper)}."]
        return ["It is not distinguishable from the optimal value."]
    name = next((name for name in CEILINGS if name in references), None)
    return [] if name is None else [f"It is {standing(final, references[name])} the {name} player."]
