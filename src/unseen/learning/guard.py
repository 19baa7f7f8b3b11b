"""Constructions that are known to be wrong are refused before anything is compiled."""

from __future__ import annotations

from unseen.agents.settings import Agent
from unseen.errors import UserError
from unseen.learning.settings import A2C, PPO, Algorithm


def refuse_biased(agent: Agent, algorithm: Algorithm) -> None:
    """Refuse a critic without the history whose target bootstraps: E[V(s') | h] is not V(h), so the policy gradient is biased.

    Raises:
        UserError: unless `critic.allow_biased`, or the target is the Monte-Carlo return to a true end.

    Source: Baisero & Amato 2022, theorem 4.2; exact figures in tests/reference/test_unbiasedness.py.
    """
    if agent.critic.history or agent.critic.allow_biased:
        return
    if isinstance(algorithm, A2C):
        bootstraps = algorithm.estimator != "monte-carlo" or algorithm.time_limit == "bootstrap"
        fix = 'algorithm.estimator="monte-carlo" with algorithm.time_limit="terminate"'
    else:
        bootstraps, fix = True, "A2C with Monte-Carlo returns"
    if bootstraps:
        raise UserError(
            "critic.history=False with a bootstrapped target gives a biased policy gradient (the value of a state or signal alone "
            f"is not the value of the history); keep critic.history=True, use {fix}, or set critic.allow_biased=True to study the bias"
        )


def refuse_impossible(algorithm: Algorithm) -> None:
    """Settings that no run could honour.

    Raises:
        UserError: naming the field, its value and what is allowed.
    """

    def need(condition: bool, field: str, value: object, allowed: str) -> None:
        if not condition:
            raise UserError(f"algorithm.{field} = {value!r}; it must be {allowed}")

    need(0.0 <= algorithm.discount <= 1.0, "discount", algorithm.discount, "between 0 and 1")
    need(0.0 <= algorithm.lambda_ <= 1.0, "lambda_", algorithm.lambda_, "between 0 and 1")
    need(algorithm.learning_rate > 0.0, "learning_rate", algorithm.learning_rate, "above 0")
    norm = algorithm.max_gradient_norm
    need(norm is None or norm > 0.0, "max_gradient_norm", norm, "above 0, or None for no clipping")
    if isinstance(algorithm, A2C):
        need(algorithm.episodes_per_update >= 1, "episodes_per_update", algorithm.episodes_per_update, "at least 1")
        need(algorithm.n >= 1, "n", algorithm.n, "at least 1")
        need(algorithm.entropy_steps >= 1, "entropy_steps", algorithm.entropy_steps, "at least 1")
        need(algorithm.target_period >= 1, "target_period", algorithm.target_period, "at least 1")
    if isinstance(algorithm, PPO):
        need(algorithm.environments >= 1, "environments", algorithm.environments, "at least 1")
        need(algorithm.rollout >= 1, "rollout", algorithm.rollout, "at least 1")
        need(algorithm.epochs >= 1, "epochs", algorithm.epochs, "at least 1")
        need(algorithm.clip > 0.0, "clip", algorithm.clip, "above 0")
        m = algorithm.minibatches
        divides = m >= 1 and algorithm.environments % m == 0
        need(divides, "minibatches", m, f"a divisor of environments = {algorithm.environments}")
