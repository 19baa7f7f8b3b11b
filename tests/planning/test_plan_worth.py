"""The worth of a plan where it is known: in a world whose plans go stale after so many steps."""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_toys import Custom, Walk, complete, failed, obedient
from scipy import stats
from stale_world import Stale, agent, write

from unseen.errors import UserError
from unseen.planning.accounting import estimate
from unseen.planning.agent import Agent
from unseen.planning.models.contract import Capabilities
from unseen.planning.models.scripted import ScriptedModel
from unseen.planning.paired_runs import State, Worth, states, worth
from unseen.planning.play import play_step
from unseen.planning.steps import begin

ABLE = Capabilities(force=True, forbid=True)


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(2, 14), st.integers(2, 9), st.sampled_from([1.0, 0.9, 0.0]), st.booleans())
def test_a_plan_is_worth_the_steps_until_it_goes_stale_or_is_replaced(fresh, steps, k, discount, go_on):
    found = worth(agent(f"every:{k}"), Stale(steps, fresh), 2, each=20, replicates=2, discount=discount, then=None if go_on else "never")
    rows = found.states.to_dicts()
    assert [(row["seed"], row["step"]) for row in rows] == [(seed, t) for seed in (0, 1) for t in range(1, steps)]
    for row in rows:
        t = row["step"]
        written = k * ((t - 1) // k)
        assert row["plan_age"] == t - written
        stale = written // fresh != t // fresh
        next_plan = k * (t // k + 1) if go_on else steps
        until = min(steps, next_plan, fresh * (t // fresh + 1))  # from there on the arms are one, or both are stale
        paid = sum(discount ** (s - t) for s in range(t, until))
        assert row["worth"] == pytest.approx(paid if stale else 0.0)
        assert row["new"] - row["old"] == pytest.approx(row["worth"])
        assert row["standard_error"] == 0.0
        assert row["obeyed"] == 1.0
        assert row["after_event"] == (t % fresh == 0)
        assert row["events"] == ("changed" if t % fresh == 0 else "")
        later = len(range(next_plan, steps, k)) if go_on else 0
        assert (row["new_tokens"], row["old_tokens"]) == (4 * (1 + later), 4 * later)


def test_a_model_that_ignores_plans_gains_nothing_in_any_state():
    """Its actions are drawn, and so is what the world pays: the arms draw the same."""

    def ignoring(prompt, force, forbid, generator):
        action = str(int(generator.integers(5)))
        return f"<plan>whatever</plan>{action}" if force else action

    found = worth(agent("every:3", ScriptedModel(ignoring)), Stale(10, 2, noise=1.0), 6, each=3, replicates=3)
    assert len(found.states) == 18
    assert (found.states["worth"] == 0.0).all()
    assert (found.states["standard_error"] == 0.0).all()
    assert np.std(found.states["new"].to_numpy()) > 0.1
    assert (found.states["new_tokens"] > found.states["old_tokens"]).all()


def test_replicates_draw_differently_and_their_error_is_said():
    """A fresh plan is followed by a coin's toss, so that a state's worth is a half."""

    def tossing(prompt, force, forbid, generator):
        right = re.search(r"code (\d+)", prompt[-1].content)
        assert right is not None
        if force:
            return f"<plan>x</plan>{right[1] if generator.random() < 0.5 else 'none'}"
        return "none"

    found = worth(agent("every:100", ScriptedModel(tossing)), Stale(2, 2), 40, each=1, replicates=16)
    assert found.replicates == 16
    for row in found.states.to_dicts():
        n, k = 16, round(16 * row["worth"])
        assert row["worth"] == pytest.approx(k / n)
        assert row["standard_error"] == pytest.approx(math.sqrt(k / n * (1 - k / n) / (n - 1)))
    assert abs(np.mean(found.states["worth"].to_numpy()) - 0.5) < 4 * 0.5 / (40 * 16) ** 0.5
    assert found.states["worth"].n_unique() > 3
    alone = worth(agent("every:100", ScriptedModel(tossing)), Stale(2, 2), 3, each=1, replicates=1)
    assert alone.states["standard_error"].to_list() == [None] * 3


@pytest.mark.parametrize("live", [1, 7])
def test_what_is_measured_does_not_depend_on_how_many_play_at_once(live):
    few, many = (worth(agent("random:0.4"), Stale(8, 2, noise=0.5), 5, 2, replicates=3, live=n) for n in (live, 64))
    assert few.states.equals(many.states)


def test_whether_the_model_did_as_it_should_is_said():
    stubborn = Custom(lambda prompt, *_: "<plan>x</plan>1" if "clock 0" in prompt[-1].content else "1")
    assert worth(agent("dynamic", stubborn), Stale(), 2, replicates=2).states["obeyed"].to_list() == [0.5] * 4
    eager = Custom(lambda *_: "<plan>x</plan>1")
    assert (
        worth(agent("dynamic", eager), Stale(), 2, replicates=2).states["obeyed"].to_list() == [1.0] * 4
    )  # what was not asked for is not held


def test_a_continuation_that_failed_is_no_measurement():
    late = []

    def failing(prompt, force, forbid, generator):
        now = prompt[-1].content
        if force and "clock 0" not in now:
            late.append(now)
        return failed() if late and "clock 9 seed 1" in now else complete(write(prompt, force, forbid, generator))

    found = worth(agent("every:100", Custom(failing, ABLE)), Stale(), 3, each=1, replicates=2)
    assert found.states["seed"].to_list() == [0, 2]
    never = Custom(
        lambda prompt, force, *_: failed() if force and "clock 0" not in prompt[-1].content else "<plan>x</plan>1" if force else "1", ABLE
    )
    with pytest.raises(UserError, match="failed in every continuation"):
        worth(agent("every:100", never), Stale(), 2)


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"each": 0}, {"replicates": 0}, {"live": 0}, {"discount": 1.1}, {"discount": -0.1}])
def test_numbers_that_are_refused(wrong):
    with pytest.raises(UserError, match="of worth must be"):
        worth(agent("always"), Stale(), **wrong)


def test_without_an_old_plan_there_is_nothing_to_compare():
    with pytest.raises(UserError, match="no plan was held"):
        worth(agent("never"), Stale(), 2)
    with pytest.raises(UserError, match="no plan was held"):
        worth(Agent(obedient(), "always"), Walk(lambda seed: 1), 2)  # over before a plan has an age


# --- states


def test_a_state_played_on_is_the_episode_itself():
    """From its snapshot an episode goes on as it went on, with the same draws; as often as one likes."""

    def drawing(prompt, force, forbid, generator):
        return (
            f"<plan>{int(generator.integers(9))}</plan>{len(prompt)}"
            if generator.random() < 0.4 and not forbid
            else str(generator.integers(9))
        )

    player, world = Agent(ScriptedModel(drawing), "dynamic", history=3), Stale(12, 3, noise=1.0)
    live = begin(player, world, 5)
    for _ in range(6):
        play_step(player, [live])
    state = State.of(live)
    while not live.over:
        play_step(player, [live])
    rest = [_untimed(row) for row in live.record[6:]]
    for _ in range(2):
        again = state.live(Stale(12, 3, noise=1.0), 3, 0)
        while not again.over:
            play_step(player, [again])
        assert [_untimed(row) for row in again.record] == rest
    other = state.live(Stale(12, 3, noise=1.0), 3, 1)
    while not other.over:
        play_step(player, [other])
    assert [row["reward"] for row in other.record] != [] != rest
    assert [_untimed(row) for row in other.record] != rest
    assert state.past == tuple(deque(state.past, 2))


def _untimed(row: Mapping[str, Any]) -> dict[str, Any]:
    accounts = {name: value for name, value in row["accounts"].items() if name not in ("seconds", "latency_s")}
    return {**row, "accounts": accounts}


def test_states_are_drawn_uniformly_from_the_moments_with_an_old_plan():
    found = states(agent("every:100"), Stale(6, 2), 600, 0, each=2, live=100)
    assert Counter(state.seed for state in found) == dict.fromkeys(range(600), 2)
    counts = Counter(state.step for state in found)
    assert set(counts) == {1, 2, 3, 4, 5}
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3
    both = Counter((a.step, b.step) for a, b in zip(found[::2], found[1::2], strict=True))
    assert len(both) == 10  # every pair, ascending
    assert all(a < b for a, b in both)
    everything = states(agent("every:2"), Stale(6, 2), 1, 0, each=50)
    assert [(state.step, state.slot.age(state.step)) for state in everything] == [(1, 1), (2, 2), (3, 1), (4, 2), (5, 1)]


# --- tables


def measured(*rows: tuple[int, float, int, str]) -> Worth:
    """(seed, worth, plan_age, events) of each state."""
    return Worth(
        pl.DataFrame(
            [
                {
                    "seed": seed,
                    "worth": value,
                    "plan_age": age,
                    "after_event": bool(events),
                    "events": events,
                    "new_tokens": 6.0,
                    "old_tokens": 2.0,
                }
                for seed, value, age, events in rows
            ]
        ),
        1,
    )


def test_the_error_takes_episodes_as_independent():
    values = [1.0, 2.0, 0.0, 5.0]
    single = measured(*((k, value, 1, "") for k, value in enumerate(values))).mean()
    assert single == pytest.approx(estimate(np.array(values)))
    again = measured(*((k, value, 1, "") for k, value in enumerate(values) for _ in range(3))).mean()
    assert again == pytest.approx(single)  # three equal states of an episode say no more than one
    uneven = measured((0, 1.0, 1, ""), (0, 3.0, 1, ""), (1, 0.0, 1, "")).mean()
    assert uneven.mean == pytest.approx(4 / 3)
    assert uneven.standard_error == pytest.approx(math.sqrt(2 * 2 * (4 - 2 * 4 / 3) ** 2) / 3)
    one = measured((0, 1.0, 1, ""), (0, 3.0, 1, "")).mean()
    assert one.mean == 2.0
    assert not one.exists


def test_situations_by_hand():
    found = measured((0, 1.0, 1, "storm"), (1, 2.0, 3, ""), (2, 4.0, 4, "dead end; storm"), (3, 8.0, 9, ""))
    rows = {row["situation"]: row for row in found.by_situation().to_dicts()}
    assert {name: (row["states"], row["mean"]) for name, row in rows.items()} == {
        "everywhere": (4, 3.75),
        "after an event": (2, 2.5),
        "elsewhere": (2, 5.0),
        "after: dead end": (1, 4.0),
        "after: storm": (2, 2.5),
        "plan of 1 or 2 steps": (1, 1.0),
        "plan of 3 or 4": (2, 3.0),
        "plan of 5 or more": (1, 8.0),
    }
    assert {row["more_plan_tokens"] for row in rows.values()} == {4.0}
    assert rows["everywhere"]["low"] == pytest.approx(found.mean().low)
    many = measured(*((k, 0.0, 1, f"event {k}") for k in range(7)))
    assert not any(name.startswith("after: ") for name in many.by_situation()["situation"])
