"""Policies to be judged: what they must answer, ready-made ones, and the probabilities they give to every row of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unseen.data import Transitions
from unseen.data.schema import Label, encode_labels
from unseen.data.table import as_frame, column, labels
from unseen.errors import UserError

SLACK = 1e-6  # how far from 1 probabilities may add up


@runtime_checkable
class Policy(Protocol):
    """Anything that says how probable each action is in each state."""

    def probabilities(self, states: Any) -> Any:
        """(n, A) from a dataframe of the named state columns, actions in the order of `Transitions.action_labels`."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Every action with the same probability."""

    def probabilities(self, states: Any) -> Any:
        """(n, 1) ones: they are spread over the actions."""
        return np.ones((len(as_frame(states)), 1))


@dataclass(frozen=True)
class Always:
    """One action everywhere.

    Attributes:
        action: its label.
    """

    action: Label

    def probabilities(self, states: Any) -> Any:
        """(n,) labels."""
        return [self.action] * len(as_frame(states))


@dataclass(frozen=True)
class FromFunction:
    """A function of the states.

    Attributes:
        function: from a dataframe of the named state columns to (n, A) probabilities, or to (n,) action labels.
    """

    function: Callable[[Any], Any]

    def probabilities(self, states: Any) -> Any:
        """What the function says."""
        return self.function(states)


@dataclass(frozen=True)
class FromTable:
    """A row for every state: its columns, and a column of probabilities for every action (or one column with the action).

    Attributes:
        table: path, dataframe or mapping of columns.
        actions: from every action's label to the column with its probability, or the name of the column that holds the action.
    """

    table: Any
    actions: Mapping[Any, str] | str

    def probabilities(self, states: Any) -> Any:
        """The row of each state; a state without one is a `UserError`."""
        asked = as_frame(states)
        rows = as_frame(self.table)
        keys = list(zip(*(labels(column(rows, name, "policy"), name, "policy").tolist() for name in asked.columns)))
        place = {key: i for i, key in enumerate(keys)}
        if len(place) < len(keys):
            double = next(key for i, key in enumerate(keys) if place[key] != i)
            raise UserError(f"the policy's table has two rows for state {dict(zip(asked.columns, double))}; keep one")
        found = list(zip(*(labels(column(asked, name, "state"), name, "state").tolist() for name in asked.columns)))
        for key in found:
            if key not in place:
                raise UserError(f"the policy's table has no row for state {dict(zip(asked.columns, key))}; add one")
        index = np.array([place[key] for key in found], np.int64)
        if isinstance(self.actions, str):
            return labels(column(rows, self.actions, "policy"), self.actions, "policy")[index].tolist()
        return {label: np.asarray(column(rows, name, "policy").to_numpy(), np.float64)[index] for label, name in self.actions.items()}


@dataclass(frozen=True)
class FromClassifier:
    """A fitted scikit-learn classifier of actions.

    Attributes:
        classifier: with `predict_proba` and `classes_`, which are action labels.
        greedy: take the most probable action instead of drawing.
    """

    classifier: Any
    greedy: bool = False

    def probabilities(self, states: Any) -> Any:
        """From every class to its probabilities."""
        frame = as_frame(states)
        inputs = states if hasattr(self.classifier, "feature_names_in_") else frame.to_numpy()
        if self.greedy:
            return np.asarray(self.classifier.predict(inputs)).tolist()
        p = np.asarray(self.classifier.predict_proba(inputs), np.float64)
        return {np.asarray(label).item(): p[:, i] for i, label in enumerate(self.classifier.classes_)}


@dataclass(frozen=True)
class EpsilonGreedy:
    """The best action by a fitted learner (or function) with probability 1 - epsilon + epsilon / A, every other with epsilon / A.

    Attributes:
        q: a fitted learner of this room, or a function from states to (n, A) values.
        epsilon: between 0 (greedy) and 1 (uniform).
    """

    q: Any
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise UserError(f"epsilon = {self.epsilon}; a probability lies between 0 and 1")

    def probabilities(self, states: Any) -> Any:
        """(n, A); ties go to the first action."""
        q = _values(self.q, states)
        best = np.eye(q.shape[1])[np.argmax(q, axis=1)]
        return (1 - self.epsilon) * best + self.epsilon / q.shape[1]


@dataclass(frozen=True)
class Softmax:
    """Probabilities proportional to exp(Q / temperature).

    Attributes:
        q: a fitted learner of this room, or a function from states to (n, A) values.
        temperature: above 0, in units of Q.
    """

    q: Any
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UserError(f"temperature = {self.temperature}; it must be above 0")

    def probabilities(self, states: Any) -> Any:
        """(n, A)."""
        q = _values(self.q, states) / self.temperature
        e = np.exp(q - q.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Columns:
    """Probabilities that are known row by row, for policies that see more than the state: an agent's, with its memory.

    Attributes:
        now: (n, A) at each transition's state.
        following: (n, A) at its next state; rows that terminate are not read.
        starts: (N, A) at the first state of each trajectory.
    """

    now: Any
    following: Any
    starts: Any


@dataclass(frozen=True, eq=False)
class PolicyAt:
    """A policy's probabilities wherever a data set needs them.

    Attributes:
        now: (n, A) at S.
        following: (n, A) at S'.
        starts: (N, A) at the first state of every trajectory.
    """

    now: Float[np.ndarray, "n A"]
    following: Float[np.ndarray, "n A"]
    starts: Float[np.ndarray, "N A"]


def _values(q: Any, states: Any) -> Float[np.ndarray, "n A"]:
    """(n, A) by a fitted learner or a function."""
    return np.asarray(q.predict(states) if hasattr(q, "predict") else q(states), np.float64)


def evaluated(policy: Any, data: Transitions) -> PolicyAt:
    """The policy at every state of the data.

    Raises:
        UserError: something that is no policy, or probabilities that are none.
    """
    if isinstance(policy, Columns):
        n, total, a = len(data), data.n_trajectories, data.n_actions
        parts = []
        for name, rows in (("now", n), ("following", n), ("starts", total)):
            given = np.asarray(getattr(policy, name), np.float64)
            if given.shape != (rows, a):
                raise UserError(f"policy column {name!r} has shape {given.shape}; it must be {(rows, a)}")
            parts.append(given)
        now, following, starts = parts
        following = np.where(data.terminated[:, None], 1 / a, following)
        return PolicyAt(
            checked(now, "at row"), checked(following, "at the next state of row"), checked(starts, "at the start of trajectory")
        )
    everywhere = np.concatenate([data.states, data.next_states, data.starts])
    p = at_states(policy, data, everywhere)
    n = len(data)
    return PolicyAt(p[:n], p[n : 2 * n], p[2 * n :])


def at_states(policy: Any, data: Transitions, states: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m A"]:
    """(m, A) probabilities at encoded states; asked once for every different state.

    Raises:
        UserError: something that is no policy, or probabilities that are none.
    """
    if len(states) == 0:
        return np.zeros((0, data.n_actions))
    if data.schema.discrete:
        _, first, inverse = np.unique(data.schema.index(states), return_index=True, return_inverse=True)
        return _asked(policy, data, states[first])[inverse]
    return _asked(policy, data, states)


def _asked(policy: Any, data: Transitions, states: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m A"]:
    ask = getattr(policy, "probabilities", policy if callable(policy) else None)
    if ask is None:
        raise UserError(
            f"a {type(policy).__name__} is no policy; give an object with probabilities(states), a function of the states, "
            "or one of unseen.outcomes: Uniform, Always, FromTable, FromClassifier, EpsilonGreedy, Softmax, Columns"
        )
    frame = data.decode_states(states)
    try:
        answer = ask(frame)
    except UserError:
        raise
    except Exception as error:
        told = next(iter(str(error).splitlines()), "")
        columns = ", ".join(c.name for c in data.state_columns)
        raise UserError(f"the policy fails with {type(error).__name__}: {told}; it is asked with the columns {columns}") from error
    return as_probabilities(answer, data.action_labels, len(states))


def as_probabilities(answer: Any, action_labels: tuple[Label, ...], n: int) -> Float[np.ndarray, "n A"]:
    """(n, A) from what a policy answered: probabilities, a mapping from labels to them, or a label for every row.

    Raises:
        UserError: labels that are no actions, a wrong shape, numbers that are no probabilities.
    """
    a = len(action_labels)
    if isinstance(answer, Mapping):
        p = np.zeros((n, a))
        for label, values in answer.items():
            p[:, encode_labels(np.array([label], object), action_labels, "policy", "action")[0]] = np.asarray(values, np.float64)
        return checked(p, "at state")
    given = np.asarray(answer) if not isinstance(answer, list) else np.array(answer, object)
    if given.ndim == 1 and len(given) == n:
        return np.eye(a)[encode_labels(np.array(given.tolist(), object), action_labels, "policy", "action")]
    try:
        given = given.astype(np.float64)
    except (TypeError, ValueError):
        raise UserError("the policy answers with text in several columns; give one label a row, or probabilities") from None
    if given.shape == (n, 1):
        given = np.broadcast_to(given / a, (n, a))
    if given.shape != (n, a):
        raise UserError(
            f"the policy answers with shape {given.shape} for {n} states; it must be {(n, a)}: a column for each of {list(action_labels)}"
        )
    return checked(given, "at state")


def checked(p: Float[np.ndarray, "n A"], where: str) -> Float[np.ndarray, "n A"]:
    """The same numbers if they are probabilities.

    Raises:
        UserError: the first row where they are not.
    """
    bad = ~np.isfinite(p).all(axis=1) | (p < -SLACK).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > SLACK)
    if bad.any():
        i = int(np.argmax(bad))
        raise UserError(f"the policy's probabilities {where} {i} are {np.round(p[i], 6).tolist()}; they must be at least 0 and add up to 1")
    return np.maximum(p, 0.0)
