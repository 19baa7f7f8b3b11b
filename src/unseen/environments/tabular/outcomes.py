"""What can follow each (state, action), laid out so that a step is one draw and a few look-ups."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from unseen.environments.tabular.pomdp import DENSE_LIMIT, TabularPOMDP
from unseen.errors import UserError

_SCAN_UP_TO = 32  # outcomes that are compared one by one; longer rows are searched by halving

Table = Array | np.ndarray  # NumPy until a program takes them in, so that building an environment starts no device


class Outcomes(NamedTuple):
    """The outcomes (s', o, r) of each (a, s), in row a*S + s; rows are padded to the longest, K, by what is never drawn.

    Attributes:
        below: cumulative probabilities without the last, 1 in the padding, shape (A*S, K - 1).
        next_state, observation, reward: of each outcome, shape (A*S, K).
        terminal: whether the action ends the episode, shape (A*S,).
        start_below: as `below`, for the first state, shape (N - 1,).
        start_state: the N states an episode can start in, shape (N,).
    """

    below: Table
    next_state: Table
    observation: Table
    reward: Table
    terminal: Table
    start_below: Table
    start_state: Table


def outcomes_of(pomdp: TabularPOMDP) -> Outcomes:
    """The outcomes of every (a, s).

    Where an episode ends, what comes next is nobody's business: the state stays and shows its likeliest symbol, and the
    outcomes that are left are the distinct rewards. That keeps problems without chance free of draws.
    """
    actions, states, _ = pomdp.shape
    rewards = pomdp.reward_full()
    lists = []
    for a, joint in enumerate(pomdp.joint):
        s, s_next, o = joint.state, joint.next_state, joint.observation
        reward = rewards[a, s, s_next, o]
        ends = pomdp.terminal[a, s]
        s_next, o = np.where(ends, s, s_next), np.where(ends, _likeliest_symbol(pomdp, a)[s], o)
        lists.append((a * states + s, s_next, o, reward, joint.probability))
    row, s_next, o, reward, probability = (np.concatenate(part) for part in zip(*lists))

    # One entry per distinct outcome, in a fixed order.
    order = np.lexsort((reward, o, s_next, row))
    row, s_next, o, reward, probability = row[order], s_next[order], o[order], reward[order], probability[order]
    new = np.ones(len(row), bool)
    new[1:] = (np.diff(row) != 0) | (np.diff(s_next) != 0) | (np.diff(o) != 0) | (np.diff(reward) != 0)
    probability = np.add.reduceat(probability, np.flatnonzero(new))
    row, s_next, o, reward = row[new], s_next[new], o[new], reward[new]

    count = np.bincount(row, minlength=actions * states)
    longest = int(count.max())
    if actions * states * longest * 16 > DENSE_LIMIT:
        raise UserError(f"{actions} actions x {states} states x {longest} outcomes each are too many to play from tables")
    place = np.arange(len(row)) - (np.cumsum(count) - count)[row]

    def padded(values: np.ndarray, kind: type[np.generic]) -> np.ndarray:
        table = np.zeros((actions * states, longest), kind)
        table[row, place] = values
        return table

    chances = padded(probability, np.float64)
    start_state = np.flatnonzero(pomdp.start)
    return Outcomes(
        _below(chances, count),
        padded(s_next, np.int32),
        padded(o, np.int32),
        padded(reward, np.float32),
        pomdp.terminal.reshape(-1).copy(),
        _below(pomdp.start[None, start_state], np.array([len(start_state)]))[0],
        start_state.astype(np.int32),
    )


def draw(key: PRNGKeyArray, below: Float[Table, "R K1"], row: Int[Array, ""]) -> Int[Array, ""]:
    """An outcome's index by the chances of `row`; draws nothing where there is only one outcome.

    The index is the number of entries of below[row] that are not above u ~ U[0, 1).
    """
    width = below.shape[1]
    below = jnp.asarray(below)
    if width == 0:
        return jnp.int32(0)
    u = jax.random.uniform(key, (), jnp.float32)
    if width <= _SCAN_UP_TO:
        return jnp.sum((below.at[row].get(mode="promise_in_bounds") <= u).astype(jnp.int32))
    found = jnp.int32(0)
    for step in (1 << k for k in reversed(range(width.bit_length()))):
        probe = jnp.minimum(found + step, width)
        found = jnp.where(below.at[row, probe - 1].get(mode="promise_in_bounds") <= u, probe, found)
    return found


def _likeliest_symbol(pomdp: TabularPOMDP, action: int) -> np.ndarray:
    """argmax_o O(o|a,s,s) per state: what staying in s looks like, shape (S,)."""
    _, states, _ = pomdp.shape
    s = np.arange(states)
    rows = (action * states + s) * states + s if pomdp.observation_depends_on_origin else action * states + s
    return np.asarray(pomdp.observation_rows[rows].argmax(axis=1)).reshape(-1)


def _below(chances: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Cumulative chances without the last column; from a row's last outcome on they are 1, which no draw reaches."""
    cumulative = np.cumsum(chances, axis=1) / chances.sum(axis=1, keepdims=True)
    cumulative[np.arange(chances.shape[1]) >= count[:, None] - 1] = 1.0
    return cumulative[:, :-1].astype(np.float32)
