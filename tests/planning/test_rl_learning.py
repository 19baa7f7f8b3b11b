"""Reinforcement finds when a plan pays: in a world in which that is known, for several prices."""

from __future__ import annotations

import copy
from functools import cache

import pytest
from rl_toys import HOW, PLAN_TOKENS, Hints, best_frequency, taught, worth

from unseen.planning.agent import Agent
from unseen.planning.models.local import LocalModel
from unseen.planning.play import evaluate
from unseen.planning.rl.loop import reinforce
from unseen.planning.rl.prices import priced
from unseen.planning.rl.settings import RL

SETTINGS = RL(
    updates=18,
    live=32,
    steps=28,
    minibatch=448,
    accumulate=1,
    learning_rate=2e-3,
    critic_learning_rate=1e-2,
    warmup=3,
    discount=0.97,
    kl_weight=0.05,
    entropy_weight=0.02,
    decision_weight=0.5,
    kl_target=0.2,
    kl_limit=None,
    save_every=100,
)
COSTS = (0.25, 2.2, 8.0)  # of a plan: every block is worth one, only the long blocks are, none is


PRICES = (0.1, 3.0)  # of a token


@cache
def student() -> LocalModel:
    """For both tests: a third of its lessons told no price."""
    return taught((None, *PRICES))


def copied(model: LocalModel) -> LocalModel:
    return LocalModel(copy.deepcopy(model.model), model.tokenizer, name="student")


def played(model: LocalModel, price: float | None = None) -> tuple[float, float]:
    """How often it plans, and what it reaches, on instances that it has not met."""
    how = HOW if price is None else HOW | {"prompts": priced(HOW["prompts"], price)}
    found = evaluate(Agent(model, "dynamic", **how), Hints(), 40, seed=0)
    return float(found.accounts["planned"].mean()), float(found.returns().mean())


@pytest.mark.slow
def test_the_interval_at_which_plans_pay_is_found_for_every_price():
    assert worth(2) > COSTS[0] > 0
    assert worth(8) > COSTS[1] > worth(2)
    assert COSTS[2] > worth(8)
    begun, reached = played(student())
    frequencies = []
    for cost in COSTS:
        done = reinforce(copied(student()), Hints(), RL(**{**vars(SETTINGS), "plan_price": cost / PLAN_TOKENS}), **HOW, say=lambda _: None)
        frequency, after = played(done.model)
        frequencies.append(frequency)
        assert frequency == pytest.approx(best_frequency(cost), abs=0.05), (cost, frequency)
        assert done.silent == (cost == COSTS[2])
        if cost == COSTS[0]:
            assert after > reached + 3
    assert frequencies == sorted(frequencies, reverse=True)
    assert begun > 0.15


@pytest.mark.slow
def test_one_model_that_is_told_the_price_serves_every_budget():
    settings = RL(**{**vars(SETTINGS), "plan_price": PRICES, "updates": 24})
    done = reinforce(copied(student()), Hints(), settings, **HOW, say=lambda _: None)
    cheap, dear = (played(done.model, price)[0] for price in PRICES)
    assert cheap > 0.12
    assert dear < 0.05
