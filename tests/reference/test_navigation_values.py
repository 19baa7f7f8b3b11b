"""Published values of the navigation environments, from tables enumerated by calling their own step functions.

Exact values come from dynamic programming written here; the numbers to the right of == are the specification's. Simulations of
whole episodes then check that reset, step and the time limit together give the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments import make, measured, navigation
from unseen.environments.contract import References, Score
from unseen.environments.navigation.cleaner import Cleaner
from unseen.environments.navigation.heavenhell import HeavenHell, HeavenHellState
from unseen.environments.navigation.shopping import Shopping, ShoppingState, tables


class Table(NamedTuple):
    """Next state, reward and termination, each of shape (S, A), and the start distribution."""

    arrive: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    start: np.ndarray


def enumerate_table(environment: Any, states: Any, actions: int, start: np.ndarray) -> Table:
    """Call step on every state and action; the "state" signal is the index."""
    key = jax.random.key(0)
    each = lambda state: jax.vmap(lambda action: environment.step(key, state, action))(jnp.arange(actions, dtype=jnp.int32))  # noqa: E731
    index = lambda state: environment.signals(key, state)["state"]  # noqa: E731
    steps = jax.jit(jax.vmap(each))(states)
    assert np.asarray(jax.vmap(index)(states)).tolist() == list(range(len(start)))
    arrive = jax.vmap(jax.vmap(index))(steps.state)
    return Table(np.asarray(arrive), np.asarray(steps.reward, np.float64), np.asarray(steps.terminated), start)


def heavenhell_table(n: int) -> Table:
    cells = 4 * n + 2
    heaven, cell = np.divmod(np.arange(2 * cells), cells)
    states = HeavenHellState(jnp.asarray(cell, jnp.int32), jnp.asarray(heaven, jnp.int32))
    return enumerate_table(HeavenHell(n), states, 4, 0.5 * (cell == 0))


def shopping_table(n: int) -> Table:
    parts = np.unravel_index(np.arange(n**4), (n, n, n, n))
    states = ShoppingState(*(jnp.asarray(part, jnp.int32) for part in parts))
    return enumerate_table(Shopping(n), states, 6, ((parts[0] == 0) & (parts[1] == 0)) / n**2)


def value(table: Table, horizon: int, discount: float, over_actions: Callable[..., Any]) -> float:
    values = np.zeros(len(table.start))
    for _ in range(horizon):
        values = over_actions(table.reward + discount * np.where(table.terminated, 0.0, values[table.arrive]), axis=1)
    return float(table.start @ values)


def length_of_random_episodes(table: Table, horizon: int) -> tuple[float, float]:
    """Probability of terminating within the horizon, and the mean length cut there."""
    running, alive, length = table.start.copy(), 1.0, 0.0
    for _ in range(horizon):
        length += alive
        spread = np.zeros_like(running)
        np.add.at(spread, table.arrive, np.where(table.terminated, 0.0, running[:, None] / table.arrive.shape[1]))
        running, alive = spread, float(spread.sum())
    return 1.0 - alive, length


def test_heavenhell_values() -> None:
    table = heavenhell_table(3)
    assert round(value(table, 100, 0.99, np.max), 6) == 0.941480
    assert value(table, 100, 1.0, np.max) == 1.0
    assert value(table, 7, 1.0, np.max) == 1.0
    assert value(table, 6, 1.0, np.max) == 0.0
    assert abs(value(table, 100, 1.0, np.mean)) < 1e-12
    terminated, length = length_of_random_episodes(table, 100)
    assert round(terminated, 6) == 0.541185
    assert round(length, 3) == 71.763


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_heavenhell_with_a_memory_by_search_over_beliefs(n: int) -> None:
    """The belief is (cell, what is known of heaven): breadth first, acting on the enumerated table of both heavens at once."""
    table, cells = heavenhell_table(n), 4 * n + 2
    frontier, seen, steps = {(0, False)}, {(0, False)}, 0
    while True:
        steps += 1
        following = set()
        for cell, known in frontier:
            for action in range(4):
                reward = table.reward[cell, action]  # heaven on the left; on the right it is the opposite
                assert table.reward[cells + cell, action] == -reward
                if reward and known:
                    claimed = HeavenHell(n, time_limit=100).references("train").discounted["perfect_memory"][1]
                    assert claimed.mean == pytest.approx(0.99 ** (steps - 1), rel=1e-12)
                    assert steps == {1: 7, 2: 11, 3: 15, 4: 19}[n]
                    assert n != 3 or round(claimed.mean, 6) == 0.868746
                    return
                arrived = int(table.arrive[cell, action])
                following.add((arrived, known or arrived == cells - 1))
        frontier = following - seen
        seen |= frontier


def test_shopping_values() -> None:
    table = shopping_table(5)
    assert round(value(table, 100, 1.0, np.mean), 4) == -142.4947
    assert round(value(table, 100, 0.99, np.mean), 4) == -93.5782
    terminated, length = length_of_random_episodes(table, 100)
    assert round(terminated, 6) == 0.357793
    assert round(length, 3) == 80.652
    # After the query everything is known: the player with a memory is then the oracle, with one step fewer.
    assert -2.0 + value(table, 99, 1.0, np.max) == pytest.approx(4.0, abs=1e-12)
    assert round(-2.0 + 0.99 * value(table, 99, 0.99, np.max), 5) == 3.63004


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_tables_behind_the_references_are_those_of_step(n: int) -> None:
    whole = shopping_table(n)
    for item in range(n * n):
        part = tables(n, item)
        rows = np.arange(n * n) * n * n + item
        assert (whole.arrive[rows] == part.arrive * n * n + item).all()
        assert (whole.reward[rows] == part.reward).all()
        assert (whole.terminated[rows] == part.terminated).all()
    assert (part.start.nonzero()[0] == [0]).all()


@pytest.mark.parametrize(("name", "table"), [("heavenhell-3", heavenhell_table(3)), ("shopping-5", shopping_table(5))])
@pytest.mark.parametrize("horizon", [1, 30, 100])
def test_references_are_the_values_of_the_enumerated_tables(name: str, table: Table, horizon: int) -> None:
    references = make(name, time_limit=horizon).references("train")
    for player, over_actions in (("random", np.mean), ("oracle", np.max)):
        score = getattr(references, player)
        assert score.mean == pytest.approx(value(table, horizon, 1.0, over_actions), abs=1e-10)
        assert score.standard_error == 0
        discount, score = references.discounted[player]
        assert score.mean == pytest.approx(value(table, horizon, discount, over_actions), abs=1e-10)


# ---- simulation --------------------------------------------------------------------------------------------------------


def simulate(environment: Any, episodes: int, act: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, length and termination of every episode, cut at 100 steps; `act(memory, observation, state, key)` chooses."""

    def episode(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        for_reset, for_steps = jax.random.split(key)
        observation, state = environment.reset(for_reset, ())

        def advance(carry: Any, key: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            observation, state, memory, running = carry
            for_player, for_step = jax.random.split(key)
            memory, action = act(memory, observation, state, for_player)
            step = environment.step(for_step, state, action, ())
            reward = jnp.where(running, step.reward, 0.0)
            return (step.observation, step.state, memory, running & ~step.terminated), (reward, running)

        start = (observation, state, jnp.int32(-1), jnp.bool_(True))
        (*_, running), (rewards, counted) = jax.lax.scan(advance, start, jax.random.split(for_steps, 100))
        return rewards.sum(), counted.sum(), ~running

    keys = jax.random.split(jax.random.key(seed), episodes)
    return tuple(np.asarray(x, np.float64) for x in jax.jit(jax.vmap(episode))(keys))  # type: ignore[return-value]


def uniform(actions: int) -> Any:
    return lambda memory, observation, state, key: (memory, jax.random.randint(key, (), 0, actions, jnp.int32))


def assert_close(sample: np.ndarray, expected: float) -> None:
    error = sample.std(ddof=1) / len(sample) ** 0.5
    assert error > 0
    assert abs(sample.mean() - expected) < 5 * error


@pytest.mark.parametrize(
    ("name", "mean", "length", "terminated"), [("heavenhell-3", 0.0, 71.763, 0.541185), ("shopping-5", -142.4947, 80.652, 0.357793)]
)
def test_random_episodes_have_the_exact_values(name: str, mean: float, length: float, terminated: float) -> None:
    environment = make(name)
    returns, lengths, ended = simulate(environment, 20_000, uniform(environment.action_space().n))
    assert_close(returns, mean)
    assert_close(lengths, length)
    assert_close(ended, terminated)


def test_query_walk_buy_earns_its_exact_value() -> None:
    """A player that remembers one observation earns 4.0 in shopping-5 on average."""

    def act(memory: Any, observation: Any, state: Any, key: Any) -> Any:
        memory = jnp.where((observation >= 25) & (observation < 50), observation - 25, memory)
        dx, dy = memory // 5 - state.agent_x, memory % 5 - state.agent_y
        walking = jnp.where(dx > 0, 2, jnp.where(dx < 0, 1, jnp.where(dy > 0, 3, jnp.where(dy < 0, 4, 5))))
        return memory, jnp.where(memory < 0, 0, walking)

    returns, _, ended = simulate(make("shopping-5"), 20_000, act)
    assert_close(returns, 4.0)
    assert ended.all()


def test_car_flag_and_cleaner_references_are_reproduced() -> None:
    """The committed measurements, by fewer episodes of a simulation written here."""
    for name, actions in (("car-flag", 7), ("car-flag-no-velocity", 7), ("cleaner", 16)):
        environment = make(name)
        score = environment.references("train").random
        returns, _, _ = simulate(environment, 4_000, uniform(actions), seed=9)
        error = float(returns.std(ddof=1) / 4_000**0.5)
        assert error > 0
        assert abs(returns.mean() - score.mean) < 5 * (error**2 + score.standard_error**2) ** 0.5
    flat_out = lambda memory, observation, state, key: (memory, 6 * state.heaven)  # noqa: E731
    returns, _, _ = simulate(make("car-flag"), 2_000, flat_out)
    assert (returns == make("car-flag").references("train").oracle.mean).all()


def test_measured_references_are_for_one_time_limit_and_complete() -> None:
    table = json.loads(resources.files(navigation).joinpath(measured.FILE).read_text("utf-8"))
    rooms = {"memory-four-rooms-7x7", "memory-four-rooms-9x9"}
    assert set(table) == {"car-flag", "car-flag-no-velocity", "cleaner"} | rooms
    assert Cleaner(time_limit=99).references("train") == References()
    for name in table:
        references = make(name).references("train")
        assert isinstance(references.random, Score)
        assert references.random.standard_error > 0
        assert references.random.mean < references.oracle.mean
        if name in rooms:  # what a perfect memory is worth there was not computed
            assert references.perfect_memory is None
            assert set(references.discounted) == {"random", "oracle"}
            continue
        assert references.random.mean < references.perfect_memory.mean <= references.oracle.mean
        assert set(references.discounted) == {"random", "perfect_memory", "oracle"}
    # Nothing exceeds 1 in car-flag, nor 71 in the cleaner: there, players that reach it are the ceiling.
    assert make("car-flag").references("train").perfect_memory.mean == 1.0
    assert make("cleaner").references("train").perfect_memory.mean == 71.0
