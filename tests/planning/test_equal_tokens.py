"""The fair rival of an agent that spends T tokens: the best mixture of fixed schedules, against linear programming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.equal_tokens import at_equal_tokens, compared, mixture
from unseen.planning.models.reader import reader
from unseen.planning.play import evaluate

WORLD = GraphSearch(10, max_steps=15, form="compact")
numbers = st.floats(0, 100).map(lambda x: round(x, 3))


@given(points=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), budget=numbers)
def test_it_is_what_linear_programming_finds(points, budget):
    costs, values = np.array(points).T
    budget = max(budget, float(costs.min()))
    weights = mixture(costs, values, budget)
    exact = linprog(-values, A_ub=costs[None], b_ub=[budget + 1e-9], A_eq=np.ones((1, len(values))), b_eq=[1.0])
    assert weights @ values == pytest.approx(-exact.fun, abs=1e-5)
    assert weights @ costs <= budget + 1e-9
    assert weights.sum() == pytest.approx(1.0)
    assert 1 <= (weights > 0).sum() <= 2


def test_below_the_cheapest_schedule_it_is_the_cheapest():
    assert mixture(np.array([5.0, 9.0]), np.array([1.0, 3.0]), 2.0).tolist() == [1.0, 0.0]


def test_the_interval_covers_a_gap_of_nothing_nineteen_times_in_twenty():
    rng, n, missed, gaps = np.random.default_rng(0), 60, 0, []
    costs = np.array([5.0, 10.0, 20.0, 40.0])
    runs = 400
    for _ in range(runs):
        luck = rng.normal(size=n)
        drawn = [0.5 * luck + rng.normal(size=n) for _ in range(5)]  # all alike: the true gap is exactly 0
        found = gap_of(drawn[0], np.full(n, 15.0), drawn[1:], np.repeat(costs[:, None], n, 1))
        missed += not found.low <= 0 <= found.high
        gaps.append(found.mean)
    assert missed / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(runs)  # choosing the highest of noisy means flatters nobody


def test_the_interval_sees_a_gap():
    rng, n = np.random.default_rng(1), 200
    fixed = [rng.normal(size=n) for _ in range(3)]
    found = gap_of(rng.normal(size=n) + 1.0, np.full(n, 15.0), fixed, np.repeat(np.array([[5.0], [10.0], [20.0]]), n, 1))
    assert found.low > 0.5
    assert found.high < 1.5


def gap_of(values, tokens, fixed_values, fixed_tokens):
    def table(k):
        v, c = (values, tokens) if k < 0 else (fixed_values[k], fixed_tokens[k])
        return {seed: (float(a), float(b)) for seed, (a, b) in enumerate(zip(v, c, strict=True))}

    return compared([table(k) for k in range(-1, len(fixed_values))], [str(k) for k in range(len(fixed_values))]).gap


def played(schedule, episodes=40, seed=0):
    return evaluate(Agent(reader(), schedule, "compact", history=2), WORLD, episodes, seed)


def test_a_schedule_alone_is_its_own_rival():
    every = played("every:3")
    found = at_equal_tokens(every, {"every:3": every})
    assert found.gap == (0.0, 0.0, 0.0, 0.0)
    assert found.schedules == ("every:3",)
    assert found.fixed_tokens == pytest.approx(found.tokens)


def test_the_figures_are_those_of_the_episodes():
    poor, good = played("never"), played("always")
    found = at_equal_tokens(good, {"never": poor}, "success")
    assert found.value == pytest.approx(np.mean([bool(e.terminated[-1]) for e in good]))
    assert found.fixed == pytest.approx(np.mean([bool(e.terminated[-1]) for e in poor]))
    assert found.gap.mean == pytest.approx(found.value - found.fixed)
    assert found.fixed_tokens < found.tokens
    dear = at_equal_tokens(poor, {"always": good})
    assert dear.fixed_tokens > dear.tokens  # every schedule writes more: it is said


def test_a_discount_values_early_arrivals_more():
    always = played("always")
    found = at_equal_tokens(always, {"never": played("never")}, discount=0.5)
    assert found.value == pytest.approx(float(np.mean(always.returns(0.5))))


def test_instances_must_be_shared():
    with pytest.raises(UserError, match="0 instances were played by all"):
        at_equal_tokens(played("never", 3), {"always": played("always", 3, seed=100)})
    with pytest.raises(UserError, match="at least one fixed schedule"):
        at_equal_tokens(played("never", 3), {})
