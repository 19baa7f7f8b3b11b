"""What an output was worth beyond what was expected: pure functions of arrays over time, for one environment.

Index t of every argument belongs to the step from t-1 to t, as in `unseen.learning.returns`: `v_tm1[k]` is the value where output k was
written, `r_t[k]` what it brought, `v_t[k]` the value of what followed. A termination is worth nothing more; a cut (`cut_t[k]` = 1: a time
limit, or the end of the rollout) is bootstrapped from `v_t[k]`, and nothing behind it is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from unseen.learning.returns import generalized_advantage

Steps = Float[np.ndarray, " T"]
Tokens = Float[np.ndarray, " _"]


def turn_level(r_t: Steps, terminated_t: Steps, cut_t: Steps, v_tm1: Steps, v_t: Steps, discount: float, lambda_: float) -> Steps:
    """One advantage per step: delta_t = r_t + discount v_t - v_tm1, A_tm1 = delta_t + discount lambda A_t.

    Args:
        r_t, terminated_t, cut_t, v_tm1, v_t: (T,) of consecutive steps; the last one must have ended or been cut.
        discount, lambda_: per step of the environment.

    Source: Schulman et al. 2016, equation 16, on whole outputs (specification §11.4).
    """
    return generalized_advantage(r_t, discount * (1.0 - terminated_t), v_tm1, v_t, lambda_, continues_t=1.0 - cut_t)


def dual_discount(
    r_t: Steps, terminated_t: Steps, cut_t: Steps, values: Sequence[Tokens], v_t: Steps, discount: float, lambda_: float
) -> list[Tokens]:
    """One advantage per token, with a discount and a lambda of 1 from token to token, and the given ones from step to step.

    delta_j = g_j v_{j+1} - v_j (+ r_t at a step's last token),  A_j = delta_j + g_j l_j A_{j+1}
    with g = l = 1 inside a step, and g = discount, l = lambda behind its last token.

    Args:
        r_t, terminated_t, cut_t: (T,) as in `turn_level`.
        values: for every step the values before each of its tokens, (tokens,).
        v_t: (T,) the value before the first token of what followed; used where a step was cut, elsewhere it is `values[t + 1][0]`.
        discount, lambda_: per step of the environment.

    Source: the dual-discount advantages of Verlog (public code and report); the formula is the specification's, §11.4.
    """
    advantages: list[Tokens] = []
    following = 0.0
    for t in range(len(r_t) - 1, -1, -1):
        goes_on = 0.0 if cut_t[t] else following
        last = len(values[t]) - 1
        a = np.zeros(len(values[t]))
        a[last] = r_t[t] + discount * (1.0 - terminated_t[t]) * (v_t[t] + lambda_ * goes_on) - values[t][last]
        for j in range(last - 1, -1, -1):
            a[j] = values[t][j + 1] - values[t][j] + a[j + 1]
        following = a[0]
        advantages.append(a)
    return advantages[::-1]


def discounted_return(r_t: Steps, discount: float) -> float:
    """G = sum_k discount^k r_k, of a whole episode."""
    return float(np.sum(r_t * discount ** np.arange(len(r_t))))


def group_baseline(returns: Float[np.ndarray, " groups members"]) -> Float[np.ndarray, " groups members"]:
    """Returns minus the mean over all episodes of the same seed; no critic.

    A group's own spread is not divided by, which would weigh seeds by how alike their episodes are.

    Source: Shao et al. 2024 (GRPO) for the group; theirs is divided by the group's standard deviation.
    """
    return returns - returns.mean(1, keepdims=True)
