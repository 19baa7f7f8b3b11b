"""Is an agent better than fixed schedules *for what it spends*? Its value against the best mixture of schedules of equal tokens.

Whoever may choose a schedule for every episode by a coin reaches every point on the line between two of them, so that the fair rival of an
agent that writes T tokens is the upper concave envelope of the schedules' points (tokens, value), at T: what the best mixture reaches that
writes no more than T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.planning.accounting import Estimate, estimate, per_episode, whole

FEWEST = 10  # instances in common
FOLDS = 2  # with more, the folds' rivals are so much alike that the interval comes out too short (7 % missed with 10)
COINS = 7  # of the folds


class AtEqualTokens(NamedTuple):
    """An agent against fixed schedules.

    Attributes:
        tokens: that it writes in an episode.
        value: that it reaches.
        fixed_tokens, fixed: what its rival writes and reaches; its rival writes more only where every schedule does.
        gap: value − fixed, with a 95 % interval over instances.
        schedules: of the mixture that is the rival on all instances together.
    """

    tokens: float
    value: float
    fixed_tokens: float
    fixed: float
    gap: Estimate
    schedules: tuple[str, ...]


def at_equal_tokens(
    agent: Episodes, fixed: Mapping[str, Episodes], value: str = "return", *, cost: str = "output_tokens", discount: float | None = None
) -> AtEqualTokens:
    """Compare on the instances that all of them played.

    rival = argmax { Σ_k w_k · value_k : w ≥ 0, Σ_k w_k = 1, Σ_k w_k · tokens_k ≤ tokens }

    The rival is chosen on one half of the instances and meets the agent on the other, in turn, so that choosing the highest of noisy means
    flatters nobody; the interval is Student's over instances.

    Args:
        agent: its episodes.
        fixed: schedule -> episodes of the same instances.
        value, cost: columns of `per_episode`.
        discount: of the return per step, which is then the value; None: the column as it is.

    Raises:
        UserError: no schedule, or fewer than ten instances in common.
    """
    if not fixed:
        raise UserError("at_equal_tokens needs at least one fixed schedule to compare with")
    return compared([_table(episodes, value, cost, discount) for episodes in (agent, *fixed.values())], list(fixed))


def compared(tables: Sequence[Mapping[int, tuple[float, float]]], names: Sequence[str]) -> AtEqualTokens:
    """`at_equal_tokens` of (value, cost) by instance, the agent's first; the others have names.

    Raises:
        UserError: fewer than ten instances in common.
    """
    common = sorted(set.intersection(*(set(table) for table in tables)))
    if len(common) < FEWEST:
        raise UserError(f"{len(common)} instances were played by all, and {FEWEST} are needed; give all of them the same seeds")
    values, costs = np.array([[table[seed] for seed in common] for table in tables], np.float64).transpose(2, 0, 1)
    fold = np.random.default_rng(COINS).permutation(len(common)) % FOLDS
    rival = np.empty((2, len(common)))
    for k in range(FOLDS):
        others, here = fold != k, fold == k
        weights = mixture(costs[1:, others].mean(1), values[1:, others].mean(1), float(costs[0, others].mean()))
        rival[:, here] = weights @ values[1:, here], weights @ costs[1:, here]
    chosen = mixture(costs[1:].mean(1), values[1:].mean(1), float(costs[0].mean()))
    mixed = tuple(name for name, weight in zip(names, chosen, strict=True) if weight > 0)
    reached, spent = rival.mean(1).tolist()
    return AtEqualTokens(float(costs[0].mean()), float(values[0].mean()), spent, reached, estimate(values[0] - rival[0]), mixed)


def _table(episodes: Episodes, value: str, cost: str, discount: float | None) -> dict[int, tuple[float, float]]:
    """Value and cost by instance."""
    played = whole(episodes)
    table = per_episode(played)
    values = table[value].to_numpy() if discount is None else played.returns(discount)
    return dict(zip(table["seed"].to_list(), zip(values.tolist(), table[cost].to_list(), strict=True), strict=True))


def mixture(costs: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], budget: float) -> Float[np.ndarray, " k"]:
    """The weights of the best mixture whose mean cost is within the budget: of one point or of two.

    Args:
        costs, values: (k,) of each point.
        budget: where the cheapest point is above it, that point is taken.
    """
    within = np.flatnonzero(costs <= max(budget, float(costs.min())))
    weights = np.eye(len(costs))[within[np.argmax(values[within])]]
    for i in within:
        for j in np.flatnonzero(costs > budget):
            if costs[i] <= budget:
                share = (budget - costs[i]) / (costs[j] - costs[i])
                mixed = np.zeros(len(costs))
                mixed[[i, j]] = 1 - share, share
                weights = max(weights, mixed, key=lambda w: float(w @ values))
    return weights
