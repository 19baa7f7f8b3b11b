"""Reading and writing `.pomdp` files: every form of the format, what overrides what, and a round trip of anything."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular_strategies import arguments, assert_same, distributions, tables

from unseen.environments import tabular
from unseen.environments.tabular import TabularPOMDP, format_pomdp, heavenhell, parse_pomdp, read_pomdp, shopping, tiger, write_pomdp

FILES = Path(tabular.__file__).parent / "files"

HEAD = "discount: 0.9\nvalues: reward\nstates: 2\nactions: go stay\nobservations: dark light\n"
BODY = "T: * identity\nO: * uniform\n"


def read(body: str, head: str = HEAD) -> TabularPOMDP:
    return parse_pomdp(head + body)


# ---- declarations ------------------------------------------------------------------------------------------------------


def test_counted_members_are_named_by_their_number() -> None:
    pomdp = read(BODY)
    assert pomdp.state_names == ("0", "1")
    assert pomdp.action_names == ("go", "stay")
    assert pomdp.discount == 0.9


def test_declarations_may_come_in_any_order_and_layout() -> None:
    text = "# a comment\nobservations :dark\n light actions: go stay # another: 3\nstates:2 values:reward\n\n discount:\n0.9 "
    text += "T:*identity O : * uniform"
    assert_same(parse_pomdp(text), read(BODY))


def test_without_discount_values_and_start_the_defaults_of_pomdp_solve_hold() -> None:
    pomdp = parse_pomdp("states: 4\nactions: 1\nobservations: 1\nT: * identity\nO: * uniform\nR: * : * : * : * 3")
    assert (pomdp.discount, pomdp.values) == (1.0, "reward")
    np.testing.assert_array_equal(pomdp.start, [0.25] * 4)


@pytest.mark.parametrize("word", ["cost", "costs"])
def test_costs_become_negative_rewards_and_are_remembered(word: str) -> None:
    pomdp = read(BODY + "R: go : * : * : * 3\n", HEAD.replace("reward", word))
    np.testing.assert_array_equal(pomdp.expected_reward, [[-3, -3], [0, 0]])
    assert pomdp.values == "cost"
    assert "R: go : * : * : * 3.0" in format_pomdp(pomdp)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("start: uniform", [0.25, 0.25, 0.25, 0.25]),
        ("start: 0.1 0.2 0.3 0.4", [0.1, 0.2, 0.3, 0.4]),
        ("start:\n 1.0 0 0.0 .0", [1, 0, 0, 0]),
        ("start: c", [0, 0, 1, 0]),
        ("start: 3", [0, 0, 0, 1]),
        ("start include: a 2", [0.5, 0, 0.5, 0]),
        ("start include : d", [0, 0, 0, 1]),
        ("start exclude: b", [1 / 3, 0, 1 / 3, 1 / 3]),
        ("start  exclude : 0 1 d", [0, 0, 1, 0]),
    ],
)
def test_start(start: str, expected: list[float]) -> None:
    pomdp = parse_pomdp(f"states: a b c d\nactions: 1\nobservations: 1\n{start}\nT: * identity\nO: * uniform")
    np.testing.assert_array_equal(pomdp.start, expected)


def test_keywords_are_names_where_no_colon_follows() -> None:
    head = "discount: 1\nstates: T O R start discount\nactions: reset identity\nobservations: uniform OO\nstart: T\n"
    with_names = head + "T: reset : T : start 1\nT: reset : * : start 1.0\nT: identity identity\nO: * : * : OO 1\nR: reset : R : * : * 2\n"
    pomdp = parse_pomdp(with_names)
    np.testing.assert_array_equal(pomdp.transition[0].argmax(axis=1), [3] * 5)
    np.testing.assert_array_equal(pomdp.transition[1], np.eye(5))
    assert pomdp.expected_reward[0, 2] == 2.0
    assert pomdp.observation[0, 0, 1] == 1.0


# ---- T, O and R in all their forms -------------------------------------------------------------------------------------

ROW = {"go": [[0.25, 0.75], [1.0, 0.0]], "stay": [[1.0, 0.0], [0.0, 1.0]]}


@pytest.mark.parametrize(
    "body",
    [
        "T: go\n0.25 0.75\n1.0 0.0\nT: stay identity",
        "T: go : 0\n.25 .75\nT: go : 1\n1 0\nT: 1 identity",
        "T: go : 0 : 0 0.25\nT: go : 0 : 1 0.75\nT: 0 : 1 : 0 1.0\nT: stay\nidentity",
        "T: * identity\nT: go : 0 25e-2 7.5E-1\nT : go:1:1 0\nT:go:1:0 1",
        "T: * : * : 0 1.0\nT: go : 0 : 0 +0.25\nT: go : 0 : 1 + 0.75\nT: stay : 1 0 # not yet\n 1",
        "T: * uniform\nT: stay : * : * 0.0\nT: stay : 0 : 0 1\nT: stay : 1 : 1 1\nT: go : * 0.25 0.75\nT: go : 1 : * 0\nT: go : 1 : 0 1",
    ],
)
def test_transition_forms(body: str) -> None:
    pomdp = read(f"{body}\nO: * uniform")
    np.testing.assert_array_equal(pomdp.transition, [ROW["go"], ROW["stay"]])


@pytest.mark.parametrize(
    "body",
    [
        "O: go\n0.25 0.75\n1 0\nO: stay uniform",
        "O: * uniform\nO: go : 0 0.25 0.75\nO: go : 1 : light 0\nO: go : 1 : dark 1",
        "O: * : * uniform\nO: go : 0 : 0 0.25\nO: go : 0 : light 0.75\nO: go : 1 1.0 0.0",
    ],
)
def test_observation_forms(body: str) -> None:
    pomdp = read(f"T: * identity\n{body}")
    np.testing.assert_array_equal(pomdp.observation, [[[0.25, 0.75], [1, 0]], [[0.5, 0.5], [0.5, 0.5]]])
    assert not pomdp.observation_depends_on_origin


def test_observations_that_depend_on_the_origin() -> None:
    pomdp = read(
        "T: * uniform\nO: * : * 1.0 0.0\n"
        "OO: go : 0 : 1 0.0 1.0\nOO: go : 1\n0.5 0.5\n0.25 0.75\n"
        "OO: stay : 0 : 0 : dark 0\nOO: stay : 0 : 0 : 1 1"
    )
    assert pomdp.observation_depends_on_origin
    expected = np.zeros((2, 2, 2, 2))
    expected[..., 0] = 1.0
    expected[0, 0, 1] = expected[1, 0, 0] = [0, 1]
    expected[0, 1] = [[0.5, 0.5], [0.25, 0.75]]
    np.testing.assert_array_equal(pomdp.observation, expected)


def test_reward_forms() -> None:
    pomdp = read(
        BODY + "R: * : * : * : * -1\nR: go : 0 : 1 : light 5\nR: stay : 1 : 0 2 3\nR: stay : 0\n1 2\n3 4\nR: go : 1 : * : dark - 7.5\n"
    )
    expected = np.full((2, 2, 2, 2), -1.0)
    expected[0, 0, 1, 1] = 5
    expected[1, 1, 0] = [2, 3]
    expected[1, 0] = [[1, 2], [3, 4]]
    expected[0, 1, :, 0] = -7.5
    np.testing.assert_array_equal(pomdp.reward_full(), expected)


@pytest.mark.parametrize(
    ("rewards", "shape"),
    [
        ("", (1, 1, 1, 1)),
        ("R: * : * : * : * 4", (1, 1, 1, 1)),
        ("R: go : * : * : * 4", (2, 1, 1, 1)),
        ("R: * : 1 : * : * 4", (1, 2, 1, 1)),
        ("R: * : * : 1 : * 4", (1, 1, 2, 1)),
        ("R: * : * : * : dark 4", (1, 1, 1, 2)),
        ("R: go : 0\n1 1\n1 1\nR: go : 1\n1 1 1 1", (2, 1, 1, 1)),
    ],
)
def test_the_reward_keeps_only_the_axes_it_depends_on(rewards: str, shape: tuple[int, ...]) -> None:
    pomdp = read(BODY + rewards)
    assert pomdp.reward.shape == shape
    assert pomdp.reward_full().shape == (2, 2, 2, 2)


def test_reset_ends_the_episode_and_otherwise_starts_afresh() -> None:
    pomdp = read("start: 0.25 0.75\nT: * uniform\nT: * : 1 reset\nO: * uniform")
    np.testing.assert_array_equal(pomdp.terminal, [[False, True], [False, True]])
    np.testing.assert_array_equal(pomdp.transition[:, 1], [[0.25, 0.75]] * 2)
    assert not pomdp.continuing().terminal.any()
    np.testing.assert_array_equal(pomdp.continuing().transition, pomdp.transition)


@pytest.mark.parametrize("later", ["T: go : 1 uniform", "T: go uniform", "T: go\n0.5 0.5\n0.5 0.5", "T: go identity", "T: go : * 0 1"])
def test_a_later_line_takes_a_reset_back(later: str) -> None:
    assert read(f"T: * uniform\nT: * : 1 reset\n{later}\nO: * uniform").terminal.tolist() == [[False, False], [False, True]]


def test_rounded_rows_are_normalised_and_exact_ones_left_alone() -> None:
    pomdp = parse_pomdp("states: 3\nactions: 1\nobservations: 1\nT: 0\n0.333333 0.333333 0.333333\n0.1 0.2 0.7\n1 0 0\nO: * uniform")
    np.testing.assert_allclose(pomdp.transition.sum(axis=2), 1.0, rtol=1e-15)
    np.testing.assert_array_equal(pomdp.transition[0, 1], [0.1, 0.2, 0.7])


# ---- against a plain interpreter, and round trips ----------------------------------------------------------------------


@st.composite
def overrides(draw: st.DrawFn) -> tuple[str, np.ndarray, np.ndarray]:
    """A random sequence of statements about T and R of 2 actions, 3 states, 2 observations; and the tables they mean."""
    states, actions, symbols = ("s0", "s1", "s2"), ("go", "stay"), ("dark", "light")
    transition, reward = np.full((2, 3, 3), 1 / 3), np.zeros((2, 3, 3, 2))
    lines = ["T: * uniform"]
    gap = st.sampled_from([" ", "\n", "  # T: go : 0 : 0 9\n", "\t"])

    def place(names: tuple[str, ...], wild: bool = True) -> tuple[str, slice]:
        k = draw(st.integers(-1 if wild else 0, len(names) - 1))
        if k < 0:
            return "*", slice(None)
        return draw(st.sampled_from([names[k], str(k)])), slice(k, k + 1)

    def numbers(values: np.ndarray) -> str:
        return draw(gap).join(repr(float(v)) for v in values.reshape(-1))

    for _ in range(draw(st.integers(0, 8))):
        (a, at_a), (s, at_s), (s_next, at_next), (o, at_o) = place(actions), place(states), place(states), place(symbols)
        match draw(st.integers(0, 6)):
            case 0:
                row = draw(distributions(3))
                lines.append(f"T: {a} : {s}{draw(gap)}{numbers(row)}")
                transition[at_a, at_s] = row
            case 1:
                matrix = draw(tables(3, 3))
                lines.append(f"T :{a}{draw(gap)}{numbers(matrix)}")
                transition[at_a] = matrix
            case 2:
                lines.append(f"T: {a}{draw(gap)}identity")
                transition[at_a] = np.eye(3)
            case 3:  # entry by entry, so that the row sums to 1 only at the end
                row = draw(distributions(3))
                lines.append("\n".join(f"T:{a}:{s}:{k}{draw(gap)}{float(p)!r}" for k, p in enumerate(row)))
                transition[at_a, at_s] = row
            case 4:
                value = draw(st.integers(-9, 9))
                lines.append(f"R: {a}: {s}:{s_next} : {o}{draw(gap)}{value}")
                reward[at_a, at_s, at_next, at_o] = value
            case 5:
                row = np.array(draw(st.lists(st.integers(-9, 9), min_size=2, max_size=2)), float)
                lines.append(f"R: {a} : {s} : {s_next}{draw(gap)}{numbers(row)}")
                reward[at_a, at_s, at_next] = row
            case _:
                matrix = np.array(draw(st.lists(st.integers(-9, 9), min_size=6, max_size=6)), float).reshape(3, 2)
                lines.append(f"R: {a} : {s}{draw(gap)}{numbers(matrix)}")
                reward[at_a, at_s] = matrix
    head = f"discount: 0.5\nstates: {' '.join(states)}\nactions: {' '.join(actions)}\nobservations: {' '.join(symbols)}\nO: * uniform\n"
    return head + "\n".join(lines) + "\n", transition, reward


@given(overrides())
@settings(deadline=None, max_examples=100)
def test_statements_mean_what_a_plain_interpreter_makes_of_them(case: tuple[str, np.ndarray, np.ndarray]) -> None:
    text, transition, reward = case
    pomdp = parse_pomdp(text)
    np.testing.assert_allclose(pomdp.transition, transition, rtol=1e-14)
    np.testing.assert_array_equal(pomdp.reward_full(), reward)


@given(arguments(most=4))
@settings(deadline=None, max_examples=100)
def test_what_is_written_reads_back_bit_for_bit(drawn: dict[str, Any]) -> None:
    pomdp = TabularPOMDP.from_tables(**drawn)
    assert_same(parse_pomdp(format_pomdp(pomdp, "a comment: with a colon\nstates: 9")), pomdp)


def test_names_the_format_cannot_hold_become_counts() -> None:
    pomdp = tabular.TabularPOMDP.from_tables(np.eye(2)[None], np.eye(2)[None], np.zeros((1, 2)), state_names=("two words", "x"))
    assert parse_pomdp(format_pomdp(pomdp)).state_names == ("0", "1")


@pytest.mark.parametrize(("name", "pomdp"), [("tiger", tiger()), ("heavenhell_3", heavenhell(3)), ("shopping_5", shopping(5))])
def test_the_files_that_come_with_the_package(name: str, pomdp: TabularPOMDP) -> None:
    assert_same(read_pomdp(FILES / f"{name}.pomdp"), pomdp)


def test_a_file_of_625_states_loads_in_about_a_second() -> None:
    read_pomdp(FILES / "tiger.pomdp")  # the grammar is compiled once per process
    began = time.process_time()
    pomdp = read_pomdp(str(FILES / "shopping_5.pomdp"))
    assert time.process_time() - began < 5.0  # a guard against a slow path, an order of magnitude above what it takes
    assert pomdp.reward.nbytes < 100_000  # never (A, S, S, O), which would be almost a gigabyte


def test_write_and_read_a_file(tmp_path: Path) -> None:
    write_pomdp(tiger(), tmp_path / "t.pomdp", comment="two doors")
    assert (tmp_path / "t.pomdp").read_text().startswith("# two doors\ndiscount: 0.95\n")
    assert_same(read_pomdp(tmp_path / "t.pomdp"), tiger())
