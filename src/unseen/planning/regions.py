"""Situations that a person can name: boxes in the logged features, the first that fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unseen.errors import UserError, unknown

ELSEWHERE = "elsewhere"
FORCED = "forced"  # the situation of decisions that nobody drew


@dataclass(frozen=True)
class Region:
    """The decisions whose features all lie within bounds.

    Attributes:
        name: for people.
        within: feature -> (lowest, highest), both included; an infinite one bounds nothing. "age" is -1 where no plan is held.

    Raises:
        UserError: bounds that are none.
    """

    name: str
    within: Mapping[str, tuple[float, float]]

    def __post_init__(self) -> None:
        for feature, bounds in self.within.items():
            if len(bounds) != 2 or any(math.isnan(end) for end in bounds) or bounds[0] > bounds[1]:
                raise UserError(f"situation {self.name!r}: {feature!r} lies within {list(bounds)}, which are no lowest and highest value")

    def holds(self, features: Mapping[str, float]) -> bool:
        """Whether a decision with these features belongs here.

        Raises:
            UserError: a feature that was not logged.
        """
        for feature, (low, high) in self.within.items():
            if feature not in features:
                raise unknown("logged feature", feature, features)
            if not low <= features[feature] <= high:
                return False
        return True

    def said(self) -> dict[str, Any]:
        """As plain values; an end that bounds nothing is None."""
        ends = {name: [None if math.isinf(end) else end for end in bounds] for name, bounds in self.within.items()}
        return {"name": self.name, "within": ends}

    @classmethod
    def read(cls, said: Any) -> Region:
        """What `said` wrote.

        Raises:
            UserError: it is none.
        """
        try:
            name, within = said["name"], said["within"]
            bounds = {str(feature): (_end(low, -math.inf), _end(high, math.inf)) for feature, (low, high) in within.items()}
            if not isinstance(name, str) or not name:
                raise TypeError
        except (TypeError, KeyError, ValueError, AttributeError):
            raise UserError(f'{said!r} is no situation; write {{"name": "...", "within": {{"age": [2, null]}}}}') from None
        return cls(name, bounds)


def _end(value: Any, missing: float) -> float:
    if value is None:
        return missing
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def told_apart(regions: Sequence[Region]) -> None:
    """See that situations can be told apart by their names.

    Raises:
        UserError: a name that is there twice, or that means something else.
    """
    names = [region.name for region in regions]
    for k, name in enumerate(names):
        if name in (ELSEWHERE, FORCED):
            what = "what lies in no situation" if name == ELSEWHERE else "decisions that nobody drew"
            raise UserError(f"no situation can have the name {name!r}: {what} is called so; give it another")
        if name in names[:k]:
            raise UserError(f"two situations have the name {name!r}; give each its own")


def place(regions: Sequence[Region], features: Mapping[str, float]) -> str:
    """The name of the first region that a decision lies in; "elsewhere" where it lies in none."""
    return next((region.name for region in regions if region.holds(features)), ELSEWHERE)


def box(name: str, **within: Any) -> Region:
    """A region by keywords, "_" for a space: one number is a value, a pair is two bounds."""
    pairs = {key.replace("_", " "): ends if isinstance(ends, tuple) else (ends, ends) for key, ends in within.items()}
    return Region(name, {key: (float(low), float(high)) for key, (low, high) in pairs.items()})


ANY = math.inf
PLAIN = (
    box("no plan held", age=-1),
    box("just after an event", event=1),
    box("plan of 1 step", age=1),
    box("plan of 2 or 3 steps", age=(2, 3)),
    box("plan of 4 or more", age=(4, ANY)),
)
GRAPH_SEARCH = (
    box("no plan held", age=-1),
    box("plan of 1 step, target out of sight", age=1, target_in_sight=0),
    box("plan of 2 or more, target out of sight", age=(2, ANY), target_in_sight=0),
    box("plan of 1 step, target just seen", age=1, target_in_sight=1, event=1),
    box("plan of 2 or more, target just seen", age=(2, ANY), target_in_sight=1, event=1),
    box("plan of 1 step, target seen before", age=1, target_in_sight=1),
    box("plan of 2 or more, target seen before", age=(2, ANY), target_in_sight=1),
)


def regions_of(environment: str) -> tuple[Region, ...]:
    """The situations that are told apart where nothing else is said."""
    return GRAPH_SEARCH if environment == "graph-search" else PLAIN
