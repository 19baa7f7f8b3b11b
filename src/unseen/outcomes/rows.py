"""The arrays that every formula of this room reads, and how trajectories are split into folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from unseen.data import Transitions
from unseen.errors import UserError
from unseen.outcomes.policies import PolicyAt


@dataclass(frozen=True, eq=False)
class Rows:
    """n transitions with the evaluation policy's probabilities at both ends.

    Attributes:
        states: (n, d) encoded.
        actions: (n,) indices.
        rewards: (n,).
        next_states: (n, d).
        alive: (n,) 1 - D: 0 where the row terminated, so that nothing follows.
        policy: (n, A) at S.
        next_policy: (n, A) at S'.
        trajectory: (n,) numbers.
        weight: (n,) how much each row counts; averages over rows are weighted by it.
        logged: (n,) probability that the behaviour policy gave the action taken, where known.
        logged_every: (n, A) of every action, where known.
        s, s_next: (n,) numbers of the states, where they are counted.
        modifiers: (n, k) encoded, where the data have any.
    """

    states: Float64[np.ndarray, "n d"]
    actions: Int64[np.ndarray, " n"]
    rewards: Float64[np.ndarray, " n"]
    next_states: Float64[np.ndarray, "n d"]
    alive: Float64[np.ndarray, " n"]
    policy: Float64[np.ndarray, "n A"]
    next_policy: Float64[np.ndarray, "n A"]
    trajectory: Int64[np.ndarray, " n"]
    weight: Float64[np.ndarray, " n"]
    logged: Float64[np.ndarray, " n"] | None = None
    logged_every: Float64[np.ndarray, "n A"] | None = None
    s: Int64[np.ndarray, " n"] | None = None
    s_next: Int64[np.ndarray, " n"] | None = None
    modifiers: Float64[np.ndarray, "n k"] | None = None

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def n_actions(self) -> int:
        """A."""
        return self.policy.shape[1]

    @property
    def share(self) -> Float64[np.ndarray, " n"]:
        """(n,) weights that add up to 1."""
        return self.weight / self.weight.sum()

    @property
    def taken(self) -> Float64[np.ndarray, " n"]:
        """(n,) pi_e(A|S)."""
        return self.policy[np.arange(len(self)), self.actions]

    def column(self, i: int) -> Float64[np.ndarray, " n"]:
        """(n,) column of the state, or behind those of the modifiers, as `Transitions.described` has them."""
        width = self.states.shape[1]
        if i < width:
            return self.states[:, i]
        assert self.modifiers is not None
        return self.modifiers[:, i - width]

    def by_cell(self, values: Float64[np.ndarray, " n"], states: int) -> Float64[np.ndarray, "S A"]:
        """(S, A) sums of the rows' values by cell, of counted states."""
        assert self.s is not None
        cell = self.s * self.n_actions + self.actions
        return np.bincount(cell, values, states * self.n_actions).reshape(states, self.n_actions)

    def draw(self, rng: np.random.Generator, size: int) -> Int64[np.ndarray, " size"]:
        """(size,) row numbers with replacement, in proportion to the weights."""
        if np.ptp(self.weight) == 0:
            return rng.integers(len(self), size=size)
        return rng.choice(len(self), size, p=self.share)

    @property
    def indicator(self) -> Float64[np.ndarray, "n A"]:
        """(n, A) 1 at the action taken."""
        return np.eye(self.n_actions)[self.actions]

    def take(self, keep: Shaped[np.ndarray, " m"] | slice) -> Rows:
        """Some of the rows, by index or mask."""
        arrays = {name: value[keep] for name, value in vars(self).items() if value is not None}
        return replace(self, **arrays)


def rows_of(data: Transitions, policy: PolicyAt, weight: Float64[np.ndarray, " n"] | None = None) -> Rows:
    """The rows of a data set, all of the same weight unless said otherwise."""
    logged, every = None, None
    if data.propensities is not None:
        every = data.propensities if data.propensities.ndim == 2 else None
        logged = data.propensities if every is None else every[np.arange(len(data)), data.actions]
    return Rows(
        states=data.states,
        actions=data.actions,
        rewards=data.rewards,
        next_states=data.next_states,
        alive=1.0 - data.terminated,
        policy=policy.now,
        next_policy=policy.following,
        trajectory=data.trajectory,
        weight=np.ones(len(data)) if weight is None else weight,
        logged=logged,
        logged_every=every,
        modifiers=data.modifiers,
    )


def query_rows(states: Float64[np.ndarray, "m d"], policy: Float64[np.ndarray, "m A"], s: Int64[np.ndarray, " m"] | None = None) -> Rows:
    """States as rows without an outcome, for functions that are asked about rows."""
    nothing, zero = np.zeros(len(states)), np.zeros(len(states), np.int64)
    return Rows(states, zero, nothing, states, nothing, policy, policy, zero, np.ones(len(states)), s=s, s_next=s)


def quotient(a: Any, b: Any, otherwise: Any = 0.0) -> Any:
    """a / b where b is above 0, and `otherwise` elsewhere."""
    out = np.array(np.broadcast_to(otherwise, np.broadcast_shapes(np.shape(a), np.shape(b))), np.float64)
    return np.divide(a, b, out=out, where=np.asarray(b) > 0)


def folds_by_trajectory(trajectory: Int64[np.ndarray, " n"], trajectories: int, folds: Any, seed: int) -> Int64[np.ndarray, " N"]:
    """(N,) the fold of every trajectory, at random and of even sizes; a single fold means that nothing is held out.

    Trajectories with rows are dealt out first, so that no fold is empty.

    Raises:
        UserError: no whole number from 1 on, or fewer trajectories with rows than folds.
    """
    if not isinstance(folds, int) or folds < 1:
        raise UserError(f"folds = {folds!r}; give a whole number, 1 for none")
    if folds == 1:
        return np.zeros(trajectories, np.int64)
    used = np.bincount(trajectory, minlength=trajectories) > 0
    if used.sum() < folds:
        one = "1 trajectory" if used.sum() == 1 else f"{int(used.sum())} trajectories"
        raise UserError(f"{one} with rows cannot be split into {folds} folds; give more trajectories, or folds=1 (no intervals)")
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(np.flatnonzero(used)), rng.permutation(np.flatnonzero(~used))])
    fold = np.empty(trajectories, np.int64)
    fold[order] = np.arange(trajectories) % folds
    return fold
