"""What can happen next: P(s', o | s, a) as flat lists, the form every exact tool of this room works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from unseen.environments.tabular.pomdp import TabularPOMDP


@dataclass(frozen=True, eq=False)
class Joint:
    """The N possible (s, s', o) of one action, sorted by s, with P(s', o | s, a).

    Attributes:
        first: where the entries of state s begin, shape (S + 1,): entries first[s] to first[s + 1].
        state, next_state, observation: indices, shape (N,).
        probability: P(s', o | s, a), shape (N,).
    """

    first: Int[np.ndarray, "S1"]
    state: Int[np.ndarray, "N"]
    next_state: Int[np.ndarray, "N"]
    observation: Int[np.ndarray, "N"]
    probability: Float[np.ndarray, "N"]

    def keep(self, wanted: np.ndarray) -> Joint:
        """Only the entries where `wanted`, shape (N,), is True."""
        state = self.state[wanted]
        first = np.searchsorted(state, np.arange(len(self.first)))
        return Joint(first, state, self.next_state[wanted], self.observation[wanted], self.probability[wanted])


def joint_of(pomdp: TabularPOMDP, action: int) -> Joint:
    """P(s', o | s, a) of one action; terminal rows lead to a draw from the start distribution."""
    _, states, _ = pomdp.shape
    moves = pomdp.transition_rows[action * states : (action + 1) * states].tocoo()
    state, next_state = (index.astype(np.int64) for index in moves.coords)
    origin = action * states + state
    row = origin * states + next_state if pomdp.observation_depends_on_origin else action * states + next_state
    symbols = pomdp.observation_rows
    move, entry = ragged(symbols.indptr[row], symbols.indptr[row + 1])
    probability = moves.data[move] * symbols.data[entry]
    possible = probability > 0
    move, entry = move[possible], entry[possible]
    first = np.searchsorted(state[move], np.arange(states + 1))
    observation = symbols.indices[entry].astype(np.int64)
    return Joint(first, state[move], next_state[move], observation, probability[possible])


def ragged(starts: Int[np.ndarray, "R"], stops: Int[np.ndarray, "R"]) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
    """The ranges starts[i]..stops[i] one after another, as (i of each element, element)."""
    starts = np.asarray(starts, np.int64)
    lengths = np.asarray(stops, np.int64) - starts
    which = np.repeat(np.arange(len(starts)), lengths)
    offsets = np.cumsum(lengths) - lengths
    return which, np.arange(len(which)) - offsets[which] + starts[which]
