"""Exact tools against plain enumeration: beliefs, values over a horizon, and every bound on the right side of the optimum."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular_strategies import arguments, distributions, joint_table, optimum, random_play

from unseen.environments.tabular import (
    TabularPOMDP,
    belief_update,
    fast_informed_bound,
    observation_probabilities,
    optimal_mdp_value,
    qmdp,
    random_value,
    solve,
    tiger,
    value_iteration,
)
from unseen.environments.tabular.alpha import AlphaVectors
from unseen.environments.tabular.sawtooth import Sawtooth
from unseen.errors import UserError


@given(arguments(most=4))
@settings(deadline=None, max_examples=40)
def test_the_joint_lists_are_the_product_of_the_tables(drawn: dict[str, Any]) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    table = np.zeros((*pomdp.shape[:1], pomdp.shape[1], pomdp.shape[1], pomdp.shape[2]))
    for a, joint in enumerate(pomdp.joint):
        np.add.at(table[a], (joint.state, joint.next_state, joint.observation), joint.probability)
        assert (np.diff(joint.state) >= 0).all()
        assert (joint.first == np.searchsorted(joint.state, np.arange(pomdp.shape[1] + 1))).all()
    np.testing.assert_allclose(table, joint_table(pomdp), atol=1e-15)
    np.testing.assert_allclose(pomdp.expected_reward, (joint_table(pomdp) * pomdp.reward_full()).sum((2, 3)), atol=1e-12)


@given(arguments(most=4), st.data())
@settings(deadline=None, max_examples=40)
def test_belief_update_is_bayes_rule(drawn: dict[str, Any], data: st.DataObject) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    belief = data.draw(distributions(pomdp.shape[1]))
    action = data.draw(st.integers(0, pomdp.shape[0] - 1))
    going_on = np.where(pomdp.terminal[action], 0.0, belief)
    expected = np.einsum("i,ijo->jo", going_on, joint_table(pomdp)[action])
    np.testing.assert_allclose(observation_probabilities(pomdp, belief, action), expected.sum(0), atol=1e-14)
    for o in range(pomdp.shape[2]):
        if expected[:, o].sum() > 0:
            np.testing.assert_allclose(belief_update(pomdp, belief, action, o), expected[:, o] / expected[:, o].sum(), atol=1e-12)
        else:
            with pytest.raises(UserError, match="cannot follow action"):
                belief_update(pomdp, belief, action, o)


def test_hearing_the_tiger_twice() -> None:
    once = belief_update(tiger(), np.array([0.5, 0.5]), 0, 0)
    np.testing.assert_allclose(once, [0.85, 0.15])
    np.testing.assert_allclose(belief_update(tiger(), once, 0, 0), np.array([0.85**2, 0.15**2]) / (0.85**2 + 0.15**2))


@given(arguments(most=2), st.integers(1, 3))
@settings(deadline=None, max_examples=50)
def test_random_value_is_the_mean_over_every_episode(drawn: dict[str, Any], horizon: int) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    found = random_value(pomdp, horizon, 0.7)
    expected = random_play(pomdp, horizon, 0.7)
    np.testing.assert_allclose([found.undiscounted, found.discounted, found.terminated, found.length], expected, atol=1e-10)


@given(arguments(most=3), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_optimal_mdp_value_is_that_of_the_best_choice_at_every_step(drawn: dict[str, Any], horizon: int) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    reward = (joint_table(pomdp) * pomdp.reward_full()).sum((2, 3))

    def best(s: int, left: int) -> float:
        if left == 0:
            return 0.0
        return max(
            reward[a, s]
            + (0.0 if pomdp.terminal[a, s] else 0.7 * sum(p * best(n, left - 1) for n, p in enumerate(pomdp.transition[a, s]) if p))
            for a in range(pomdp.shape[0])
        )

    expected = sum(p * best(s, horizon) for s, p in enumerate(pomdp.start))
    assert optimal_mdp_value(pomdp, horizon, 0.7).discounted == pytest.approx(expected, abs=1e-10)


# ---- bounds ------------------------------------------------------------------------------------------------------------

DEPTH, GAMMA = 5, 0.3
# |r| <= 4, so that what a search of DEPTH steps leaves out is at most this.
TAIL = 4 * GAMMA**DEPTH / (1 - GAMMA)


@given(arguments(most=3, discount=GAMMA))
@settings(deadline=None, max_examples=25)
def test_bounds_enclose_the_optimum_and_stand_in_their_order(drawn: dict[str, Any]) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    exact = optimum(pomdp, GAMMA, DEPTH)
    informed = float((fast_informed_bound(pomdp) @ pomdp.start).max())
    assert exact - TAIL <= informed + 1e-9
    assert informed <= qmdp(pomdp, pomdp.start).max() + 1e-9
    assert qmdp(pomdp, pomdp.start).max() <= float(value_iteration(pomdp).max(0) @ pomdp.start) + 1e-9
    lower, upper = pomdp.optimal_value_bounds(gap=1e-4)
    assert upper - lower <= 1e-4
    assert exact - TAIL - 1e-9 <= upper
    assert lower <= exact + TAIL + 1e-9


@given(arguments(most=3, discount=GAMMA), st.data())
@settings(deadline=None, max_examples=20)
def test_both_bounds_hold_at_every_belief_after_a_search(drawn: dict[str, Any], data: st.DataObject) -> None:
    """The representations themselves, away from the start belief they were tightened for."""
    from unseen.environments.tabular import bounds

    pomdp = TabularPOMDP.from_tables(**drawn)
    search = bounds.Search(pomdp, GAMMA)
    for _ in range(3):
        search.trial(1e-3, lambda: False)
    belief = data.draw(distributions(pomdp.shape[1]))
    support = np.flatnonzero(belief)
    exact = optimum(pomdp, GAMMA, DEPTH, belief)
    assert search.stages[0].upper.value(support, belief[support]) >= exact - TAIL - 1e-9
    assert search.stages[0].lower.best(support, belief[support])[1] <= exact + TAIL + 1e-9


@given(arguments(most=3, discount=0.9))
@settings(deadline=None, max_examples=40)
def test_value_iteration_is_its_own_fixed_point(drawn: dict[str, Any]) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    q = value_iteration(pomdp, tolerance=1e-10)
    later = np.where(pomdp.terminal, 0.0, pomdp.transition @ q.max(axis=0))
    reward = (joint_table(pomdp) * pomdp.reward_full()).sum((2, 3))
    np.testing.assert_allclose(q, reward + 0.9 * later, atol=1e-8)


def test_the_sawtooth_interpolates_between_a_known_belief_and_the_corners() -> None:
    upper = Sawtooth(tiger(), 0.95)
    corners = upper.corners.copy()
    both = np.array([0, 1])
    upper.lower_to(both, np.array([0.5, 0.5]), 20.0)
    assert upper.value(both, np.array([0.5, 0.5])) == pytest.approx(20.0)
    # Halfway from the known belief to a corner the bound is halfway, too.
    halfway = 0.5 * 20.0 + 0.5 * corners[0]
    informed = float((fast_informed_bound(tiger()) @ np.array([0.75, 0.25])).max())
    assert upper.value(both, np.array([0.75, 0.25])) == pytest.approx(min(halfway, informed))


def test_dropping_beaten_vectors_leaves_the_lower_bound_as_it_is() -> None:
    vectors = AlphaVectors(tiger(), 0.95)
    rng = np.random.default_rng(0)
    beliefs = rng.dirichlet([1, 1], size=50)
    added = rng.normal(size=(60, 2))
    for k, vector in enumerate([*added, added[0], added[0]]):
        vectors._append(vector, k % 3)
    before = (vectors.vectors @ beliefs.T).max(axis=0)
    count = len(vectors.vectors)
    vectors._prune()
    assert len(vectors.vectors) < count
    np.testing.assert_array_equal((vectors.vectors @ beliefs.T).max(axis=0), before)


@pytest.mark.parametrize("discount", [1.0, 1.5, -0.1])
def test_without_a_discount_below_one_there_is_no_value(discount: float) -> None:
    with pytest.raises(UserError, match=f"discount {discount} without a step limit"):
        tiger().optimal_value_bounds(discount=discount)


def test_a_discount_of_zero_is_one_step() -> None:
    assert tiger().optimal_value_bounds(discount=0.0) == (-1.0, -1.0)


def test_rows_that_are_a_little_off_are_normalised_so_that_no_lower_bound_is_above_the_value() -> None:
    """Reward 1 in every step at discount 0.99 is worth 100, however the probabilities were rounded."""
    shape = {"reward": np.ones((1, 3)), "discount": 0.99}
    for factor in (1.00009, 0.99991):
        pomdp = TabularPOMDP.from_tables(factor * np.full((1, 3, 3), 1 / 3), np.full((1, 3, 2), factor / 2), **shape)
        lower, upper = pomdp.optimal_value_bounds(gap=1e-6)
        assert lower - 1e-6 <= 100 <= upper + 1e-6
        assert upper - lower <= 1e-6
        assert pomdp.optimal_value_bounds(horizon=50)[1] == pytest.approx((1 - 0.99**50) / 0.01)
    off = TabularPOMDP.from_tables(np.full((1, 3, 3), 1 / 3), np.full((1, 3, 2), 0.5), start=np.full(3, 0.33331), **shape)
    assert off.start.sum() == pytest.approx(1, abs=1e-15)
    assert solve(off, gap=1e-3).policy.simulate(2, horizon=3).undiscounted.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("entry", [1.0002, 0.9998, np.nan])
def test_rows_that_are_further_off_are_named(entry: float) -> None:
    transition = np.eye(2)[None].copy()
    transition[0, 1, 1] = entry
    with pytest.raises(UserError, match="action 'go', state '1' sum to"):
        TabularPOMDP.from_tables(transition, np.ones((1, 2, 1)), np.zeros((1, 2)), action_names=["go"])
    with pytest.raises(UserError, match="start probabilities sum to"):
        TabularPOMDP.from_tables(np.eye(2)[None], np.ones((1, 2, 1)), np.zeros((1, 2)), start=np.array([0.0, entry]))


def test_the_search_stops_when_the_time_is_up() -> None:
    ticks = itertools.count(0.0, 1.0)
    solution = solve(tiger(), seconds=5, gap=0.0, clock=lambda: next(ticks))
    assert solution.lower < solution.upper
    assert solution.trials <= 5


def test_the_same_search_twice_is_the_same_search() -> None:
    one, two = solve(tiger(), gap=0.1), solve(tiger(), gap=0.1)
    assert (one.lower, one.upper, one.trials) == (two.lower, two.upper, two.trials)
    np.testing.assert_array_equal(one.policy.vectors, two.policy.vectors)


@given(arguments(most=3, discount=0.5))
@settings(deadline=None, max_examples=10)
def test_simulated_play_is_worth_what_the_bounds_say(drawn: dict[str, Any]) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    solution = solve(pomdp, gap=1e-4)
    played = solution.policy.simulate(200, horizon=12)
    mean, error = played.mean()
    cut = 4 * 0.5**12 / (1 - 0.5)  # what follows the last step is worth at most this
    assert solution.lower - 5 * error - cut - 1e-4 <= mean <= solution.upper + 5 * error + cut + 1e-4
    assert (played.length <= 12).all()
    assert (played.terminated | (played.length == 12)).all()
