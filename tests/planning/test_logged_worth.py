"""Planning as a treatment where everything is known: the worth of a plan by dynamic programming, against the estimate and the truth."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stale_world import Stale, agent

from unseen.data import Episodes
from unseen.errors import UserError
from unseen.planning.as_treatment import PLAN, treatment
from unseen.planning.estimand import Estimand
from unseen.planning.logged_worth import worth_from_logs
from unseen.planning.measured_truth import truth
from unseen.planning.play import evaluate
from unseen.planning.regions import ANY, ELSEWHERE, FORCED, PLAIN, box
from unseen.planning.schedules import Situation
from unseen.planning.steering import Intervention, steered

TOKENS = 4  # of a plan of this model, its tags included
STEPS, FRESH = 6, 2
AGES = (box("none held", age=-1), box("one step", age=1), box("two", age=2), box("older", age=(3, ANY)))
OLD = Estimand("age:3", discount=0.9, price=0.3)


def by_clock_and_age(moment):
    """The Markov state of this world, to be counted."""
    return {"clock": f"t{moment.step}", "age": f"a{moment.age}"}


def exact(estimand: Estimand, steps: int = STEPS, fresh: int = FRESH):
    """(t, step at which the held plan was written or None) -> Q(s, plan) - Q(s, act), by dynamic programming."""
    last = steps if estimand.horizon is None else min(steps, estimand.horizon)
    value = defaultdict(float)  # of (t, written) under the evaluation policy
    worth = {}
    for t in reversed(range(last)):
        for written in (None, *range(t)):
            q = []
            for plans in (False, True):
                held = t if plans else written
                paid = float(held is not None and held // fresh == t // fresh) - estimand.price * TOKENS * plans
                q.append(paid + estimand.discount * value[t + 1, held])
            p = estimand.probability(Situation(t, None if written is None else t - written))
            worth[t, written] = q[1] - q[0]
            value[t, written] = (1 - p) * q[0] + p * q[1]
    return worth


def decisions(log, horizon=None):
    """(t, written) before every decision of a log, and its situation by age."""
    for e in range(len(log)):
        written = None
        for t in range(STEPS if horizon is None else min(STEPS, horizon)):
            age = -1 if written is None else t - written
            yield t, written, "none held" if age < 0 else "one step" if age == 1 else "two" if age == 2 else "older"
            row = int(log.offsets[e]) + t
            written = t if log.accounts["planned"][row] else written


def logged(schedule="random:0.5", episodes=600, noise=0.0, seed=0, **world):
    return evaluate(agent(schedule), Stale(**({"steps": STEPS, "fresh": FRESH} | world), noise=noise), episodes, seed, live=200)


@pytest.fixture(scope="module")
def log():
    return logged()


@pytest.mark.parametrize(
    "estimand",
    [
        OLD,
        Estimand("never", discount=0.9),
        Estimand("always", discount=0.5, price=0.2),
        Estimand("every:4", discount=1.0, price=0.1),
        Estimand("age:2", discount=0.9, horizon=4, price=0.3),
        Estimand("softened:0.3:age:2", discount=0.9, price=0.3),
    ],
)
def test_in_a_world_without_chance_the_estimate_is_the_exact_worth_of_the_logged_decisions(log, estimand):
    """Every transition is seen in every fold, so that nothing is left to chance: not one digit may differ."""
    known = exact(estimand)
    found = worth_from_logs(log, estimand, markov=by_clock_and_age, regions=AGES)
    mean = defaultdict(list)
    for t, written, situation in decisions(log, estimand.horizon):
        mean[situation].append(known[t, written])
    table = {row["situation"]: row for row in found.table().to_dicts()}
    assert list(table) == ["none held", "one step", "two", "older"]
    assert found.verdict.colour != "red"  # rounding is no contradiction
    for situation, row in table.items():
        assert row["worth"] == pytest.approx(np.mean(mean[situation]), abs=1e-9)
        assert row["check"] == pytest.approx(np.mean(mean[situation]), abs=1e-9)
        assert row["decisions"] == len(mean[situation])
        assert row["plan_price"] == pytest.approx(estimand.price * TOKENS)


@pytest.mark.parametrize("estimand", [OLD, Estimand("every:4", 1.0, 5, 0.1)])
def test_the_truth_is_the_exact_worth_of_every_state(log, estimand):
    known = exact(estimand)
    measured = truth(agent("random:0.5"), Stale(STEPS, FRESH), log, estimand, regions=AGES, states=60, replicates=2)
    every = {(e, t): (written, situation) for e, (t, written, situation) in _numbered(decisions(log, estimand.horizon), estimand)}
    assert len(measured.states) == 60
    for row in measured.states.to_dicts():
        written, situation = every[row["seed"], row["step"]]
        assert row["worth"] == pytest.approx(known[row["step"], written])
        assert row["standard_error"] == pytest.approx(0.0)
        assert row["situation"] == situation
        assert row["obeyed"] == 1.0
    table = measured.by_region()
    assert table["states"].to_list() == [15] * 4
    assert sum(measured.shares.values()) == pytest.approx(1.0)


def _numbered(rows, estimand):
    last = STEPS if estimand.horizon is None else estimand.horizon
    return ((k // last, row) for k, row in enumerate(rows))


def test_with_chance_intervals_hold_the_truth():
    """Rewards with noise, and a numeric state: 12 logs, five regions of which one is too rare to count."""
    known, held, wide = exact(OLD), 0, []
    for seed in range(12):
        log = logged("softened:0.3:age:3", 150, noise=0.5, seed=1_000 * seed)
        found = worth_from_logs(log, OLD, markov=by_clock_and_age, regions=AGES)
        mean = defaultdict(list)
        for t, written, situation in decisions(log):
            mean[situation].append(known[t, written])
        for row in found.table().to_dicts():
            held += row["low"] <= np.mean(mean[row["situation"]]) <= row["high"]
            wide.append(row["high"] - row["low"])
    assert held >= 40  # of 48; 45.6 are expected, and the decisions' own spread makes intervals wider than this needs
    assert max(wide) < 3


def test_on_features_alone_the_estimate_has_the_wrong_sign_and_importance_sampling_says_so():
    """A plan at the change of the code pays 1 at once, 4 in all, and costs 2. A state that does not see it sees the price alone."""
    estimand = Estimand("never", discount=0.9, price=0.5)
    change = (box("at a change", event=1), box("between", event=0))
    log = logged("softened:0.3:never", 600, fresh=4, steps=8)
    known = exact(estimand, 8, 4)
    assert all(known[4, written] > 1 for written in (None, *range(4)))  # four steps of 1, discounted, less 2
    right = worth_from_logs(log, estimand, markov=by_clock_and_age, regions=change)
    wrong = worth_from_logs(log, estimand, markov=lambda m: {"event": "yes" if m.events else "no"}, regions=change)
    assert right.table()["low"][0] > 0
    assert right.table()["advice"][0] == "plan here"
    assert right.verdict.colour != "red"
    assert wrong.table()["high"][0] < 0
    assert wrong.verdict.colour == "red"
    assert any(reason.startswith("state not Markov") for reason in wrong.verdict.reasons)
    assert set(wrong.table()["advice"]) == {"undecided"}
    assert wrong.table()["check_low"][0] < known[4, 0] < wrong.table()["check_high"][0]  # it needs no state


def test_what_lies_beyond_the_weighed_steps_still_needs_the_state():
    """A plan is worth more for twelve steps, of which eight are weighed; a state of numbers that does not see it is contradicted."""
    change = (box("at a change", event=1), box("between", event=0))
    long = {"schedule": "softened:0.3:never", "episodes": 250, "noise": 0.3}
    estimand = Estimand("never", discount=0.95, price=0.9)

    def blind(moment):
        return {"event": float(bool(moment.events)), "left": float(moment.left)}

    far, near = logged(**long, fresh=12, steps=24), logged(**long, fresh=4, steps=8)
    found = worth_from_logs(far, estimand, markov=blind, regions=change)
    truly = sum(0.95**k for k in range(12)) - 0.9 * TOKENS
    assert not found.table()["low"][0] < truly < found.table()["high"][0]
    assert found.verdict.colour == "red"
    assert any(reason.startswith("state not Markov") for reason in found.verdict.reasons)
    whole = worth_from_logs(near, estimand, markov=blind, regions=change)  # all that counts is weighed: nothing rests on the state
    assert whole.table()["worth"].to_list() == pytest.approx(whole.table()["check"].to_list())
    assert whole.verdict.colour == "amber"
    assert any(reason.startswith("the state does not tell all") for reason in whole.verdict.reasons)


def test_a_model_that_does_not_do_as_it_is_told_is_told_of(log):
    stubborn = replace(log, accounts={**log.accounts, "disobeyed": np.arange(log.steps) % 10 == 0})
    found = worth_from_logs(stubborn, OLD, markov=by_clock_and_age, regions=AGES)
    assert any("did not do as it was told in 10.0% of steps" in reason for reason in found.verdict.reasons)
    assert found.verdict.colour == "amber"


def test_what_the_model_makes_of_its_tokens_never_enters(log):
    """The ratio of a step is that of its decision: forced tokens have ratio one."""
    other = replace(log, behaviour_log_probability=np.random.default_rng(0).normal(-5, 2, log.steps))
    first, second = (treatment(each, OLD, markov=by_clock_and_age).data for each in (log, other))
    assert np.array_equal(first.propensities, second.propensities)
    assert first.propensities is not None
    assert set(first.propensities.ravel()) == {0.5}


def test_a_decision_that_a_person_forced_has_ratio_one_and_is_not_judged():
    plans = [Intervention(2, "say 0", 3.0)]
    log = steered(agent("random:0.5"), Stale(STEPS, FRESH), plans, episodes=100)
    forced = log.accounts["held_for"] != 0
    assert set(log.time_of_step[forced]) == {2, 3, 4}
    given = treatment(log, OLD, markov=by_clock_and_age, regions=AGES)
    rows = np.flatnonzero(forced)
    assert given.data.propensities is not None
    assert np.array_equal(given.data.propensities[rows], given.policy.now[rows])
    assert set(given.data.propensities[rows].ravel()) == {0.0, 1.0}
    found = worth_from_logs(log, OLD, markov=by_clock_and_age, regions=AGES)
    assert found.table()["decisions"].sum() == log.steps - len(rows)


def test_situations_are_modifiers_and_no_part_of_the_state(log):
    given = treatment(log, OLD, markov=by_clock_and_age)
    assert [c.name for c in given.data.state_columns] == ["state clock", "state age"]
    assert given.data.modifier_schema is not None
    names = [c.name for c in given.data.modifier_schema.columns]
    assert names[0] == "situation"
    assert {"feature age", "feature event", "feature step"} <= set(names)
    assert given.data.terminated.sum() == len(log)  # cut at its limit, an episode has nothing behind it
    assert given.data.dropped == 0


def test_rewards_are_net_of_the_price(log):
    free, dear = (treatment(log, replace(OLD, price=price), markov=by_clock_and_age).data for price in (0.0, 0.7))
    planned = dear.actions == dear.encode_actions(PLAN)[0]
    assert np.array_equal(free.rewards, log.rewards)
    assert free.rewards - dear.rewards == pytest.approx(np.where(planned, 0.7 * TOKENS, 0.0))


# --- what is refused


def test_a_log_that_breaks_the_protocol_is_refused_in_one_line(log):
    def with_account(name, value):
        return replace(log, accounts={**log.accounts, name: value})

    p = log.accounts["plan_probability"].copy()
    p[7] = 0.9
    for broken, said in (
        (logged("every:3", 3), "probability 1, and must be drawn with one from 0.2 to 0.8"),
        (logged("random:0.1", 3), "probability 0.1"),
        (with_account("plan_probability", p), "step 1 of episode 1 .* probability 0.9"),
        (with_account("imposed", np.zeros(log.steps, bool)), "was not imposed"),
        (replace(log, accounts={k: v for k, v in log.accounts.items() if k != "plan_probability"}), "no account 'plan_probability'"),
        (replace(log, accounts={}), "no account"),
        (replace(log, info={k: v for k, v in log.info.items() if k != "history"}), "do not say 'history'"),
        (with_account("held_for", np.full(log.steps, 2)), "no decision of the log was drawn"),
    ):
        with pytest.raises(UserError, match=said) as told:
            treatment(broken, OLD, markov=by_clock_and_age)
        assert "\n" not in str(told.value)


def test_states_and_worlds_that_do_not_fit_are_refused(log):
    with pytest.raises(UserError, match="Markov state of stale"):
        treatment(log, OLD)
    with pytest.raises(UserError, match="must be the same"):
        treatment(log, OLD, markov=lambda m: {f"t{min(m.step, 1)}": 1.0})
    with pytest.raises(UserError, match="is empty"):
        treatment(log, OLD, markov=lambda m: {})
    with pytest.raises(UserError, match="leaves the decision to somebody else"):
        treatment(log, Estimand("dynamic"), markov=by_clock_and_age)
    with pytest.raises(UserError, match="unknown logged feature 'events'"):
        treatment(log, OLD, markov=by_clock_and_age, regions=[box("x", events=1)])
    with pytest.raises(UserError, match="something else here than in the log"):
        truth(agent("random:0.5"), Stale(STEPS, FRESH + 1), log, OLD, states=40, replicates=1)
    with pytest.raises(UserError, match="must be 1 or more"):
        truth(agent("random:0.5"), Stale(STEPS, FRESH), log, OLD, states=0)


def test_an_instance_that_is_in_the_log_twice_is_refused(log):
    """Given twice, a log would make intervals shorter by the root of two."""
    with pytest.raises(UserError, match=r"seed 0 is in the log 2 times \(of 600 such seeds\)"):
        worth_from_logs(Episodes.concatenate([log, log]), OLD, markov=by_clock_and_age)
    apart = Episodes.concatenate([log, logged(episodes=50, seed=10_000)])
    assert worth_from_logs(apart, OLD, markov=by_clock_and_age).facts["decisions"].sum() == apart.steps


@pytest.mark.parametrize("name", [FORCED, ELSEWHERE, "twice"])
def test_names_that_mean_something_else_or_are_there_twice_are_refused(log, name):
    some = [box("twice", age=-1), box(name, age=1)]
    with pytest.raises(UserError, match=name):
        worth_from_logs(log, OLD, markov=by_clock_and_age, regions=some)
    with pytest.raises(UserError, match=name):
        truth(agent("random:0.5"), Stale(STEPS, FRESH), log, OLD, regions=some)


def test_a_state_that_fails_says_where(log):
    wrong: list[tuple[Any, str]] = [
        (lambda m: {"x": m.nothing}, "step 0 of seed 0 fails with AttributeError"),
        (lambda m: [1.0], "is of type list"),
    ]
    for state, said in wrong:
        with pytest.raises(UserError, match=said) as told:
            treatment(log, OLD, markov=state)
        assert "\n" not in str(told.value)


def test_a_truth_of_other_limits_rewards_or_steered_by_a_person_is_refused(log):
    """None of this is to be seen in what was observed."""
    player = agent("random:0.5")
    with pytest.raises(UserError, match="max_steps 6, and here it is 9"):
        truth(player, Stale(9, FRESH), log, OLD)
    with pytest.raises(UserError, match="history 1, and here it is 3"):
        truth(replace(player, history=3), Stale(STEPS, FRESH), log, OLD)
    with pytest.raises(UserError, match="other rewards here"):
        truth(player, Stale(STEPS, FRESH, noise=0.1), log, OLD)
    steered_log = steered(player, Stale(STEPS, FRESH), [Intervention(2, "say 0", 3.0)], episodes=20)
    with pytest.raises(UserError, match="cannot be asked again"):
        truth(player, Stale(STEPS, FRESH), steered_log, OLD)


@pytest.mark.parametrize(
    "wrong",
    [{"discount": 1.1}, {"discount": -0.1}, {"horizon": 0}, {"price": -1.0}, {"price": float("nan")}, {"policy": "no such"}],
)
def test_estimands_that_are_none(wrong):
    with pytest.raises(UserError):
        Estimand(**wrong)


def test_what_lies_in_no_situation_is_elsewhere(log):
    found = worth_from_logs(log, OLD, markov=by_clock_and_age, regions=[box("one step", age=1)])
    assert found.facts["situation"].to_list() == ["one step", ELSEWHERE]
    assert found.facts["decisions"].sum() == log.steps
    plain = worth_from_logs(log, OLD, markov=by_clock_and_age)
    assert set(plain.facts["situation"]) <= {region.name for region in PLAIN}
