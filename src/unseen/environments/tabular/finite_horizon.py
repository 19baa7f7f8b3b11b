"""Exact values over a fixed number of steps, by dynamic programming over the underlying Markov process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.pomdp import TabularPOMDP


@dataclass(frozen=True)
class Value:
    """What a player gets within a horizon, from the start distribution, exactly.

    Attributes:
        undiscounted: E[sum_t r_t].
        discounted: E[sum_t discount^t r_t].
        terminated: probability that the episode ended by itself within the horizon.
        length: expected number of steps.
    """

    undiscounted: float
    discounted: float
    terminated: float
    length: float


def random_value(pomdp: TabularPOMDP, horizon: int, discount: float | None = None) -> Value:
    """The value of uniform random actions over `horizon` steps.

    Args:
        horizon: number of steps after which the episode is cut.
        discount: for `discounted`; default: the POMDP's.
    """
    actions, states, _ = pomdp.shape
    return _forward(pomdp, horizon, discount, np.broadcast_to(1.0 / actions, (horizon, actions, states)))


def optimal_mdp_value(pomdp: TabularPOMDP, horizon: int, discount: float | None = None) -> Value:
    """The value of a player who sees the state and maximises the discounted return over `horizon` steps.

    V_t(s) = max_a r(s,a) + discount sum_s' T(s'|s,a) [goes on] V_{t+1}(s'), V_horizon = 0

    Args:
        horizon: number of steps after which the episode is cut.
        discount: what the player maximises, also for `discounted`; default: the POMDP's. 1 gives the undiscounted optimum.
    """
    actions, states, _ = pomdp.shape
    gamma = pomdp.discount if discount is None else discount
    moves = surviving(pomdp)
    policy = np.zeros((horizon, actions, states))
    value = np.zeros(states)
    for t in reversed(range(horizon)):
        q = pomdp.expected_reward + gamma * (moves @ value).reshape(actions, states)
        policy[t, q.argmax(axis=0), np.arange(states)] = 1.0
        value = q.max(axis=0)
    return _forward(pomdp, horizon, discount, policy)


def surviving(pomdp: TabularPOMDP) -> sparse.csr_array:
    """T with the rows that end the episode set to zero, shape (A*S, S)."""
    return sparse.csr_array(pomdp.transition_rows.multiply(~pomdp.terminal.reshape(-1, 1)))


def _forward(pomdp: TabularPOMDP, horizon: int, discount: float | None, policy: Float[np.ndarray, "T A S"]) -> Value:
    """Follow the distribution over states, starting from b0, under pi_t(a|s)."""
    gamma = pomdp.discount if discount is None else discount
    backwards = surviving(pomdp).T.tocsr()
    undiscounted = discounted = terminated = length = 0.0
    reached = pomdp.start
    for t in range(horizon):
        taken = policy[t] * reached  # (A, S)
        reward = float((taken * pomdp.expected_reward).sum())
        undiscounted += reward
        discounted += gamma**t * reward
        terminated += float(taken[pomdp.terminal].sum())
        length += float(reached.sum())
        reached = backwards @ taken.reshape(-1)
    return Value(undiscounted, discounted, terminated, length)
