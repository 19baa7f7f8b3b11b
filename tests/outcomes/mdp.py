"""Small Markov decision processes with everything about them known, as populations and as samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unseen.data import Transitions


@dataclass(frozen=True)
class MDP:
    """Tables of a process, a behaviour policy and an evaluation policy.

    transition (S, A, S) adds up to 1 - P(end | s, a); reward (S, A, S + 1), the last for ending; density (S,) of the data's states.
    """

    transition: np.ndarray
    reward: np.ndarray
    behaviour: np.ndarray
    policy: np.ndarray
    density: np.ndarray
    discount: float

    @property
    def ending(self):
        return 1 - self.transition.sum(axis=2)

    @cached_property
    def mean_reward(self):
        law = np.concatenate([self.transition, self.ending[:, :, None]], axis=2)
        return (law * self.reward).sum(axis=2)

    @cached_property
    def operator(self):
        """P^pi on functions of (s, a), (S A, S A)."""
        s, a = self.policy.shape
        return np.einsum("sax,xb->saxb", self.transition, self.policy).reshape(s * a, s * a)

    @cached_property
    def resolvent(self):
        return np.linalg.inv(np.eye(len(self.operator)) - self.discount * self.operator)

    @cached_property
    def q(self):
        return (self.resolvent @ self.mean_reward.ravel()).reshape(self.policy.shape)

    @cached_property
    def successor(self):
        """M (S, A, S), by summing the series."""
        step = np.einsum("sax,sa->sx", self.transition, self.policy)
        state, total = self.transition.copy(), np.zeros_like(self.transition)
        for t in range(1, 3_000):
            total += self.discount**t * state
            state = state @ step
        return total

    @property
    def ratio(self):
        return self.successor / self.density

    def population(self):
        """Every (s, a, s') as a row, and the rows' probabilities."""
        states, actions, _ = self.transition.shape
        law = np.concatenate([self.transition, self.ending[:, :, None]], axis=2)
        rows = [(s, a, x) for s in range(states) for a in range(actions) for x in range(states + 1) if law[s, a, x] > 1e-15]
        s, a, x = np.array(rows).T
        table = {
            "id": np.arange(len(s)),
            "t": np.zeros(len(s), int),
            "s": s,
            "a": a,
            "r": self.reward[s, a, x],
            "end": x == states,
            "next": [None if y == states else int(y) for y in x],
        }
        return from_columns(table), self.density[s] * self.behaviour[s, a] * law[s, a, x]

    def sample(self, rng, trajectories, most=30, start=None):
        """Trajectories begun in states drawn from `start` (uniform), cut at `most` steps."""
        states, actions, _ = self.transition.shape
        start = np.full(states, 1 / states) if start is None else start
        law = np.concatenate([self.transition, self.ending[:, :, None]], axis=2).cumsum(axis=2)
        picks = self.behaviour.cumsum(axis=1)
        s = rng.choice(states, trajectories, p=start)
        name = np.arange(trajectories)
        out = {key: [] for key in ("id", "t", "s", "a", "r", "end", "next")}
        for t in range(most):
            a = (rng.random(len(s))[:, None] > picks[s]).sum(axis=1).clip(max=actions - 1)
            x = (rng.random(len(s))[:, None] > law[s, a]).sum(axis=1).clip(max=states)
            noise = rng.normal(0, 0.3, len(s))
            for key, values in zip(out, (name, np.full(len(s), t), s, a, self.reward[s, a, x] + noise, x == states, x)):
                out[key].append(values)
            name, s = name[x < states], x[x < states]
            if len(s) == 0:
                break
        return rows_to_transitions({key: np.concatenate(values) for key, values in out.items()}, states, actions)


def from_columns(table):
    return Transitions.from_table(
        table,
        id="id",
        time="t",
        state={"s": "categorical"},
        action="a",
        reward="r",
        terminated="end",
        next_state=["next"],
    )


def rows_to_transitions(c, states, actions):
    """The same as `from_table` would make, built directly because coverage tests make thousands."""
    from unseen.data.schema import Schema, StateColumn

    order = np.lexsort((c["t"], c["id"]))
    c = {key: values[order] for key, values in c.items()}
    ids, first = np.unique(c["id"], return_index=True)
    following = np.where(c["end"], c["s"], c["next"])
    return Transitions(
        states=c["s"][:, None].astype(float),
        actions=c["a"].astype(np.int64),
        rewards=c["r"].astype(float),
        next_states=following[:, None].astype(float),
        terminated=c["end"].astype(bool),
        trajectory=np.searchsorted(ids, c["id"]),
        time=c["t"].astype(np.int64),
        rows=np.arange(len(c["r"])),
        starts=c["s"][first][:, None].astype(float),
        ids=ids,
        schema=Schema((StateColumn("s", "categorical", tuple(range(states)), True),)),
        action_labels=tuple(range(actions)),
    )


@dataclass(frozen=True)
class TablePolicy:
    """A policy that reads its table."""

    table: np.ndarray

    def probabilities(self, states):
        return self.table[np.asarray(states["s"].to_list())]


@dataclass(frozen=True)
class TableValues:
    """An initial Q that reads its table."""

    table: np.ndarray

    def values(self, states):
        return self.table[states[:, 0].astype(int)]


@dataclass(frozen=True)
class DenseRatio:
    """w (S, A, S) that reads its table."""

    table: np.ndarray

    def forward(self, queries, rows, values):
        mean = np.bincount(rows.states[:, 0].astype(int), rows.share * values, self.table.shape[2])
        return (self.table @ mean)[queries[:, 0].astype(int)]


def random_mdp(seed=0, states=5, actions=3, discount=0.9, ending=0.0, deterministic=False, overlap=2.0):
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.ones(states), (states, actions))
    if ending:
        transition *= 1 - rng.uniform(0, 2 * ending, (states, actions, 1))
    policy = np.eye(actions)[rng.integers(actions, size=states)] if deterministic else rng.dirichlet(np.ones(actions), states)
    return MDP(
        transition=transition,
        reward=rng.normal(size=(states, actions, states + 1)),
        behaviour=rng.dirichlet(np.full(actions, overlap), states),
        policy=policy,
        density=rng.dirichlet(np.full(states, 3.0)),
        discount=discount,
    )
