"""Whole episodes: fixed schedules plan exactly as often as they say, and nothing depends on who else is playing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_toys import Custom, Walk, failed, obedient, same

from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning.accounting import per_episode
from unseen.planning.agent import Agent
from unseen.planning.models.contract import Capabilities
from unseen.planning.models.reader import reader
from unseen.planning.models.scripted import ScriptedModel, pieces
from unseen.planning.play import evaluate

ABLE = Capabilities(force=True, forbid=True)
PLAN = "<plan>one two three</plan>\nMove West"  # 5 tokens of plan, 2 of action


@settings(max_examples=25)
@given(st.integers(1, 12), st.lists(st.integers(1, 25), min_size=1, max_size=5), st.integers(1, 7))
def test_forced_frequencies_are_exact_and_tokens_match_a_plain_count(k, lengths, live):
    model = ScriptedModel(lambda prompt, force, *_: PLAN if force else "Move West")
    for word, plans in (("never", lambda t: 0), ("always", lambda t: t), (f"every:{k}", lambda t: math.ceil(t / k))):
        found = evaluate(Agent(model, word, "compact", history=2), Walk(lambda seed: lengths[seed]), len(lengths), live=live)
        assert found.lengths.tolist() == lengths
        table = per_episode(found)
        assert table["planned"].to_list() == [plans(t) / t for t in lengths]
        assert table["plan_tokens"].to_list() == [5 * plans(t) for t in lengths]
        assert table["action_tokens"].to_list() == [2 * t for t in lengths]
        assert table["output_tokens"].to_list() == [5 * plans(t) + 2 * t for t in lengths]
        assert not found.accounts["disobeyed"].any()
        assert found.text["output"].tolist().count(PLAN) == sum(map(plans, lengths))


def test_prompt_tokens_are_those_of_the_prompts():
    prompts = []

    def write(prompt, *_):
        prompts.append(prompt)
        return "go"

    found = evaluate(Agent(ScriptedModel(write), "dynamic"), Walk(), 1)
    words = [sum(len(pieces(message.content)) for message in prompt) for prompt in prompts]
    assert found.accounts["prompt_tokens"].tolist() == words
    assert words == sorted(set(words))  # the history grows


def drawing() -> ScriptedModel:
    """Everything it does follows its draws and its prompt."""

    def write(prompt, force, forbid, generator):
        action = ("go", "stay", "nonsense")[int(generator.integers(3))]
        plan = force or (forbid is None and generator.random() < 0.3)
        return f"<plan>{len(prompt)} {int(generator.integers(100))}</plan>{action}" if plan else action

    return ScriptedModel(write)


@settings(max_examples=15)
@given(st.integers(1, 9), st.integers(0, 5), st.sampled_from(["dynamic", "random:0.4", "budget:6", "on-event"]))
def test_what_an_episode_becomes_depends_on_nobody_else(live, seed, word):
    agent, world = Agent(drawing(), word), Walk(lambda s: 1 + s * 5 % 7, {2: ("storm",)})
    whole = evaluate(agent, world, 6, seed, live=live, signals=["secret"])
    assert whole.info["seed"].tolist() == list(range(seed, seed + 6))
    assert same(whole, evaluate(agent, world, 6, seed, live=6, signals=["secret"]))
    for e in range(6):
        assert same(whole.select([e]), evaluate(agent, world, 1, seed + e, signals=["secret"]))
    assert not same(whole, evaluate(agent, world, 6, seed + 1, live=live, signals=["secret"]))


def test_a_world_that_is_given_is_not_played_in():
    world = GraphSearch()
    world.reset(4)
    before = world.snapshot()
    by_object = evaluate(Agent(reader(), "every:4"), world, 5, live=3)
    assert world.snapshot() == before
    assert same(by_object, evaluate(Agent(reader(), "every:4"), "graph-search", 5, live=2))


def test_signals_are_recorded_with_every_observation():
    found = evaluate(Agent(obedient(), "never"), Walk(lambda seed: 2 + seed), 2, signals=["secret"])
    assert found.signals["secret"].tolist() == ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2", "1/3"]
    assert found.observations["short_term"].tolist() == ["hunger 0", "hunger 1", "hunger 2", "hunger 0", "hunger 1", "hunger 2", "hunger 3"]
    assert not evaluate(Agent(obedient(), "never"), Walk(), 1).signals
    with pytest.raises(UserError, match="did you mean 'secret'"):
        evaluate(Agent(obedient()), Walk(), 1, signals=["secrt"])


def test_flags_and_info():
    found = evaluate(Agent(obedient(), "every:2"), Walk(lambda seed: 3 + seed, cut=4), 3)
    assert [bool(episode.terminated[-1]) for episode in found] == [True, True, False]
    assert [bool(episode.truncated[-1]) for episode in found] == [False, False, True]
    assert {name: set(found.info[name].tolist()) for name in ("environment", "model", "schedule", "error")} == {
        "environment": {"walk"},
        "model": {"scripted"},
        "schedule": {"every:2"},
        "error": {""},
    }


def test_each_episode_is_watched_when_it_ends():
    seen = []
    evaluate(
        Agent(obedient()), Walk(lambda seed: 9 - seed), 5, live=5, watch=lambda live: seen.append((live.seed, len(live.record), live.over))
    )
    assert seen == [(4, 5, True), (3, 6, True), (2, 7, True), (1, 8, True), (0, 9, True)]


# --- failures


def failing(*when: tuple[int, int]) -> Custom:
    """Fails at these steps of these seeds."""

    def write(prompt, *_):
        words = prompt[-1].content.split("place ")[1].split()
        return failed() if (int(words[2]), int(words[0])) in when else "go"

    return Custom(write, ABLE)


def test_a_failure_ends_one_episode_and_no_other():
    with pytest.warns(UserWarning, match=r"left out \(seeds 2\): the line is dead"):
        found = evaluate(Agent(failing((1, 3), (2, 0))), Walk(), 4, live=2)
    assert found.info["seed"].tolist() == [0, 1, 3]
    assert found.lengths.tolist() == [5, 3, 5]
    assert found.info["error"].tolist() == ["", "the line is dead", ""]
    broken = found[1]
    assert not broken.terminated.any()
    assert not broken.truncated.any()
    assert broken.observations["short_term"].tolist() == ["hunger 0", "hunger 1", "hunger 2", "hunger 3"]
    assert per_episode(found)["failed"].to_list() == [0, 1, 0]
    untouched = evaluate(Agent(failing()), Walk(), 4)
    assert same(found.select([0, 2]), untouched.select([0, 3]))


def test_a_failure_without_a_reason_is_one_all_the_same():
    model = Custom(lambda prompt, *_: failed("") if "hunger 2" in prompt[-1].content else "go")
    assert per_episode(evaluate(Agent(model), Walk(), 1))["failed"].to_list() == [1]


def test_nothing_but_failures_is_an_error():
    with pytest.raises(UserError, match=r"no episode got a first answer.*the line is dead"):
        evaluate(Agent(Custom(lambda *_: failed())), Walk(), 1)


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"live": 0}, {"seed": -1}])
def test_numbers_that_are_refused(wrong):
    with pytest.raises(UserError, match=f"{next(iter(wrong))} = "):
        evaluate(Agent(obedient()), Walk(), **wrong)


# --- the other schedules


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_random_logs_its_probability_and_keeps_to_it(p):
    found = evaluate(Agent(obedient(), f"random:{p}", "compact", history=1), Walk(lambda seed: 10), 150)
    assert (found.accounts["plan_probability"] == p).all()
    assert abs(found.accounts["planned"].mean() - p) < 4 * (p * (1 - p) / found.steps) ** 0.5
    counts = np.add.reduceat(found.accounts["planned"].astype(float), found.offsets[:-1])
    assert 0.6 < np.var(counts) / (10 * p * (1 - p)) < 1.6  # steps are drawn one by one
    first = found.accounts["planned"][found.offsets[:-1]]
    assert abs(first.mean() - p) < 4 * (p * (1 - p) / 150) ** 0.5


def test_a_decision_drawn_at_random_does_not_follow_from_the_instance():
    """Worlds draw their instances from `default_rng(seed)`; a decision from the same draws would be confounded with the instance."""
    seeds = np.arange(200)
    instance = np.array([np.random.default_rng(int(seed)).random() for seed in seeds])
    found = evaluate(Agent(obedient(), "random:0.5"), Walk(lambda seed: 1), 200)
    assert abs(np.corrcoef(instance, found.accounts["planned"])[0, 1]) < 4 / 200**0.5


@given(st.integers(0, 30), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.2, 1.0]))
@settings(max_examples=40)
def test_a_budget_is_never_overspent(budget, longest, allowed, often):
    def write(prompt, force, forbid, generator):
        plan = not forbid and generator.random() < often
        return f"<plan>{'on ' * int(generator.integers(1, longest + 1))}</plan>go" if plan else "go"

    agent = Agent(ScriptedModel(write), f"budget:{budget}", "compact", history=1, max_action_tokens=allowed)
    found = evaluate(agent, Walk(lambda seed: 12), 3)
    table = per_episode(found)
    assert (table["plan_tokens"] <= budget).all()
    assert (table["output_tokens"] <= budget + 12 * allowed).all()
    for episode in found:
        left = budget
        for t in range(len(episode)):
            assert episode.text["mode"][t] == ("choose" if left > 0 else "act")
            assert not (episode.accounts["plan_truncated"][t] and episode.accounts["plan_tokens"][t] != left)
            left -= int(episode.accounts["plan_tokens"][t])


def test_plans_on_events():
    world = Walk(lambda seed: 7, {1: ("dead end",), 2: ("storm",), 4: ("storm", "dead end")})
    found = evaluate(Agent(obedient(), "on-event:dead end"), world, 1)
    assert found.accounts["planned"].tolist() == [True, False, True, False, False, True, False]
    anything = evaluate(Agent(obedient(), "on-event"), world, 1)
    assert anything.accounts["planned"].tolist() == [True, False, True, True, False, True, False]


def test_a_person_is_asked():
    asked, model = [], Custom(lambda prompt, force, forbid, _: "go" if forbid else "<plan>mine</plan>go", ABLE)

    def person(now, seen):
        asked.append((now.step, now.age, seen.long_term))
        return {0: " first ", 2: "second", 4: " \n"}[now.step]  # what is blank is no plan

    found = evaluate(
        Agent(model, "ask-human:2"), Walk(lambda seed: 6), 1, ask_human=lambda now, seen: None if now.step > 4 else person(now, seen)
    )
    assert asked == [(0, None, "place 0 of 0"), (2, 2, "place 2 of 0"), (4, 2, "place 4 of 0")]
    assert found.text["plan"].tolist() == ["first"] * 2 + ["second"] * 4
    assert found.text["owner"].tolist() == ["human"] * 6
    assert found.text["mode"].tolist() == ["ask", "act", "ask", "act", "ask", "ask"]
    assert found.accounts["plan_age"].tolist() == [0, 1, 0, 1, 2, 3]
    assert not found.accounts["planned"].any()
    assert not found.accounts["disobeyed"].any()
    assert "first" in model.prompts[0][-1].content
    with pytest.raises(UserError, match="asks a person"):
        evaluate(Agent(model, "ask-human"), Walk(), 1)
