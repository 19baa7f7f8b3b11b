"""Schedules decide as their words say, and a word that is none is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.planning.schedules import Budget, Decision, OnEvent, Random, Schedule, Situation, schedule


def modes(word: str, steps: int) -> list[str]:
    """An episode without events in which every plan that is asked for is written."""
    chosen, age = [], None
    for step in range(steps):
        mode = schedule(word).decide(Situation(step, age)).mode
        chosen.append(mode)
        age = 0 if mode in ("plan", "ask") else age
        age = None if age is None else age + 1
    return chosen


@given(st.integers(1, 20), st.integers(1, 60))
def test_fixed_schedules_plan_exactly_as_often_as_they_say(k, steps):
    assert modes("never", steps).count("plan") == 0
    assert modes("always", steps).count("plan") == steps
    assert modes(f"every:{k}", steps).count("plan") == math.ceil(steps / k)
    assert modes(f"every:{k}", steps)[0] == "plan"
    assert modes("dynamic", steps) == ["choose"] * steps
    assert modes("ask-human", steps) == ["ask"] + ["act"] * (steps - 1)
    assert modes(f"ask-human:{k}", steps).count("ask") == math.ceil(steps / k)


def test_events():
    some = schedule("on-event:dead end, unlocked")
    assert some == OnEvent(("dead end", "unlocked"))
    assert some.decide(Situation(3, None)).mode == "plan"
    assert some.decide(Situation(3, 2)).mode == "act"
    assert some.decide(Situation(3, 2, ("target seen",))).mode == "act"
    assert some.decide(Situation(3, 2, ("target seen", "unlocked collect wood"))).mode == "plan"
    assert OnEvent().decide(Situation(3, 2, ("target seen",))).mode == "plan"
    assert OnEvent().decide(Situation(3, 2)).mode == "act"


def test_random_plans_are_drawn_with_the_probability_that_is_logged():
    generator = np.random.default_rng(0)
    of_age = Random(lambda features: 0.2 + 0.6 * min(features["age"], 1.0), "of-age")
    assert str(of_age) == "random:of-age"
    for age, p in ((0.0, 0.2), (1.0, 0.8)):
        found = [of_age.decide(Situation(0, 1, features={"age": age}, uniform=generator.random())) for _ in range(4_000)]
        assert all(decision.probability == pytest.approx(p) for decision in found)
        share = np.mean([decision.mode == "plan" for decision in found])
        assert abs(share - p) < 4 * (p * (1 - p) / 4_000) ** 0.5
    assert Random(0.0).decide(Situation(0, None, uniform=0.0)) == Decision("act", 0.0)
    assert Random(1.0).decide(Situation(0, None, uniform=1 - 1e-12)) == Decision("plan", 1.0)
    with pytest.raises(UserError, match="from 0 to 1"):
        Random(lambda features: 1.5).decide(Situation(0, None))


def test_a_budget_ends():
    assert Budget(100).decide(Situation(5, 1, plan_tokens=60)) == Decision("choose", tokens=40)
    assert Budget(100).decide(Situation(5, 1, plan_tokens=100)) == Decision("act")
    assert Budget(0).decide(Situation(0, None)) == Decision("act")


@pytest.mark.parametrize(
    "word",
    ["never", "always", "every:4", "dynamic", "on-event", "on-event:dead end,hurt", "random:0.3", "budget:200", "ask-human", "ask-human:8"],
)
def test_a_word_is_read_and_written_again(word):
    found = schedule(f" {word}\n")
    assert isinstance(found, Schedule)
    assert str(found) == word
    assert schedule(str(found)) == found


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("nevr", "did you mean 'never'"),
        ("every", "every:4"),
        ("every:0", "1 or more"),
        ("every:x", "whole number"),
        ("every:2.5", "whole number"),
        ("random:2", "from 0 to 1"),
        ("random:nan", "from 0 to 1"),
        ("random:often", "probability"),
        ("budget:-1", "0 tokens or more"),
        ("ask-human:-2", "0 or more"),
        ("on-event:", "unknown schedule"),
        ("dynamic:3", "unknown schedule"),
        ("", "unknown schedule"),
    ],
)
def test_what_is_refused(word, says):
    with pytest.raises(UserError, match=says):
        schedule(word)


@given(st.text())
def test_any_text_is_a_schedule_or_a_user_error(word):
    try:
        found = schedule(word)
    except UserError:
        return
    assert schedule(str(found)) == found
