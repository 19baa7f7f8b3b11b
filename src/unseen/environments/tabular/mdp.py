"""Fully observed processes as tables, with exact values: what estimates from logged decisions are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]
from scipy.sparse.linalg import splu  # pyright: ignore[reportMissingTypeStubs]

from unseen.errors import UserError


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """P(s'|s,a) and r(s,a,s') = step(s,a) + arrival(s'); nothing follows a terminal state.

    Attributes:
        name: of the process.
        transition: (S A, S) sparse, row s A + a.
        step: (S, A) reward of acting.
        arrival: (S,) reward of getting there.
        terminal: (S,) states that end the episode on arrival.
        start: (S,) probabilities.
        columns: (S, c) what each state is, as numbers of levels; column_names name them.
        action_names: of the actions.
        time_limit: steps after which episodes are cut.
    """

    name: str
    transition: Any
    step: Float[np.ndarray, "S A"]
    arrival: Float[np.ndarray, "S"]
    terminal: Bool[np.ndarray, "S"]
    start: Float[np.ndarray, "S"]
    columns: Int[np.ndarray, "S c"]
    column_names: tuple[str, ...]
    action_names: tuple[str, ...]
    time_limit: int

    def __post_init__(self) -> None:
        states, actions = self.step.shape
        rows = np.asarray(self.transition.sum(axis=1)).ravel()
        if self.transition.shape != (states * actions, states) or np.abs(rows - 1).max() > 1e-12:
            raise UserError(f"{self.name}: transitions must be {(states * actions, states)} with rows that add up to 1")

    @property
    def states(self) -> int:
        """S."""
        return self.step.shape[0]

    @property
    def actions(self) -> int:
        """A."""
        return self.step.shape[1]

    @cached_property
    def reward(self) -> Float[np.ndarray, "S A"]:
        """(S, A) expected reward; 0 in terminal states."""
        expected = self.step + (self.transition @ self.arrival).reshape(self.step.shape)
        return np.where(self.terminal[:, None], 0.0, expected)

    @cached_property
    def onward(self) -> Any:
        """(S A, S) transitions to states from which the episode goes on."""
        alive = np.repeat((~self.terminal).astype(float), self.actions)
        return sparse.diags_array(alive) @ self.transition @ sparse.diags_array((~self.terminal).astype(float))

    def q(self, policy: Float[np.ndarray, "S A"], discount: float) -> Float[np.ndarray, "S A"]:
        """Q^pi, exactly: r + gamma P v with v = (I - gamma P_pi)^-1 r_pi.

        Args:
            policy: (S, A) probabilities.
            discount: gamma; at 1 every policy must end.
        """
        cells = np.arange(self.states * self.actions)
        choose = sparse.csr_array((policy.ravel(), (cells // self.actions, cells)), shape=(self.states, cells.size))
        system = sparse.csc_array(sparse.eye_array(self.states) - discount * (choose @ self.onward))
        value = splu(system).solve((policy * self.reward).sum(axis=1))
        return self.reward + discount * (self.onward @ value).reshape(self.step.shape)

    def optimal(self, discount: float) -> Float[np.ndarray, "S A"]:
        """Q of the best policy, by policy iteration from the greedy one; ties go to the first action."""
        best = np.zeros(self.states, np.int64)
        while True:
            q = self.q(np.eye(self.actions)[best], discount)
            # An action is changed only for one that is better, so that rounding cannot go round in circles.
            better = q.max(axis=1) > q[np.arange(self.states), best] + 1e-10
            if not better.any():
                return q
            best = np.where(better, np.argmax(q, axis=1), best)

    def epsilon_greedy(self, discount: float, epsilon: float) -> Float[np.ndarray, "S A"]:
        """(S, A) the best action (the first of equals up to 1e-9) with 1 - epsilon, any with epsilon / A each."""
        q = self.optimal(discount)
        best = np.argmax(q >= q.max(axis=1, keepdims=True) - 1e-9, axis=1)
        return (1 - epsilon) * np.eye(self.actions)[best] + epsilon / self.actions

    def reachable(self) -> Bool[np.ndarray, "S"]:
        """(S,) states that some policy gets to from the start."""
        found, to = self.start > 0, (self.onward + self.transition).astype(bool)
        alive = np.repeat(~self.terminal, self.actions)
        while True:
            more = found | (to.T @ (np.repeat(found, self.actions) & alive)).astype(bool)
            if (more == found).all():
                return found
            found = more

    def play(self, policy: Float[np.ndarray, "S A"], rows: int, seed: int) -> dict[str, np.ndarray]:
        """Episodes under a policy until there are so many rows; the last one is cut there.

        Returns:
            Columns episode, t, one for each of `column_names` and its `next_`, action (its number), reward, terminated, truncated.
        """
        rng = np.random.default_rng(seed)
        draws = policy.cumsum(axis=1)
        pointer, target = self.transition.indptr, self.transition.indices
        cumulative = _row_cumulative(self.transition)
        first = self.start.cumsum()
        s_all, a_all, n_all, e_all, t_all = (np.empty(rows, np.int64) for _ in range(5))
        row = episode = 0
        while row < rows:
            s = int(np.searchsorted(first, rng.random(), side="right"))
            for t in range(min(self.time_limit, rows - row)):
                a = min(int(np.searchsorted(draws[s], rng.random(), side="right")), self.actions - 1)
                low, high = pointer[s * self.actions + a], pointer[s * self.actions + a + 1]
                x = int(target[min(low + np.searchsorted(cumulative[low:high], rng.random(), side="right"), high - 1)])
                s_all[row], a_all[row], n_all[row], e_all[row], t_all[row] = s, a, x, episode, t
                row += 1
                s = x
                if self.terminal[x]:
                    break
            episode += 1
        ended = self.terminal[n_all]
        last = np.append(e_all[1:] != e_all[:-1], True)
        return {
            "episode": e_all,
            "t": t_all,
            **{name: self.columns[s_all, i] for i, name in enumerate(self.column_names)},
            **{f"next_{name}": self.columns[n_all, i] for i, name in enumerate(self.column_names)},
            "action": a_all,
            "reward": self.step[s_all, a_all] + self.arrival[n_all],
            "terminated": ended,
            "truncated": last & ~ended,
        }


def _row_cumulative(rows: Any) -> Float[np.ndarray, "nnz"]:
    """Cumulative sums of a sparse matrix's entries, row by row."""
    total = rows.data.cumsum()
    before = np.append(0.0, total)[rows.indptr[:-1]]
    return total - np.repeat(before, np.diff(rows.indptr))
