"""Values of three known problems: closed forms, published optima, and the exact numbers of the environments' specification."""

from __future__ import annotations

import numpy as np
import pytest

from unseen.environments.tabular import TabularPOMDP, heavenhell, optimal_mdp_value, random_value, shopping, solve, tiger

TIGER_OPTIMUM = 19.371  # Cassandra's pomdp-solve, discount 0.95, uniform start
HEAVEN = 0.99**14  # priest and back: the fifteenth action pays
SHOPPING_OPTIMUM = 3.63004


def shopping_optimum(n: int, discount: float) -> float:
    """Query, walk |x| + |y| cells, buy; averaged over where the item is."""
    total = 0.0
    for walk in (x + y for x in range(n) for y in range(n)):
        moves = sum(discount**t for t in range(1, walk + 1))
        total += -2.0 - moves + 10.0 * discount ** (walk + 1)
    return total / n**2


@pytest.mark.parametrize(
    ("pomdp", "optimum", "tolerance", "gap"),
    [
        (tiger(), TIGER_OPTIMUM, 0.01, 0.01),
        (heavenhell(3), HEAVEN, 1e-9, 1e-3),
        (shopping(5), SHOPPING_OPTIMUM, 0.0363, 0.0363),
    ],
    ids=["tiger", "heavenhell-3", "shopping-5"],
)
def test_bounds_close_on_the_optimum_within_a_minute_and_play_confirms_the_lower_one(
    pomdp: TabularPOMDP, optimum: float, tolerance: float, gap: float
) -> None:
    solution = solve(pomdp, seconds=60, gap=gap)
    assert solution.seconds < 60
    assert 0.0 <= solution.upper - solution.lower <= gap
    assert solution.lower <= optimum + 1e-3  # the published digits are rounded
    assert solution.upper >= optimum - 1e-3
    assert solution.lower >= optimum - tolerance - 1e-3
    assert pomdp.optimal_value_bounds(seconds=60, gap=gap) == (solution.lower, solution.upper)

    mean, error = solution.policy.simulate(400, seed=1).mean()
    assert mean >= solution.lower - 4 * error - 1e-6
    assert mean <= solution.upper + 4 * error + 1e-6


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_heaven_takes_4n_plus_3_actions_by_way_of_the_priest_and_2n_plus_1_for_who_knows(n: int) -> None:
    pomdp = heavenhell(n)
    lower, upper = pomdp.optimal_value_bounds(gap=1e-7)
    assert lower == pytest.approx(0.99 ** (4 * n + 2), abs=1e-7)
    assert upper == pytest.approx(0.99 ** (4 * n + 2), abs=1e-7)
    known = optimal_mdp_value(pomdp, 100)
    assert known.discounted == pytest.approx(0.99 ** (2 * n), abs=1e-12)
    assert known.length == pytest.approx(2 * n + 1)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_shopping_is_best_done_by_asking_first(n: int) -> None:
    lower, upper = shopping(n).optimal_value_bounds(gap=1e-6)
    assert lower - 1e-6 <= shopping_optimum(n, 0.99) <= upper + 1e-6
    if n == 5:
        assert shopping_optimum(5, 0.99) == pytest.approx(SHOPPING_OPTIMUM, abs=5e-6)
        assert shopping_optimum(5, 1.0) == pytest.approx(4.0)


def test_opening_blindly_is_what_the_tiger_costs_where_listening_tells_nothing() -> None:
    """With deaf ears the best is to listen for ever: -1 / (1 - discount)."""
    deaf = TabularPOMDP.from_tables(
        tiger().transition, np.full((3, 2, 2), 0.5), tiger().reward, discount=0.95, action_names=tiger().action_names
    )
    assert deaf.optimal_value_bounds(gap=1e-6) == pytest.approx((-20.0, -20.0), abs=1e-5)


def test_heavenhell_3_at_random() -> None:
    value = random_value(heavenhell(3), 100)
    assert value.terminated == pytest.approx(0.541185, abs=5e-7)
    assert value.length == pytest.approx(71.763, abs=5e-4)
    assert value.undiscounted == pytest.approx(0.0, abs=1e-12)
    assert optimal_mdp_value(heavenhell(3), 100).discounted == pytest.approx(0.941480, abs=5e-7)


def test_shopping_5_at_random() -> None:
    value = random_value(shopping(5), 100)
    assert value.undiscounted == pytest.approx(-142.4947, abs=5e-5)
    assert value.discounted == pytest.approx(-93.5782, abs=5e-5)
    assert value.terminated == pytest.approx(0.357793, abs=5e-7)
    assert value.length == pytest.approx(80.652, abs=5e-4)
