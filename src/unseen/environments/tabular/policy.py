"""Acting by alpha vectors: keep an exact belief, take the action of the vector that is best there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from unseen.environments.tabular.belief import successors
from unseen.environments.tabular.pomdp import TabularPOMDP


@dataclass(frozen=True)
class Returns:
    """Simulated episodes.

    Attributes:
        discounted, undiscounted: sums of rewards, shape (N,).
        length: steps, shape (N,).
        terminated: whether the episode ended by itself, shape (N,).
    """

    discounted: Float[np.ndarray, "N"]
    undiscounted: Float[np.ndarray, "N"]
    length: Int[np.ndarray, "N"]
    terminated: np.ndarray

    def mean(self, discounted: bool = True) -> tuple[float, float]:
        """Mean return and its standard error."""
        values = self.discounted if discounted else self.undiscounted
        return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")


@dataclass(frozen=True, eq=False)
class AlphaVectorPolicy:
    """pi(b) = the action of argmax_k alpha_k . b.

    Attributes:
        vectors: alpha, shape (N, S).
        actions: shape (N,).
        discount: what the vectors were computed for.
    """

    pomdp: TabularPOMDP
    vectors: Float[np.ndarray, "N S"]
    actions: Int[np.ndarray, "N"]
    discount: float

    def action(self, belief: Float[np.ndarray, "S"]) -> int:
        """The action at a belief, shape (S,)."""
        return int(self.actions[(self.vectors @ belief).argmax()])

    def simulate(self, episodes: int, seed: int = 0, horizon: int | None = None) -> Returns:
        """Play episodes with states and observations drawn from the tables, and rewards read from them.

        Args:
            episodes: how many.
            seed: of the draws.
            horizon: cut after so many steps; default: when what follows is worth less than 1e-6 of the largest reward per step.
        """
        if horizon is None:
            horizon = int(np.ceil(np.log(1e-6 * (1 - self.discount)) / np.log(self.discount))) if self.discount > 0 else 1
        rng = np.random.default_rng(seed)
        root = _Knowledge.of(self.pomdp.start)
        known = {root.key: root}
        played = [self._episode(rng, root, known, horizon) for _ in range(episodes)]
        return Returns(*(np.array(column) for column in zip(*played)))

    def _episode(
        self, rng: np.random.Generator, root: _Knowledge, known: dict[bytes, _Knowledge], horizon: int
    ) -> tuple[float, float, int, bool]:
        pomdp, knowledge = self.pomdp, root
        rewards = pomdp.reward_full()
        state = int(rng.choice(len(pomdp.start), p=pomdp.start))
        discounted = undiscounted = 0.0
        for t in range(horizon):
            if knowledge.action is None:
                knowledge.action = int(self.actions[(self.vectors[:, knowledge.states] @ knowledge.weights).argmax()])
            a = knowledge.action
            joint = pomdp.joint[a]
            first, last = joint.first[state], joint.first[state + 1]
            k = first + min(int(np.searchsorted(np.cumsum(joint.probability[first:last]), rng.random(), side="right")), last - first - 1)
            next_state, observation = int(joint.next_state[k]), int(joint.observation[k])
            reward = float(rewards[a, state, next_state, observation])
            undiscounted += reward
            discounted += self.discount**t * reward
            if pomdp.terminal[a, state]:
                return discounted, undiscounted, t + 1, True
            knowledge, state = knowledge.after(pomdp, observation, known), next_state
        return discounted, undiscounted, horizon, False


@dataclass(eq=False)
class _Knowledge:
    """A belief on the way, with what was already worked out about it: episodes share long stretches of history."""

    key: bytes
    states: np.ndarray
    weights: np.ndarray
    action: int | None = None
    next: dict[int, _Knowledge] | None = None

    @classmethod
    def of(cls, belief: np.ndarray) -> _Knowledge:
        states = np.flatnonzero(belief)
        return cls(b"", states, belief[states])

    def after(self, pomdp: TabularPOMDP, observation: int, known: dict[bytes, _Knowledge]) -> _Knowledge:
        if self.next is None:
            assert self.action is not None
            self.next = {}
            for o, _, states, weights in successors(pomdp, self.states, self.weights, self.action):
                key = states.tobytes() + np.round(weights, 12).tobytes()
                self.next[o] = known.setdefault(key, _Knowledge(key, states, weights))
        return self.next[observation]
