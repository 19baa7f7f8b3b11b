"""Small POMDPs drawn by hypothesis, and slow plain versions of what the package computes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import strategies as st

from unseen.environments.tabular import TabularPOMDP

NAMES = ("tiger-left", "T", "O", "R", "reset_", "a.b", "start", "values", "x", "_y9", "uniform-2", "Nord")


def assert_same(one: TabularPOMDP, other: TabularPOMDP) -> None:
    """Equal bit for bit, names included."""
    assert one.shape == other.shape
    for a, b in ((one.transition, other.transition), (one.observation, other.observation), (one.reward, other.reward)):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.start, other.start)
    np.testing.assert_array_equal(one.terminal, other.terminal)
    assert (one.discount, one.values) == (other.discount, other.values)
    assert (one.state_names, one.action_names, one.observation_names) == (other.state_names, other.action_names, other.observation_names)


@st.composite
def distributions(draw: st.DrawFn, size: int) -> np.ndarray:
    """A probability vector, often with zeros; it may be a certainty."""
    weights = np.array(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), float)
    if weights.sum() == 0:
        weights[draw(st.integers(0, size - 1))] = 1.0
    return weights / weights.sum()


@st.composite
def tables(draw: st.DrawFn, *shape: int) -> np.ndarray:
    """Distributions over the last axis."""
    rows = [draw(distributions(shape[-1])) for _ in range(int(np.prod(shape[:-1])))]
    return np.array(rows).reshape(shape)


@st.composite
def arguments(draw: st.DrawFn, most: int = 3, discount: float | None = None, origins: bool = True) -> dict[str, Any]:
    """Arguments of `from_tables`: up to `most` states, actions and observations, with everything a table can have.

    Not the POMDP itself: the type checks draw random numbers, which hypothesis forbids inside a strategy.
    """
    actions, states, observations = (draw(st.integers(1, most)) for _ in range(3))
    by_origin = origins and states > 1 and draw(st.booleans())
    axes = (actions, states, states, observations)
    reward_shape = tuple(n if draw(st.booleans()) else 1 for n in axes)
    reward = np.array([draw(st.floats(-4, 4, width=16)) for _ in range(int(np.prod(reward_shape)))]).reshape(reward_shape)
    terminal = np.array(draw(st.lists(st.sampled_from([False, False, True]), min_size=actions * states, max_size=actions * states)))

    def named(count: int) -> tuple[str, ...] | None:
        return tuple(draw(st.permutations(NAMES))[:count]) if draw(st.booleans()) else None

    return {
        "transition": draw(tables(actions, states, states)),
        "observation": draw(tables(*((actions, states, states, observations) if by_origin else (actions, states, observations)))),
        "reward": reward,
        "start": draw(distributions(states)),
        "terminal": terminal.reshape(actions, states),
        "discount": draw(st.sampled_from([0.0, 0.5, 0.9])) if discount is None else discount,
        "state_names": named(states),
        "action_names": named(actions),
        "observation_names": named(observations),
        "values": draw(st.sampled_from(["reward", "cost"])),
    }


def joint_table(pomdp: TabularPOMDP) -> np.ndarray:
    """P(s', o | s, a), shape (A, S, S, O), by plain multiplication; terminal rows included."""
    observation = pomdp.observation if pomdp.observation_depends_on_origin else pomdp.observation[:, None]
    return pomdp.transition[:, :, :, None] * observation


def optimum(pomdp: TabularPOMDP, discount: float, depth: int, belief: np.ndarray | None = None) -> float:
    """The optimal value over `depth` steps by trying every action after every history; `belief` need not be normalised."""
    if depth == 0:
        return 0.0
    belief = pomdp.start if belief is None else belief
    joint, reward = joint_table(pomdp), pomdp.reward_full()
    best = -np.inf
    for a in range(pomdp.shape[0]):
        value = float(np.einsum("i,ijk,ijk->", belief, joint[a], reward[a]))
        alive = np.where(pomdp.terminal[a], 0.0, belief)
        for o in range(pomdp.shape[2]):
            after = alive @ joint[a][:, :, o]
            if after.sum() > 0:
                value += discount * optimum(pomdp, discount, depth - 1, after)
        best = max(best, value)
    return best


def random_play(pomdp: TabularPOMDP, horizon: int, discount: float) -> tuple[float, float, float, float]:
    """Undiscounted and discounted return, chance of having ended, and length of uniform play, by listing every episode."""
    actions = pomdp.shape[0]
    joint, reward = joint_table(pomdp), pomdp.reward_full()
    totals = np.zeros(4)
    open_episodes = [(p, s, 0.0, 0.0) for s, p in enumerate(pomdp.start) if p > 0]
    for t in range(horizon):
        later = []
        for (p, s, plain, weighted), a in itertools.product(open_episodes, range(actions)):
            for s_next, o in np.argwhere(joint[a, s] > 0):
                q = p / actions * joint[a, s, s_next, o]
                r = reward[a, s, s_next, o]
                episode = (q, int(s_next), plain + r, weighted + discount**t * r)
                if pomdp.terminal[a, s]:
                    totals += q * np.array([episode[2], episode[3], 1.0, t + 1])
                else:
                    later.append(episode)
        open_episodes = later
    for p, _, plain, weighted in open_episodes:
        totals += p * np.array([plain, weighted, 0.0, horizon])
    return float(totals[0]), float(totals[1]), float(totals[2]), float(totals[3])
