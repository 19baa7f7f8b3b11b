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
from unseen.planning.equal_tokens import at_equal_tokens, envelope
from unseen.planning.models.reader import reader
from unseen.planning.play import evaluate

WORLD = GraphSearch(10, max_steps=15, form="compact")
numbers = st.floats(0, 100).map(lambda x: round(x, 3))


@given(points=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), budget=numbers)
def test_it_is_what_linear_programming_finds(points, budget):
    costs, values = np.array(points).T
    budget = max(budget, float(costs.min()))
    found, mixed = envelope(costs, values, budget)
    exact = linprog(-values, A_ub=costs[None], b_ub=[budget + 1e-9], A_eq=np.ones((1, len(values))), b_eq=[1.0])
    assert found == pytest.approx(-exact.fun, abs=1e-5)
    assert 1 <= len(mixed) <= 2


def test_below_the_cheapest_schedule_it_is_the_cheapest():
    assert envelope(np.array([5.0, 9.0]), np.array([1.0, 3.0]), 2.0) == (1.0, (0,))


def played(schedule, episodes=40, seed=0):
    return evaluate(Agent(reader(), schedule, "compact", history=2), WORLD, episodes, seed)


def test_a_schedule_against_itself_and_cheaper_ones_is_never_above_them():
    fixed = {word: played(word) for word in ("never", "every:3", "always")}
    for word, episodes in fixed.items():
        found = at_equal_tokens(episodes, fixed)
        assert found.gap.mean <= 1e-9, word
        assert found.gap.low <= found.gap.mean <= found.gap.high + 1e-9
    alone = at_equal_tokens(fixed["every:3"], {"every:3": fixed["every:3"]})
    assert alone.gap[:] == pytest.approx((0, 0, 0, 0))
    assert alone.schedules == ("every:3",)


def test_an_agent_that_reaches_more_for_the_same_tokens_is_above():
    poor, good = played("never"), played("always")
    found = at_equal_tokens(good, {"never": poor}, "success")
    assert found.value == pytest.approx(np.mean([bool(e.terminated[-1]) for e in good]))
    assert found.fixed == pytest.approx(np.mean([bool(e.terminated[-1]) for e in poor]))
    assert found.gap.mean == pytest.approx(found.value - found.fixed)


def test_instances_must_be_shared():
    with pytest.raises(UserError, match="0 instances were played by all"):
        at_equal_tokens(played("never", 3), {"always": played("always", 3, seed=100)})
    with pytest.raises(UserError, match="at least one fixed schedule"):
        at_equal_tokens(played("never", 3), {})
