"""Logs with a known truth: nothing is lost on the way to estimators, propensities are the behaviour's, and the truth is true."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from unseen.data import Transitions
from unseen.environments.clinical import sepsis
from unseen.environments.tabular.toys import frozen_lake, taxi
from unseen.errors import UserError
from unseen.experiments import logged_tumour
from unseen.experiments.logged import SETTINGS, logged
from unseen.experiments.logged_tumour import BySize, ThresholdRule, TumourTruth
from unseen.outcomes import DRQLearner

TABLES = {"taxi": taxi, "taxi-125": lambda: taxi(destination=0), "frozen-lake": frozen_lake, "sepsis": cache(sepsis)}
MANY = 4_000  # rollouts; one number for all tests, so that programs are compiled once


@pytest.fixture(scope="module")
def logs() -> dict[str, Any]:
    return {name: logged(name, 60, seed=3, length=15, rollouts=MANY) for name in SETTINGS}


def state_names(log: Any) -> list[str]:
    return list(log.columns["state"])


# ---- tables of decisions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_estimators_get_every_decision(logs: dict[str, Any], name: str) -> None:
    log = logs[name]
    decisions = log.table.filter(pl.col("action").is_not_null())
    data = log.transitions()
    assert (len(data), data.n_trajectories, data.dropped) == (len(decisions), 60, 0)
    np.testing.assert_array_equal(data.rewards, decisions["reward"].to_numpy())
    np.testing.assert_array_equal(data.terminated, decisions["terminated"].to_numpy())
    assert data.action_labels == log.columns["actions"]
    for who, rows in log.table.group_by("id"):
        length = len(rows.filter(pl.col("action").is_not_null()))
        cut = rows["action"].null_count()
        ended = bool(rows["terminated"].drop_nulls()[-1])
        assert cut == (not ended), who  # who was cut has one more state, and was cut at the limit
        assert length == 15 or ended


@pytest.mark.parametrize("name", SETTINGS)
def test_propensities_are_the_behaviours(logs: dict[str, Any], name: str) -> None:
    log = logs[name]
    decisions = log.table.filter(pl.col("action").is_not_null())
    actions = list(log.columns["actions"])
    answer = log.behaviour.probabilities(decisions if name.startswith("tumour") else decisions.select(state_names(log)))
    p = np.stack([answer[a] for a in actions], axis=1)
    a = np.array([actions.index(label) for label in decisions["action"]])
    np.testing.assert_allclose(p[np.arange(len(a)), a], decisions["propensity"].to_numpy(), atol=1e-9)
    z = (np.bincount(a, minlength=len(actions)) - p.sum(axis=0)) / np.sqrt(np.maximum((p * (1 - p)).sum(axis=0), 1e-9))
    assert np.abs(z).max() < 4.5  # and they were followed


def test_a_seed_is_a_log() -> None:
    for name in ("frozen-lake", "tumour"):
        first, again, other = (logged(name, 60, seed=seed, length=5).table for seed in (0, 0, 1))
        assert first.equals(again)
        assert not first.equals(other)


@pytest.mark.parametrize("name", ["taxi-125", "frozen-lake", "sepsis"])
def test_logged_steps_are_steps_of_the_process(logs: dict[str, Any], name: str) -> None:
    mdp, data = TABLES[name](), logs[name].transitions()
    number = {tuple(row): i for i, row in enumerate(mdp.columns.tolist())}

    def numbers_of(encoded: np.ndarray) -> np.ndarray:
        return np.array([number[tuple(row)] for row in data.decode_states(encoded).rows()])

    s, x = numbers_of(data.states), numbers_of(data.next_states)
    going_on = ~data.terminated
    assert (np.asarray(mdp.transition[s * mdp.actions + data.actions, x])[going_on] > 0).all()
    np.testing.assert_allclose((mdp.step[s, data.actions] + mdp.arrival[x])[going_on], data.rewards[going_on])
    assert (mdp.start[numbers_of(data.starts)] > 0).all()


def test_next_states_are_as_frequent_as_the_process_says() -> None:
    """Frozen Lake's first cell: right, under ice, is one of three."""
    table = logged("frozen-lake", 4_000, epsilon_b=1.0, length=1, seed=2).table.sort("id", "time")
    first, last = table.filter(pl.col("time") == 0), table.filter(pl.col("time") == 1)
    right = (first["action"] == "right").to_numpy()
    went = last["column"].to_numpy()[right]
    assert abs(went.mean() - 1 / 3) < 4 * math.sqrt(2 / 9 / right.sum())


# ---- what is true ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_the_truth_of_tables_is_their_own_solution(logs: dict[str, Any], name: str) -> None:
    log, mdp = logs[name], TABLES[name]()
    assert log.discount == 0.9
    policy = mdp.epsilon_greedy(0.9, 0.3)
    q = mdp.q(policy, 0.9)
    everywhere = pl.DataFrame(dict(zip(mdp.column_names, mdp.columns.T)))
    for a, label in enumerate(mdp.action_names):
        values, errors = log.truth_q(everywhere, label)
        np.testing.assert_array_equal(values, q[:, a])
        assert not errors.any()
    mixed = [mdp.action_names[i % mdp.actions] for i in range(mdp.states)]
    np.testing.assert_array_equal(log.truth_q(everywhere, mixed)[0], q[np.arange(mdp.states), np.arange(mdp.states) % mdp.actions])
    value, error = log.truth_value()
    assert (value, error) == (pytest.approx(mdp.start @ (policy * q).sum(axis=1)), 0.0)
    answer = log.policy.probabilities(everywhere)
    np.testing.assert_array_equal(np.stack([answer[a] for a in mdp.action_names], axis=1), policy)


def plain_rollouts(row: dict[str, float], action: int, rule: tuple[float, float, float], gamma: float, n: int, seed: int) -> np.ndarray:
    """Discounted returns of n patients, one NumPy step after the other, written from the specification."""
    rng = np.random.default_rng(seed)
    v = np.full(n, np.exp(row["log_volume"]))
    c = np.full(n, row["concentration"])
    cell, most, capacity = 1 / 5.8e8, 4 / 3 * np.pi * 6.5**3, 4 / 3 * np.pi * 15**3
    running, total = np.ones(n, bool), np.zeros(n)
    act = np.full(n, action)
    for t in range(120):
        chemo, radio = act % 2 == 1, act >= 2
        c = c / 2 + 5 * chemo
        kill = np.where(radio, row["alpha"] * 2 + row["alpha"] / 10 * 4, 0.0)
        before = np.maximum(v, cell)
        new = np.maximum(v * (1 + row["rho"] * np.log(capacity / before) - row["beta_c"] * c - kill + 0.01 * rng.standard_normal(n)), 0)
        dies = new > most
        heals = ~dies & ((new < cell) | (rng.random(n) < np.exp(-5.8e8 * new)))
        new = np.where(dies, most, np.where(heals, 0.0, new))
        change = np.clip(np.log(np.maximum(new, cell)) - np.log(before), -1, 1)
        reward = -change - 0.25 * chemo - 0.4 * radio + 10 * heals - 10.0 * dies
        total += np.where(running, gamma**t * reward, 0.0)
        running &= ~(dies | heals)
        v = new
        diameter = (6 * v / np.pi) ** (1 / 3)
        best = 1 * (diameter > rule[0]) + 2 * (diameter > rule[1])
        act = np.where(rng.random(n) < rule[2], rng.integers(4, size=n), best)
    return total


QUERIES = pl.DataFrame(
    {
        "log_volume": [1.0, 6.9, -18.0, 4.0],  # small; close to death; close to recovery; close to a limit of the rule
        "concentration": [0.0, 4.0, 2.0, 7.0],
        "alpha": [0.05, 0.1, 0.2, 0.3],
        "rho": [0.002, 0.02, 0.005, 0.01],
        "beta_c": [0.028, 0.028, 0.031, 0.028],
    }
)


@pytest.mark.parametrize("action", [0, 3])
def test_the_truth_of_the_tumour_against_plain_rollouts(action: int) -> None:
    rule = ThresholdRule(2.0, 4.0, 0.3)
    values, errors = TumourTruth(rule, 0.9, MANY, 1e-3).q(QUERIES, ("none", "chemo", "radio", "both")[action])
    for i, row in enumerate(QUERIES.to_dicts()):
        plain = plain_rollouts(row, action, (2.0, 4.0, 0.3), 0.9, MANY, seed=i)
        error = plain.std() / math.sqrt(len(plain))
        assert errors[i] == pytest.approx(error, rel=0.25)
        assert abs(values[i] - plain.mean()) < 4 * math.hypot(error, errors[i]) + 1e-3


@pytest.mark.parametrize(("discount", "tolerance"), [(0.8, 1e-2), (0.9, 1e-3), (0.95, 1e-4)])
def test_rollouts_are_long_enough(discount: float, tolerance: float) -> None:
    days, most = TumourTruth(ThresholdRule(), discount, MANY, tolerance).days, 1.65 / (1 - discount) + 10
    assert discount**days * most <= tolerance < discount ** (days - 1) * most


def test_rollouts_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged_tumour, "CHUNK", 1_000)
    few, wide = TumourTruth(ThresholdRule(), 0.9, 1_000, 1e-3).q(QUERIES[:1], "none")
    many, error = TumourTruth(ThresholdRule(), 0.9, 4_000, 1e-3).q(QUERIES[:1], "none")
    assert wide[0] / error[0] == pytest.approx(2.0, rel=0.2)
    assert few[0] != many[0]  # chunks differ in what they draw
    assert abs(few[0] - many[0]) < 5 * wide[0]


def test_contrasts_share_their_random_numbers() -> None:
    truth = TumourTruth(ThresholdRule(), 0.9, MANY, 1e-3)
    two = pl.concat([QUERIES[:1], QUERIES[:1]])
    same, _ = truth.q(two, "chemo")
    assert same[0] == same[1]


def test_the_tumours_value_is_the_logs_under_the_policy() -> None:
    """On-policy: where behaviour tosses coins and the rule is uniform, mean discounted returns are the value."""
    log = logged("tumour", MANY, coef=0.0, epsilon_e=1.0, length=80, rollouts=MANY)
    decisions = log.table.filter(pl.col("action").is_not_null())
    np.testing.assert_allclose(decisions["propensity"].to_numpy(), 0.25)
    returns = decisions.group_by("id").agg((0.9 ** pl.col("time") * pl.col("reward")).sum().alias("return"))["return"].to_numpy()
    value, error = log.truth_value()
    assert abs(returns.mean() - value) < 4 * math.hypot(error, returns.std() / math.sqrt(len(returns))) + 0.9**80 * 26.5


def test_confounding_by_size_and_its_floor() -> None:
    """At 13 cm chemo alone has sigmoid(coef / 2) (1 - sigmoid(coef / 2)), and no action less than a quarter of epsilon."""
    largest = {"log_volume": [math.log(4 / 3 * math.pi * 6.5**3)]}
    p = 1 / (1 + math.exp(-3.0))
    found = BySize(6.0, 0.0).probabilities(largest)
    assert list(found) == ["none", "chemo", "radio", "both"]
    np.testing.assert_allclose(np.concatenate(list(found.values())), [(1 - p) ** 2, p * (1 - p), p * (1 - p), p**2])
    floored = np.stack(list(BySize(40.0, 0.2).probabilities({"log_volume": [-5.0, 0.0, 6.0]}).values()), axis=1)
    assert floored.min() >= 0.05
    np.testing.assert_allclose(floored.sum(axis=1), 1.0)


def test_a_learner_learns_from_patients() -> None:
    log = logged("tumour", 60, seed=1, length=40, rollouts=MANY)
    data = log.transitions()
    learner = DRQLearner(log.discount, folds=2).fit(data, log.policy)
    value = learner.value()
    truth, error = log.truth_value()
    assert np.isfinite([value.estimate, value.standard_error]).all()
    assert abs(value.estimate - truth) < 6 * math.hypot(value.standard_error, error) + 0.5  # linear features: some bias
    assert learner.predict(log.table.head(3), "both").shape == (3,)


def test_who_sees_types_only(logs: dict[str, Any]) -> None:
    log = logs["tumour-type-only"]
    assert log.columns["state"] == {"log_volume": "numeric", "concentration": "numeric", "type": "categorical"}
    values, _ = log.truth_q(log.table.head(2), ["none", "both"])  # the truth still knows the patient
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("taxy", {}, "did you mean 'taxi'"),
        ("taxi", {"coef": 2.0}, "only the tumour has one"),
        ("tumour", {"coef": -1.0}, "coef=-1.0 is not allowed"),
        ("tumour", {"discount": 1.0}, "discount=1.0 is not allowed; give a number above 0 and below 1"),
        ("tumour", {"rollouts": 1}, "rollouts=1 is not allowed"),
        ("sepsis", {"epsilon_b": 1.5}, "epsilon_b=1.5 is not allowed"),
        ("taxi", {"length": 0}, "length=0 is not allowed"),
    ],
)
def test_mistakes_are_one_line_errors(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        logged(name, 5, **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_state_that_does_not_exist_is_named() -> None:
    log = logged("frozen-lake", 5, length=3)
    with pytest.raises(UserError, match="there is no state"):
        log.truth_q({"row": [7], "column": [0]}, "left")
    with pytest.raises(UserError, match="unknown action"):
        log.truth_q({"row": [0], "column": [0]}, "lft")
    with pytest.raises(UserError, match="2 actions for 1 states"):
        log.truth_q({"row": [0], "column": [0]}, ["left", "right"])


def test_the_policy_does_not_depend_on_the_order_of_actions() -> None:
    """Read without naming the actions, the log sorts them by the alphabet."""
    log = logged("tumour", 30, rollouts=2)
    columns = {name: value for name, value in log.columns.items() if name != "actions"}
    named, sorted_ = log.transitions(), Transitions.from_table(log.table, **columns)
    assert named.action_labels != sorted_.action_labels
    both = [DRQLearner(0.9).fit(data, log.policy).value().estimate for data in (named, sorted_)]
    assert both[0] == pytest.approx(both[1], rel=1e-6)
