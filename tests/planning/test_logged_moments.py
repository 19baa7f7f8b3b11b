"""The moments of a recording are those of the episode itself; the state of a graph search, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stale_world import Stale, agent

from unseen.environments.text.contract import TextObservation
from unseen.environments.text.graph_search import GraphSearch
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.features import features_of, graph_search_features
from unseen.planning.graph_state import graph_search_state
from unseen.planning.markov import markov_of, plan_and_clock
from unseen.planning.models.reader import reader
from unseen.planning.moments import Moment, moments
from unseen.planning.paired_runs import State
from unseen.planning.play import evaluate, gathered, play_step
from unseen.planning.prompts import Turn
from unseen.planning.slot import Slot
from unseen.planning.steering import Intervention, intervene
from unseen.planning.steps import begin


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 50),
    st.integers(1, 4),
    st.sampled_from(["random:0.5", "never", "every:2", "softened:0.2:age:2"]),
    st.dictionaries(st.integers(0, 7), st.sampled_from([0.0, 2.0, math.inf, -1.0]), max_size=2),
)
def test_moments_are_what_there_was(seed, history, word, interventions):
    """Window, slot with its owner and lock, events, tokens: as the live episode had them before every step, and behind the last."""
    player, before = replace(agent(word), history=history), []
    live = begin(player, Stale(8, 3), seed)
    while True:
        hold = interventions.get(live.step)
        if hold is not None and not live.over:
            intervene(player, live, Intervention(live.step, None) if hold < 0 else Intervention(live.step, "say 1", hold), "script")
        before.append(State.of(live))
        if live.over:
            break
        play_step(player, [live])
    found = moments(gathered(player, [live])[0])
    assert len(found) == len(before) == 9
    for t, (moment, state) in enumerate(zip(found, before, strict=True)):
        untouched = interventions.get(t) is None  # what a person writes before a step is recorded with the step, not before it
        slot = state.slot if untouched else moment.slot
        # A lock that has run out is none, and is not recorded.
        assert (moment.slot.plan, moment.slot.owner if moment.slot.plan else "nobody") == (slot.plan, slot.owner if slot.plan else "nobody")
        assert moment.slot.age(t) == slot.age(t)
        assert moment.slot.locked(t) == slot.locked(t) or t == 8
        assert (moment.seed, moment.step, moment.left) == (seed, t, 8 - t)
        assert (moment.now, moment.past) == (state.now, state.past)
        assert (moment.events, moment.illegal, moment.plan_tokens) == (state.events, state.illegal, state.plan_tokens)
        assert moment.situation.age == moment.age


def test_features_are_there_where_something_is_decided_and_a_horizon_ends_the_clock():
    log = evaluate(agent("random:0.5"), Stale(5, 2), 1)
    every = moments(log[0], 3)
    assert [moment.left for moment in every] == [3, 2, 1, 0, -1, -2]
    assert [bool(moment.features) for moment in every] == [True] * 5 + [False]
    assert all(moment.features["age"] == (-1 if moment.age is None else moment.age) for moment in every[:-1])


def looking(plan: str | None, here: int = 2, target: int = 5, past: tuple[int, ...] = (1,), age: int = 1) -> Moment:
    """A path 0 - 1 - 2 - 3 - 4 - 5 with a leaf 6 at 2, seen two edges far."""
    edges = {0: [1], 1: [0, 2], 2: [1, 3, 6], 3: [2, 4], 4: [3, 5], 5: [4], 6: [2]}
    lines = [f"node: {i}, neighbors: [{', '.join(map(str, near))}]" for i, near in edges.items()]
    near = {here, *edges[here], *(j for i in edges[here] for j in edges[i])}
    seen = [f"node: {i}, neighbors: [{', '.join(str(j) for j in edges[i] if j in near)}]" for i in sorted(near)]
    end = f"\n\ncurrent node: {here}, target node: {target}"
    turns = tuple(Turn(f"current node: {node}, target node: {target}", "x") for node in past)
    slot = Slot() if plan is None else Slot(plan, "model", 4 - age)
    now = TextObservation("\n".join(seen) + end)
    return Moment(0, 4, 6, now, turns, slot, (), False, 0, {"graph": "\n".join(lines) + end}, {})


def test_the_place_and_what_is_seen_by_hand():
    state = graph_search_state(looking(None))
    assert (state["distance"], state["left"], state["held"], state["in_sight"]) == (3, 6, 0, 0)
    assert state["astray"] == pytest.approx(math.log1p(7 + 9 + 11))  # 4, 5 and 6 nodes on this side of the three edges
    assert state["behind"] == 4
    assert (state["fresh"], state["luck"]) == (2, 0.5)  # 3 and 6; 1 is in the window
    assert state["promise"] == 1.0  # of 0 and 4, two edges away, only 4 is not behind the window
    assert graph_search_state(looking(None, past=()))["promise"] == 0.5
    assert graph_search_state(looking(None, here=3))["in_sight"] == 1.0
    assert graph_search_state(looking(None, here=5))["distance"] == 0.0


@pytest.mark.parametrize(
    ("plan", "usable", "length", "right", "gain", "arrives", "ended", "resumes", "misleads"),
    [
        ("explore 4 via 3 4 later none", 1, 2, 1, 2, 0, 0, 0, 0),
        ("explore 0 via 1 0 later 6", 1, 2, 0, -2, 0, 0, 0, 0),
        ("explore 4 via 1 2 3 4", 1, 2, 1, 2, 0, 0, 0, 0),  # from where it stands in it
        ("target 5 via 3 4 5 later none", 1, 3, 1, 3, 1, 0, 0, 0),
        ("The target 5 has been seen. I walk to 3, then 4, then 5.", 1, 3, 1, 3, 1, 0, 0, 0),
        ("target 5", 1, 3, 1, 3, 1, 0, 0, 0),  # no route: the way there
        ("explore 4 via 5 4", 0, 0, 0, 0, 0, 0, 0, 0),  # 5 is no neighbour of 2
        ("explore 2 via 1 2", 0, 0, 0, 0, 0, 1, 0, 0),  # at its end; neither 3 nor 6 is next to 1
        ("explore 6 via 2 6 2", 1, 2, 0, 0, 0, 1, 0, 0),
        ("explore 1 via 4 3 2 1", 1, 1, 0, -1, 0, 0, 0, 0),
        ("explore 3 via 4 3", 0, 0, 0, 0, 0, 0, 0.5, 0),  # from 3 on it has been followed; from 6 no way to 4
        ("go on", 0, 0, 0, 0, 0, 0, 0, 0),
    ],
)
def test_what_a_plan_would_do_by_hand(plan, usable, length, right, gain, arrives, ended, resumes, misleads):
    state = graph_search_state(looking(plan))
    found = tuple(state[name] for name in ("usable", "length", "right", "gain", "arrives", "ended"))
    assert found == (usable, length, right, gain, arrives, ended)
    if "via 4 3" not in plan or "1" in plan.split("via")[1]:
        assert (state["resumes"], state["misleads"]) == (resumes, misleads)
    assert state["age"] == 1


def test_states_of_a_real_log_are_numbers_with_the_same_names():
    player = Agent(reader(), "random:0.5", "compact", history=2, features=graph_search_features)
    for form in ("compact", "lines"):
        world = GraphSearch(10, 2, 20, 0, form=form)
        log = evaluate(player, world, 6, signals=["graph", "path"])
        for episode in log:
            for moment in moments(episode):
                state = graph_search_state(moment)
                assert np.isfinite(list(state.values())).all()
                assert state["distance"] == len(moment.signals["path"].split()) - 1
                if moment.features and moment.signals["path"]:
                    assert state["in_sight"] == moment.features["target in sight"]
                    assert state["age"] == max(0.0, moment.features["age"])
                    assert state["left"] == 20 - moment.features["step"]


def test_what_cannot_be_a_state_is_refused():
    with pytest.raises(UserError, match='needs the signal "graph"'):
        graph_search_state(looking(None)._replace(signals={}))
    with pytest.raises(UserError, match="no observation of a graph search"):
        graph_search_state(looking(None)._replace(now=TextObservation("a wall")))
    with pytest.raises(UserError, match="Markov state of crafter"):
        markov_of("crafter")
    assert markov_of("graph-search") is graph_search_state
    assert features_of("crafter") is None


def test_a_plan_that_is_held_by_a_person_is_in_the_state():
    held = looking("say 1")._replace(slot=Slot("say 1", "human", 3, 6.0))
    assert plan_and_clock(held) == {"held": 1.0, "age": 1.0, "locked": 2.0, "left": 6.0}
    assert plan_and_clock(held._replace(slot=Slot("say 1", "human", 3, math.inf)))["locked"] == 6.0
