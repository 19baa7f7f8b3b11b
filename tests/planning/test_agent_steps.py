"""The rules of the slot in whole episodes: what is asked of the model, what becomes of what it writes, and what is logged of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planning_toys import Custom, Walk, complete, obedient

from unseen.errors import UserError
from unseen.planning.accounting import per_episode
from unseen.planning.agent import Agent
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.contract import Capabilities, Completion, Usage
from unseen.planning.models.scripted import ScriptedModel, pieces
from unseen.planning.play import evaluate
from unseen.planning.schedules import Random, schedule
from unseen.planning.steering import Intervention, steered

ABLE = Capabilities(force=True, forbid=True)
LONG = "<plan>one two three four five</plan>\ngo"


def accounts(episodes, *names):
    return [episodes.accounts[name].tolist() for name in names]


# --- what is asked


def test_the_tag_is_forced_and_forbidden_where_the_model_can():
    able, unable = Custom(lambda prompt, force, *_: LONG if force else "go", ABLE), Custom(lambda *_: "go")
    evaluate(Agent(able, "every:2", max_plan_tokens=50, max_action_tokens=7, temperature=0.5, top_p=0.9), Walk(), 2)
    assert [call["force"] for call in able.asked] == [[OPEN] * 2, [None] * 2, [OPEN] * 2, [None] * 2, [OPEN] * 2]
    assert [call["forbid"] for call in able.asked] == [[None] * 2, [OPEN] * 2, [None] * 2, [OPEN] * 2, [None] * 2]
    assert [call["max_tokens"] for call in able.asked] == [[57] * 2, [7] * 2, [57] * 2, [7] * 2, [57] * 2]
    assert {(call["temperature"], call["top_p"], call["stop"]) for call in able.asked} == {(0.5, 0.9, ())}
    evaluate(Agent(unable, "every:2"), Walk(), 2)
    assert {(call["force"], call["forbid"]) for call in unable.asked} == {(None, None)}
    asked_only = Custom(lambda *_: LONG, ABLE._replace(stops=True))
    found = evaluate(Agent(asked_only, "every:2", impose=False), Walk(), 2)
    assert {str(call["force"]) + str(call["forbid"]) for call in asked_only.asked} == {"[None, None][None, None]"}
    assert {call["stop"] for call in asked_only.asked} == {Walk.actions}
    assert not found.accounts["imposed"].any()


def test_a_free_choice_is_neither_forced_nor_forbidden():
    model = Custom(lambda *_: "go", ABLE)
    found = evaluate(Agent(model, "dynamic"), Walk(), 1)
    assert {str(call["force"]) + str(call["forbid"]) for call in model.asked} == {"[None][None]"}
    assert accounts(found, "planned", "disobeyed", "imposed", "plan_probability") == [[False] * 5, [False] * 5, [False] * 5, [1.0] * 5]


# --- what becomes of it


def test_an_over_long_plan_is_cut_closed_and_no_action_is_taken():
    model = Custom(lambda prompt, force, *_: LONG if force else "go", ABLE)
    world = Walk()
    found = evaluate(Agent(model, "every:3", max_plan_tokens=4), world, 1)
    assert found.actions.tolist() == ["", "go", "go", "", "go"]
    assert found.text["plan"].tolist() == ["one two three"] * 5
    truncated = [True, False, False, True, False]
    assert accounts(found, "plan_truncated", "planned", "illegal") == [truncated, truncated, truncated]
    assert accounts(found, "plan_tokens", "action_tokens") == [[4, 0, 0, 4, 0], [4, 1, 1, 4, 1]]  # of 8 tokens the plan had 4
    assert not found.accounts["disobeyed"].any()
    assert found.rewards.tolist() == [-1, 1, 1, -1, 1]  # the world answers what is no action
    assert "What?" in str(found.observations["long_term"][1])
    shown = [message.content for prompt in model.prompts for message in prompt]
    assert not any("four" in text for text in shown)
    assert any("(no action)" in text for text in shown)
    assert accounts(evaluate(Agent(model, "every:3", max_plan_tokens=7), Walk(), 1), "plan_truncated") == [[False] * 5]


def test_a_plan_that_went_on_until_the_tokens_ended_is_cut_too():
    endless = ScriptedModel(lambda prompt, force, *_: OPEN + "on " * 100 if force else "go")
    found = evaluate(Agent(endless, "every:4", max_plan_tokens=5, max_action_tokens=3), Walk(), 1)
    assert found.text["plan"].tolist() == ["on on on on"] * 5
    assert accounts(found, "plan_truncated", "unclosed")[0] == [True, False, False, False, True]
    assert accounts(found, "plan_tokens", "action_tokens") == [[5, 0, 0, 0, 5], [3, 1, 1, 1, 3]]


def test_an_unclosed_plan_leaves_the_slot_as_it_was():
    said = iter(["<plan>first</plan>go", "<plan>lost go", "go", "<plan>lost", "<plan>a</plan>go<plan>b"])
    found = evaluate(Agent(Custom(lambda *_: next(said), ABLE), "dynamic"), Walk(), 1)
    assert found.text["plan"].tolist() == ["first"] * 4 + ["a"]
    assert found.actions.tolist() == ["go", "", "go", "", ""]
    assert accounts(found, "unclosed", "planned") == [[False, True, False, True, True], [True, False, False, False, True]]
    assert accounts(found, "plan_age", "replaced_age") == [[0, 1, 2, 3, 0], [-1, -1, -1, -1, 4]]
    assert accounts(found, "untidy", "changed") == [[False, False, False, False, True], [True, False, False, False, True]]


def test_a_plan_that_was_not_asked_for_is_not_held():
    found = evaluate(Agent(Custom(lambda *_: "<plan>mine</plan>go"), "never"), Walk(), 1)
    assert found.text["plan"].tolist() == [""] * 5
    assert found.text["owner"].tolist() == ["nobody"] * 5
    assert found.actions.tolist() == ["go"] * 5
    assert accounts(found, "disobeyed", "planned", "plan_tokens") == [[True] * 5, [False] * 5, [3] * 5]
    assert accounts(found, "plan_probability", "plan_age", "imposed") == [[0.0] * 5, [-1] * 5, [False] * 5]
    bound = evaluate(Agent(Custom(lambda *_: "<plan>mine</plan>go", ABLE), "never", impose=False), Walk(), 1)
    assert accounts(bound, "disobeyed", "planned") == [[True] * 5, [False] * 5]


def test_a_missing_plan_counts_as_disobeyed():
    said = iter(["go", "<plan></plan>go", "<plan>unclosed", "<plan>one</plan>go", "<plan>one</plan>go"])
    found = evaluate(Agent(Custom(lambda *_: next(said)), "always"), Walk(), 1)
    assert accounts(found, "disobeyed", "planned") == [[True, True, True, False, False], [False, False, False, True, True]]
    assert accounts(found, "changed", "replaced_age") == [[False, False, False, True, False], [-1, -1, -1, -1, 1]]
    assert found.text["plan"].tolist() == ["", "", "", "one", "one"]


# --- holding


def test_a_held_plan_forbids_the_tag_and_is_logged_with_owner_and_expiry():
    eager = Custom(lambda prompt, force, forbid, _: "go" if forbid else "<plan>mine</plan>go", ABLE)
    found = steered(Agent(eager, "always"), Walk(lambda seed: 7), [Intervention(1, "theirs", 3.0)])
    assert [call["forbid"] for call in eager.asked] == [[None], [OPEN], [OPEN], [OPEN], [None], [None], [None]]
    assert found.text["plan"].tolist() == ["mine", "theirs", "theirs", "theirs", "mine", "mine", "mine"]
    assert found.text["owner"].tolist() == ["model", "script", "script", "script", "model", "model", "model"]
    assert found.text["mode"].tolist() == ["plan", "act", "act", "act", "plan", "plan", "plan"]
    held, probability, disobeyed = accounts(found, "held_for", "plan_probability", "disobeyed")
    assert held == [0, 3, 2, 1, 0, 0, 0]
    assert probability == [1, 0, 0, 0, 1, 1, 1]
    assert not any(disobeyed)
    assert accounts(found, "replaced_age", "plan_age") == [[-1, -1, -1, -1, 3, 1, 1], [0, 0, 1, 2, 0, 0, 0]]


def test_a_plan_may_be_held_until_it_is_released():
    eager = Custom(lambda prompt, force, forbid, _: "go" if forbid else "<plan>mine</plan>go", ABLE)
    found = steered(Agent(eager, "always"), Walk(), [Intervention(1, "theirs", math.inf), Intervention(3, "free")])
    assert found.text["plan"].tolist() == ["mine", "theirs", "theirs", "mine", "mine"]
    assert accounts(found, "held_for") == [[0, -1, -1, 0, 0]]


@pytest.mark.parametrize(("able", "impose"), [(Capabilities(force=True), True), (ABLE, False)])
def test_holding_is_refused_where_the_model_cannot_be_kept_from_planning(able, impose):
    model = Custom(lambda *_: "go", able)
    with pytest.raises(UserError, match="suggest the plan instead"):
        steered(Agent(model, impose=impose), Walk(), [Intervention(2, "theirs", 2.0)])
    assert not model.asked  # before anything is spent
    found = steered(Agent(model, impose=impose), Walk(), [Intervention(2, "theirs")])
    assert found.text["plan"].tolist() == ["", "", "theirs", "theirs", "theirs"]


# --- what is logged


def test_hidden_reasoning_and_cached_tokens_are_columns_of_their_own():
    text = "<plan>a b</plan> go"
    model = Custom(lambda *_: Completion(text, "stop", Usage(100, 40, 30, 6), pieces=pieces(text)), ABLE._replace(parameters=1_000))
    found = evaluate(Agent(model, "dynamic"), Walk(), 2)
    for name, value in {"prompt_tokens": 100, "cached_tokens": 40, "reasoning_tokens": 30, "plan_tokens": 4, "action_tokens": 2}.items():
        assert (found.accounts[name] == value).all()
    assert (found.accounts["flops"] == 2 * 1_000 * (100 + 30 + 6)).all()
    assert not found.accounts["tokens_estimated"].any()
    table = per_episode(found)
    assert table["output_tokens"].to_list() == [5 * 36] * 2
    assert table["cached_tokens"].to_list() == [200] * 2


@pytest.mark.parametrize(("told", "estimated"), [(Usage(1, 0, 0, 12), True), (Usage(1, 0, 0, 12, estimated=True), True)])
def test_estimated_tokens_say_so(told, estimated):
    found = evaluate(Agent(Custom(lambda *_: Completion("<plan>a</plan>go", "stop", told))), Walk(), 1)
    assert (found.accounts["tokens_estimated"] == estimated).all()
    assert (found.accounts["plan_tokens"] + found.accounts["action_tokens"] == 12).all()
    assert (found.accounts["flops"] == 0).all()


def test_a_model_that_tells_pieces_and_estimates_its_usage_says_so():
    model = Custom(lambda *_: complete("go")._replace(usage=Usage(1, 0, 0, 1, estimated=True)))
    assert evaluate(Agent(model), Walk(), 1).accounts["tokens_estimated"].all()


def test_told_tokens_and_probabilities_are_kept_only_where_all_are_told():
    def whole(*_):
        return complete("go")._replace(token_ids=(7, 8), logprobs=np.array([-0.5, -0.25]), prompt_token_ids=(1, 2, 3))

    found = evaluate(Agent(Custom(whole)), Walk(), 2)
    assert found.tokens["output"].values.tolist() == [7, 8] * 10
    assert found.tokens["prompt"].lengths.tolist() == [3] * 10
    assert found.behaviour_log_probability is not None
    assert found.behaviour_log_probability.tolist() == [-0.75] * 10
    some = iter([True] * 7 + [False] + [True] * 2)
    now_and_then = evaluate(Agent(Custom(lambda *_: whole() if next(some) else complete("go"))), Walk(), 2)
    assert not now_and_then.tokens
    assert now_and_then.behaviour_log_probability is None


def test_features_are_logged_and_given_to_the_schedule():
    world = Walk(lambda seed: 6, {1: ("storm",), 3: ("calm", "rain")})
    often = Random(lambda known: float(known["place"] >= 3 or known["event"]), "where")
    said = iter(["go", "nonsense", *["<plan>a</plan>go"] * 4])
    agent = Agent(Custom(lambda *_: next(said), ABLE), often, features=lambda walk: {"place": walk.moment[1]})
    found = evaluate(agent, world, 1)
    assert found.accounts["feature place"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.accounts["feature step"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.accounts["feature event"].tolist() == [0, 0, 1, 0, 1, 0]
    assert found.accounts["feature illegal"].tolist() == [0, 0, 1, 0, 0, 0]
    assert found.accounts["feature age"].tolist() == [-1, -1, -1, 1, 1, 1]
    assert found.accounts["plan_probability"].tolist() == [0, 0, 1, 1, 1, 1]
    assert found.text["events"].tolist() == ["", "storm", "", "calm; rain", "", ""]


def test_features_with_other_names_are_refused():
    agent = Agent(Custom(lambda *_: "go"), features=lambda walk: {"near" if walk.moment[1] < 2 else "far": 1.0})
    with pytest.raises(UserError, match=r"same names in every step; in step 2 they are .*'far'"):
        evaluate(agent, Walk(), 1)


@pytest.mark.parametrize("tail", ["\ud83d", "\0", "é\u2028\u0085", "𝛑"])
def test_whatever_a_model_writes_is_recorded(tail, tmp_path):
    """Half a character, which some endpoints send where a text was cut, ends no recording."""
    found = evaluate(Agent(Custom(lambda *_: f"<plan>a{tail}b</plan>go{tail}x")), Walk(), 1)
    kept = tail.replace("\ud83d", "?")
    assert found.text["output"].tolist() == [f"<plan>a{kept}b</plan>go{kept}x"] * 5
    assert found.text["plan"].tolist() == [f"a{kept}b"] * 5
    found.write(tmp_path / "e.parquet")
    assert type(found).read(tmp_path / "e.parquet").identical(found)


def test_a_plan_and_an_action_with_tags_are_shown_harmlessly():
    said = iter(["<plan>a <plan> $observation</plan>go", "x</plan>\nassistant: go", "go", "go", "go"])
    model = Custom(lambda *_: next(said))
    found = evaluate(Agent(model, "dynamic"), Walk(), 1)
    assert found.text["plan"].tolist() == ["a <plan> $observation"] * 5
    assert found.actions.tolist()[1] == "x</plan>\nassistant: go"
    shown = model.prompts[2]
    assert [message.role for message in shown] == ["user", "assistant"] * 2 + ["user"]
    assert shown[3].content == "x‹/plan›\nassistant: go"
    assert "a ‹plan› $observation" in shown[4].content
    assert CLOSE not in "".join(message.content for message in shown[:-1])


# --- settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"history": 0}, "history = 0"),
        ({"max_plan_tokens": 0}, "max_plan_tokens = 0"),
        ({"max_action_tokens": -1}, "max_action_tokens = -1"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"schedule": "evry:4"}, "did you mean 'every:K'"),
        ({"prompts": "compct"}, "did you mean 'compact'"),
    ],
)
def test_settings_that_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        Agent(obedient(), **settings)


def test_names_are_read_at_once_and_may_be_objects():
    agent = Agent(obedient(), "every:3", "compact")
    assert agent.when == schedule("every:3")
    assert Agent(obedient(), agent.when, agent.wording).wording is agent.wording
    assert agent.can_hold
    assert not Agent(obedient(), impose=False).can_hold
