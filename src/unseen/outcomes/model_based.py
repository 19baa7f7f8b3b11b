"""ModelBased: estimate the process, then evaluate the policy in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from unseen.outcomes.learner import Learner
from unseen.outcomes.linear import BellmanMoments, LinearQ
from unseen.outcomes.nuisances import TableQ
from unseen.outcomes.problem import Problem
from unseen.outcomes.regression import evaluate_q, regressor
from unseen.outcomes.rows import Rows
from unseen.outcomes.tables import Table


class ModelBased(Learner):
    """Q = (I - gamma P-hat^pi)^-1 r-hat of counted states; elsewhere fitted Q evaluation on transitions drawn from a fitted simulator.

    The simulator: the change of every numeric column, the reward and the chance to end are regressed on state and action; residuals of
    changes are drawn from those observed, together; categorical columns are drawn from a classifier.

    Args:
        discount: gamma.
        model: of the simulator: a regressor or its name. Unused where states are counted.
        q: class of Q on the drawn transitions: "linear", or a regressor or its name.
        draws: transitions for each logged one, with actions drawn uniformly.
        smoothing: of counted transitions.
        features, actions, random_state: as in `DRQLearner`.
    """

    def __init__(
        self,
        discount: float = 0.95,
        *,
        model: Any = "boosting",
        q: Any = "linear",
        draws: int = 2,
        smoothing: float = 0.0,
        features: Any = "standard",
        actions: Literal["separate", "additive"] = "separate",
        random_state: int = 0,
    ):
        self.discount = discount
        self.model = model
        self.q = q
        self.draws = draws
        self.smoothing = smoothing
        self.features = features
        self.actions = actions
        self.random_state = random_state

    def fit(self, data: Any, policy: Any, sample_weight: Any = None) -> ModelBased:
        """Estimate Q of `policy` from `data`; arguments as in `DRQLearner.fit`."""
        p = self._problem(data, policy, sample_weight)
        self.problem_ = p
        if p.cells is not None:
            table = Table.from_counts(p.counts(p.rows), p.policy_table, p.discount, self.smoothing)
            q = table.q()
            self.g_ = TableQ(p.cells, q, float(np.average(q, weights=table.visits)))
            return self
        drawn = simulated(p, regressor(self.model, self.random_state), self.draws, self.random_state)
        if isinstance(self.q, str) and self.q == "linear":
            self.g_ = LinearQ(p.psi, BellmanMoments.of(p.psi, drawn).theta(p.discount))
        else:
            self.g_ = evaluate_q(drawn, p.discount, regressor(self.q, self.random_state), p.features, mode=p.psi.mode)[0]
        return self


def simulated(p: Problem, model: Any, draws: int, seed: int) -> Rows:
    """Transitions from a simulator fitted on the problem's rows: logged states, uniform actions, drawn next states."""
    from sklearn.base import clone
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng, rows = np.random.default_rng(seed), p.rows
    features = p.features

    def inputs(states: Any, actions: Any) -> Float64[np.ndarray, "m c"]:
        return np.hstack([features.columns(states, every_level=True), np.eye(p.actions)[actions]])

    def fitted(target: Any, where: Any) -> Any:
        fresh: Any = clone(model)
        return fresh.fit(x[where], target[where])

    x = inputs(rows.states, rows.actions)
    everywhere, going = np.ones(len(rows), np.bool_), rows.alive > 0
    index = np.tile(np.arange(len(rows)), draws)
    states, actions = rows.states[index], rng.integers(p.actions, size=len(index))
    asked = inputs(states, actions)
    reward = fitted(rows.rewards, everywhere).predict(asked)
    alive = np.clip(fitted(rows.alive, everywhere).predict(asked), 0, 1) if (~going).any() else np.ones(len(index))
    following = states.copy()
    source = rng.choice(np.flatnonzero(going), len(index)) if going.any() else index
    for i in features.numeric:
        change = rows.next_states[:, i] - rows.states[:, i]
        mean = fitted(change, going)
        following[:, i] += mean.predict(asked) + (change - mean.predict(x))[source]
    for i in features.levels:
        level = rows.next_states[:, i].astype(np.int64)
        if len(np.unique(level[going])) == 1:
            following[:, i] = level[going][0]
            continue
        classifier = HistGradientBoostingClassifier(random_state=seed).fit(x[going], level[going])
        cumulative = classifier.predict_proba(asked).cumsum(axis=1)
        following[:, i] = classifier.classes_[(rng.random(len(index))[:, None] > cumulative[:, :-1]).sum(axis=1)]
    return replace(
        rows,
        states=states,
        actions=actions,
        rewards=np.asarray(reward, np.float64),
        next_states=following,
        alive=np.asarray(alive, np.float64),
        policy=rows.policy[index],
        next_policy=p.policy_at(following),
        trajectory=rows.trajectory[index],
        weight=rows.weight[index],
        logged=None,
        logged_every=None,
    )
