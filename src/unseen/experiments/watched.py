"""One episode as people watch it: at every step a picture, what the policy wanted, what the critic expected, what was recalled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

MOST_PICTURES = 400

Picture = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Choices:
    """A policy over actions that can be counted.

    Attributes:
        names: of the S actions; of a MultiDiscrete action those of all parts, part after part.
        probabilities: of each at each step.
        chosen: the number of the name that was chosen, one for each part.
    """

    names: tuple[str, ...]
    probabilities: Float[np.ndarray, "T S"]
    chosen: Int[np.ndarray, "T P"]


@dataclass(frozen=True)
class Normals:
    """A policy over vectors, in the policy's own units: from -1 to 1 is the range of a bounded action, before clipping or squashing.

    Attributes:
        mean, deviation: at each step.
        drawn: what was drawn.
    """

    mean: Float[np.ndarray, "T D"]
    deviation: Float[np.ndarray, "T D"]
    drawn: Float[np.ndarray, "T D"]


@dataclass(frozen=True)
class Watched:
    """An episode of T steps, and what stood behind them.

    Attributes:
        environment: its name.
        actions: what was done at each step, in words.
        policy: what it was drawn from.
        rewards: of each step.
        values: the critic's, at each step and at the end: the discounted return it expects. NaN behind a true end, where nothing follows.
        terminated: whether the episode ended by itself; otherwise it was cut.
        reads: "step" (T, K) and "weight" (T, K) of what the memory recalled, as in `Episodes.reads`; empty for one that recalls nothing.
        pictures: those drawn, each once.
        shown: which picture is of each step and of the end.
        drawn: the step that picture was drawn at: the step itself, or where there are too many, the last one before it that was drawn.
    """

    environment: str
    actions: tuple[str, ...]
    policy: Choices | Normals
    rewards: Float[np.ndarray, " T"]
    values: Float[np.ndarray, " T1"]
    terminated: bool
    pictures: tuple[Picture, ...]
    shown: Int[np.ndarray, " T1"]
    drawn: Int[np.ndarray, " T1"]
    reads: Mapping[str, Shaped[np.ndarray, "T K"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rewards)

    def frames(self, most: int) -> list[tuple[np.ndarray, str]]:
        """Up to `most` pictures, evenly spread, the first and the last among them, each with the step, the action and the reward."""
        steps = spread(np.unique(self.drawn).tolist(), most)
        return [(self.pictures[self.shown[t]], self.caption(t)) for t in steps]

    def caption(self, t: int) -> str:
        """Step, action and reward in words."""
        return "end" if t == len(self) else f"step {t}: {self.actions[t]}, reward {float(self.rewards[t]):+.2f}"


def spread(shown: Sequence[Any], most: int) -> list[Any]:
    """At most `most` entries, evenly spread, the first and the last among them."""
    if len(shown) <= most:
        return list(shown)
    return [shown[round(k * (len(shown) - 1) / (most - 1))] for k in range(most)]


def worth_drawing(rows: int, reads: Mapping[str, np.ndarray], most: int) -> Int[np.ndarray, " m"]:
    """Which of `rows` steps to draw where `most` are allowed: half of them evenly spread, the others those that were recalled most."""
    if rows <= most:
        return np.arange(rows)
    even = spread(range(rows), most - most // 2 if reads else most)
    recalled = np.zeros(rows)
    if reads:
        live = reads["step"] >= 0
        np.add.at(recalled, reads["step"][live], reads["weight"][live])
        recalled[even] = 0.0
    others = np.argsort(-recalled, kind="stable")[: most - len(even)]
    return np.union1d(even, others[recalled[others] > 0]).astype(np.int64)
