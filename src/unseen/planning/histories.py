"""The worth of planning with histories weighed by the known probabilities for as long as one likes, and by the state from there on.

For a row (i, t), with δ the Bellman residuals of the learner's first Q (fitted on other episodes), ρ = π_e / p of each decision,
c(plan) = 1 and c(act) = −1:

    L_0 = c(d_t) / p(d_t),    L_m = γ ρ_{t+m} L_{m−1}    (the weight of this episode's own m-th step from here)
    score = Q1(s_t, plan) − Q1(s_t, act) + Σ_{m ≤ k} L_m δ_{t+m} + Σ_j ω_k(s_j) ρ_j δ_j,

with ω_k the discounted visits, told by the state, of who goes on from step k under the evaluation policy. k = 0 is the DRQ-learner's score:
everything behind the decision rests on the state. With whole histories nothing does: the mean is right whatever Q1 is and whether or not
the state is Markov, since p is known, and importance sampling is the case Q1 = 0. A state that forgets something for a few steps only, such
as what an agent does until its next plan, does no harm beyond k.

Source: whole histories: the estimator of Jiang & Li 2016, of a contrast; the state's part: the flow equation of the outcomes specification,
4.7; what lies between them is ours.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from unseen.outcomes import DRQLearner, Estimate
from unseen.outcomes.fold import RowFold
from unseen.outcomes.functionals import Regions


def by_history(learner: DRQLearner, regions: Regions, steps: int | None) -> Estimate:
    """The contrast in each region, histories weighed for so many steps behind the decision.

    Args:
        learner: fitted, on a log whose every row has the probabilities of all actions; of numeric states where `steps` is a number.
        regions: of one contrast.
        steps: k; None: whole histories.

    Returns:
        An `Estimate` from the same episodes, so that its difference from another has an error.
    """
    p = learner.problem_
    rows = p.rows
    assert rows.logged is not None  # `treatment` gives them
    known = 1 / rows.logged
    rho = rows.taken * known
    delta, q = (learner.by_row([getattr(fold, name) for fold in learner.folds_]) for name in ("delta", "q"))
    first = np.append(True, rows.trajectory[1:] != rows.trajectory[:-1])
    local = regions.mix(rows, rows.indicator * known[:, None])
    weights = local.copy()
    for _ in range(len(rows) if steps is None else steps):
        local = p.discount * rho[:, None] * _later(local, first)
        if not local.any():
            break
        weights += local
    if steps is not None:
        weights += rho[:, None] * _onward(learner, local)
    scores = regions.mix(rows, q) + weights * delta[:, None]
    return learner.estimate(regions, learner.sums(rows, lambda part: scores[part]))


def _later(weights: Float64[np.ndarray, "n k"], first: Bool[np.ndarray, " n"]) -> Float64[np.ndarray, "n k"]:
    """(n, k) of each row what stood in the row before, of the same episode; 0 in its first row."""
    return np.where(first[:, None], 0.0, np.roll(weights, 1, axis=0))


def _onward(learner: DRQLearner, local: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "n k"]:
    """(n, k) ω: each fold's rows by the flow that was fitted on the others, begun in the others with their weights."""
    rows, found = learner.problem_.rows, np.empty_like(local)
    for fold, part in zip(learner.folds_, learner.parts_, strict=True):
        assert isinstance(fold, RowFold)
        assert fold.nuisances.flow is not None
        others = np.setdiff1d(np.arange(len(rows)), part) if len(learner.folds_) > 1 else part
        flow = fold.nuisances.flow
        found[part] = flow.at(fold.rows.states, flow.from_rows([(rows.take(others), local[others])]))
    return found
