"""Tasks of `reproduce outcomes` with all that is known of them: data to draw, the policy to judge, its exact Q and value, nuisances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse
from scipy.sparse.linalg import splu

from unseen.data import Transitions
from unseen.data.schema import Schema, StateColumn
from unseen.data.table import as_frame
from unseen.environments.clinical.sepsis_table import DIABETES, START_GLUCOSE, sepsis
from unseen.environments.tabular.mdp import TabularMDP
from unseen.environments.tabular.toys import frozen_lake, taxi
from unseen.experiments.reproduce.outcomes_grid import Setting

HIDDEN = {"sepsis-full": (), "sepsis-no-diabetes": ("diabetes",), "sepsis-no-glucose": ("glucose",)}


@dataclass(frozen=True, eq=False)
class Seen:
    """What is recorded of a state: some of its columns, as numbers of levels.

    Attributes:
        names: of the columns.
        levels: how many each has.
    """

    names: tuple[str, ...]
    levels: tuple[int, ...]

    def number(self, states: Float64[np.ndarray, "m d"]) -> Int64[np.ndarray, " m"]:
        """(m,) one number for each combination."""
        return np.asarray(np.ravel_multi_index(tuple(states.astype(np.int64).T), self.levels), np.int64)

    @property
    def schema(self) -> Schema:
        """All levels, be they observed or not."""
        return Schema(tuple(StateColumn(n, "categorical", tuple(range(k)), True) for n, k in zip(self.names, self.levels)))


@dataclass(frozen=True, eq=False)
class TablePolicy:
    """A policy that reads its table.

    Attributes:
        seen: numbers the states.
        table: (states, A).
    """

    seen: Seen
    table: Float64[np.ndarray, "S A"]

    def probabilities(self, states: Any) -> Float64[np.ndarray, "m A"]:
        """(m, A) from a dataframe of the columns."""
        frame = as_frame(states)
        columns = np.stack([np.asarray(frame[name].to_list(), np.float64) for name in self.seen.names], axis=1)
        return self.table[self.seen.number(columns)]


@dataclass(frozen=True, eq=False)
class TrueQ:
    """The exact Q as an initial one."""

    seen: Seen
    table: Float64[np.ndarray, "S A"]

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        return self.table[self.seen.number(states)]


@dataclass(frozen=True, eq=False)
class TrueRatio:
    """w(s'|s,a) = sum_{t>=1} gamma^t p_t(s'|s,a) / p_b(s'), by one solve for whatever is averaged.

    Attributes:
        known: whose.
    """

    known: Known

    def forward(self, queries: Float64[np.ndarray, "q d"], rows: Any, values: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "q A"]:
        """(q, A) mean over rows of w(S_j | s, a) values_j."""
        known = self.known
        at = known.state_of[known.seen.number(rows.states)]
        mean = np.bincount(at, rows.share * values, known.mdp.states)
        per_state = np.divide(mean, known.density, out=np.zeros_like(mean), where=known.density > 0)
        later = known.discount * (known.mdp.onward @ known.solver.solve(per_state))
        return later.reshape(known.mdp.step.shape)[known.state_of[known.seen.number(queries)]]


@dataclass(frozen=True, eq=False)
class Known:
    """A process with two policies.

    Attributes:
        mdp: everything there is.
        behaviour, policy: (S, A); the policy to be judged depends on what is seen only.
        discount: gamma.
        seen: of the state.
        n: transitions of a data set.
    """

    mdp: TabularMDP
    behaviour: Float64[np.ndarray, "S A"]
    policy: Float64[np.ndarray, "S A"]
    discount: float
    seen: Seen
    n: int
    _data: dict[int, Transitions] = field(default_factory=dict)

    def data(self, seed: int) -> Transitions:
        """One data set: whole episodes under the behaviour policy, the last one cut; the latest is kept for the next group of methods."""
        if seed not in self._data:
            self._data.clear()
            self._data[seed] = self._drawn(seed)
        return self._data[seed]

    def _drawn(self, seed: int) -> Transitions:
        c = self.mdp.play(self.behaviour, self.n, seed)
        now, following = (np.stack([c[p + name] for name in self.seen.names], axis=1).astype(np.float64) for p in ("", "next_"))
        first = np.flatnonzero(np.append(True, c["episode"][1:] != c["episode"][:-1]))
        return Transitions(
            states=now,
            actions=c["action"],
            rewards=c["reward"].astype(np.float64),
            next_states=following,
            terminated=c["terminated"],
            trajectory=c["episode"],
            time=c["t"],
            rows=np.arange(self.n),
            starts=now[first],
            ids=np.arange(len(first)),
            schema=self.seen.schema,
            action_labels=tuple(range(self.mdp.actions)),
        )

    @cached_property
    def q(self) -> Float64[np.ndarray, "S A"]:
        """(S, A) of every state of the process, by a linear solve."""
        return self.mdp.q(self.policy, self.discount)

    @cached_property
    def value(self) -> float:
        """V from the process's starts."""
        return float(self.mdp.start @ (self.policy * self.q).sum(axis=1))

    @cached_property
    def density(self) -> Float64[np.ndarray, " S"]:
        """(S,) p_b: the share of steps that behaviour spends in each state, in whole episodes with their time limit; exact."""
        step, d = self._choose(self.behaviour) @ self.mdp.onward, self.mdp.start.copy()
        visits = np.zeros_like(d)
        for _ in range(self.mdp.time_limit):
            visits += d
            d = d @ step
        return visits / visits.sum()

    @cached_property
    def solver(self) -> Any:
        """Of I - gamma P_pi."""
        return splu(sparse.csc_array(sparse.eye_array(self.mdp.states) - self.discount * (self._choose(self.policy) @ self.mdp.onward)))

    def _choose(self, policy: Float64[np.ndarray, "S A"]) -> Any:
        """(S, S A) from a state to its cells."""
        cells = np.arange(policy.size)
        return sparse.csr_array((policy.ravel(), (cells // self.mdp.actions, cells)), shape=(self.mdp.states, policy.size))

    @cached_property
    def _number(self) -> Int64[np.ndarray, " S"]:
        """(S,) what is seen of each state."""
        places = [self.mdp.column_names.index(name) for name in self.seen.names]
        return self.seen.number(self.mdp.columns[:, places].astype(np.float64))

    @cached_property
    def state_of(self) -> Int64[np.ndarray, " s"]:
        """From what is seen to a state that looks like this (the only one, where everything is seen)."""
        found = np.zeros(int(np.prod(self.seen.levels)), np.int64)
        found[self._number] = np.arange(self.mdp.states)
        return found

    @cached_property
    def queries(self) -> Queries:
        """Everything that can be asked: what is seen of states that behaviour gets to and that are not terminal."""
        mass = np.where(self.mdp.terminal, 0.0, self.density)
        asked, inverse = np.unique(self._number[mass > 0], return_inverse=True)
        some = mass[mass > 0]
        share = np.bincount(inverse, some)
        # The Q of somebody who looks like this in the data: the mean over those who do.
        columns = [np.bincount(inverse, some * q) / share for q in self.q[mass > 0].T]
        states = np.stack(np.unravel_index(asked, self.seen.levels), axis=1).astype(np.float64)
        policy = self.policy[self.state_of[asked]]
        return Queries(states, np.stack(columns, axis=1), share[:, None] * policy, asked)

    def truths(self) -> Mapping[str, Any]:
        """Option -> the true nuisance, where everything is seen."""
        every = self._by_number
        return {
            "behaviour": TablePolicy(self.seen, every(self.behaviour)),
            "initial_q": TrueQ(self.seen, every(self.q)),
            "ratio": TrueRatio(self),
        }

    def judged(self) -> TablePolicy:
        """The policy as learners are given it."""
        return TablePolicy(self.seen, self._by_number(self.policy))

    def _by_number(self, table: Float64[np.ndarray, "S A"]) -> Float64[np.ndarray, "s A"]:
        return table[self.state_of]


@dataclass(frozen=True, eq=False)
class Queries:
    """Where estimates are compared with the truth.

    Attributes:
        states: (m, d) what is seen, or a table of it.
        truth: (m, A) Q.
        weight: (m, A) p_b pi_e.
        number: (m,) of what is seen, in order; None where states are not counted.
    """

    states: Any
    truth: Float64[np.ndarray, "m A"]
    weight: Float64[np.ndarray, "m A"]
    number: Int64[np.ndarray, " m"] | None


@cache
def tabular(task: str, setting: Setting) -> Known:
    """Taxi, Frozen Lake or sepsis at a setting."""
    if task in HIDDEN:
        return _sepsis(task, setting)
    toys: dict[str, Callable[[], TabularMDP]] = {"taxi-125": lambda: taxi(0), "taxi-500": taxi, "frozen-lake": frozen_lake}
    mdp = toys[task]()
    behaviour, policy = (mdp.epsilon_greedy(setting.discount, e) for e in (setting.epsilon_b, setting.epsilon_e))
    return Known(mdp, behaviour, policy, setting.discount, _all(mdp, ()), setting.n)


def _sepsis(task: str, setting: Setting) -> Known:
    """Behaviour does not look at glucose, the policy to be judged neither at glucose nor at diabetes; both are else as good as they can be.

    So a state without glucose leaves actions unconfounded (but is not Markov), and one without diabetes does not; the policy, its Q and
    its value are the same at all three levels.
    """
    mdp, best = _best_of_sepsis(setting.discount)
    levels = tuple(int(k) for k in mdp.columns.max(axis=0) + 1)
    q = best.reshape(*levels, mdp.actions)
    glucose = np.array(START_GLUCOSE)[:, None, None, None, :, None, None, None, None]
    without_glucose = (q * glucose).sum(axis=4, keepdims=True)
    diabetes = np.array([1 - DIABETES, DIABETES]).reshape(2, *[1] * 8)
    without_both = (without_glucose * diabetes).sum(axis=0, keepdims=True)
    behaviour, policy = (
        _softened(np.broadcast_to(some, q.shape).reshape(best.shape), e)
        for some, e in ((without_glucose, setting.epsilon_b), (without_both, setting.epsilon_e))
    )
    return Known(mdp, behaviour, policy, setting.discount, _all(mdp, HIDDEN[task]), setting.n)


@cache
def _best_of_sepsis(discount: float) -> tuple[TabularMDP, Float64[np.ndarray, "S A"]]:
    mdp = sepsis()
    return mdp, mdp.optimal(discount)


def _softened(q: Float64[np.ndarray, "S A"], epsilon: float) -> Float64[np.ndarray, "S A"]:
    """The first of the best actions with 1 - epsilon, any with epsilon / A each."""
    best = np.argmax(q >= q.max(axis=1, keepdims=True) - 1e-9, axis=1)
    return (1 - epsilon) * np.eye(q.shape[1])[best] + epsilon / q.shape[1]


def _all(mdp: TabularMDP, hidden: tuple[str, ...]) -> Seen:
    kept = [i for i, name in enumerate(mdp.column_names) if name not in hidden]
    return Seen(tuple(mdp.column_names[i] for i in kept), tuple(int(k) for k in mdp.columns[:, kept].max(axis=0) + 1))
