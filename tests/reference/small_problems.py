"""Tabular partially observable problems with a privileged signal, small enough to list every path or to sample them.

A *path* is (s, o, i, a) for t = 0..H-1; arrays over paths have shape (paths, horizon). The policy is a softmax with one row of
logits per history h_t = (o_0, a_0, ..., o_t). After H actions the episode has terminated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

PathFloats = Float[np.ndarray, "paths horizon"]
PathInts = Int[np.ndarray, "paths horizon"]
Gradient = Float[np.ndarray, "histories actions"]


@dataclass(frozen=True)
class Problem:
    """A finite-horizon POMDP with a privileged signal and a policy.

    Attributes:
        start: P(s_0), (S,).
        transition: P(s' | s, a), (S, A, S).
        observation: P(o | s), (S, O).
        signal: P(i | s, a), (S, A, I); an admissible signal does not depend on a.
        reward: R(s, a), (S, A).
        logits: policy, (histories, A); row of a history as numbered by `simulate` and `enumerate_paths`.
    """

    start: Float[np.ndarray, "S"]
    transition: Float[np.ndarray, "S A S"]
    observation: Float[np.ndarray, "S O"]
    signal: Float[np.ndarray, "S A I"]
    reward: Float[np.ndarray, "S A"]
    logits: Gradient
    discount: float
    horizon: int

    @property
    def policy(self) -> Gradient:
        """pi(a | h), (histories, A)."""
        unnormalised = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return unnormalised / unnormalised.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Paths:
    """Paths with their probabilities; `code` is a path's number among all conceivable ones, `history` the row of its h_t in the logits."""

    code: Int[np.ndarray, "paths"]
    state: PathInts
    observation: PathInts
    signal: PathInts
    action: PathInts
    history: PathInts
    reward: PathFloats
    probability: Float[np.ndarray, "paths"]


# ---- problems -------------------------------------------------------------------------------------------------------------


def first_row(t: int, observations: int, actions: int) -> int:
    """Row of the first history of length t; `first_row(horizon)` is the number of histories."""
    return sum(observations * (actions * observations) ** k for k in range(t))


def random_problem(seed: int, states: int = 3, actions: int = 2, observations: int = 2, signals: int = 2, horizon: int = 3) -> Problem:
    """Dirichlet(0.6) tables, rewards and logits from N(0, 1), discount 0.9, a signal that depends on the state alone."""
    rng = np.random.default_rng(seed)

    def table(*shape: int) -> np.ndarray:
        return rng.dirichlet(np.full(shape[-1], 0.6), size=shape[:-1])

    return Problem(
        start=table(states),
        transition=table(states, actions, states),
        observation=table(states, observations),
        signal=np.repeat(table(states, 1, signals), actions, axis=1),
        reward=rng.normal(size=(states, actions)),
        logits=rng.normal(size=(first_row(horizon, observations, actions), actions)),
        discount=0.9,
        horizon=horizon,
    )


def with_state_signal(problem: Problem) -> Problem:
    """The same problem with i = s."""
    states, actions = problem.reward.shape
    return replace(problem, signal=np.repeat(np.eye(states)[:, None, :], actions, axis=1))


def with_coin_signal(problem: Problem) -> Problem:
    """The same problem with an i that is a fair coin."""
    return replace(problem, signal=np.full((*problem.reward.shape, 2), 0.5))


def with_leaky_signal(problem: Problem, seed: int) -> Problem:
    """The same problem with an i drawn *after* the action and depending on it: not admissible."""
    rng = np.random.default_rng(seed)
    return replace(problem, signal=rng.dirichlet(np.full(2, 0.6), size=problem.reward.shape))


# ---- paths ----------------------------------------------------------------------------------------------------------------


def enumerate_paths(problem: Problem) -> Paths:
    """Every path of positive probability, ordered by `code`."""
    shape = _code_shape(problem)
    code = np.arange(np.prod(shape))
    state, observation, signal, action = np.stack(np.unravel_index(code, shape), axis=1).reshape(-1, 4, problem.horizon).transpose(1, 0, 2)
    history = _history(problem, observation, action)
    probability = problem.start[state[:, 0]]
    for t in range(problem.horizon):
        s, o, i, a = state[:, t], observation[:, t], signal[:, t], action[:, t]
        probability = probability * problem.observation[s, o] * problem.policy[history[:, t], a] * problem.signal[s, a, i]
        if t + 1 < problem.horizon:
            probability = probability * problem.transition[s, a, state[:, t + 1]]
    possible = probability > 0
    return Paths(*(x[possible] for x in (code, state, observation, signal, action, history, problem.reward[state, action], probability)))


def simulate(problem: Problem, rng: np.random.Generator, episodes: int) -> Int[np.ndarray, "episodes"]:
    """Codes of sampled paths: one draw after the other as an agent would meet them, without the list of all paths."""

    def draw(rows: np.ndarray) -> np.ndarray:
        return (rng.random((episodes, 1)) > rows.cumsum(axis=1)[:, :-1]).sum(axis=1)

    state, observation, signal, action = np.zeros((4, episodes, problem.horizon), int)
    for t in range(problem.horizon):
        before = problem.transition[state[:, t - 1], action[:, t - 1]] if t else np.tile(problem.start, (episodes, 1))
        state[:, t] = draw(before)
        observation[:, t] = draw(problem.observation[state[:, t]])
        action[:, t] = draw(problem.policy[_history(problem, observation[:, : t + 1], action[:, : t + 1])[:, t]])
        signal[:, t] = draw(problem.signal[state[:, t], action[:, t]])
    numbers = np.concatenate([state, observation, signal, action], axis=1).T
    return np.asarray(np.ravel_multi_index(tuple(numbers), _code_shape(problem)))


def _code_shape(problem: Problem) -> tuple[int, ...]:
    """s_0..s_{H-1}, o_0.., i_0.., a_0..: how many values each takes."""
    (states, observations), (_, actions, signals) = problem.observation.shape, problem.signal.shape
    return tuple(np.repeat([states, observations, signals, actions], problem.horizon).tolist())


def _history(problem: Problem, observation: PathInts, action: PathInts) -> PathInts:
    """Row of h_t = (o_0, a_0, ..., o_t) in the logits."""
    observations, actions = problem.observation.shape[1], problem.reward.shape[1]
    within = [observation[:, 0]]
    for t in range(1, observation.shape[1]):
        within.append((within[-1] * actions + action[:, t - 1]) * observations + observation[:, t])
    return np.stack([first_row(t, observations, actions) + row for t, row in enumerate(within)], axis=1)
