"""Tests of conditional independence by kernels: one by regressed features (KCI's idea), and the HSCIC of the first version.

KCI: with features phi of G, psi of i and chi of z = (h, a), phi and psi given their regressions on chi,
    T = || n^-1 sum (phi - E[phi | z]) [(psi - E[psi | z]) x (1, chi)]' ||_F^2,
whose products have mean zero under the null whatever the conditional scales are.

HSCIC(z) = w'(K_X o K_Y)w - 2 w'((K_X w) o (K_Y w)) + (w'K_X w)(w'K_Y w), w(z) = (K_Z + n lambda I)^-1 k_Z(z), averaged over z.

Source: Zhang et al. 2011 (KCI); Strobl, Zhang & Visweswaran 2019 (by features); Park & Muandet 2020 (HSCIC). Regressing one side's
features alone on z, instead of those of (G, z), is RCoT's simplification. The HSCIC's settings in IAAC's first version: not found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve

from unseen.signals import hsic

CONDITIONS = 256  # landmarks of the features of (h, a)
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # of the largest eigenvalue
DIRECTIONS, MOVING = 24, 12  # leading directions of the signal's features, and of the history's, that are multiplied
HSCIC_ROWS = 500  # rows that the HSCIC looks at: its cost is their cube
HSCIC_RIDGE = 1e-3
NEIGHBOURS = 5  # rows of about the same history, among which returns are exchanged


def standard(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Columns with mean 0 and deviation 1; constant ones stay 0."""
    scale = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(scale > 1e-12, scale, 1.0)


def conditions(x: Float[np.ndarray, "n d"], seed: int) -> Float[np.ndarray, "n q"]:
    """What features are regressed on: the columns of (h, a) themselves, and Gaussian features of them."""
    z = standard(x)
    chi = hsic.features(z, CONDITIONS, seed=seed).rows
    return np.concatenate([z / np.sqrt(z.shape[1]), chi], axis=1)


def interacting(psi: Float[np.ndarray, "n q"], chi: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n p"]:
    """psi times (1, chi): the features of the product of a kernel on what is left of i and 1 + a kernel on z, on leading directions.

    What a signal says about the return may change its sign with the history (left is good here, bad there): only i and z together
    show it. Since psi has mean zero given z, so has every product, and an error in E[phi | z] alone does not make the test reject.
    """
    left, moving = leading(psi, DIRECTIONS), leading(chi, MOVING)
    moving = moving / max(float(np.sqrt(np.sum(moving**2) / len(moving))), 1e-12)
    with_one = np.concatenate([np.ones((len(chi), 1)), moving], axis=1)
    return (left[:, :, None] * with_one[:, None, :]).reshape(len(psi), -1)


def leading(rows: Float[np.ndarray, "n d"], count: int) -> Float[np.ndarray, "n k"]:
    """The columns' principal components of largest variance."""
    if rows.shape[1] <= count:
        return rows
    _, vectors = np.linalg.eigh(rows.T @ rows)
    return rows @ vectors[:, ::-1][:, :count]


def without(phi: Float[np.ndarray, "n p"], z: Float[np.ndarray, "n q"], fold: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n p"]:
    """phi - E[phi | z] by ridge regression on features, cross-fitted; of the weights the one with the least held-out error."""
    best, least = phi, np.inf
    parts = {}
    for k in np.unique(fold):
        rest = fold != k
        gram = z[rest].T @ z[rest]
        values, vectors = np.linalg.eigh(gram)
        parts[k] = values, z[fold == k] @ vectors, vectors.T @ (z[rest].T @ phi[rest])
    for ridge in RIDGES:
        left = np.empty_like(phi)
        for k, (values, rotated, cross) in parts.items():
            left[fold == k] = phi[fold == k] - rotated @ (cross / (np.maximum(values, 0.0) + ridge * values[-1])[:, None])
        error = float(np.sum(left**2))
        if error < least:
            best, least = left, error
    return best


def hscic_test(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n m"], z: Float[np.ndarray, "n d"], episode: Int[np.ndarray, " n"], settings: Any
) -> tuple[float, float, float]:
    """HSCIC of x and y given z, its excess over chance, and a p-value.

    Looks at one random step of each episode, at most 500 of them, so that rows are independent. Under the null x is exchanged among
    the rows whose z are nearest.
    """
    rng = np.random.default_rng(settings.seed)
    shuffled = rng.permutation(len(episode))
    rows = shuffled[np.unique(episode[shuffled], return_index=True)[1]][:HSCIC_ROWS]
    x, y, z = x[rows], y[rows], standard(z[rows])
    kernels = [hsic.gaussian(v, v, hsic.median_bandwidth(v) or 1.0) for v in (x, y, z)]
    n = len(rows)
    ridge = n * HSCIC_RIDGE * np.eye(n)
    w = cho_solve(cho_factor(kernels[2] + ridge), kernels[2])
    groups = _neighbours(z, rng)
    draws = [_hscic(kernels[0], kernels[1], w)]
    for _ in range(settings.draws):
        order = np.arange(n)
        for group in groups:
            order[group] = rng.permutation(group)
        draws.append(_hscic(kernels[0][np.ix_(order, order)], kernels[1], w))
    null = np.asarray(draws)
    most = np.sqrt(_hscic(kernels[0], kernels[0], w) * _hscic(kernels[1], kernels[1], w))
    return float(null[0]), float((null[0] - null[1:].mean()) / most) if most > 0 else 0.0, hsic.p_value(null)


def _hscic(kx: Float[np.ndarray, "n n"], ky: Float[np.ndarray, "n n"], w: Float[np.ndarray, "n n"]) -> float:
    """The mean over the columns w(z) of HSCIC(z)."""
    kxw, kyw = kx @ w, ky @ w
    first = np.einsum("iz,iz->z", w, (kx * ky) @ w)
    second = np.einsum("iz,iz,iz->z", w, kxw, kyw)
    third = np.einsum("iz,iz->z", w, kxw) * np.einsum("iz,iz->z", w, kyw)
    return float(np.mean(first - 2 * second + third))


def _neighbours(z: Float[np.ndarray, "n d"], rng: np.random.Generator) -> list[Int[np.ndarray, " g"]]:
    """Groups of about `NEIGHBOURS` rows near each other: a random row and the nearest that have no group yet."""
    distances = hsic.squared_distances(z, z)
    left = np.ones(len(z), bool)
    groups = []
    for row in rng.permutation(len(z)):
        if left[row]:
            candidates = np.flatnonzero(left)
            group = candidates[np.argsort(distances[row, candidates])[:NEIGHBOURS]]
            left[group] = False
            groups.append(group)
    return groups
