"""The sawtooth: an upper bound on the optimal value, interpolated between the corners of the simplex and known beliefs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from unseen.environments.tabular.pomdp import TabularPOMDP
from unseen.environments.tabular.upper import fast_informed_bound


class Sawtooth:
    """V(b) <= min_i c.b + (v_i - c.b_i) min_{s: b_i(s) > 0} b(s) / b_i(s), and never above the fast informed bound.

    Args:
        informed: another fast informed bound, such as that for a number of steps left.

    Attributes:
        corners: c, upper bounds where the state is known, shape (S,).

    Source: Hauskrecht 2000, section 5.2.
    """

    def __init__(self, pomdp: TabularPOMDP, discount: float, informed: Float[np.ndarray, "A S"] | None = None) -> None:
        self._informed = fast_informed_bound(pomdp, discount) if informed is None else informed
        self.corners = self._informed.max(axis=0)
        self._known = np.zeros(0)  # v_i
        self._size = 0  # points in use; the arrays double when full
        width = 1
        self._states = np.zeros((0, width), np.int64)  # supports, padded by repeating a member
        self._inverse = np.zeros((0, width))  # 1 / b_i(s)
        self._weights = np.zeros((0, width))  # b_i(s), zero in the padding

    def value(self, states: Int[np.ndarray, "K"], weights: Float[np.ndarray, "K"]) -> float:
        """The bound at a sparse belief."""
        if len(states) == 1:
            return float(self.corners[states[0]])
        bound = float((self._informed[:, states] @ weights).max())
        flat = float(self.corners[states] @ weights)
        if not self._size:
            return min(bound, flat)
        dense = np.zeros(len(self.corners))
        dense[states] = weights
        used = slice(0, self._size)
        share = (dense[self._states[used]] * self._inverse[used]).min(axis=1)
        depth = self._known[used] - (self._weights[used] * self.corners[self._states[used]]).sum(axis=1)
        return min(bound, flat + float((np.minimum(depth, 0.0) * share).min()))

    def lower_to(self, states: Int[np.ndarray, "K"], weights: Float[np.ndarray, "K"], value: float) -> None:
        """Learn that the optimal value at a sparse belief is at most `value`."""
        if len(states) == 1:
            self.corners[states[0]] = min(self.corners[states[0]], value)
            return
        self._grow(len(states))
        row, count = self._size, len(states)
        self._states[row], self._inverse[row], self._weights[row] = states[0], 1.0 / weights[0], 0.0
        self._states[row, :count], self._inverse[row, :count], self._weights[row, :count] = states, 1.0 / weights, weights
        self._known[row] = value
        self._size += 1

    def relower(self, point: int, value: float) -> None:
        """Lower the value known for the `point`-th stored belief."""
        self._known[point] = min(self._known[point], value)

    @property
    def points(self) -> int:
        """How many beliefs inside the simplex are stored."""
        return self._size

    def _grow(self, width: int) -> None:
        if width > self._states.shape[1]:
            extra = width - self._states.shape[1]
            self._states = np.concatenate([self._states, np.repeat(self._states[:, :1], extra, axis=1)], axis=1)
            self._inverse = np.concatenate([self._inverse, np.repeat(self._inverse[:, :1], extra, axis=1)], axis=1)
            self._weights = np.pad(self._weights, ((0, 0), (0, extra)))
        if self._size == len(self._known):
            more = max(64, self._size)
            self._states = np.pad(self._states, ((0, more), (0, 0)))
            self._inverse = np.pad(self._inverse, ((0, more), (0, 0)))
            self._weights = np.pad(self._weights, ((0, more), (0, 0)))
            self._known = np.pad(self._known, (0, more))
