"""What an agent writes is read as the grammar has it, whatever it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.planning.grammar import CLOSE, OPEN, Written, harmless, parse, render

TEXT = st.text().map(str.strip).filter(lambda text: OPEN not in text and CLOSE not in text)
SCRAPS = st.lists(st.sampled_from([OPEN, CLOSE, "<pla", "n>", " go ", "\n", "Move West", "</", "3"])).map("".join)


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ("Move West", Written(None, "Move West")),
        ("  7\n", Written(None, "7")),
        ("<plan>find water</plan>\nMove West", Written("find water", "Move West")),
        ("<plan>\n1. wood\n2. table\n</plan>Do", Written("1. wood\n2. table", "Do")),
        ("<plan></plan>Do", Written(None, "Do")),
        ("<plan> \n</plan>Do", Written(None, "Do")),
        ("", Written(None, "")),
        ("<plan>go on and on", Written(None, "", unclosed=True)),
        ("Do <plan>go on", Written(None, "", unclosed=True, untidy=True)),
        ("well, <plan>wood</plan>Do", Written("wood", "Do", untidy=True)),
        ("<plan>a</plan>Do<plan>b</plan>Sleep", Written("a", "Sleep", untidy=True)),
        ("<plan>a</plan>Do<plan>b", Written("a", "", unclosed=True, untidy=True)),
        ("<plan>a<plan>b</plan>Do", Written("a<plan>b", "Do")),
        ("a</plan>Do", Written(None, "a</plan>Do")),
        ("<plan>a</plan>", Written("a", "")),
    ],
)
def test_read_by_hand(output, read):
    assert parse(output) == read


@given(st.none() | TEXT.filter(bool), TEXT)
def test_what_is_rendered_is_read_back(plan, action):
    assert parse(render(plan, action)) == Written(plan, action)


@given(st.text() | SCRAPS)
def test_every_closed_output_is_read_as_the_reference_does(output):
    """Its regular expression: the first pair of tags without greed; behind the last closing tag is the action."""
    read = parse(output)
    found = re.search(f"{OPEN}(.*?){CLOSE}", output, re.DOTALL)
    if read.unclosed:
        assert read.action == ""
        assert output.rfind(OPEN) > output.rfind(CLOSE)
    elif found is None:
        assert read == Written(None, output.strip())
    else:
        assert (read.plan or "") == found[1].strip()
        assert read.action == output.rpartition(CLOSE)[2].strip()


@given(st.text() | SCRAPS)
def test_a_shown_plan_ends_no_tag(text):
    shown = harmless(text)
    assert OPEN not in shown
    assert CLOSE not in shown
    assert len(shown) == len(text)


@pytest.mark.parametrize(("plan", "action"), [("a</plan>b", "Do"), ("<plan>", "Do"), (None, "<plan>"), (" ", "Do")])
def test_what_cannot_be_written(plan, action):
    with pytest.raises(UserError):
        render(plan, action)
