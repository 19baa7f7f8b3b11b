"""How large the leaves of a second stage's trees must be: as large as the loss on held-out trajectories allows.

A pseudo-outcome errs up to 1 / pi_b times as much as an outcome does, and one rare ending can outweigh a thousand other rows. Leaves that
suit outcomes follow such rows one by one; which size suits pseudo-outcomes is for the orthogonal loss to say.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from unseen.outcomes.features import StateFeatures
from unseen.outcomes.regression import ActionRegression, fit_q, regressor
from unseen.outcomes.rows import Rows, folds_by_trajectory

SMALLEST = {"forest": ("min_samples_leaf", 5), "boosting": ("min_samples_leaf", 20), "lightgbm": ("min_child_samples", 20)}
FACTOR, MOST_SIZES = 4, 5
LARGEST = 4  # so many leaves of the largest size fit into the rows at least
FEWEST = 10  # trajectories, below which there is nothing to choose by


def sizes(kind: str, rows: int) -> list[int]:
    """The smallest leaf of this kind of trees, and its multiples."""
    smallest = SMALLEST[kind][1]
    return [smallest] + [s for k in range(1, MOST_SIZES) if (s := smallest * FACTOR**k) * LARGEST <= rows]


def fit_trees(
    kind: str,
    rows: Rows,
    targets: Float64[np.ndarray, "n A"],
    scale: Float64[np.ndarray, "n A"],
    features: StateFeatures,
    mode: str,
    trajectories: int,
    seed: int,
    half: Int64[np.ndarray, " n"] | None = None,
) -> tuple[ActionRegression, int]:
    """Regress pseudo-outcomes with the largest leaves that no held-out loss speaks against.

    The loss sum_a lambda (Phi - g)^2 is compared on halves of the trajectories, each predicted by the other. The largest size is taken
    whose loss exceeds the smallest loss by no more than one standard error of the difference, by trajectory. That is at most eleven fits.

    Args:
        kind: "forest", "boosting" or "lightgbm".
        rows: with their states.
        targets: (n, A) pseudo-outcomes.
        scale: (n, A) weights.
        features: of the states.
        mode: a model for each action, or one that sees the action.
        trajectories: N, numbers that rows refer to.
        seed: of the halves and of the trees.
        half: (n,) 0 or 1: halves of whole cross-fitting folds, whose pseudo-outcomes share their errors; None: drawn.

    Returns:
        g, and the rows of its smallest leaf.
    """
    name, leaf = SMALLEST[kind]

    def fitted(size: int, of: Int64[np.ndarray, " m"]) -> ActionRegression:
        states, actions = np.repeat(rows.states[of], rows.n_actions, axis=0), np.tile(np.arange(rows.n_actions), len(of))
        model = regressor(kind, seed, len(of)).set_params(**{name: size})
        return fit_q(states, actions, targets[of].ravel(), scale[of].ravel(), model, features, rows.n_actions, mode)

    candidates = sizes(kind, len(rows))
    if len(np.unique(rows.trajectory)) >= FEWEST and len(candidates) > 1:
        if half is None:
            half = folds_by_trajectory(rows.trajectory, trajectories, 2, seed)[rows.trajectory]
        losses = np.zeros((len(candidates), trajectories))
        for here, there in ((np.flatnonzero(half == k), np.flatnonzero(half != k)) for k in range(2)):
            for loss, size in zip(losses, candidates):
                error = scale[here] * (targets[here] - fitted(size, there).values(rows.states[here])) ** 2
                loss += np.bincount(rows.trajectory[here], error.sum(axis=1), trajectories)
        leaf = largest_of(candidates, losses)
    return fitted(leaf, np.arange(len(rows))), leaf


def largest_of(candidates: list[int], losses: Float64[np.ndarray, "c N"]) -> int:
    """The largest candidate whose loss is within one standard error of the smallest."""
    excess = losses - losses[int(np.argmin(losses.sum(axis=1)))]
    error = excess.std(axis=1) * np.sqrt(excess.shape[1])
    return candidates[int(np.flatnonzero(excess.sum(axis=1) <= error).max())]
