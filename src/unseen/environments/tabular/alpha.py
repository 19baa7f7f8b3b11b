"""Alpha vectors: a lower bound on the optimal value that is the maximum of linear functions of the belief."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from unseen.environments.tabular.finite_horizon import surviving
from unseen.environments.tabular.joint import Joint
from unseen.environments.tabular.pomdp import TabularPOMDP


class AlphaVectors:
    """A growing set of vectors, each the value over states of one conditional plan, with the plan's first action.

    It starts from the plans that repeat one action for ever (Hauskrecht 1997). Only vectors that another one beats at
    every state are dropped, so the bound never falls and following each vector's action is worth at least the bound.

    Args:
        plans: values of one plan for each action, to start from instead.
        after: the vectors that hold one step later; by default these themselves, as there is no step limit.
    """

    def __init__(
        self, pomdp: TabularPOMDP, discount: float, plans: Float[np.ndarray, "A S"] | None = None, after: AlphaVectors | None = None
    ) -> None:
        self.pomdp, self.discount = pomdp, discount
        self._after = self if after is None else after
        actions, states, _ = pomdp.shape
        self._joint: list[Joint] = (
            [j.keep(~pomdp.terminal[a, j.state]) for a, j in enumerate(pomdp.joint)] if after is None else after._joint
        )
        self._vectors = _repeat_one_action(pomdp, discount) if plans is None else plans
        self._actions = np.arange(actions)
        self._count = actions
        self._prune_at = 4 * actions + 64
        self.states = np.arange(states)

    @property
    def vectors(self) -> Float[np.ndarray, "N S"]:
        return self._vectors[: self._count]

    @property
    def actions(self) -> Int[np.ndarray, "N"]:
        return self._actions[: self._count]

    def best(self, states: Int[np.ndarray, "K"], weights: Float[np.ndarray, "K"]) -> tuple[int, float]:
        """The best vector and its value at a sparse belief."""
        values = self.vectors[:, states] @ weights
        k = int(values.argmax())
        return k, float(values[k])

    def add_backup(self, action: int, chosen: dict[int, int], default: int) -> None:
        """Add the plan: take `action`, then follow the next step's vector chosen[o] after observation o (`default` after the others).

        alpha(s) = r(s,a) + discount sum_{s',o} P(s',o|s,a) [goes on] alpha_chosen(o)(s')
        """
        joint = self._joint[action]
        follow = np.full(self.pomdp.shape[2], default)
        follow[list(chosen)] = list(chosen.values())
        gained = joint.probability * self._after.vectors[follow[joint.observation], joint.next_state]
        later = np.bincount(joint.state, weights=gained, minlength=len(self.states))
        self._append(self.pomdp.expected_reward[action] + self.discount * later, action)

    def _append(self, vector: Float[np.ndarray, "S"], action: int) -> None:
        if self._count >= self._prune_at:
            self._prune()
            self._prune_at = 2 * self._count + 64
        if self._count == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors)])
            self._actions = np.concatenate([self._actions, np.empty_like(self._actions)])
        self._vectors[self._count], self._actions[self._count] = vector, action
        self._count += 1

    def _prune(self) -> None:
        vectors, actions = self.vectors, self.actions
        keep = np.ones(self._count, bool)
        for k in range(self._count):  # of equal vectors the later one goes
            rivals = keep.copy()
            rivals[k] = False
            above = (vectors[rivals] >= vectors[k]).all(axis=1)
            equal = (vectors[rivals] == vectors[k]).all(axis=1)
            keep[k] = not (above & ~(equal & (np.flatnonzero(rivals) > k))).any()
        self._count = int(keep.sum())
        self._vectors[: self._count], self._actions[: self._count] = vectors[keep], actions[keep]


def repeat_one_action_within(pomdp: TabularPOMDP, discount: float, horizon: int) -> Iterator[Float[np.ndarray, "A S"]]:
    """Values of repeating each action with 0, 1, .., `horizon` steps left: alpha_a <- r_a + discount T_a alpha_a, from 0."""
    actions, states, _ = pomdp.shape
    moves = surviving(pomdp)
    own = [moves[a * states : (a + 1) * states] for a in range(actions)]
    value = np.zeros((actions, states))
    yield value
    for _ in range(horizon):
        value = pomdp.expected_reward + discount * np.stack([move @ v for move, v in zip(own, value)])
        yield value


def _repeat_one_action(pomdp: TabularPOMDP, discount: float) -> Float[np.ndarray, "A S"]:
    """Values, never too high, of repeating each action: alpha_a = r_a + discount T_a alpha_a."""
    actions, states, _ = pomdp.shape
    moves = surviving(pomdp)
    found = np.empty((actions, states))
    for a, reward in enumerate(pomdp.expected_reward):
        transition = moves[a * states : (a + 1) * states]
        value, change = np.zeros(states), np.inf
        while change > max(1e-10, 4 * np.finfo(float).eps * np.abs(value).max()):
            newer = reward + discount * (transition @ value)
            change = np.abs(newer - value).max()
            value = newer
        found[a] = value - change * discount / (1.0 - discount)
    return found
