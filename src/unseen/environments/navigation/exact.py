"""Exact values of deterministic tabular environments under a step limit, by dynamic programming."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Tables(NamedTuple):
    """Deterministic dynamics over S states and A actions.

    Attributes:
        arrive: next state, shape (S, A).
        reward: shape (S, A).
        terminated: shape (S, A).
        start: start distribution, shape (S,).
    """

    arrive: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    start: np.ndarray


def best_values(tables: Tables, horizon: int, discount: float = 1.0) -> Float[np.ndarray, " S"]:
    """Value of every state to a player that sees it, with `horizon` steps left.

    V_0 = 0 and V_h(s) = max_a r(s, a) + discount (1 - terminated(s, a)) V_{h-1}(s').
    """
    values = np.zeros(len(tables.start))
    for _ in range(horizon):
        values = (tables.reward + discount * ~tables.terminated * values[tables.arrive]).max(1)
    return values


def random_values(tables: Tables, horizon: int, discount: float = 1.0) -> Float[np.ndarray, " S"]:
    """Value of every state under uniform random actions: `best_values` with the mean in place of the maximum."""
    values = np.zeros(len(tables.start))
    for _ in range(horizon):
        values = (tables.reward + discount * ~tables.terminated * values[tables.arrive]).mean(1)
    return values
