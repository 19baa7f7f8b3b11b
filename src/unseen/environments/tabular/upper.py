"""Upper bounds on the optimal value: the underlying MDP, QMDP and the fast informed bound; each is at least as tight as the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.finite_horizon import surviving
from unseen.environments.tabular.pomdp import TabularPOMDP
from unseen.errors import UserError


def value_iteration(pomdp: TabularPOMDP, discount: float | None = None, tolerance: float = 1e-9) -> Float[np.ndarray, "A S"]:
    """Optimal action values of the underlying MDP, no step limit; never below the true ones.

    Q(s,a) = r(s,a) + discount sum_s' T(s'|s,a) [goes on] max_a' Q(s',a')

    Args:
        discount: instead of the file's; below 1.
        tolerance: the result exceeds the true Q by at most 2 * tolerance * discount / (1 - discount).

    Returns:
        Q, shape (A, S).

    Raises:
        UserError: a discount of 1 or more.
    """
    gamma = checked_discount(pomdp, discount)
    actions, states, _ = pomdp.shape
    moves = surviving(pomdp)
    reward = pomdp.expected_reward
    q = np.zeros((actions, states))
    while True:
        better = reward + gamma * (moves @ q.max(axis=0)).reshape(actions, states)
        change = np.abs(better - q).max(initial=0.0)
        q = better
        # The true Q is within change * gamma / (1 - gamma) of q; adding that much keeps an upper bound. Rounding sets the floor.
        if change <= max(tolerance, 4 * np.finfo(float).eps * np.abs(q).max(initial=0.0)):
            return q + change * gamma / (1.0 - gamma)


def qmdp(pomdp: TabularPOMDP, belief: Float[np.ndarray, "S"], discount: float | None = None) -> Float[np.ndarray, "A"]:
    """Q(b, a) = sum_s b(s) Q_MDP(s, a): the action values if the state were revealed after one step, shape (A,).

    Source: Littman, Cassandra & Kaelbling 1995.
    """
    return value_iteration(pomdp, discount) @ np.asarray(belief, np.float64)


def fast_informed_bound(
    pomdp: TabularPOMDP, discount: float | None = None, tolerance: float = 1e-7, sweeps: int = 5_000
) -> Float[np.ndarray, "A S"]:
    """One vector per action; max_a alpha_a . b is an upper bound at every belief, never above QMDP's.

    alpha_a(s) = r(s,a) + discount sum_o max_a' sum_s' T(s'|s,a) O(o|a,s,s') alpha_a'(s')

    Args:
        tolerance, sweeps: stop when a sweep changes less, or after so many; every sweep's result is a valid bound.

    Returns:
        alpha, shape (A, S).

    Source: Hauskrecht 2000, section 4.4.
    """
    gamma = checked_discount(pomdp, discount)
    backup = _informed_backup(pomdp, gamma)
    alpha = value_iteration(pomdp, gamma)
    for _ in range(sweeps):
        better = backup(alpha)
        change = np.abs(alpha - better).max(initial=0.0)
        alpha = np.minimum(alpha, better)
        if change <= tolerance:
            break
    return alpha


def fast_informed_bound_within(pomdp: TabularPOMDP, discount: float, horizon: int) -> Iterator[Float[np.ndarray, "A S"]]:
    """The fast informed bound with 0, 1, .., `horizon` steps left: the same update, from 0."""
    backup = _informed_backup(pomdp, discount)
    alpha = np.zeros(pomdp.shape[:2])
    yield alpha
    for _ in range(horizon):
        alpha = backup(alpha)
        yield alpha


def _informed_backup(pomdp: TabularPOMDP, gamma: float) -> Callable[[Float[np.ndarray, "A S"]], Float[np.ndarray, "A S"]]:
    """alpha -> r(s,a) + gamma sum_o max_a' sum_s' T(s'|s,a) O(o|a,s,s') alpha_a'(s')"""
    actions, states, observations = pomdp.shape
    # One row per possible (a, s, o), over next states; terminal rows lead nowhere.
    row, column, data, owner = [], [], [], []
    count = 0
    for a, joint in enumerate(pomdp.joint):
        j = joint.keep(~pomdp.terminal[a, joint.state])
        key, inverse = np.unique(j.state * observations + j.observation, return_inverse=True)
        row.append(inverse + count)
        column.append(j.next_state)
        data.append(j.probability)
        owner.append(a * states + key // observations)
        count += len(key)
    index = (np.concatenate(row), np.concatenate(column))
    reached = sparse.csr_array((np.concatenate(data), index), shape=(count, states))
    owners = np.concatenate(owner)

    def backup(alpha: Float[np.ndarray, "A S"]) -> Float[np.ndarray, "A S"]:
        after = np.asarray(reached @ alpha.T).max(axis=1)
        return pomdp.expected_reward + gamma * np.bincount(owners, weights=after, minlength=actions * states).reshape(actions, states)

    return backup


def checked_discount(pomdp: TabularPOMDP, discount: float | None) -> float:
    """The discount to use; without a step limit it must be below 1."""
    gamma = pomdp.discount if discount is None else discount
    if not 0.0 <= gamma < 1.0:
        raise UserError(f"discount {gamma} without a step limit has no finite values; pass discount= at least 0 and below 1, such as 0.99")
    return gamma
