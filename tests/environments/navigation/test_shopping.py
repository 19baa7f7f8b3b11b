"""Shopping against a slow player in plain Python, and its rules one by one."""

from __future__ import annotations

import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.environments.navigation import exact
from unseen.environments.navigation.shopping import QUERY_COST, Shopping, ShoppingState, tables

ACTIONS = ["query", "left", "right", "up", "down", "buy"]


def slow_step(n: int, agent: tuple[int, int], item: tuple[int, int], action: str) -> tuple[tuple[int, int], int, float, bool]:
    x, y = agent
    if action == "buy":
        if agent == item:
            return agent, n * x + y, 10.0, True
        return agent, n * x + y, -5.0, False
    if action == "query":
        return agent, n * n + n * item[0] + item[1], -2.0, False
    if action == "left" and x > 0:
        x -= 1
    if action == "right" and x < n - 1:
        x += 1
    if action == "up" and y < n - 1:
        y += 1
    if action == "down" and y > 0:
        y -= 1
    return (x, y), n * x + y, -1.0, False


def state_of(agent: tuple[int, int], item: tuple[int, int]) -> ShoppingState:
    return ShoppingState(*(jnp.int32(v) for v in (*agent, *item)))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_random_walks_equal_the_slow_player(n: int) -> None:
    """10,000 steps each; after buying the item, on from the corner with a new one."""
    environment, draw = Shopping(n), random.Random(n)
    actions = [draw.randrange(6) for _ in range(10_000)]
    items = [(draw.randrange(n), draw.randrange(n)) for _ in range(10_000)]

    def advance(state: ShoppingState, inputs: Any) -> Any:
        action, item = inputs
        step = environment.step(jax.random.key(0), state, action)
        fresh = ShoppingState(jnp.int32(0), jnp.int32(0), item[0], item[1])
        return jax.tree.map(lambda a, b: jnp.where(step.terminated, a, b), fresh, step.state), step

    inputs = (jnp.asarray(actions, jnp.int32), jnp.asarray(items, jnp.int32))
    _, steps = jax.lax.scan(advance, state_of((0, 0), items[-1]), inputs)
    observation, reward, terminated = (np.asarray(x).tolist() for x in (steps.observation, steps.reward, steps.terminated))

    agent, item = (0, 0), items[-1]
    for t, action in enumerate(actions):
        agent, *expected = slow_step(n, agent, item, ACTIONS[action])
        assert [observation[t], reward[t], terminated[t]] == expected
        if expected[-1]:
            agent, item = (0, 0), items[t]
    assert sum(terminated) > 20


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 20), data=st.data())
def test_single_steps_equal_the_slow_player_in_shops_of_any_size(n: int, data: st.DataObject) -> None:
    cell = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    agent, item, action = data.draw(cell), data.draw(cell), data.draw(st.integers(0, 5))
    step = Shopping(n).step(jax.random.key(0), state_of(agent, item), jnp.int32(action))
    arrived, *expected = slow_step(n, agent, item, ACTIONS[action])
    assert [int(step.observation), float(step.reward), bool(step.terminated)] == expected
    assert tuple(int(v) for v in step.state) == (*arrived, *item)


def test_reset_hides_the_item_anywhere_also_at_the_start() -> None:
    environment = Shopping(5)
    observations, states = jax.vmap(environment.reset)(jax.random.split(jax.random.key(2), 5_000))
    assert np.unique(observations).tolist() == [50]
    assert not np.any(states.agent_x) and not np.any(states.agent_y)  # noqa: PT018
    counts = np.bincount(np.asarray(5 * states.item_x + states.item_y), minlength=25)
    assert counts.shape == (25,)
    assert np.abs(counts - 200).max() < 5 * (5_000 * 0.04 * 0.96) ** 0.5


def test_signals_tell_what_they_say() -> None:
    told = Shopping(5).signals(jax.random.key(0), state_of((1, 2), (4, 3)))
    assert {name: int(value) for name, value in told.items()} == {"position": 7, "item": 23, "state": 25 * 7 + 23}


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("discount", [1.0, 0.99])
def test_asking_at_once_is_the_best_time_to_ask(n: int, discount: float) -> None:
    """What the reference of the player with a memory rests on: walking to any other cell first and asking there is no better."""
    limit = 200
    knowing = np.mean([exact.best_values(tables(n, item), limit, discount) for item in range(n * n)], axis=0)
    walk = np.add(*np.divmod(np.arange(n * n), n))
    paid_walking = -sum(discount**t * (t < walk) for t in range(2 * n))
    asking_there = paid_walking + discount**walk * (QUERY_COST + discount * knowing)
    assert asking_there.argmax() == 0
    references = Shopping(n).references("train")
    assert references.perfect_memory is not None
    claimed = references.perfect_memory if discount == 1.0 else references.discounted["perfect_memory"][1]
    assert claimed.mean == pytest.approx(asking_there[0], abs=1e-9)


def test_a_guess_costs_more_than_the_question() -> None:
    """Buying blind first: right with chance 1/n^2, else 5 lost and, at best, the oracle's value from there."""
    for n in (2, 3, 5):
        oracle = np.array([[exact.best_values(tables(n, item), 100)[cell] for item in range(n * n)] for cell in range(n * n)])
        walk = np.add(*np.divmod(np.arange(n * n), n))
        guessing = [-walk[c] + (10 + sum(oracle[c, i] - 5 for i in range(n * n) if i != c)) / n**2 for c in range(n * n)]
        references = Shopping(n).references("train")
        assert references.perfect_memory is not None
        assert references.perfect_memory.mean > max(guessing)


def test_references_are_empty_where_tables_get_large_or_time_is_short() -> None:
    assert Shopping(13).references("train").oracle is None
    assert Shopping(5, time_limit=9).references("train").perfect_memory is None
    assert Shopping(5, time_limit=10).references("train").perfect_memory is not None


def test_pictures_put_up_above_and_right_to_the_right() -> None:
    environment = Shopping(3)
    blank = environment.draw(state_of((0, 0), (0, 0)))
    moved = environment.draw(state_of((2, 2), (0, 0)))
    rows, columns = np.nonzero((blank != moved).any(-1) & (np.arange(blank.shape[0])[:, None] < 48))
    assert len(rows) > 0
    assert columns.min() >= 2 * 48
