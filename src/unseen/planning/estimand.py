"""What "planning was worth" means, said once for who estimates it and for who measures it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from unseen.errors import UserError
from unseen.planning.schedules import Schedule, Situation, schedule


@dataclass(frozen=True)
class Estimand:
    """The worth of planning in a state, net of what it costs.

    worth(s_t) = Q(s_t, plan) − Q(s_t, act),
    Q(s_t, d) = E[ Σ_{k = t}^{H − 1} γ^{k − t} (R_k − λ n_k) | s_t, d_t = d, decisions by the policy from t + 1 on ]

    with n_k the tokens of step k's plan. An episode that its environment ends or cuts has nothing behind it.

    Args:
        policy: the evaluation policy: a schedule that says itself when to plan, or its word.
        discount: γ, from 0 to 1, per step.
        horizon: H, steps of an episode that count, from its first one; None: all.
        price: λ, in units of reward per plan token.

    Raises:
        UserError: a number that is not allowed, or an unknown schedule.

    Source: ours; Paglieri et al. 2025 define a planning advantage and do not estimate it.
    """

    policy: Schedule | str = "age:4"
    discount: float = 0.95
    horizon: int | None = None
    price: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise UserError(f"discount = {self.discount} of an estimand must lie between 0 and 1")
        if self.horizon is not None and self.horizon < 1:
            raise UserError(f"horizon = {self.horizon} of an estimand must be 1 step or more, or None for all of an episode")
        if not (math.isfinite(self.price) and self.price >= 0):
            raise UserError(f"price = {self.price} of a plan token must be 0 or more, in units of reward")
        _ = self.then

    @cached_property
    def then(self) -> Schedule:
        """The evaluation policy, read."""
        return schedule(self.policy) if isinstance(self.policy, str) else self.policy

    def probability(self, now: Situation) -> float:
        """With which the evaluation policy plans.

        Raises:
            UserError: it leaves that to the model or to a person, so that nobody can say what it would have done.
        """
        decided = self.then.decide(now)
        if decided.mode not in ("plan", "act"):
            raise UserError(
                f"the evaluation policy {str(self.then)!r} leaves the decision to somebody else; give one that is a function of what is "
                "logged, as in age:4"
            )
        return float(decided.mode == "plan") if decided.probability is None else decided.probability

    def counts(self, step: int) -> bool:
        """Whether a step of an episode lies within the horizon."""
        return self.horizon is None or step < self.horizon

    def paid(self, reward: Any, plan_tokens: Any) -> Any:
        """R − λ n of a step."""
        return reward - self.price * plan_tokens

    def said(self) -> Mapping[str, Any]:
        """As plain values."""
        return {"policy": str(self.then), "discount": self.discount, "horizon": self.horizon, "price": self.price}
