"""Linear models of Q and everything that then has a closed form: fitted Q evaluation, the flow equation, the successor ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from unseen.outcomes.features import StateFeatures
from unseen.outcomes.rows import Rows

CHUNK = 8_192  # rows whose features are held at a time: few enough for the processor's cache, enough for threads not to wait for each other


@dataclass(frozen=True, eq=False)
class ActionFeatures:
    """psi(s, a): the state's features in a block for each action, or side by side with an indicator of the action.

    Attributes:
        features: phi(s), (n, q).
        actions: A.
        mode: "separate" (p = A q) or "additive" (p = q + A - 1, no interactions).
    """

    features: StateFeatures
    actions: int
    mode: str = "separate"

    def mix(self, phi: Float[np.ndarray, "n q"], weights: Float[np.ndarray, "n A"]) -> Float64[np.ndarray, "n p"]:
        """sum_a weights(a) psi(s, a): one action's features for indicators, expected ones for probabilities."""
        if self.mode == "separate":
            whole = np.empty((weights.shape[1], phi.shape[1], len(phi)))  # row after row is the longest way, so that it comes last
            np.multiply(weights.T[:, None], phi.T[None], out=whole)
            return whole.reshape(-1, len(phi)).T
        return np.concatenate([phi.T * weights.sum(axis=1), weights.T[1:]]).T

    def values(self, phi: Float[np.ndarray, "n q"], theta: Float64[np.ndarray, "p"]) -> Float64[np.ndarray, "n A"]:
        """psi(s, a)' theta for every action."""
        if self.mode == "separate":
            return phi @ theta.reshape(self.actions, -1).T
        q = phi.shape[1]
        return (phi @ theta[:q])[:, None] + np.concatenate([[0.0], theta[q:]])

    def second_moment(self, phi: Float[np.ndarray, "n q"], weights: Float[np.ndarray, "n A"]) -> Float64[np.ndarray, "p p"]:
        """sum_i sum_a weights(i, a) psi psi'."""
        if self.mode == "separate":
            blocks = np.zeros((self.actions, phi.shape[1], self.actions, phi.shape[1]))
            for a in range(self.actions):
                blocks[a, :, a] = (phi * weights[:, [a]]).T @ phi
            return blocks.reshape(self.actions * phi.shape[1], -1)
        total: Float64[np.ndarray, "p p"] | float = 0.0
        for a in range(self.actions):
            one = self.mix(phi, np.sqrt(weights[:, [a]]) * np.eye(self.actions)[a])
            total = total + one.T @ one
        return np.asarray(total)


def chunks(n: int, size: int = CHUNK) -> Iterator[slice]:
    """Slices of at most `size` rows."""
    return (slice(i, min(i + size, n)) for i in range(0, n, size))


def by_chunk(f: Callable[[slice], Any], n: int) -> Any:
    """(n, ...) from (m, ...) for every slice."""
    whole: Any = None
    for part in chunks(n):
        some = f(part)
        whole = np.empty((n, *some.shape[1:])) if whole is None else whole
        whole[part] = some
    return f(slice(0, 0)) if whole is None else whole


def solve(a: Float64[np.ndarray, "p p"], b: Float64[np.ndarray, "p ..."], ridge: float = 0.0) -> Float64[np.ndarray, "p ..."]:
    """(a + ridge trace/p I)^-1 b; the shortest of the solutions where a is singular, as with columns that never vary."""
    scale = max(float(np.abs(np.diag(a)).mean()), 1e-300)
    regular = a + ridge * scale * np.eye(len(a))
    if b.ndim == 2 and b.shape[1] > len(a):  # many right sides: one inverse
        return np.linalg.lstsq(regular / scale, np.eye(len(a)), rcond=1e-11)[0] @ (b / scale)
    return np.linalg.lstsq(regular / scale, b / scale, rcond=1e-11)[0]


@dataclass(frozen=True, eq=False)
class BellmanMoments:
    """Sums over rows for fitted Q evaluation; those of disjoint sets of rows add up.

    gram = sum psi psi', onwards = sum (1 - D) psi psi_pi(S~)', reward = sum psi R.
    """

    gram: Float64[np.ndarray, "p p"]
    onwards: Float64[np.ndarray, "p p"]
    reward: Float64[np.ndarray, " p"]

    def __add__(self, other: BellmanMoments) -> BellmanMoments:
        return BellmanMoments(self.gram + other.gram, self.onwards + other.onwards, self.reward + other.reward)

    @staticmethod
    def of(psi: ActionFeatures, rows: Rows) -> BellmanMoments:
        """Of these rows."""
        gram = onwards = reward = 0.0
        for part in chunks(len(rows)):
            some = rows.take(part)
            x = psi.mix(psi.features(some.states), some.indicator)
            x_next = psi.mix(psi.features(some.next_states), some.next_policy)
            gram = gram + (x * some.weight[:, None]).T @ x
            onwards = onwards + (x * (some.weight * some.alive)[:, None]).T @ x_next
            reward = reward + x.T @ (some.weight * some.rewards)
        return BellmanMoments(np.asarray(gram), np.asarray(onwards), np.asarray(reward))

    def theta(self, discount: float, sweeps: int | None = None, ridge: float = 0.0) -> Float64[np.ndarray, " p"]:
        """Coefficients of Q after `sweeps` of fitted Q evaluation from 0; None: its fixed point, where there is one or not.

        theta = (E[psi (psi - gamma (1 - D) psi_pi(S~))'])^-1 E[psi R].
        """
        if sweeps is None:
            return solve(self.gram - discount * self.onwards, self.reward, ridge)
        pair = solve(self.gram, np.column_stack([self.reward, discount * self.onwards]), ridge)
        theta = np.zeros(len(self.reward))
        for _ in range(sweeps):
            theta = pair[:, 0] + pair[:, 1:] @ theta
        return theta

    def growth(self, discount: float) -> float:
        """Spectral radius of a sweep: at 1 and above, iterated fitted Q evaluation diverges though a fixed point exists."""
        return float(np.abs(np.linalg.eigvals(solve(self.gram, discount * self.onwards))).max())


@dataclass(frozen=True, eq=False)
class LinearQ:
    """psi' theta.

    Attributes:
        psi: features of state and action.
        theta: (p,).
    """

    psi: ActionFeatures
    theta: Float64[np.ndarray, " p"]

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        return by_chunk(lambda part: self.psi.values(self.psi.features(states[part]), self.theta), len(states))


@dataclass(frozen=True, eq=False)
class Flow:
    """The flow equation solved in features chi: where the evaluation policy goes, seen from the data's distribution.

    omega = chi' beta with, for every test function f among chi,
    E_b[omega(S) f(S)] = gamma E_b[(1 - D) {local + rho omega(S)} f(S~)]  (+ E_{d0}[f] for a distribution of starts d0).

    Attributes:
        features: chi(s).
        operator: (q, q) E[chi chi'] - gamma E[(1 - D) rho chi(S~) chi(S)'].
        discount: gamma.

    Source: specification, 4.7 and 11.1 (derived there).
    """

    features: StateFeatures
    operator: Float64[np.ndarray, "q q"]
    discount: float

    @staticmethod
    def fitted(features: StateFeatures, rows: Rows, rho: Float64[np.ndarray, " n"], discount: float) -> Flow:
        """From rows with their ratios rho = pi_e / pi_b of the action taken."""
        share, operator = rows.share, 0.0
        for part in chunks(len(rows)):
            chi, chi_next = features(rows.states[part]), features(rows.next_states[part])
            onwards = chi_next * (discount * share * rows.alive * rho)[part, None]
            operator = operator + (chi * share[part, None] - onwards).T @ chi
        return Flow(features, np.asarray(operator), discount)

    def from_rows(self, parts: Iterable[tuple[Rows, Float64[np.ndarray, "m k"]]]) -> Float64[np.ndarray, "q k"]:
        """beta of omega_k: begun in rows, given part by part, with the density of their cells with respect to the data's."""
        total = right = 0.0
        for rows, local in parts:
            total = total + rows.weight.sum()
            right = right + (self.features(rows.next_states) * (rows.weight * rows.alive)[:, None]).T @ local
        return solve(self.operator, self.discount * np.asarray(right) / total)

    def at(self, states: Float64[np.ndarray, "m d"], beta: Float64[np.ndarray, "q k"]) -> Float64[np.ndarray, "m k"]:
        """chi(s)' beta."""
        return by_chunk(lambda part: self.features(states[part]) @ beta, len(states))

    def from_starts(self, starts: Float64[np.ndarray, "m d"], share: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "q 1"]:
        """beta of nu: begun in start states drawn with these shares; the start itself counts as visited."""
        right = 0.0
        for part in chunks(len(starts)):
            right = right + self.features(starts[part]).T @ share[part, None]
        return solve(self.operator, np.asarray(right))
