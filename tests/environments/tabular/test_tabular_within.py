"""The best within a number of steps, against plain enumeration of every history and against closed forms."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular_strategies import arguments, optimum

from unseen.environments.tabular import TabularPOMDP, bounds_within, heavenhell, shopping, solve, tiger, within
from unseen.environments.tabular.bounds import Search
from unseen.errors import UserError

DISCOUNTS = st.sampled_from([0.0, 0.5, 0.99, 1.0])


@given(arguments(most=3), st.integers(1, 4), DISCOUNTS)
@settings(deadline=None, max_examples=40)
def test_the_value_is_that_of_trying_everything_after_every_history(drawn: dict[str, Any], horizon: int, discount: float) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    exact = optimum(pomdp, discount, horizon)
    assert pomdp.optimal_value_bounds(discount=discount, horizon=horizon) == pytest.approx((exact, exact), abs=1e-9)


@given(arguments(most=3), st.integers(1, 4), DISCOUNTS)
@settings(deadline=None, max_examples=40)
def test_the_search_with_numbered_steps_closes_on_the_same_value(drawn: dict[str, Any], horizon: int, discount: float) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    exact = optimum(pomdp, discount, horizon)
    search = Search(pomdp, discount, within._stages(pomdp, horizon, discount))
    lower, upper = search.bounds()
    assert lower - 1e-9 <= exact <= upper + 1e-9  # before any search
    search.run(1e-6, lambda: False)
    assert search.bounds() == pytest.approx((exact, exact), abs=2e-6)


@given(arguments(most=3), st.integers(1, 40), st.sampled_from([0.3, 0.5, 1.0]))
@settings(deadline=None, max_examples=40)
def test_a_search_that_is_stopped_at_any_time_holds_the_value_between_its_bounds(
    drawn: dict[str, Any], seconds: int, discount: float
) -> None:
    """Below a discount of 1 the second half is a search without a step limit, which must allow for what follows the limit."""
    pomdp, ticks = TabularPOMDP.from_tables(**drawn), itertools.count(0.0, 1.0)
    exact = optimum(pomdp, discount, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(within, "value_within", lambda *_: None)
        lower, upper = bounds_within(pomdp, 4, seconds, 0.0, discount, clock=lambda: next(ticks))
    assert lower - 1e-9 <= exact <= upper + 1e-9


@pytest.mark.parametrize("reward", [1.0, -1.0])
def test_what_follows_the_limit_is_neither_counted_nor_forgotten(reward: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant reward is worth (1 - 0.5^H) / (1 - 0.5) within H steps and 2 without a limit, whatever its sign."""
    constant = TabularPOMDP.from_tables(np.eye(2)[None], np.ones((1, 2, 1)), np.full((1, 1), reward), discount=0.5)
    monkeypatch.setattr(within, "value_within", lambda *_: None)
    ticks = itertools.count(0.0, 1.0)
    lower, upper = bounds_within(constant, 4, 0, 0.0, clock=lambda: next(ticks))
    exact = reward * 2 * (1 - 0.5**4)
    assert lower - 1e-9 <= exact <= upper + 1e-9
    assert not lower <= 2 * reward <= upper


@given(arguments(most=3), DISCOUNTS)
@settings(deadline=None, max_examples=20)
def test_where_memory_is_short_the_last_times_share_a_bound(drawn: dict[str, Any], discount: float) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    exact = optimum(pomdp, discount, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(within, "_STAGES_BYTES", 32 * pomdp.shape[0] * pomdp.shape[1])
        stages = within._stages(pomdp, 4, discount)
    assert len(stages) == 3
    search = Search(pomdp, discount, stages)
    for _ in range(20):
        search.trial(0.0, lambda: False)
    lower, upper = search.bounds()
    assert lower - 1e-9 <= exact <= upper + 1e-9


@pytest.mark.parametrize("discount", [0.95, 0.99, 1.0])
@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 5])
def test_the_tiger_within_a_few_steps(horizon: int, discount: float) -> None:
    exact = optimum(tiger(), discount, horizon)
    assert bounds_within(tiger(), horizon, discount=discount) == pytest.approx((exact, exact), abs=1e-9)


def test_a_player_who_is_cut_short_is_held_against_what_can_be_got_by_then() -> None:
    """At discount 0.99 the tiger is worth 106 for ever and 67 within 100 steps: the best player looked far from optimal."""
    assert bounds_within(tiger(), 100, discount=0.99) == pytest.approx((66.768, 66.768), abs=1e-3)
    endless = solve(tiger(), discount=0.99, gap=1.0)
    assert endless.lower > 105
    _, upper = bounds_within(tiger(), 30, discount=0.99)
    mean, error = endless.policy.simulate(200, horizon=30).mean()
    assert mean + 5 * error < endless.lower  # below "the optimum", which nobody reaches in 30 steps
    assert mean <= upper + 5 * error


@pytest.mark.parametrize("discount", [0.9, 0.99, 1.0])
def test_heaven_needs_4n_plus_3_steps_and_is_worth_nothing_within_fewer(discount: float) -> None:
    for n in (1, 2, 3):
        enough = 4 * n + 3
        value = discount ** (enough - 1)
        assert bounds_within(heavenhell(n), enough, discount=discount) == pytest.approx((value, value), abs=1e-12)
        assert bounds_within(heavenhell(n), 100, discount=discount) == pytest.approx((value, value), abs=1e-12)
        assert bounds_within(heavenhell(n), enough - 1, discount=discount) == pytest.approx((0.0, 0.0), abs=1e-12)


@pytest.mark.parametrize("discount", [0.99, 1.0])
def test_shopping_has_too_many_beliefs_to_list_and_is_searched(discount: float) -> None:
    assert within.value_within(shopping(4), 100, discount, most=300) is None
    walks = [x + y for x in range(4) for y in range(4)]
    value = np.mean([-2 - sum(discount**t for t in range(1, w + 1)) + 10 * discount ** (w + 1) for w in walks])
    lower, upper = bounds_within(shopping(4), 100, gap=1e-6, discount=discount)
    assert lower - 1e-9 <= value <= upper + 1e-9
    assert upper - lower <= 1e-6


@pytest.mark.parametrize(("horizon", "discount", "message"), [(0, 0.9, "horizon 0"), (3, 1.1, "discount 1.1"), (3, -0.1, "discount -0.1")])
def test_what_is_not_allowed_is_named(horizon: int, discount: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiger().optimal_value_bounds(horizon=horizon, discount=discount)
