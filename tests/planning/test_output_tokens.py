"""Tokens are shared out between plan and action as a plain count does it, and a long plan is cut where it should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.planning.grammar import CLOSE, OPEN, parse
from unseen.planning.models.contract import Completion, Usage
from unseen.planning.models.scripted import pieces
from unseen.planning.tokens import Spent, cut, spent

SCRAPS = st.lists(st.sampled_from([OPEN, CLOSE, " go", "\n", " Move", " West", " <pla", "x"]), max_size=12).map("".join)


def of(text: str, *, end: int = 0) -> Completion:
    return Completion(text, "stop", Usage(0, 0, 0, len(pieces(text)) + end), pieces=pieces(text))


def untold(text: str, output: int) -> Completion:
    return Completion(text, "stop", Usage(0, 0, 0, output))


@pytest.mark.parametrize(
    ("text", "plan", "action"),
    [
        ("Move West", 0, 2),
        ("<plan>find water</plan>\nMove West", 4, 2),
        ("<plan>find water", 3, 0),
        ("well <plan>find water</plan> go", 5, 1),
        ("<plan>a</plan> go <plan>b</plan> go", 7, 1),
        ("<plan>a</plan> go <plan>b c", 7, 0),
        ("go </plan> on", 0, 3),
        ("", 0, 0),
    ],
)
def test_by_hand(text, plan, action):
    assert spent(of(text)) == Spent(plan, action, estimated=False)
    assert spent(of(text, end=1)) == Spent(plan, action + 1, estimated=False)  # the end of the output is the action's


@given(SCRAPS, st.integers(0, 2), st.none() | st.integers(1, 8))
def test_plan_and_action_add_up(text, end, limit):
    found = spent(of(text, end=end), limit)
    assert found.plan + found.action == len(pieces(text)) + end
    read = parse(text)
    if OPEN not in text:
        assert found.plan == 0
    elif read.unclosed:
        assert found.plan == min(len(pieces(text)), limit or 10**6)
    else:
        assert found.plan == min(len(pieces(text[: text.rfind(CLOSE) + len(CLOSE)])), limit or 10**6)


@given(st.lists(st.text("ab </>plan", min_size=1, max_size=3), max_size=20))
def test_a_token_that_ends_the_plan_and_begins_the_action_is_the_plans(cut_up):
    text = "".join(cut_up)
    found = spent(Completion(text, "stop", Usage(0, 0, 0, len(cut_up)), pieces=tuple(cut_up)))
    if OPEN in text and not parse(text).unclosed:
        end = text.rfind(CLOSE) + len(CLOSE)
        starts = [len("".join(cut_up[:k])) for k in range(len(cut_up))]
        assert found.plan == sum(start < end for start in starts)


def test_untold_tokens_are_shared_out_by_characters():
    text = "<plan>abcdef</plan>\nMove"  # 19 characters of 24
    assert spent(untold(text, 48)) == Spent(38, 10, estimated=True)
    assert spent(untold(text, 48), 20) == Spent(20, 28, estimated=True)
    assert spent(untold("", 3)) == Spent(0, 3, estimated=True)


def test_a_cut_plan_by_hand():
    text = "<plan>one two three four</plan> go"
    assert [cut(of(text), limit) for limit in (1, 2, 3, 5, 6, 9)] == [
        "",
        "one",
        "one two",
        "one two three four",
        "one two three four",
        "one two three four",
    ]
    assert cut(of("<plan>one two three"), 3) == "one two"
    assert cut(of("so it begins <plan>one two</plan>"), 2) == ""
    assert cut(untold("<plan>" + "a" * 100 + "</plan>", 50), 25) == "a" * 50


@given(SCRAPS, st.integers(1, 8))
def test_a_cut_plan_is_the_beginning_of_the_plan_and_no_longer_than_its_limit(text, limit):
    if OPEN not in text:
        return
    kept = cut(of(text), limit)
    assert text.partition(OPEN)[2].partition(CLOSE)[0].strip().startswith(kept)
    assert len(pieces(text.partition(OPEN)[0] + OPEN + kept)) <= max(limit, len(pieces(text.partition(OPEN)[0] + OPEN)))
