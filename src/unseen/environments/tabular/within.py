"""The best that can be got within a number of steps, the episode being cut there: exactly, or between two bounds."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.alpha import AlphaVectors, repeat_one_action_within
from unseen.environments.tabular.belief import successors
from unseen.environments.tabular.bounds import SAME_BELIEF, Search, Stage
from unseen.environments.tabular.pomdp import TabularPOMDP
from unseen.environments.tabular.sawtooth import Sawtooth
from unseen.environments.tabular.upper import fast_informed_bound_within
from unseen.errors import UserError

_BELIEFS = 2_000  # up to so many, all that can be reached are listed: a second's work
_STAGES_BYTES = 2**28  # what the bounds of all times may take before any search
_FORGOTTEN = 0.1  # a search without a step limit says little about a limit that is discounted less than this


def bounds_within(
    pomdp: TabularPOMDP,
    horizon: int,
    seconds: float | int = 60.0,
    gap: float | int = 1e-3,
    discount: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Bounds on V_H = max over all players who remember everything of E[sum_{t < H} discount^t r_t]: (lower, upper).

    This is the expectation of what a run calls its discounted return, whose episodes are cut after H steps, too. The best
    player may count the steps. Three ways, the first that fits:

    1. Where few beliefs can be reached, V_H is exact: V_0 = 0, V_h(b) = max_a r(b,a) + discount sum_o P(o|b,a) V_{h-1}(b').
    2. Otherwise heuristic search as in `bounds.solve`, with bounds of their own for every number of steps left.
    3. Where discount^H is small, a search without a step limit besides, whose beliefs all times share. Let L <= V <= U be its
       bounds at the start, M >= V(b) and m <= V(b) at every b. A player who is best without a limit gets at most V_H from its
       first H steps and discount^H max(0, M) later; one who is best within H steps can go on for at least
       discount^H min(0, m). Hence L - discount^H max(0, M) <= V_H <= U - discount^H min(0, m).

    Args:
        horizon: H, steps after which the episode is cut.
        seconds: time after which a search stops with what it has; what it has are bounds at any time.
        gap: upper - lower at which it stops earlier; the result is then the same on every run.
        discount: instead of the file's; it may be 1.

    Raises:
        UserError: a horizon below 1, or a discount outside [0, 1].
    """
    gamma = pomdp.discount if discount is None else discount
    if horizon < 1:
        raise UserError(f"horizon {horizon} leaves no step to take; give 1 or more")
    if not 0.0 <= gamma <= 1.0:
        raise UserError(f"discount {gamma} is outside [0, 1]")
    began = clock()

    def late(share: float) -> Callable[[], bool]:
        return lambda: clock() - began > share * seconds

    exact = value_within(pomdp, horizon, gamma, late(0.5))
    if exact is not None:
        return exact, exact
    search = Search(pomdp, gamma, _stages(pomdp, horizon, gamma))
    search.run(gap, late(0.5))
    if gamma**horizon > _FORGOTTEN:
        search.run(gap, late(1.0))
    lower, upper = search.bounds()
    if upper - lower <= gap or gamma**horizon > _FORGOTTEN:
        return lower, upper
    endless = Search(pomdp, gamma)
    most, least = endless.stages[0].upper.corners.max(), endless.stages[0].lower.vectors.min(axis=1).max()
    endless.run(gap, late(1.0))
    endless_lower, endless_upper = endless.bounds()
    lower = max(lower, endless_lower - gamma**horizon * max(0.0, float(most)))
    return lower, max(lower, min(upper, endless_upper - gamma**horizon * min(0.0, float(least))))


def value_within(
    pomdp: TabularPOMDP, horizon: int, discount: float, late: Callable[[], bool] = lambda: False, most: int = _BELIEFS
) -> float | None:
    """V_H by dynamic programming over the beliefs that can be reached; None where there are more than `most`, or it is late.

    Beliefs that agree to 12 decimals count as one.
    """
    actions = pomdp.shape[0]
    support = np.flatnonzero(pomdp.start)
    beliefs, depth = [(support, pomdp.start[support])], [0]
    index = {_key(*beliefs[0]): 0}
    row, column, chance = [], [], []  # of P(b'|b,a), with row b * A + a
    k = 0
    while k < len(beliefs):
        if len(beliefs) > most or late():
            return None
        # With V_0 = 0, what follows the last step does not count; a belief first met at time t never has more than H - t left.
        for a in range(actions if depth[k] < horizon - 1 else 0):
            for _, p, states, weights in successors(pomdp, *beliefs[k], a):
                j = index.setdefault(_key(states, weights), len(beliefs))
                if j == len(beliefs):
                    beliefs.append((states, weights))
                    depth.append(depth[k] + 1)
                row.append(k * actions + a)
                column.append(j)
                chance.append(p)
        k += 1
    moves = sparse.csr_array((chance, (row, column)), shape=(len(beliefs) * actions, len(beliefs)))
    reward = np.stack([pomdp.expected_reward[:, states] @ weights for states, weights in beliefs])
    value = np.zeros(len(beliefs))
    for _ in range(horizon):
        value = (reward + discount * (moves @ value).reshape(-1, actions)).max(axis=1)
    return float(value[0])


def _stages(pomdp: TabularPOMDP, horizon: int, discount: float) -> list[Stage]:
    """Bounds at times 0, 1, .., H before any search: repeating one action, and the fast informed bound.

    Where all of them would take too much memory the list ends earlier, with bounds on what is left then.
    """
    actions, states, _ = pomdp.shape
    kept = max(1, min(horizon, _STAGES_BYTES // (16 * actions * states)))
    stages, after = [], None
    bounds = zip(repeat_one_action_within(pomdp, discount, horizon), fast_informed_bound_within(pomdp, discount, horizon))
    for left, (plans, informed) in enumerate(bounds):
        if left >= horizon - kept:
            after = AlphaVectors(pomdp, discount, plans, after)
            stages.append(Stage(after, Sawtooth(pomdp, discount, informed)))
    return stages[::-1]


def _key(states: np.ndarray, weights: np.ndarray) -> bytes:
    return states.tobytes() + np.round(weights, SAME_BELIEF).tobytes()
