"""Plans of known quality reach a model as a person's do, and the best of N attempts is what enumeration says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_toys import Walk

from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.models.reader import reader
from unseen.planning.models.scripted import ScriptedModel
from unseen.planning.peoples_plans import best_of, human_plans
from unseen.planning.steering import Intervention, steered

WORLD = GraphSearch(10, max_steps=20, form="compact")
LISTENS = Agent(reader(), "never", "compact", history=2)


@given(values=st.lists(st.floats(-5, 5), min_size=1, max_size=6), data=st.data())
def test_the_best_of_n_is_the_mean_over_all_choices_of_n(values, data):
    n = data.draw(st.integers(1, len(values)))
    every = [max(chosen) for chosen in itertools.combinations(values, n)]
    assert best_of(np.array(values), n) == pytest.approx(np.mean(every), abs=1e-12)


@pytest.mark.parametrize("n", [0, 4])
def test_more_attempts_than_there_are_cannot_be_drawn(n):
    with pytest.raises(UserError, match=f"n = {n} must be from 1 to the 3"):
        best_of(np.zeros(3), n)


def test_a_model_that_reads_its_slot_is_helped_by_right_plans_and_not_by_wrong_ones():
    found = human_plans(LISTENS, WORLD, 30, attempts=4)
    rate = {kind: float(rows["success"].cast(float).mean()) for (kind,), rows in found.group_by("kind")}
    assert set(rate) == {"none", "correct", "wrong", "shuffled"}
    assert rate["correct"] == 1.0
    assert rate["correct"] > max(rate["none"], rate["wrong"]) + 0.05
    right = found.filter(kind="correct")
    assert (right["steps"] <= 10).all()


def test_one_that_does_not_read_it_does_the_same_with_all():
    def walks(prompt, force, forbid, generator):
        near = [word for word in prompt[-1].content.rpartition("\nat ")[2].splitlines()[0].split() if word.isdigit()][1:]
        return str(generator.choice(near))

    deaf = Agent(ScriptedModel(walks, name="deaf"), "never", "compact", history=1)
    found = human_plans(deaf, WORLD, 10, attempts=3)
    moves = {kind: rows.sort("seed", "attempt")["steps"].to_list() for (kind,), rows in found.group_by("kind")}
    assert len({tuple(steps) for steps in moves.values()}) == 1


def test_every_kind_has_every_attempt_at_the_same_instances():
    found = human_plans(LISTENS, WORLD, 6, seed=20, attempts=3, live=7)  # an instance is cut between two batches
    seeds = set(found["seed"])
    assert seeds
    assert seeds <= set(range(20, 26))
    assert len(found) == len(seeds) * 4 * 3
    assert found.select("seed", "kind", "attempt").is_unique().all()
    again = human_plans(LISTENS, WORLD, 6, seed=20, attempts=3, live=64)
    assert found.sort("seed", "kind", "attempt").equals(again.sort("seed", "kind", "attempt"))


def test_a_plan_reaches_the_model_by_the_prompt_of_steering():
    shown = []

    def writes(prompt, force, forbid, generator):
        shown.append(prompt)
        return "0"

    spy = Agent(ScriptedModel(writes, name="spy"), "never", "compact", history=1)
    one = GraphSearch(10, max_steps=1, form="compact")
    given_plans = {"correct": "target 3 via 1 3 later none"}
    human_plans(spy, one, 1, seed=5, attempts=1, plans=lambda *_: given_plans)
    asked = [m.content for m in shown.pop()]
    steered(spy, one, [Intervention(0, given_plans["correct"])], seed=5)
    assert asked == [m.content for m in shown.pop()]
    assert any("target 3 via 1 3" in text for text in asked)


def test_what_cannot_be_done_is_said():
    with pytest.raises(UserError, match=r"plans of known quality in graph-search, not in walk.*plans="):
        human_plans(LISTENS, Walk(), 1)
    bound = Agent(reader(), "dynamic", impose=False)
    with pytest.raises(UserError, match="cannot be kept from replacing"):
        human_plans(bound, WORLD, 1, hold=2.0)
    with pytest.raises(UserError, match="no instance has a plan of every kind"):
        human_plans(LISTENS, WORLD, 2, plans=lambda *_: {"wrong": None})
    with pytest.raises(UserError, match="must be 1 or more"):
        human_plans(LISTENS, WORLD, 0)
