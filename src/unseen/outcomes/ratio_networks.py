"""The density ratio by networks over pairs: temporal differences for the successor density, and a kernel minimax loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from scipy.spatial.distance import cdist

from unseen.outcomes.features import StateFeatures, median_distance
from unseen.outcomes.network import Network
from unseen.outcomes.rows import Rows

HIDDEN = (64, 64)
BATCH = 256
UPDATES = 4_000
RATE = 1e-3
FOLLOW = 0.01  # share of the way that the target network moves at each update


class PairNetwork:
    """Positive function of (s, a, s').

    Args:
        features: of the states; the network sees their columns.
        actions: A.
        hidden: units of each layer.
        seed: of the first weights.
    """

    def __init__(self, features: StateFeatures, actions: int, hidden: tuple[int, ...], seed: int):
        self.features, self.actions = features, actions
        self.network = Network.drawn((2 * features.width + actions, *hidden, 1), seed)

    def columns(self, states: Float64[np.ndarray, "m d"]) -> Float32[np.ndarray, "m c"]:
        """What the network sees of a state."""
        return self.features.columns(states, every_level=True).astype(np.float32)

    def joined(self, s: Float32[np.ndarray, "m c"], a: Float32[np.ndarray, "m A"], s_next: Float32[np.ndarray, "m c"]) -> Any:
        """Inputs of the network."""
        return np.concatenate([s, a, s_next], axis=1)

    def pairs(self, queries: Float64[np.ndarray, "q d"], states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "q A m"]:
        """(q, A, m) values for every query state, action and state; the first layer is applied once to each side."""
        left, right, hot = self.columns(queries), self.columns(states), np.eye(self.actions, dtype=np.float32)
        w, b = self.network.weights[0], self.network.biases[0]
        c = left.shape[1]
        by_query = (left @ w[:c])[:, None, :] + (hot @ w[c : c + self.actions])[None]  # (q, A, h)
        by_state = right @ w[c + self.actions :] + b
        rest = Network(self.network.weights[1:], self.network.biases[1:])
        out = np.empty((len(left), self.actions, len(right)))
        step = max(1, 262_144 // max(1, self.actions * len(right)))
        for i in range(0, len(left), step):
            h = np.maximum(by_query[i : i + step, :, None, :] + by_state, 0)
            out[i : i + step] = softplus(rest(h.reshape(-1, h.shape[-1]))[:, 0]).reshape(h.shape[:3])
        return out


def softplus(z: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """log(1 + exp z)."""
    return np.logaddexp(z, np.float32(0))


def sigmoid(z: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Its derivative."""
    return np.float32(1) / (np.float32(1) + np.exp(-np.clip(z, -30, 30)))


def successor_density(
    rows: Rows, features: StateFeatures, discount: float, seed: int, *, updates: int = UPDATES, hidden: tuple[int, ...] = HIDDEN
) -> Callable[[Any, Any], Any]:
    """Fit m = sum_{t>=0} gamma^t p_{t+1} / p_b by temporal differences; the ratio is gamma m.

    Minimises 1/2 E[(m(S,A,S') - gamma (1-D) sum_a pi_e(a|S~) m-(S~,a,S'))^2] - E[(1-D) m(S,A,S~)], S' drawn from the rows on its own.

    Returns:
        (q, A, m) ratios of query states and states.

    Source: method family of Blier, Tallec, Ollivier (2021), formula derived in the specification, 3.3 (c).
    """
    rng = np.random.default_rng(seed)
    model = PairNetwork(features, rows.n_actions, hidden, seed)
    target = model.network.copy()
    s, s_next = model.columns(rows.states), model.columns(rows.next_states)
    taken, policy = rows.indicator.astype(np.float32), rows.next_policy.astype(np.float32)
    alive, hot = rows.alive.astype(np.float32), np.eye(rows.n_actions, dtype=np.float32)
    for update in range(updates):
        i, j = rows.draw(rng, BATCH), rows.draw(rng, BATCH)
        onward = np.zeros(BATCH, np.float32)
        for a in range(rows.n_actions):
            action = np.tile(hot[a], (BATCH, 1))
            onward += policy[i, a] * softplus(target(model.joined(s_next[i], action, s[j]))[:, 0])
        both = np.concatenate([model.joined(s[i], taken[i], s[j]), model.joined(s[i], taken[i], s_next[i])])
        layers = model.network.forward(both)
        z = layers[-1][:, 0]
        error = softplus(z[:BATCH]) - np.float32(discount) * alive[i] * onward
        slope = np.concatenate([error, -alive[i]]) * sigmoid(z) / np.float32(BATCH)
        rate = RATE * (1 - update / updates)
        model.network.update(model.network.gradients(layers, slope[:, None]), rate)
        target.follow(model.network, FOLLOW)
    return Scaled(model, discount)


@dataclass(frozen=True, eq=False)
class Scaled:
    """gamma times a network of pairs.

    Attributes:
        model: of the successor density.
        discount: gamma.
    """

    model: PairNetwork
    discount: float

    def __call__(self, queries: Float64[np.ndarray, "q d"], states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "q A m"]:
        """(q, A, m)."""
        return self.discount * self.model.pairs(queries, states)


def kernel_minimax(
    rows: Rows,
    rho: Float64[np.ndarray, " n"],
    features: StateFeatures,
    discount: float,
    seed: int,
    *,
    updates: int = UPDATES // 4,
    hidden: tuple[int, ...] = HIDDEN,
    batch: int = 64,
) -> Callable[[Any, Any], Any]:
    """Fit w by the moments it must meet for every function in the ball of a Laplacian kernel.

    For a row q, R_q(f) = E_j[w(S_j|S_q,A_q) {f(S_j) - gamma (1-D_j) rho_j f(S~_j)}] - gamma (1-D_q) f(S~_q) has conditional mean 0 at
    the true w. The loss is the mean of K(q, q') <R_q, R_q'> over pairs of different rows.

    Returns:
        (q, A, m) ratios of query states and states.

    Source: in the style of Shi et al. (2021, D2OPE), whose ratio carries the action and the first step; ours is the w of the
    specification's section 2, with its moments (2).
    """
    rng = np.random.default_rng(seed)
    model = PairNetwork(features, rows.n_actions, hidden, seed)
    s, s_next, taken = model.columns(rows.states), model.columns(rows.next_states), rows.indicator.astype(np.float32)
    some = s[rng.permutation(len(s))[:500]]
    width = median_distance(some, "cityblock")

    def kernel(x: Any, y: Any) -> Any:
        return np.exp(-cdist(x, y, "cityblock") / width)

    for update in range(updates):
        q, j = rows.draw(rng, batch), rows.draw(rng, batch)
        pair_q, pair_j = np.repeat(q, batch), np.tile(j, batch)
        layers = model.network.forward(model.joined(s[pair_q], taken[pair_q], s[pair_j]))
        z = layers[-1][:, 0]
        w = softplus(z).reshape(batch, batch).astype(np.float64)
        points = np.concatenate([s[j], s_next[j], s_next[q]])
        onward = discount * rows.alive[j] * rho[j]
        coefficients = np.concatenate([w / batch, -w * onward / batch, -discount * np.diag(rows.alive[q])], axis=1)
        near = kernel(s[q], s[q]) * (taken[q] @ taken[q].T)
        np.fill_diagonal(near, 0.0)
        slope = 2 * near @ coefficients @ kernel(points, points) / (batch * (batch - 1))
        by_w = (slope[:, :batch] - slope[:, batch : 2 * batch] * onward) / batch
        output = (by_w.ravel() * sigmoid(z)).astype(np.float32)[:, None]
        model.network.update(model.network.gradients(layers, output * np.float32(batch)), RATE * (1 - update / updates), clip=1.0)
    return model.pairs
