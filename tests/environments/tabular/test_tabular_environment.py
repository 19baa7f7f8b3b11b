"""Tables as an environment: it keeps the contract, plays by the tables, and agrees with the same problem written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular_strategies import arguments, assert_same, joint_table

from unseen.environments import check_environment, make, tabular
from unseen.environments.contract import Environment
from unseen.environments.tabular import TabularEnvironment, TabularPOMDP, heavenhell, parse_pomdp, random_value, shopping, table_of, tiger
from unseen.environments.tabular.outcomes import draw, outcomes_of
from unseen.errors import UserError

FILES = Path(tabular.__file__).parent / "files"
BY_ORIGIN = """discount: 0.9
values: cost
states: a b c
actions: go stay
observations: dark light
start include: a b
T: go 0.2 0.3 0.5  0.1 0.9 0  0 0 1
T: stay identity
T: stay : c reset
O: * uniform
OO: go : a : b 0.9 0.1
R: * : * : c : light 2
R: stay : c : a : * 5
"""


def random_table(states: int, observations: int, seed: int = 0) -> TabularPOMDP:
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.ones(states), size=(2, states))
    observation = rng.dirichlet(np.ones(observations), size=(2, states))
    return TabularPOMDP.from_tables(transition, observation, rng.normal(size=(2, states, states)), discount=0.9)


@pytest.mark.parametrize(
    "pomdp",
    [tiger(), heavenhell(2), shopping(2), parse_pomdp(BY_ORIGIN), random_table(3, 2)],
    ids=["tiger", "heavenhell", "shopping", "origin", "random"],
)
def test_it_keeps_the_contract(pomdp: TabularPOMDP) -> None:
    environment = TabularEnvironment(pomdp, "test", 20)
    assert isinstance(environment, Environment)
    check_environment(environment, steps=60)


@pytest.mark.parametrize("name", ["tiger", "heavenhell_3", "shopping_5"])
def test_files_become_environments(name: str) -> None:
    environment = TabularEnvironment.from_file(FILES / f"{name}.pomdp", time_limit=30)
    params = environment.levels["train"][0][1]
    assert (environment.name, environment.horizon(params)) == (name, 30)
    assert make(str(FILES / f"{name}.pomdp")).name == name
    assert hash(environment) == hash(environment)
    assert len(environment.action_names) == environment.action_space(params).n


def test_refusals() -> None:
    with pytest.raises(UserError, match="time_limit=0 is not allowed"):
        TabularEnvironment(tiger(), "tiger", 0)
    with pytest.raises(UserError, match="unknown level of tiger 'trian'; did you mean 'train'"):
        TabularEnvironment(tiger(), "tiger").references("trian")


# ---- dynamics ----------------------------------------------------------------------------------------------------------


def expected_outcomes(pomdp: TabularPOMDP, a: int, s: int) -> dict[tuple[int, int, float], float]:
    """(s', o, r) -> probability, from the dense tables; where the episode ends, (s, likeliest o of staying, r)."""
    found: dict[tuple[int, int, float], float] = {}
    table = joint_table(pomdp)[a, s]
    for s_next, o in np.argwhere(table > 0):
        reward = float(np.float32(pomdp.reward_full()[a, s, s_next, o]))
        staying = pomdp.observation[a, s, s] if pomdp.observation_depends_on_origin else pomdp.observation[a, s]
        key = (s, int(staying.argmax()), reward) if pomdp.terminal[a, s] else (int(s_next), int(o), reward)
        found[key] = found.get(key, 0.0) + float(table[s_next, o])
    return found


@given(arguments(most=4))
@settings(deadline=None, max_examples=60)
def test_the_outcome_lists_hold_exactly_what_the_tables_allow(drawn: dict[str, Any]) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    outcomes = outcomes_of(pomdp)
    actions, states, _ = pomdp.shape
    for a in range(actions):
        for s in range(states):
            row = a * states + s
            below = np.concatenate([[0.0], np.asarray(outcomes.below)[row], [1.0]])
            found: dict[tuple[int, int, float], float] = {}
            for k, chance in enumerate(np.diff(below)):
                if chance > 0:
                    key = (int(outcomes.next_state[row, k]), int(outcomes.observation[row, k]), float(outcomes.reward[row, k]))
                    assert key not in found
                    found[key] = float(chance)
            expected = expected_outcomes(pomdp, a, s)
            assert found.keys() == expected.keys()
            np.testing.assert_allclose([found[k] for k in expected], list(expected.values()), atol=1e-6)
            assert outcomes.terminal[row] == pomdp.terminal[a, s]


@pytest.mark.parametrize(("states", "observations"), [(3, 2), (9, 9)], ids=["short rows", "long rows"])
def test_steps_follow_the_tables(states: int, observations: int) -> None:
    """Frequencies of (s', o) over many draws, for rows that are compared one by one and rows that are searched by halving."""
    pomdp = random_table(states, observations)
    environment = TabularEnvironment(pomdp, "random")
    params = environment.levels["train"][0][1]
    draws = 40_000
    step = jax.jit(jax.vmap(lambda key: environment.step(key, jnp.int32(1), jnp.int32(1), params)))
    result = step(jax.random.split(jax.random.key(0), draws))
    counts = np.zeros((states, observations))
    np.add.at(counts, (np.asarray(result.state), np.asarray(result.observation)), 1)
    expected = draws * joint_table(pomdp)[1, 1]
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = states * observations - 1
    assert chi_square < freedom + 5 * np.sqrt(2 * freedom)
    np.testing.assert_allclose(result.reward, pomdp.reward[1, 1, np.asarray(result.state), 0], rtol=1e-6)


@given(st.integers(1, 200), st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_a_draw_is_the_number_of_entries_not_above_it(width: int, seed: int) -> None:
    below = np.sort(np.random.default_rng(seed).random((3, width)), axis=1).astype(np.float32)
    keys = jax.random.split(jax.random.key(seed), 64)
    found = jax.vmap(lambda key: draw(key, jnp.asarray(below), jnp.int32(2)))(keys)
    u = np.asarray(jax.vmap(lambda key: jax.random.uniform(key, (), jnp.float32))(keys))
    np.testing.assert_array_equal(found, (below[2] <= u[:, None]).sum(axis=1))


@pytest.mark.parametrize("pomdp", [heavenhell(3), shopping(3)], ids=["heavenhell", "shopping"])
def test_where_nothing_is_left_to_chance_nothing_is_drawn(pomdp: TabularPOMDP) -> None:
    """The ends of these files lead back to a random start; that must not cost a draw per step."""

    def draws(problem: TabularPOMDP) -> bool:
        environment = TabularEnvironment(problem)
        params = environment.levels["train"][0][1]
        return "random" in str(jax.make_jaxpr(environment.step)(jax.random.key(0), jnp.int32(0), jnp.int32(0), params))

    assert not draws(pomdp)
    assert draws(tiger())


def test_the_start_is_drawn_from_the_start_distribution() -> None:
    environment = TabularEnvironment(parse_pomdp(BY_ORIGIN.replace("include: a b", ": 0.2 0.0 0.8")))
    params = environment.levels["train"][0][1]
    observation, state = jax.vmap(environment.reset, (0, None))(jax.random.split(jax.random.key(0), 10_000), params)
    counts = np.bincount(np.asarray(state), minlength=3)
    assert counts[1] == 0
    assert abs(counts[0] - 2_000) < 5 * np.sqrt(10_000 * 0.2 * 0.8)
    assert (np.asarray(observation) == 2).all()  # a symbol that no later observation uses


@pytest.mark.parametrize(("name", "pomdp"), [("heavenhell-3", heavenhell(3)), ("shopping-3", shopping(3))])
def test_step_by_step_the_same_as_the_problem_written_by_hand(name: str, pomdp: TabularPOMDP) -> None:
    """From every start state, 300 random actions: symbols, rewards and ends agree, and the state signals do."""
    by_hand, table = make(name), TabularEnvironment(pomdp)
    hand_params, table_params = by_hand.levels["train"][0][1], table.levels["train"][0][1]
    hand_step, table_step, hand_reset = jax.jit(by_hand.step), jax.jit(table.step), jax.jit(by_hand.reset)
    rng = np.random.default_rng(0)
    key = jax.random.key(0)
    seen = set()
    for episode in range(30):
        observation, one = hand_reset(jax.random.key(episode), hand_params)
        assert int(observation) == pomdp.shape[2]
        two = jnp.int32(by_hand.signals(key, one, hand_params)["state"])
        for _ in range(300):
            seen.add(int(two))
            action = jnp.int32(rng.integers(pomdp.shape[0]))
            a, b = hand_step(key, one, action, hand_params), table_step(key, two, action, table_params)
            assert float(a.reward) == float(b.reward)
            assert bool(a.terminated) == bool(b.terminated)
            if bool(a.terminated):
                break
            assert int(a.observation) == int(b.observation)
            one, two = a.state, b.state
            assert int(by_hand.signals(key, one, hand_params)["state"]) == int(two)
    assert len(seen) > pomdp.shape[1] // 2


# ---- references and pictures -------------------------------------------------------------------------------------------


def test_references_of_heavenhell() -> None:
    scores = TabularEnvironment(heavenhell(3), "heavenhell", 100).references("train")
    assert scores.random is not None
    assert scores.perfect_memory is not None
    assert scores.oracle is not None
    assert scores.random.mean == pytest.approx(0.0, abs=1e-12)
    assert (scores.perfect_memory.mean, scores.oracle.mean) == (1.0, pytest.approx(1.0))
    for player, value in {
        "oracle": 0.99**6,
        "perfect_memory": 0.99**14,
        "optimal lower bound": 0.99**14,
        "optimal upper bound": 0.99**14,
    }.items():
        gamma, score = scores.discounted[player]
        assert (gamma, score.mean) == (0.99, pytest.approx(value, abs=1e-4))


def test_references_are_cut_at_the_time_limit() -> None:
    short = TabularEnvironment(heavenhell(3), "heavenhell", 14).references("train")
    assert short.perfect_memory is not None
    assert short.oracle is not None
    assert (short.perfect_memory.mean, short.oracle.mean) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))
    assert short.discounted["optimal upper bound"][1].mean == pytest.approx(0.0, abs=1e-12)


def test_the_perfect_memory_of_each_score_maximises_that_score() -> None:
    """A payment of 1 at once, or of 2 after a step that pays nothing: discount 0.4 takes the first, no discount the second."""
    transition = np.zeros((2, 3, 3))
    transition[:, 0], transition[:, 1], transition[:, 2] = [[0, 0, 1], [0, 1, 0]], [0, 0, 1], [0, 0, 1]
    reward = np.array([[1.0, 2.0, 0.0], [0.0, 2.0, 0.0]])
    pomdp = TabularPOMDP.from_tables(transition, np.ones((2, 3, 1)), reward, np.array([1.0, 0.0, 0.0]), discount=0.4)
    scores = TabularEnvironment(pomdp, time_limit=5).references("train")
    assert scores.perfect_memory is not None
    assert scores.perfect_memory.mean == pytest.approx(2.0)
    assert scores.discounted["perfect_memory"] == (0.4, scores.discounted["perfect_memory"][1])
    assert scores.discounted["perfect_memory"][1].mean == pytest.approx(1.0)


def test_a_perfect_memory_that_was_not_found_has_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    from unseen.environments.tabular import environment

    monkeypatch.setattr(environment, "bounds_within", lambda *_, **__: (1.0, 3.0))
    scores = TabularEnvironment(tiger(), "tiger", 3).references("train")
    assert scores.perfect_memory is None
    assert {n: s.mean for n, (_, s) in scores.discounted.items() if n.startswith("optimal")} == {
        "optimal lower bound": 1.0,
        "optimal upper bound": 3.0,
    }
    assert "perfect_memory" not in scores.discounted


def test_a_file_without_discount_has_undiscounted_references() -> None:
    scores = TabularEnvironment(TabularPOMDP.from_tables(tiger().transition, tiger().observation, tiger().reward), "tiger", 3).references(
        "train"
    )
    assert scores.random is not None
    assert scores.random.mean == pytest.approx(3 * (-1.0 - 45.0 - 45.0) / 3)
    assert scores.perfect_memory is not None
    assert scores.perfect_memory.mean == pytest.approx(2.72)  # listen twice, and open where both agree: 0.745 x 6.678 - 0.255 - 2
    assert not scores.discounted


@pytest.mark.parametrize(
    ("environment", "table"),
    [(make("heavenhell-2"), heavenhell(2)), (make("shopping-3"), shopping(3)), (TabularEnvironment(tiger()), tiger())],
    ids=["heavenhell", "shopping", "tiger"],
)
def test_environments_that_are_tables(environment: Any, table: TabularPOMDP) -> None:
    """With the same numbers of symbols, but for the first observation, and the same states."""
    found = table_of(environment)
    assert found is not None
    assert_same(found, table)
    params = environment.levels["train"][0][1]
    assert (environment.action_space(params).n, environment.observation_space(params).n - 1) == (table.shape[0], table.shape[2])
    assert environment.signal_spaces(params)["state"].n == table.shape[1]


def test_environments_that_are_no_tables() -> None:
    assert table_of(make("car-flag")) is None
    assert table_of(make("shopping-13")) is None


def test_random_play_gets_what_dynamic_programming_says() -> None:
    pomdp = parse_pomdp(BY_ORIGIN)
    environment = TabularEnvironment(pomdp, time_limit=8)
    params = environment.levels["train"][0][1]

    def episode(key: jax.Array) -> jax.Array:
        def go(carry: Any, key: jax.Array) -> tuple[Any, None]:
            state, alive, total = carry
            k_action, k_step = jax.random.split(key)
            step = environment.step(k_step, state, jax.random.randint(k_action, (), 0, 2), params)
            return (step.state, alive & ~step.terminated, total + jnp.where(alive, step.reward, jnp.float32(0.0))), None

        k_start, *keys = jax.random.split(key, 9)
        _, state = environment.reset(k_start, params)
        return jax.lax.scan(go, (state, jnp.bool_(True), jnp.float32(0.0)), jnp.stack(keys))[0][2]

    returns = np.asarray(jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(3), 20_000)))
    error = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - random_value(pomdp, 8).undiscounted) < 4 * error


def test_pictures_tell_states_apart_and_mark_what_is_reachable() -> None:
    environment = TabularEnvironment(heavenhell(1))
    params = environment.levels["train"][0][1]
    pictures = [environment.draw(np.int32(s), params) for s in range(12)]
    assert all(p.dtype == np.uint8 and p.ndim == 3 and p.shape[2] == 3 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 12
    orange = (np.array([225, 150, 0]) == pictures[0]).all(axis=2).sum()
    at_the_end = (np.array([225, 150, 0]) == pictures[2]).all(axis=2).sum()
    assert orange > 0  # north and south of the start
    assert at_the_end == 0  # nothing follows an end
