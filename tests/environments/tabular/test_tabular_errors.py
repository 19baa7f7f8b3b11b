"""A wrong `.pomdp` file is refused in one line that says where and what; no text, however broken, leads to anything else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.environments.tabular import TabularPOMDP, format_pomdp, heavenhell, parse_pomdp, read_pomdp, tiger
from unseen.errors import UserError

HEAD = "discount: 0.9\nvalues: reward\nstates: left right\nactions: go stay\nobservations: dark light\n"  # lines 1 to 5
BODY = "T: * identity\nO: * uniform\n"  # lines 6 and 7


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_pomdp(text, "f.pomdp")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("body", "line", "column", "says"),
    [
        ("T: * identity\nT: go : right 0.5 0.4\nO: * uniform", 7, 1, "transition probabilities of action 'go', state 'right' sum to 0.9"),
        ("T: * identity\nT: go : left : right 0.5\nO: * uniform", 7, 1, "action 'go', state 'left' sum to 1.5, not to 1"),
        (
            "T: * identity\nO: * uniform\nO: stay : left : light 0.25",
            8,
            1,
            "observation probabilities of action 'stay', next state 'left' sum to 0.75",
        ),
        ("T: * uniform\nO: * uniform\nOO: go : left : right 0.9 0.2", 8, 1, "action 'go', state 'left', next state 'right' sum to 1.1"),
        ("T: * : left : * 0.7\nT: stay identity\nO: * uniform", 6, 1, "state 'left' sum to 1.4, not to 1 (and of 1 more rows)"),
        (
            "T: go identity\nO: * uniform",
            1,
            1,
            "transition probabilities of action 'stay', state 'left' are missing; add 'T: stay : left ...'",
        ),
        (BODY + "T: go : left 0.5 1.5", 8, 18, "probability 1.5 is outside [0, 1]"),
        (BODY + "T: go : left\n0.5\n -0.5", 10, 2, "probability -0.5 is outside [0, 1]"),
        (BODY + "T: goo : left 0 1", 8, 4, "unknown action 'goo'; did you mean 'go'?"),
        (BODY + "T: go : lft 0 1", 8, 9, "unknown state 'lft'; did you mean 'left'?"),
        (BODY + "  R: go : left : * : drak 1", 8, 22, "unknown observation 'drak'; did you mean 'dark'?"),
        (BODY + "R: go : # a comment\n 7 : * : * 1", 9, 2, "state 7 does not exist; numbers go from 0 to 1"),
        (BODY + "T: go : left 0.2 0.3 0.5", 8, 22, "3 numbers where 2 are needed (2 states)"),
        (BODY + "T: go\n1 0\n0", 10, 1, "3 numbers where 4 are needed (2 states x 2 states)"),
        (BODY + "O: go : left : dark 1 0", 8, 23, "2 numbers where 1 are needed (a single entry)"),
        (BODY + "R: go : left : right 1", 8, 22, "1 numbers where 2 are needed (2 observations)"),
        (BODY + "R: go 5", 8, 1, "'R:' needs an action and a state"),
        (BODY + "OO: go 1 0 0 1", 8, 1, "'OO:' needs an action and a state"),
        (BODY + "T: go reset", 8, 1, "'reset' needs an action and a state"),
        (BODY + "T: go : left identity", 8, 1, "'identity' stands for a whole matrix"),
        (BODY + "T: go : left : right uniform", 8, 22, "a single entry takes one probability"),
        (BODY + "T: go : left : left : left 1", 8, 23, "too many colons"),
        (BODY + "O: go identity", 8, 7, "unexpected 'identity'; expected a number or 'uniform'"),
        (BODY + "T: go : left", 8, 13, "the file ends early; expected a number"),
        (BODY + "T: go : left 0.5 x", 8, 18, "unexpected 'x'"),
        (BODY + "T go 1", 8, 1, "unexpected 'T'"),
        (BODY + "T: go : left : left 0.5-1", 8, 21, "unexpected '0.5-1'"),
        (BODY + "R: go : left : * : * 1e999", 8, 22, "1e999 is too large a number"),
        (BODY + "discount: 0.5", 8, 1, "'discount' is declared a second time (first in line 1)"),
        (BODY + "start: left\nstart exclude: right", 9, 1, "'start' is declared a second time"),
        (BODY + "start exclude: left 1", 8, 1, "'start exclude' leaves no state"),
        (BODY + "start include: lefty", 8, 16, "unknown state 'lefty'; did you mean 'left'?"),
        (BODY + "start: 0.5 0.6", 8, 1, "start probabilities sum to 1.1, not to 1"),
        (BODY + "start: 0.5 0.25 0.25", 8, 17, "3 start probabilities for 2 states"),
    ],
)
def test_the_message_names_line_column_and_what_is_wrong(body: str, line: int, column: int, says: str) -> None:
    message = refusal(HEAD + body)
    assert message.startswith(f"f.pomdp:{line}:{column}: ")
    assert says in message


@pytest.mark.parametrize(
    ("head", "where", "says"),
    [
        ("actions: 1\nobservations: 1\n", "1:1", "does not declare its states; add a line such as 'states: 2'"),
        ("states: 1\nactions: 1\n", "1:1", "does not declare its observations"),
        ("states: 0\nactions: 1\nobservations: 1\n", "1:9", "states: 0 is not a count"),
        ("states: 2.5\nactions: 1\nobservations: 1\n", "1:9", "2.5 is not a count"),
        ("states: 2 3\nactions: 1\nobservations: 1\n", "1:9", "2 3 is not a count"),
        ("states: a b a\nactions: 1\nobservations: 1\n", "1:13", "state 'a' is declared twice"),
        ("discount: 1.5\nstates: 1\nactions: 1\nobservations: 1\n", "1:11", "discount 1.5 is not one number in [0, 1]"),
        ("values: rewrad\nstates: 1\nactions: 1\nobservations: 1\n", "1:9", "unexpected 'rewrad'; expected 'reward' or 'cost'"),
        ("sttes: 1\nactions: 1\nobservations: 1\n", "1:1", "unexpected 'sttes'; expected a statement"),
    ],
)
def test_bad_declarations(head: str, where: str, says: str) -> None:
    message = refusal(head)
    assert message.startswith(f"f.pomdp:{where}: ")
    assert says in message


def test_rewards_that_cannot_be_held_are_refused_before_they_are() -> None:
    head = "states: 5000\nactions: 9\nobservations: 99\nT: * identity\nO: * uniform\n"
    message = refusal(head + "R: 1 : 2 : 3 : 4 1.0\n")
    assert message.startswith("f.pomdp:6:1: the rewards tell 9 x 5000 x 5000 x 99 cases apart")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.pomdp: No such file"):
        read_pomdp(tmp_path / "none.pomdp")
    (tmp_path / "binary.pomdp").write_bytes(b"\xff\xfe\x00states")
    with pytest.raises(UserError, match="not a text file"):
        read_pomdp(tmp_path / "binary.pomdp")
    with pytest.raises(UserError, match=r"cannot read .*directory"):
        read_pomdp(tmp_path)


TEXTS = (format_pomdp(tiger()), format_pomdp(heavenhell(1)), HEAD + BODY + "OO: go : left\n1 0\n0 1\n")


@given(st.sampled_from(TEXTS), st.data())
@settings(deadline=None, max_examples=300)
def test_damaged_files_are_read_or_refused_with_a_position(text: str, data: st.DataObject) -> None:
    """Cut, duplicate and overwrite: a damaged file gives a valid POMDP or a UserError, never another exception."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        to = data.draw(st.integers(at, min(at + 12, len(text))))
        text = (
            text[:at]
            + data.draw(st.one_of(st.just(""), st.sampled_from([":", "*", " reset ", "0.5", "#", "\n", "T:", "1e9"]), st.text(max_size=3)))
            + text[to:]
        )
    pomdp, message = None, "f.pomdp:0:0: "
    try:
        pomdp = parse_pomdp(text or " ", "f.pomdp")
    except UserError as error:
        message = str(error)
    assert re.fullmatch(r"f\.pomdp:\d+:\d+: .*", message)  # one line: the dot does not match a line break
    if pomdp is not None:
        np.testing.assert_allclose(pomdp.transition_rows.sum(axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(pomdp.observation_rows.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"transition": np.array([[[0.5, 0.4], [0.0, 1.0]]])}, "action 'a', state 's0' sum to 0.9"),
        ({"transition": np.array([[[1.5, -0.5], [0.0, 1.0]]])}, "action 'a', state 's0'"),
        ({"observation": np.array([[[1.0], [0.0]]])}, "action 'a', next state 's1' sum to 0"),
        ({"observation": np.ones((1, 3, 1))}, "observations have shape"),
        ({"transition": np.ones((2, 2))}, r"need transition \(A, S, S\)"),
        ({"reward": np.zeros((1, 3))}, "reward has shape"),
        ({"reward": np.array([[0.0, np.nan]])}, "not finite"),
        ({"start": np.array([0.5, 0.6])}, "start probabilities sum to 1.1"),
        ({"discount": 1.1}, r"discount 1.1 is outside \[0, 1\]"),
    ],
)
def test_tables_that_are_not_a_pomdp(change: dict[str, np.ndarray | float], says: str) -> None:
    right = {"transition": np.eye(2)[None], "observation": np.ones((1, 2, 1)), "reward": np.zeros((1, 2))}
    with pytest.raises(UserError, match=says):
        TabularPOMDP.from_tables(**{**right, **change}, state_names=("s0", "s1"), action_names=("a",))  # type: ignore[arg-type]
