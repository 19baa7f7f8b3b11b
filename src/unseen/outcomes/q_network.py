"""Neural Q: fitted Q evaluation with a target network, and the second stage on the pairwise loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from unseen.outcomes.features import StateFeatures
from unseen.outcomes.network import Network
from unseen.outcomes.rows import Rows

HIDDEN = (64, 64)
BATCH = 256
UPDATES = 6_000
RATE = 1e-3
FOLLOW = 0.01


@dataclass(frozen=True, eq=False)
class NetworkQ:
    """One output for each action, on targets that were standardised.

    Attributes:
        network: its outputs are (Q - mean) / deviation.
        features: it sees their columns, with all levels.
        mean, deviation: of the targets.
    """

    network: Network
    features: StateFeatures
    mean: float
    deviation: float

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        x = self.features.columns(states, every_level=True).astype(np.float32)
        return self.mean + self.deviation * self.network(x).astype(np.float64)


def drawn(features: StateFeatures, actions: int, seed: int) -> Network:
    """A fresh network for these features and actions."""
    return Network.drawn((features.width, *HIDDEN, actions), seed)


def fit_q_network(rows: Rows, features: StateFeatures, discount: float, seed: int, updates: int = UPDATES) -> NetworkQ:
    """Fitted Q evaluation by gradient steps on (R + gamma (1-D) sum_a pi_e Q-(S~, a) - Q(S, A))^2, Q- a slowly moving copy."""
    rng = np.random.default_rng(seed)
    online = drawn(features, rows.n_actions, seed)
    target = online.copy()
    x = features.columns(rows.states, every_level=True).astype(np.float32)
    x_next = features.columns(rows.next_states, every_level=True).astype(np.float32)
    deviation = max(float(rows.rewards.std()), 1e-6) / max(1 - discount, 0.05)
    mean = float(rows.rewards.mean()) / max(1 - discount, 0.05) if rows.alive.all() else 0.0
    reward = ((rows.rewards - mean * (1 - discount * rows.alive)) / deviation).astype(np.float32)
    onward = (discount * rows.alive).astype(np.float32)
    policy = rows.next_policy.astype(np.float32)
    for update in range(updates):
        i = rows.draw(rng, BATCH)
        aim = reward[i] + onward[i] * (policy[i] * target(x_next[i])).sum(axis=1)
        layers = online.forward(x[i])
        error = np.zeros_like(layers[-1])
        error[np.arange(BATCH), rows.actions[i]] = (layers[-1][np.arange(BATCH), rows.actions[i]] - aim) / np.float32(BATCH)
        online.update(online.gradients(layers, error), RATE * (1 - update / updates))
        target.follow(online, FOLLOW)
    return NetworkQ(online, features, mean, deviation)


def fit_pairwise(
    states: Float64[np.ndarray, "n d"],
    local: Float64[np.ndarray, "n A"],
    pair_term: Any,
    weight: Float64[np.ndarray, "n A"],
    features: StateFeatures,
    seed: int,
    updates: int = UPDATES,
) -> NetworkQ:
    """The second stage by minibatches: minimise sum_a lambda (local + mean over an independent batch of the pair term - g)^2.

    Args:
        states: S of every row.
        local: Q1 + 1{A=a} delta / pi_b, the part of the pseudo-outcome that needs no second draw.
        pair_term: from row numbers (b,) and a generator to (b, A): the mean of w(S_j|S_i,a) rho_j delta_j over a batch of rows j of the
            same fold drawn on their own.
        weight: lambda times the row's weight.
        features: of the states.
        seed: of everything drawn.
        updates: gradient steps.
    """
    rng = np.random.default_rng(seed)
    network = drawn(features, local.shape[1], seed)
    x = features.columns(states, every_level=True).astype(np.float32)
    mean, deviation = float(np.average(local, weights=weight)), max(float(local.std()), 1e-6)
    scale = float(weight.mean())
    for update in range(updates):
        i = rng.integers(len(x), size=BATCH)
        aim = (local[i] + pair_term(i, rng) - mean) / deviation
        layers = network.forward(x[i])
        error = ((layers[-1] - aim) * weight[i] / scale / BATCH).astype(np.float32)
        network.update(network.gradients(layers, error), RATE * (1 - update / updates))
    return NetworkQ(network, features, mean, deviation)
