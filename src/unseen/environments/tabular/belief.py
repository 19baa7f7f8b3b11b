"""Exact belief updates: what a player who remembers everything knows about the state."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unseen.environments.tabular.joint import ragged
from unseen.environments.tabular.pomdp import TabularPOMDP
from unseen.errors import UserError


def belief_update(pomdp: TabularPOMDP, belief: Float[np.ndarray, "S"], action: int, observation: int) -> Float[np.ndarray, "S"]:
    """The belief after taking `action` and seeing `observation`, given that the episode goes on.

    b'(s') = sum_s b(s) [not terminal(a, s)] T(s'|s,a) O(o|a,s,s') / (the same summed over s')

    Args:
        belief: b, shape (S,).
        action, observation: indices.

    Raises:
        UserError: the observation cannot follow, or the episode is certainly over.

    Source: Kaelbling, Littman & Cassandra 1998, section 3.3.
    """
    joint = _reached(pomdp, np.asarray(belief, np.float64), action)
    total = joint[:, observation].sum()
    if total <= 0.0:
        raise UserError(
            f"observation {pomdp.observation_names[observation]!r} cannot follow action {pomdp.action_names[action]!r} in this belief"
        )
    return joint[:, observation] / total


def observation_probabilities(pomdp: TabularPOMDP, belief: Float[np.ndarray, "S"], action: int) -> Float[np.ndarray, "O"]:
    """P(o, the episode goes on | b, a), shape (O,); sums to 1 less the probability that the episode ends.

    Args:
        belief: b, shape (S,).
        action: an index.
    """
    return _reached(pomdp, np.asarray(belief, np.float64), action).sum(axis=0)


def successors(
    pomdp: TabularPOMDP, states: np.ndarray, weights: np.ndarray, action: int
) -> list[tuple[int, float, np.ndarray, np.ndarray]]:
    """The beliefs that can follow a sparse belief: (o, P(o, goes on | b, a), states, probabilities) for each possible o.

    Args:
        states, weights: the belief's support, ascending, and b on it; shape (K,) both.
    """
    alive = ~pomdp.terminal[action, states]
    states, weights = states[alive], weights[alive]
    joint = pomdp.joint[action]
    which, entry = ragged(joint.first[states], joint.first[states + 1])
    count = pomdp.shape[1]
    key, inverse = np.unique(joint.observation[entry] * count + joint.next_state[entry], return_inverse=True)
    mass = np.bincount(inverse, weights=weights[which] * joint.probability[entry], minlength=len(key))
    observation, next_state = np.divmod(key, count)
    found = []
    for begin, end in zip(edges := np.flatnonzero(np.diff(observation, prepend=-1)), [*edges[1:], len(key)]):
        total = mass[begin:end].sum()
        found.append((int(observation[begin]), float(total), next_state[begin:end], mass[begin:end] / total))
    return found


def _reached(pomdp: TabularPOMDP, belief: np.ndarray, action: int) -> Float[np.ndarray, "S O"]:
    _, states, observations = pomdp.shape
    table = np.zeros((states, observations))
    support = np.flatnonzero(belief)
    for observation, probability, reached, weights in successors(pomdp, support, belief[support], action):
        table[reached, observation] = probability * weights
    return table
