"""From estimates to a decision: the action to prefer in each state or region, or none where the data do not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from unseen.data.table import as_frame
from unseen.errors import UserError
from unseen.outcomes.estimates import Estimate
from unseen.outcomes.inference import BEYOND_THE_STATE
from unseen.outcomes.policies import as_probabilities
from unseen.outcomes.rows import query_rows

NONE = "no recommendation"


@dataclass(frozen=True, eq=False)
class Recommendations:
    """One step of policy improvement over the evaluated policy: not the optimal regime.

    Attributes:
        names: of the states or regions.
        actions: (m,) index of the recommended action, -1 for none.
        labels: the recommended action as the table calls it, or "no recommendation".
        reasons: why none; "" where there is one.
        margin: (m,) estimated gain over the second-best action that was supported.
        low: (m,) lower end of the interval of that gain.
    """

    names: tuple[str, ...]
    actions: Int64[np.ndarray, " m"]
    labels: tuple[Any, ...]
    reasons: tuple[str, ...]
    margin: Float64[np.ndarray, " m"]
    low: Float64[np.ndarray, " m"]

    @property
    def share(self) -> float:
        """Of states or regions with a recommendation."""
        return float(np.mean(self.actions >= 0))

    def table(self) -> Any:
        """A polars frame."""
        import polars as pl

        return pl.DataFrame(
            {
                "who": list(self.names),
                "recommended": [str(label) for label in self.labels],
                "gain": self.margin,
                "gain_low": self.low,
                "why_not": list(self.reasons),
            }
        )


def recommend(
    learner: Any, states: Any, *, level: float = 0.95, support: float = 0.02, least: int = 10, despite_red: bool = False
) -> Recommendations:
    """The action whose gain over every other supported action has an interval above zero.

    Args:
        learner: a fitted `DRQLearner` with row_weight="uniform".
        states: as in `DRQLearner.contrast`: a mapping from names to regions, a table of counted states, or, with a linear second stage,
            a table of any states.
        level: of the intervals; adjusted for the comparisons within a state (Bonferroni).
        support: smallest share of an action among the rows of a state or region for it to be considered.
        least: fewest such rows.
        despite_red: recommend even where the learner's verdict is red.

    Raises:
        UserError: a learner whose weights leave actions out, or states without an interval.
    """
    if learner.row_weight != "uniform":
        raise UserError("recommendations compare all actions; fit with row_weight='uniform'")
    data = learner.problem_.data
    red = not despite_red and learner.diagnostics.verdict.colour == "red"
    counts = _support(learner, states)
    labels, m, a = data.action_labels, counts.shape[0], data.n_actions
    contrasts: dict[tuple[int, int], Estimate] = {}
    for i in range(a):
        for j in range(i):
            estimable = (counts[:, i] > 0) & (counts[:, j] > 0)
            if estimable.all():
                contrasts[i, j] = learner.contrast(states, labels[i], labels[j])
            elif estimable.any():
                contrasts[i, j] = _some(learner, states, estimable, labels[i], labels[j], m)
    enough = (counts >= support * counts.sum(axis=1, keepdims=True)) & (counts >= least)
    adjusted = 1 - (1 - level) / max(a - 1, 1)
    names = next(iter(contrasts.values())).names if contrasts else tuple(str(i) for i in range(m))
    actions, reasons = np.full(m, -1, np.int64), []
    margin, low = np.full(m, np.nan), np.full(m, np.nan)
    bounds = {pair: tuple(np.atleast_1d(end) for end in e.interval(adjusted)) for pair, e in contrasts.items()}
    for r in range(m):
        candidates = np.flatnonzero(enough[r])
        if len(candidates) < 2:
            reasons.append("too few rows with different actions")
            continue
        gains = {int(i): [_gain(contrasts, bounds, int(i), int(j), r) for j in candidates if j != i] for i in candidates}
        best = max(gains, key=lambda i: min(value for value, _ in gains[i]))
        margin[r], low[r] = min(value for value, _ in gains[best]), min(bound for _, bound in gains[best])
        beyond = [c for e in contrasts.values() for c in e.cautions if c.startswith(f"{names[r]}: ") and BEYOND_THE_STATE in c]
        if red:
            reasons.append("the verdict is red")
        elif beyond:
            reasons.append(beyond[0].removeprefix(f"{names[r]}: "))
        elif low[r] > 0:
            actions[r] = best
            reasons.append("")
        else:
            reasons.append("the interval of the gain covers zero")
    chosen = tuple(labels[i] if i >= 0 else NONE for i in actions)
    return Recommendations(tuple(names), actions, chosen, tuple(reasons), margin, low)


@dataclass(frozen=True)
class Recommended:
    """The policy that follows recommendations and otherwise the evaluated policy.

    Attributes:
        regions: name -> who is in it; the first that holds a state counts.
        actions: name -> action label, for regions with a recommendation.
        otherwise: the policy where there is none.
    """

    regions: Mapping[str, Callable[[Any], Any]]
    actions: Mapping[str, Any]
    otherwise: Any
    labels: tuple[Any, ...]

    def probabilities(self, states: Any) -> Any:
        """(n, A)."""
        n = len(as_frame(states))
        ask = getattr(self.otherwise, "probabilities", self.otherwise)
        p = as_probabilities(ask(states), self.labels, n).copy()
        free = np.ones(n, np.bool_)
        for name, inside in self.regions.items():
            members = np.asarray(inside(states), np.bool_) & free
            free &= ~members
            if name in self.actions:
                p[members] = np.eye(len(self.labels))[self.labels.index(self.actions[name])]
        return p


def value_of_recommendations(
    learner: Any, data: Any, policy: Any, regions: Mapping[str, Callable[[Any], Any]], *, share: float = 0.5, seed: int = 0, **options: Any
) -> tuple[Recommendations, Estimate, Estimate]:
    """Recommend on some trajectories, value the recommended policy on the others.

    Args:
        learner: unfitted `DRQLearner`; it is cloned.
        data: `Transitions`. policy: what is done where there is no recommendation.
        regions: name -> who is in it, by columns of the state: a policy that looks at modifiers cannot be judged from states.
        share: of the trajectories that recommendations are learned from.
        seed: of the split.
        options: of `recommend`.

    Returns:
        The recommendations, the value of following them, and its gain over the policy itself, both on held-out trajectories.
    """
    from sklearn.base import clone

    order = np.random.default_rng(seed).permutation(data.n_trajectories)
    cut = round(share * data.n_trajectories)
    if not 0 < cut < data.n_trajectories:
        raise UserError(f"share = {share}; it must leave trajectories on both sides")
    learning, judging = data.select(np.sort(order[:cut])), data.select(np.sort(order[cut:]))
    first: Any = clone(learner)
    found = recommend(first.fit(learning, policy), dict(regions), **options)
    actions = {name: label for name, label, index in zip(found.names, found.labels, found.actions) if index >= 0}
    followed = Recommended(dict(regions), actions, policy, data.action_labels)
    after, before = clone(learner).fit(judging, followed), clone(learner).fit(judging, policy)  # type: ignore[attr-defined]
    return found, after.value(), after.value() - before.value()


def _support(learner: Any, states: Any) -> Float64[np.ndarray, "m A"]:
    """(m, A) rows of the data with each action, by region or counted state; by nearness where states are neither: all rows."""
    p = learner.problem_
    hot = p.rows.indicator * p.rows.weight[:, None]
    if callable(states):
        states = {"region": states}
    if isinstance(states, Mapping) and states and all(callable(f) for f in states.values()):
        frame = p.data.describe(p.rows.states, p.rows.modifiers)
        return np.stack([hot[np.asarray(f(frame), np.bool_)].sum(axis=0) for f in states.values()])
    encoded = learner._encoded(states)
    if p.cells is not None:
        s = p.cells.of(encoded)
        return np.where((s >= 0)[:, None], p.counts(p.rows).visits[s], 0.0)
    asked = query_rows(encoded, np.full((len(encoded), p.actions), 1 / p.actions))
    behaviour = np.mean([f.nuisances.behaviour(asked) for f in learner.folds_], axis=0)
    return behaviour * len(p.rows)


def _some(learner: Any, states: Any, keep: Any, treat: Any, control: Any, m: int) -> Estimate:
    """A contrast where both actions occur, and not a number elsewhere."""
    if isinstance(states, Mapping) and all(callable(f) for f in states.values()):
        inner = learner.contrast({n: f for (n, f), k in zip(states.items(), keep) if k}, treat, control)
        names = tuple(states)
    else:
        encoded = learner._encoded(states)
        inner = learner.contrast(encoded[keep], treat, control)
        names = tuple(str(i) for i in range(m))
    value, influence = np.full(m, np.nan), np.zeros((len(inner.influence), m))
    value[keep], influence[:, keep] = inner.value, inner.influence
    return Estimate(names, value, influence, inner.label, data=inner.data, cautions=inner.cautions)


def _gain(contrasts: Any, bounds: Any, i: int, j: int, r: int) -> tuple[float, float]:
    """Estimated gain of i over j in state r, and its lower end."""
    if (i, j) in contrasts:
        return float(contrasts[i, j].value[r]), float(bounds[i, j][0][r])
    return -float(contrasts[j, i].value[r]), -float(bounds[j, i][1][r])
