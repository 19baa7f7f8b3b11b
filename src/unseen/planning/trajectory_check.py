"""The same worth without any Markov state: whole histories reweighted by the known probabilities.

For a row (i, t), with δ the Bellman residuals of the learner's first Q (fitted on other episodes) and ρ = π_e / p of each decision,

    Y_t = δ_t + γ ρ_{t+1} Y_{t+1},    score = Q1(s_t, plan) − Q1(s_t, act) + c(d_t) / p(d_t) · Y_t,    c(plan) = 1, c(act) = −1.

Its mean is right whatever Q1 is and whether or not the state is Markov, since p is known; importance sampling is the case Q1 = 0, and Q1
takes most of its variance away. The DRQ-learner's score differs in one thing: it weighs later residuals by where the policy goes *as the
state tells it*. Where both differ by more than chance, the state does not tell all.

Source: the estimator is that of Jiang & Li 2016, for a contrast; its use as a test of the state is ours.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from unseen.outcomes import DRQLearner, Estimate
from unseen.outcomes.functionals import Regions
from unseen.outcomes.returns import weighted_returns


def by_trajectory(learner: DRQLearner, regions: Regions) -> Estimate:
    """The contrast in each region by whole histories.

    Args:
        learner: fitted, on a log whose every row has the probabilities of all actions.
        regions: of one contrast.

    Returns:
        An `Estimate` from the same episodes, so that its difference from the learner's has an error.
    """
    p = learner.problem_
    rows = p.rows
    known = 1 / logged(learner)
    delta, q = (learner.by_row([getattr(fold, name) for fold in learner.folds_]) for name in ("delta", "q"))
    onwards = weighted_returns(delta, p.discount * rows.taken * known, rows.trajectory)
    local = q + rows.indicator * (known * onwards)[:, None]
    return learner.estimate(regions, learner.sums(rows, lambda part: regions.mix(rows.take(part), local[part])))


def logged(learner: DRQLearner) -> Float64[np.ndarray, " n"]:
    """(n,) the known probability of what was decided."""
    rows = learner.problem_.rows
    assert rows.logged is not None  # `treatment` gives them
    return rows.logged
