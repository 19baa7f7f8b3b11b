"""Situations as boxes, and the schedule that follows from what planning was worth in them: from an estimate to a file and back."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stale_world import Stale, agent

from unseen.errors import UserError
from unseen.planning.estimand import Estimand
from unseen.planning.logged_worth import worth_from_logs
from unseen.planning.play import evaluate
from unseen.planning.regions import ELSEWHERE, GRAPH_SEARCH, PLAIN, Region, box, place
from unseen.planning.schedules import Aged, Random, Situation, Softened, schedule
from unseen.planning.when_worth_it import RULES, Case, WhenWorthIt

AGES = (box("none held", age=-1), box("one", age=1), box("two or more", age=(2, math.inf)))
finite = st.floats(-1e6, 1e6)
bounds = st.tuples(st.one_of(finite, st.just(-math.inf)), st.one_of(finite, st.just(math.inf))).filter(lambda ends: ends[0] <= ends[1])
regions = st.builds(Region, st.text(min_size=1), st.dictionaries(st.text(min_size=1), bounds, max_size=3))


@given(regions)
def test_a_situation_reads_back(region):
    assert Region.read(json.loads(json.dumps(region.said()))) == region


@given(st.lists(st.builds(Case, regions, st.one_of(st.none(), st.booleans()), finite, finite, finite), max_size=4), st.sampled_from(RULES))
def test_a_schedule_reads_back(tmp_path_factory, cases, rule):
    path = tmp_path_factory.mktemp("schedules") / "file.json"
    written = WhenWorthIt(tuple(cases), rule, {"policy": "age:4"})
    written.write(path)
    found = schedule(f"when-worth-it:{path}")
    assert isinstance(found, WhenWorthIt)
    assert (found.cases, found.rule, found.about) == (written.cases, rule, {"policy": "age:4"})
    assert str(found) == f"when-worth-it:{path}"


@given(st.recursive(st.none() | st.booleans() | finite | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=6))
def test_what_is_no_schedule_is_refused(tmp_path_factory, said):
    path = tmp_path_factory.mktemp("schedules") / "file.json"
    path.write_text(json.dumps(said))
    with pytest.raises(UserError):
        WhenWorthIt.read(path)
    with pytest.raises(UserError):
        Region.read(said)


@pytest.mark.parametrize("text", ["", "{", '{"schedule": "when-worth-it", "version": 2, "rule": "estimate", "situations": []}'])
def test_files_that_are_none(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError):
        schedule(f"when-worth-it:{tmp_path / 'x.json'}")
    with pytest.raises(UserError, match="cannot be read"):
        schedule(f"when-worth-it:{tmp_path / 'missing.json'}")


def test_the_first_situation_that_fits_counts_and_both_bounds_belong_to_it():
    some = (box("low", x=(0, 1)), box("high", x=(1, 2)))
    found = [place(some, {"x": x}) for x in (0.0, 1.0, 2.0, 2.1, -1.0)]
    assert found == ["low", "low", "high", ELSEWHERE, ELSEWHERE]
    with pytest.raises(UserError, match="unknown logged feature 'x'"):
        place(some, {"y": 1.0})
    for wrong in ((2.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(UserError, match="no lowest and highest"):
            Region("wrong", {"x": wrong})


@pytest.mark.parametrize("known", [PLAIN, GRAPH_SEARCH])
def test_the_usual_situations_leave_little_elsewhere(known):
    for age in (-1.0, 1.0, 2.0, 3.0, 4.0, 20.0):
        for event in (0.0, 1.0):
            for seen in (0.0, 1.0):
                assert place(known, {"age": age, "event": event, "target in sight": seen}) != ELSEWHERE


def test_it_plans_where_its_case_says_and_else_as_the_evaluation_policy():
    cases = (Case(AGES[0], None, -1.0, -2.0, 0.1), Case(AGES[1], True, 1.0, 0.5, 2.0), Case(AGES[2], False, -1.0, -2.0, -0.1))
    learnt = WhenWorthIt(cases, about={"policy": "age:4"})
    moments = [Situation(0, None if age < 0 else int(age), features={"age": age}) for age in (-1.0, 1.0, 2.0, 9.0)]
    assert [learnt.decide(now).mode for now in moments] == ["plan", "plan", "act", "act"]
    assert learnt.decide(moments[1]).probability is None  # it is a rule, and can be judged as one
    assert Estimand(learnt).probability(moments[1]) == 1.0
    strict = WhenWorthIt(cases[:2], "lower")
    assert [strict.decide(now).mode for now in moments[1:3]] == ["plan", "act"]  # what lies in none of its cases is no reason to plan
    assert WhenWorthIt(cases[1:2], about={"policy": "age:2"}).decide(moments[2]).mode == "plan"
    with pytest.raises(UserError, match="unknown schedule"):
        WhenWorthIt(cases)


def test_a_schedule_is_not_written_over_one_that_it_rests_on(tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    cases = (Case(AGES[0], None, 0.0, -1.0, 1.0),)
    WhenWorthIt(cases, about={"policy": "age:4"}).write(first)
    WhenWorthIt(cases, about={"policy": f"when-worth-it:{first}"}).write(second)
    third = WhenWorthIt(cases, about={"policy": f"when-worth-it:{second}"})
    for path in (first, second):
        with pytest.raises(UserError, match="write it to another file"):
            third.write(path)
    third.write(tmp_path / "third.json")
    WhenWorthIt(cases, "lower", {"policy": f"when-worth-it:{first}"}).write(first)  # it asks nobody else
    said = json.loads(second.read_text())
    second.write_text(json.dumps(said | {"about": {"policy": f"when-worth-it:{second}"}}))
    with pytest.raises(UserError, match="rests on itself"):
        schedule(f"when-worth-it:{second}")


@pytest.fixture(scope="module")
def found():
    log = evaluate(agent("random:0.5"), Stale(6, 2), 300)
    counted = {"markov": lambda m: {"clock": f"t{m.step}", "age": f"a{m.age}"}, "regions": (*AGES, box("never", age=99))}
    return worth_from_logs(log, Estimand("never", discount=0.9, price=0.3), **counted)


def test_a_schedule_follows_from_the_signs_of_an_estimate(found, tmp_path):
    table = {row["situation"]: row for row in found.table().to_dicts()}
    names = ("none held", "one", "two or more", "never")
    follows = {
        "interval": lambda row: None if row is None or row["low"] <= 0 <= row["high"] else row["low"] > 0,
        "estimate": lambda row: row is not None and row["worth"] > 0,
        "lower": lambda row: row is not None and row["low"] > 0,
    }
    assert len({row["worth"] > 0 for row in table.values()}) == 2
    for rule in RULES:
        learnt = WhenWorthIt.of(found, rule)
        assert [(case.region.name, case.plan) for case in learnt.cases] == [(name, follows[rule](table.get(name))) for name in names]
        assert learnt.about["price"] == 0.3


def test_it_can_be_played(found, tmp_path):
    learnt = WhenWorthIt.of(found, "estimate")
    learnt.write(tmp_path / "learnt.json")
    played = evaluate(agent(f"when-worth-it:{tmp_path / 'learnt.json'}"), Stale(6, 2), 2)
    for episode in played:
        age = -1.0
        for planned in episode.accounts["planned"]:
            assert planned == (learnt.decide(Situation(0, None, features={"age": age})).mode == "plan")
            age = 1.0 if planned else age + 1.0 if age > 0 else age


def test_nothing_follows_from_what_is_not_to_be_trusted(found):
    with pytest.raises(UserError, match="not to be trusted"):
        WhenWorthIt.of(found._replace(verdict=type(found.verdict)("red", ("state not Markov: so",))))


# --- the schedules of logs and of evaluation


@given(st.integers(1, 9), st.one_of(st.none(), st.integers(1, 20)))
def test_age_plans_where_none_is_held_and_from_its_age_on(k, age):
    assert (schedule(f"age:{k}").decide(Situation(3, age)).mode == "plan") == (age is None or age >= k)
    assert str(schedule(f"age:{k}")) == f"age:{k}"


@given(st.floats(0.01, 0.5), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 6)), st.floats(0, 1, exclude_max=True))
def test_a_softened_schedule_does_the_same_with_the_larger_probability(least, k, age, uniform):
    now = Situation(0, age, uniform=uniform)
    decided = Softened(least, Aged(k)).decide(now)
    p = 1 - least if Aged(k).decide(now).mode == "plan" else least
    assert decided.probability == p
    assert (decided.mode == "plan") == (uniform < p)


@pytest.mark.parametrize(
    "word", ["age:0", "age:x", "softened:0.6:age:4", "softened:0:age:4", "softened:0.2", "softened:0.2:no", "when-worth-it:no"]
)
def test_words_that_are_none(word):
    with pytest.raises(UserError):
        schedule(word)


def test_what_does_not_say_when_to_plan_cannot_be_softened():
    for of in ("dynamic", "random:0.5", "budget:9"):
        with pytest.raises(UserError, match="can be softened"):
            schedule(f"softened:0.2:{of}").decide(Situation(0, None))
    assert str(schedule("softened:0.2:every:3")) == "softened:0.2:every:3"
    assert Estimand(Random(0.3)).probability(Situation(0, None)) == 0.3


def test_rules_by_hand():
    """Surely above, hardly above, hardly below and surely below 0."""
    some = tuple(box(name, x=k) for k, name in enumerate("abcd"))
    ends = {"a": (1.0, 3.0), "b": (-1.0, 2.0), "c": (-2.0, 1.0), "d": (-3.0, -1.0)}
    rows = [{"situation": name, "worth": (low + high) / 2, "low": low, "high": high} for name, (low, high) in ends.items()]
    expected = {"interval": [True, None, None, False], "estimate": [True, True, False, False], "lower": [True, False, False, False]}
    for rule in RULES:
        assert [case.plan for case in WhenWorthIt.from_rows(rows, some, {"policy": "age:4"}, rule).cases] == expected[rule]
