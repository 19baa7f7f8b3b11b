"""The Hilbert-Schmidt independence criterion between two sets of rows, by Nyström features, with nulls that respect episodes.

HSIC = tr(K H L H) / n^2 for Gaussian kernels K, L and H = I - 11'/n. With landmarks S, the features Phi = K_{.S} (K_SS)^(-1/2) give
K ~ Phi Phi', and with columns centred HSIC ~ ||Phi' Psi / n||_F^2; landmarks at every row give the exact value.

Source: Gretton et al. 2005 (HSIC); IAAC, criterion A (second hand): Gaussian kernels, median heuristic, 512 landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import eigh
from scipy.spatial.distance import cdist, pdist

from unseen.errors import UserError

LANDMARKS = 512
DROPPED = 1e-10  # feature directions whose eigenvalue is below this share of the largest say nothing in double precision
MEDIAN_ROWS = 1_000  # rows among which the median distance is taken
PRODUCTS = 2**24  # numbers held at once while contributions of episodes are multiplied
SAME = 1e-5  # draws are compared in single precision: values this close, relative, count as equal (and so against us)


class Features(NamedTuple):
    """Centred Nyström features: rows of phi(x) - mean, and the bandwidth of their kernel."""

    rows: Float[np.ndarray, "n d"]
    bandwidth: float


def squared_distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Squared Euclidean distances between rows."""
    return cdist(x, y, "sqeuclidean")


LEAST_BANDWIDTH = 0.25  # of the mean squared distance


def median_bandwidth(x: Float[np.ndarray, "n d"]) -> float:
    """sigma^2 = median of the squared distances between different rows; the kernel is exp(-|x - y|^2 / (2 sigma^2)).

    Taken among at most 1,000 evenly spread rows. At least a quarter of the mean squared distance (a Gaussian's median is 0.45 of it,
    so this binds for rare events only): of residuals of rare events most pairs differ by nothing but what a regression got wrong,
    and a kernel that resolves that finds the same errors on both sides. Zero only for a constant.
    """
    few = x if len(x) <= MEDIAN_ROWS else x[np.linspace(0, len(x) - 1, MEDIAN_ROWS).astype(int)]
    distances = pdist(few, "sqeuclidean")
    if not len(distances):
        return 0.0
    bandwidth = max(float(np.median(distances)), LEAST_BANDWIDTH * float(distances.mean()))
    return bandwidth if bandwidth > 1e-24 else 0.0


def gaussian(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], bandwidth: float) -> Float[np.ndarray, "n m"]:
    """exp(-|x - y|^2 / (2 bandwidth)); `bandwidth` is sigma squared."""
    kernel = squared_distances(x, y)
    kernel *= -0.5 / bandwidth
    return np.exp(kernel, out=kernel)


def features(
    x: Float[np.ndarray, "n d"], landmarks: int = LANDMARKS, *, seed: int = 0, dropped: float = DROPPED, bandwidth: float | None = None
) -> Features:
    """Centred Nyström features of a Gaussian kernel.

    Args:
        x: rows.
        landmarks: rows drawn without replacement; as many as rows, or more, make it exact.
        seed: of the draw.
        dropped: directions with an eigenvalue below this share of the largest are left out.
        bandwidth: sigma^2; the median heuristic by default.

    Returns:
        Features with as many columns as directions were kept; none for a constant.
    """
    bandwidth = median_bandwidth(x) if bandwidth is None else bandwidth
    if bandwidth == 0.0:
        return Features(np.zeros((len(x), 0)), 0.0)
    if landmarks >= len(x):
        chosen = x
    else:
        chosen = x[np.sort(np.random.default_rng(seed).choice(len(x), landmarks, replace=False))]
    values, vectors = eigh(gaussian(chosen, chosen, bandwidth))
    kept = values > dropped * values[-1]
    rows = gaussian(x, chosen, bandwidth) @ (vectors[:, kept] / np.sqrt(values[kept]))
    return Features(rows - rows.mean(axis=0), bandwidth)


def hsic(phi: Float[np.ndarray, "n p"], psi: Float[np.ndarray, "n q"]) -> float:
    """||phi' psi / n||_F^2 of centred features."""
    return float(np.sum((phi.T @ psi / len(phi)) ** 2))


def normalised(phi: Float[np.ndarray, "n p"], psi: Float[np.ndarray, "n q"]) -> float:
    """HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)), between 0 and 1; 0 where either is constant.

    Source: Cortes, Mohri & Rostamizadeh 2012 (centred kernel alignment).
    """
    scale = np.sqrt(hsic(phi, phi) * hsic(psi, psi))
    return hsic(phi, psi) / float(scale) if scale > 0 else 0.0


def permutation_null(
    phi: Float[np.ndarray, "n p"], psis: Sequence[Float[np.ndarray, "n _"]], episodes: int, draws: int, *, seed: int = 0
) -> Float[np.ndarray, "{draws}+1 k"]:
    """HSIC of `phi` with each of `psis` when whole episodes of `phi` are exchanged; row 0 is the identity.

    Every draw keeps what an episode's steps have to do with each other, and which step is which. All sets of features get the
    same permutations, so subsets are compared on the same draws.

    Args:
        phi: centred features of `episodes` episodes of equal length, episode after episode.
        psis: features of other quantities on the same rows.
        episodes: how many; divides the rows.
        draws: permutations.
        seed: of the permutations.
    """
    n = len(phi)
    if n % episodes:
        raise UserError(f"{n} rows are not {episodes} episodes of equal length; use the wild bootstrap")
    steps = n // episodes
    rng = np.random.default_rng(seed)
    orders = np.stack([np.arange(episodes), *(rng.permutation(episodes) for _ in range(draws))])
    p = phi.shape[1]
    widths = np.cumsum([psi.shape[1] for psi in psis])
    all_psi = np.ascontiguousarray(np.concatenate(psis, axis=1), dtype=np.float32) if psis else np.zeros((n, 0), np.float32)
    by_episode = np.ascontiguousarray(phi.reshape(episodes, steps * p), dtype=np.float32)
    block = max(1, int(2**25 // max(1, n * p)))  # permuted copies that fit into memory together
    rows = []
    for first in range(0, len(orders), block):
        some = orders[first : first + block]
        permuted = by_episode[some].reshape(len(some), n, p).transpose(1, 0, 2).reshape(n, -1)
        products = (permuted.T @ all_psi / np.float32(n)).reshape(len(some), p, -1) ** 2
        rows.append(np.stack([part.sum(axis=(1, 2)) for part in np.split(products, widths[:-1], axis=2)], axis=1))
    return np.concatenate(rows).astype(float)


def wild_null(
    phi: Float[np.ndarray, "n p"],
    psis: Sequence[Float[np.ndarray, "n _"]],
    episode: Int[np.ndarray, " n"],
    draws: int,
    *,
    centred: bool = False,
    seed: int = 0,
) -> Float[np.ndarray, "{draws}+1 k"]:
    """||sum_e w_e C_e / n||_F^2 with C_e = sum_t phi_et psi_et' and one random sign w_e for each episode; row 0 has every sign +.

    For episodes of unequal length, which cannot be exchanged. Under the null every C_e has mean zero.

    Args:
        phi, psis: features whose products have mean zero under the null: centre them by step (`centred_by_step`).
        episode: number of each row's episode.
        draws: random signs.
        centred: draw the null around the observed mean of C_e, with standard normal weights instead of signs. For features that are
            residuals of a flexible regression: signs then reject too often (measured: 27 to 37 of 250 at 5 %, centred 1 to 19).
        seed: of the weights.

    Source: Chwialkowski, Sejdinovic & Gretton 2014 (wild bootstrap for kernel tests); one sign for each episode: proposed.
    """
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    ends = np.append(starts[1:], len(episode))
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((draws, len(starts))) if centred else rng.choice([-1.0, 1.0], (draws, len(starts)))
    columns = []
    for psi in psis:
        gram, observed = np.zeros((len(starts), len(starts))), 0.0  # <C_e, C_e'> / n^2, a few columns of phi at a time
        some = max(1, PRODUCTS // (len(starts) * max(1, psi.shape[1])))
        for first in range(0, phi.shape[1], some):
            part = phi[:, first : first + some]
            products = np.stack([(part[s:e].T @ psi[s:e]).ravel() for s, e in zip(starts, ends, strict=True)]) / len(phi)
            observed += float(np.sum(products.sum(axis=0) ** 2))
            if centred:
                products = products - products.mean(axis=0)
            gram += products @ products.T
        columns.append(np.concatenate([[observed], np.einsum("be,be->b", weights @ gram, weights)]))
    return np.stack(columns, axis=1)


def centred_by_step(rows: Float[np.ndarray, "n d"], step: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """Rows minus the mean of the rows at the same step of their episodes: lengths differ, and so does who is left at each step."""
    counts = np.bincount(step)
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, step, rows)
    return rows - (sums / np.maximum(counts, 1)[:, None])[step]


def p_value(null: Float[np.ndarray, " rows"]) -> float:
    """(1 + #{draws >= observed}) / (draws + 1), the observed statistic in row 0.

    Source: the form with + 1 (Phipson & Smyth 2010) is proposed; IAAC does not state one.
    """
    observed, drawn = null[0], null[1:]
    return float((1 + np.sum(drawn >= observed * (1 - SAME))) / (len(drawn) + 1))
