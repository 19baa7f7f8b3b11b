"""Lower and upper bounds on a POMDP's optimal value, by heuristic search over the beliefs worth knowing about (HSVI2).

A trial walks from the start belief: at each belief the action that looks best under the upper bound, then the observation
after which the two bounds are furthest apart. On the way back both bounds are tightened at the beliefs it passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from unseen.environments.tabular.alpha import AlphaVectors
from unseen.environments.tabular.belief import successors
from unseen.environments.tabular.policy import AlphaVectorPolicy
from unseen.environments.tabular.pomdp import TabularPOMDP
from unseen.environments.tabular.sawtooth import Sawtooth
from unseen.environments.tabular.upper import checked_discount

SAME_BELIEF = 12  # decimals to which two beliefs must agree to share a node
_SHRINK = 0.95  # a trial aims a little below the present gap, so that each makes progress


@dataclass(frozen=True)
class Solution:
    """What the search found.

    Attributes:
        lower, upper: bounds on the optimal discounted value at the start belief.
        policy: its value is at least `lower`.
        trials, beliefs, seconds: how much work it was.
    """

    lower: float
    upper: float
    policy: AlphaVectorPolicy
    trials: int
    beliefs: int
    seconds: float


@dataclass(eq=False)
class _Node:
    """A belief met on the way, as its support; `point` is its place in the sawtooth once it is stored there."""

    stage: int
    states: np.ndarray
    weights: np.ndarray
    upper: float = np.inf
    point: int | None = None
    actions: list[list[tuple[int, float, _Node]]] | None = field(default=None, repr=False)  # per action: (o, P(o), next)


def solve(
    pomdp: TabularPOMDP,
    seconds: float | int = 60.0,
    gap: float | int = 1e-3,
    discount: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Solution:
    """Search until upper - lower <= `gap` at the start belief, or the time is up.

    Nothing is drawn at random: a search that reaches `gap` gives the same result on every run.

    Args:
        seconds: time limit, checked after each step of a trial.
        gap: how close the bounds should come.
        discount: instead of the file's; below 1.

    Raises:
        UserError: a discount of 1.

    Source: Smith & Simmons 2005, "Point-based POMDP algorithms: improved analysis and implementation".
    """
    gamma = checked_discount(pomdp, discount)
    began = clock()
    search = Search(pomdp, gamma)
    trials = search.run(gap, lambda: clock() - began > seconds)
    vectors = search.stages[0].lower
    policy = AlphaVectorPolicy(pomdp, vectors.vectors.copy(), vectors.actions.copy(), gamma)
    return Solution(*search.bounds(), policy, trials, len(search.nodes), clock() - began)


@dataclass(frozen=True)
class Stage:
    """Both bounds as functions of the belief at one time; without a step limit all times are alike and there is one stage."""

    lower: AlphaVectors
    upper: Sawtooth


class Search:
    """Bounds at the start belief that trials bring closer together.

    Args:
        discount: below 1 unless there are stages.
        stages: of the times 0, 1, .., the last of which is not searched; by default there is no step limit.
    """

    def __init__(self, pomdp: TabularPOMDP, discount: float, stages: list[Stage] | None = None) -> None:
        self.pomdp, self.discount = pomdp, discount
        self.stages = [Stage(AlphaVectors(pomdp, discount), Sawtooth(pomdp, discount))] if stages is None else stages
        self._end = None if stages is None else len(stages) - 1
        self.nodes: dict[tuple[int, bytes], _Node] = {}
        support = np.flatnonzero(pomdp.start)
        self.root = self._node(0, support, pomdp.start[support])

    def run(self, gap: float, late: Callable[[], bool]) -> int:
        """Trials until the bounds at the start are within `gap` or it is late; how many there were."""
        trials = 0
        while self.gap(self.root) > gap and not late():
            self.trial(max(gap, _SHRINK * self.gap(self.root)), late)
            trials += 1
        return trials

    def bounds(self) -> tuple[float, float]:
        lower = self.lower_at(self.root)
        # Rounding may push two bounds that meet past each other.
        return lower, max(self.upper_at(self.root), lower)

    def trial(self, gap: float, late: Callable[[], bool]) -> None:
        """Walk down while the bounds differ by more than the discount forgives, then tighten them on the way back."""
        path, node, allowed = [], self.root, gap
        while node.stage != self._end and self.gap(node) > allowed and not late():
            path.append(node)
            allowed = allowed / self.discount if self.discount > 0 else np.inf
            q = self._upper_q(node)
            excess = [(p * (self.gap(child) - allowed), child) for _, p, child in self._expanded(node)[int(q.argmax())]]
            if not excess:
                break
            worst, node = max(excess, key=lambda pair: pair[0])
            if worst <= 0.0:
                break
        for node in reversed(path):
            self._tighten(node)

    def gap(self, node: _Node) -> float:
        return self.upper_at(node) - self.lower_at(node)

    def lower_at(self, node: _Node) -> float:
        return self.stages[node.stage].lower.best(node.states, node.weights)[1]

    def upper_at(self, node: _Node) -> float:
        node.upper = min(node.upper, self.stages[node.stage].upper.value(node.states, node.weights))
        return node.upper

    def _tighten(self, node: _Node) -> None:
        stage, after = self.stages[node.stage], self.stages[self._next(node)].lower
        best = float(self._upper_q(node).max())
        if best < self.upper_at(node):
            node.upper = best
            if node.point is not None:
                stage.upper.relower(node.point, best)
            else:
                before = stage.upper.points
                stage.upper.lower_to(node.states, node.weights, best)
                node.point = before if stage.upper.points > before else None

        now = self.lower_at(node)
        reward = self.pomdp.expected_reward[:, node.states] @ node.weights
        values, plans = [], []
        for action, followers in enumerate(self._expanded(node)):
            best_after = [(o, p, *after.best(child.states, child.weights)) for o, p, child in followers]
            values.append(reward[action] + self.discount * sum(p * v for _, p, _, v in best_after))
            plans.append({o: k for o, _, k, _ in best_after})
        action = int(np.argmax(values))
        if values[action] > now + 1e-12 * max(1.0, abs(now)):
            stage.lower.add_backup(action, plans[action], default=after.best(node.states, node.weights)[0])

    def _upper_q(self, node: _Node) -> np.ndarray:
        """Q(b,a) = r(b,a) + discount sum_o P(o|b,a) upper(b'), shape (A,)."""
        reward = self.pomdp.expected_reward[:, node.states] @ node.weights
        later = [sum(p * self.upper_at(child) for _, p, child in followers) for followers in self._expanded(node)]
        return reward + self.discount * np.array(later)

    def _expanded(self, node: _Node) -> list[list[tuple[int, float, _Node]]]:
        if node.actions is None:
            node.actions = [
                [
                    (o, p, self._node(self._next(node), states, weights))
                    for o, p, states, weights in successors(self.pomdp, node.states, node.weights, a)
                ]
                for a in range(self.pomdp.shape[0])
            ]
        return node.actions

    def _next(self, node: _Node) -> int:
        return min(node.stage + 1, len(self.stages) - 1)

    def _node(self, stage: int, states: np.ndarray, weights: np.ndarray) -> _Node:
        key = stage, states.tobytes() + np.round(weights, SAME_BELIEF).tobytes()
        return self.nodes.setdefault(key, _Node(stage, states, weights))
