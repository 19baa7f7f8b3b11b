"""A scripted model keeps the promises of a language model; the reader plays graph search on nothing but its prompt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.environments.text import GraphSearch
from unseen.environments.text.contract import TextObservation
from unseen.errors import UserError
from unseen.planning.accounting import paired
from unseen.planning.agent import Agent
from unseen.planning.grammar import CLOSE, OPEN, parse
from unseen.planning.models.contract import LanguageModel, Message
from unseen.planning.models.reader import reader
from unseen.planning.models.scripted import ScriptedModel, pieces
from unseen.planning.play import evaluate
from unseen.planning.prompts import Prompts, Turn

LOOK = [Message("user", "look at this")]


@given(st.text() | st.lists(st.sampled_from([OPEN, CLOSE, " ", "\n", "go", "<plan", "é\u2003"])).map("".join))
def test_pieces_add_up_and_a_tag_is_one(text):
    found = pieces(text)
    assert "".join(found) == text
    for piece in found:
        assert piece.strip() in (OPEN, CLOSE) or (OPEN not in piece and CLOSE not in piece)
    if text.strip():
        assert sum(piece.strip() == OPEN for piece in found) == text.count(OPEN)


def test_it_writes_what_the_function_says():
    heard = []

    def write(prompt, force, forbid, generator):
        heard.append((prompt[-1].content, force, forbid))
        return f"{force or ''}a b c {int(generator.integers(10**9))}"

    model = ScriptedModel(write, name="mine")
    assert isinstance(model, LanguageModel)
    assert model.name == "mine"
    told = model.generate([LOOK, LOOK], max_tokens=[3, 10], seed=[5, 5], force=[OPEN, None], forbid=[None, OPEN])
    assert heard == [("look at this", OPEN, None), ("look at this", None, OPEN)]
    assert (told[0].text, told[0].finish_reason, told[0].pieces) == ("<plan>a b", "length", ("<plan>", "a", " b"))
    assert told[1].finish_reason == "stop"
    assert [one.usage for one in told] == [(3, 0, 0, 3, False), (3, 0, 0, 4, False)]


def test_draws_follow_the_seeds():
    model = ScriptedModel(lambda prompt, force, forbid, generator: str(int(generator.integers(10**9))))
    each = [one.text for one in model.generate([LOOK] * 3, max_tokens=9, seed=[1, 2, 1])]
    assert each[0] == each[2] != each[1]
    assert [one.text for one in model.generate([LOOK], max_tokens=9, seed=[2])] == each[1:2]
    at_once = [one.text for one in model.generate([LOOK] * 3, max_tokens=9, seed=7)]
    assert len(set(at_once)) == 3  # one seed for many prompts draws differently for each


@pytest.mark.parametrize(("force", "forbid", "says"), [("<plan>", None, "must begin"), (None, "go", "must not write")])
def test_a_function_that_breaks_its_word(force, forbid, says):
    with pytest.raises(UserError, match=says):
        ScriptedModel(lambda *_: "go").generate([LOOK], max_tokens=9, force=force, forbid=forbid)


def test_what_it_cannot():
    with pytest.raises(UserError, match="no probabilities"):
        ScriptedModel(lambda *_: "go").score([LOOK], ["go"])
    with pytest.raises(UserError, match="2 entries for 1"):
        ScriptedModel(lambda *_: "go").generate([LOOK], max_tokens=[1, 2])


# --- the reader

LINES = "node: 1, neighbors: [2, 3]\nnode: 2, neighbors: [1]\nnode: 3, neighbors: [1, 4]\nnode: 4, neighbors: [3]\n\n"
LINES += "current node: 1, target node: {}"
COMPACT = "target {}\n4 : 3\n2 : 1\n3 : 1 4\nat 1 : 2 3"


def asked(name, text, plan, mode, past=(), **how):
    prompt = Prompts.named(name).conversation("", list(past), TextObservation(text), plan, mode)
    return parse(reader().generate([prompt], max_tokens=99, **how)[0].text)


@pytest.mark.parametrize(("name", "text"), [("standard", LINES), ("compact", COMPACT)])
def test_the_reader_reads_both_wordings(name, text):
    seen = asked(name, text.format(4), None, "plan", force=OPEN)
    assert (seen.plan, seen.action) == ("target 4 via 3 4 later none", "3")
    hidden = asked(name, text.format(9), None, "plan", force=OPEN)
    assert (hidden.plan, hidden.action) == ("explore 4 via 3 4 later none", "3")
    for node in ("2", "3"):
        assert asked(name, text.format(9), f"explore {node} via {node} later 7", "act", forbid=OPEN) == (None, node, False, False)


@pytest.mark.parametrize(("name", "text"), [("standard", LINES), ("compact", COMPACT)])
def test_the_reader_plans_only_where_its_plan_is_outdated(name, text):
    assert asked(name, text.format(9), "explore 4 via 3 4 later none", "choose").plan is None
    assert asked(name, text.format(4), "explore 2 via 2 later none", "choose").plan == "target 4 via 3 4 later none"
    assert asked(name, text.format(9), "explore 1 via 3 1 later none", "choose").plan is not None
    assert asked(name, text.format(9), "explore 4 via 4 later none", "choose").plan is not None  # 4 is no neighbour
    assert asked(name, text.format(4), "explore 2 via 2 later none", "act", forbid=OPEN) == (None, "2", False, False)


def test_the_reader_without_a_plan_goes_where_it_has_not_been():
    been = [Turn("node: 2, neighbors: [1]\n\ncurrent node: 2, target node: 9", "1")]
    found = {asked("standard", LINES.format(9), None, "act", been, forbid=OPEN, seed=k).action for k in range(20)}
    assert found == {"3"}
    assert {asked("standard", LINES.format(9), None, "act", forbid=OPEN, seed=k).action for k in range(20)} == {"2", "3"}


def test_the_reader_shown_no_graph_says_so():
    assert parse(reader().generate([LOOK], max_tokens=9)[0].text).action == "I see no graph"
    assert parse(reader().generate([LOOK], max_tokens=9, force=OPEN)[0].text).plan == "no graph"


def test_plans_are_worth_their_tokens_to_the_reader():
    """One that plans when its plan is outdated reaches more targets than one that never plans: the plan is its memory."""
    never, dynamic = (evaluate(Agent(reader(), word, history=2), GraphSearch(14, max_steps=14), 100) for word in ("never", "dynamic"))
    assert paired(never, dynamic, "success").low > 0
    in_other_words = evaluate(Agent(reader(), "dynamic", "compact", history=2), GraphSearch(14, max_steps=14, form="compact"), 100)
    assert np.array_equal(in_other_words.actions, dynamic.actions)
