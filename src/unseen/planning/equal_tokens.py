"""Is an agent better than fixed schedules *for what it spends*? Its value against the best mixture of schedules of equal tokens.

Whoever may choose a schedule for every episode by a coin reaches every point on the line between two of them, so that the fair rival of an
agent that writes T tokens is the upper concave envelope of the schedules' points (tokens, value), at T: what the best mixture reaches that
writes no more than T.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.planning.accounting import Estimate, per_episode, whole

DRAWS = 2_000
COINS = 7  # of the bootstrap


class AtEqualTokens(NamedTuple):
    """An agent against fixed schedules.

    Attributes:
        tokens: that it writes in an episode.
        value: that it reaches.
        fixed: what the best mixture reaches with no more tokens; where even the cheapest schedule writes more, what that reaches.
        gap: value − fixed, with a 95 % interval over instances.
        schedules: of the mixture.
    """

    tokens: float
    value: float
    fixed: float
    gap: Estimate
    schedules: tuple[str, ...]


def at_equal_tokens(agent: Episodes, fixed: Mapping[str, Episodes], value: str = "return", *, cost: str = "output_tokens") -> AtEqualTokens:
    """Compare on the instances that all of them played.

    gap = mean value − max { Σ_k w_k · value_k : w ≥ 0, Σ_k w_k = 1, Σ_k w_k · tokens_k ≤ tokens }

    The best mixture is chosen on the very instances it is scored on, which flatters the fixed schedules and not the agent; the interval is
    that of a bootstrap over instances in which it is chosen anew.

    Args:
        agent: its episodes.
        fixed: schedule -> episodes of the same instances.
        value, cost: columns of `per_episode`.

    Raises:
        UserError: no schedule, or fewer than two instances in common.
    """
    if not fixed:
        raise UserError("at_equal_tokens needs at least one fixed schedule to compare with")
    everyone = [agent, *fixed.values()]
    tables = [per_episode(whole(episodes)).unique("seed", keep="first") for episodes in everyone]
    common = sorted(set.intersection(*(set(table["seed"]) for table in tables)))
    if len(common) < 2:
        raise UserError(f"{len(common)} instances were played by all; give the same seeds to the agent and to every schedule")
    columns = [table.filter(table["seed"].is_in(common)).sort("seed") for table in tables]
    values, costs = (np.stack([table[name].to_numpy().astype(np.float64) for table in columns]) for name in (value, cost))
    best, mixed = envelope(costs[1:].mean(1), values[1:].mean(1), float(costs[0].mean()))
    generator = np.random.default_rng(COINS)
    drawn = generator.integers(len(common), size=(DRAWS, len(common)))
    gaps = [_gap(values[:, rows].mean(1), costs[:, rows].mean(1)) for rows in drawn]
    low, high = np.quantile(gaps, [0.025, 0.975])
    mean = float(values[0].mean())
    names = list(fixed)
    gap = Estimate(mean - best, float(np.std(gaps)), float(low), float(high))
    return AtEqualTokens(float(costs[0].mean()), mean, best, gap, tuple(names[k] for k in mixed))


def _gap(values: Float[np.ndarray, " k"], costs: Float[np.ndarray, " k"]) -> float:
    return float(values[0]) - envelope(costs[1:], values[1:], float(costs[0]))[0]


def envelope(costs: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], budget: float) -> tuple[float, tuple[int, ...]]:
    """The best mean value of a mixture whose mean cost is within the budget, and which points it mixes: one or two.

    Args:
        costs, values: (k,) of each point.
        budget: where the cheapest point is above it, that point is taken.
    """
    within = costs <= max(budget, float(costs.min()))
    best = int(np.flatnonzero(within)[np.argmax(values[within])])
    found, mixed = float(values[best]), (best,)
    for i in np.flatnonzero(within):
        for j in np.flatnonzero(~within):
            share = (budget - costs[i]) / (costs[j] - costs[i])
            mixture = float((1 - share) * values[i] + share * values[j])
            if costs[i] <= budget and mixture > found:
                found, mixed = mixture, (int(i), int(j))
    return found, mixed
