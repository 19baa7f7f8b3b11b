"""Taxi and Frozen Lake against Gymnasium's own tables, sepsis against a simulator that follows its prose, and exact values against play."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from unseen.environments.clinical import sepsis
from unseen.environments.clinical.sepsis_table import LEVELS
from unseen.environments.tabular.toys import frozen_lake, taxi
from unseen.errors import UserError

TAXI = max(name for name in gymnasium.registry if name.startswith("Taxi-"))


def gymnasium_table(table, states, actions):
    """(S, A, S) transitions, (S, A) expected rewards and (S, A, S) terminations of a toy-text table."""
    transition, reward, ends = np.zeros((states, actions, states)), np.zeros((states, actions)), np.zeros((states, actions, states), bool)
    for s, by_action in table.items():
        for a, outcomes in by_action.items():
            for p, x, r, ended in outcomes:
                transition[s, a, x] += p
                reward[s, a] += p * r
                ends[s, a, x] |= bool(ended)
    return transition, reward, ends


@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [
        (taxi(), TAXI, {}),
        (taxi(rainy=True), TAXI, {"is_rainy": True}),
        (frozen_lake(), "FrozenLake-v1", {}),
        (frozen_lake(slippery=False), "FrozenLake-v1", {"is_slippery": False}),
        (frozen_lake(success_rate=0.5), "FrozenLake-v1", {"success_rate": 0.5}),
    ],
)
def test_the_tables_are_gymnasiums(ours, name, options):
    theirs = gymnasium.make(name, **options).unwrapped
    transition, reward, ends = gymnasium_table(theirs.P, ours.states, ours.actions)
    alive = ~ours.terminal
    shape = (ours.states, ours.actions, ours.states)
    mine, other = ours.transition.toarray().reshape(shape)[alive], transition[alive]
    np.testing.assert_allclose(mine, other, atol=1e-12)
    np.testing.assert_allclose(ours.reward[alive], reward[alive], atol=1e-12)
    happens = mine > 0
    np.testing.assert_array_equal(np.broadcast_to(ours.terminal, shape)[alive][happens], ends[alive][happens])
    np.testing.assert_allclose(ours.start, theirs.initial_state_distrib / theirs.initial_state_distrib.sum(), atol=1e-12)


def test_taxi_in_numbers():
    whole, fixed = taxi(), taxi(destination=2)
    assert (whole.states, int(whole.reachable().sum()), int((whole.start > 0).sum())) == (500, 404, 300)
    assert (fixed.states, fixed.columns.shape) == (125, (125, 3))
    np.testing.assert_allclose(fixed.optimal(0.9), whole.optimal(0.9)[2::4], atol=1e-9)  # the destination is the last digit


def test_exact_values_against_value_iteration_and_play():
    lake = frozen_lake()
    policy = lake.epsilon_greedy(0.9, 0.3)
    q = np.zeros_like(lake.step)
    for _ in range(500):
        q = lake.reward + 0.9 * (lake.onward @ (policy * q).sum(axis=1)).reshape(q.shape)
    np.testing.assert_allclose(lake.q(policy, 0.9), q, atol=1e-12)
    best = np.zeros_like(lake.step)
    for _ in range(2_000):
        best = lake.reward + 0.9 * (lake.onward @ best.max(axis=1)).reshape(q.shape)
    np.testing.assert_allclose(lake.optimal(0.9), best, atol=1e-9)
    log = lake.play(policy, 40_000, seed=0)
    returns = np.bincount(log["episode"], 0.9 ** log["t"] * log["reward"])[:-1]  # the last episode is cut
    truth = lake.start @ (policy * q).sum(axis=1)
    assert abs(returns.mean() - truth) < 4 * returns.std() / np.sqrt(len(returns))
    assert (log["terminated"] | log["truncated"])[np.append(np.diff(log["episode"]) > 0, True)].all()


def step_by_prose(rng, state, action, fixed=True):
    """One step of the specification's 11.9, number by number, in its order."""
    diabetes, heart, pressure, oxygen, glucose, antibiotic, vaso, vent = state
    on = (action >> 2 & 1, action >> 1 & 1, action & 1)
    moves_heart = moves_pressure = moves_oxygen = moves_glucose = True
    if on[0]:
        moves_heart = moves_pressure = False
        heart = 1 if heart == 2 and rng.random() < 0.5 else heart
        pressure = 1 if pressure == 2 and rng.random() < 0.5 else pressure
    elif antibiotic:
        moves_heart = moves_pressure = False
        heart = 2 if heart == 1 and rng.random() < 0.1 else heart
        pressure = 2 if pressure == 1 and rng.random() < 0.1 else pressure
    if on[1]:
        moves_oxygen = False
        oxygen = 1 if oxygen == 0 and rng.random() < 0.7 else oxygen
    elif vent:
        moves_oxygen = False
        oxygen = 0 if oxygen == 1 and rng.random() < 0.1 else oxygen
    if on[2]:
        moves_pressure = moves_glucose = False
        u = rng.random()
        if not diabetes:
            pressure = min(pressure + 1, 2) if u < 0.7 else pressure
        else:
            if pressure == 1:
                pressure = 2 if u < 0.9 else 1
            elif pressure == 0:
                pressure = 1 if u < 0.5 else 2 if u < 0.9 else 0
            glucose = min(glucose + 1, 4) if rng.random() < 0.5 else glucose
    elif vaso:
        moves_pressure = False
        pressure = max(pressure - 1, 0) if rng.random() < (0.05 if diabetes else 0.1) else pressure

    def wander(x, top, rate):
        u = rng.random()
        return max(x - 1, 0) if u < rate else min(x + 1, top) if u < 2 * rate else x

    heart = wander(heart, 2, 0.1) if moves_heart else heart
    pressure = wander(pressure, 2, 0.1) if moves_pressure else pressure
    oxygen = wander(oxygen, 1, 0.1) if moves_oxygen else oxygen
    glucose = wander(glucose, 4, 0.3 if diabetes else 0.1) if moves_glucose else glucose
    return diabetes, heart, pressure, oxygen, glucose, on[0], on[2], on[1]


@pytest.mark.slow
def test_the_sepsis_kernel_is_the_prose():
    ours = sepsis()
    assert ours.states == 1_440
    rng = np.random.default_rng(0)
    shape = tuple(LEVELS.values())
    tries = 4_000
    for _ in range(40):
        s, a = int(rng.integers(ours.states)), int(rng.integers(8))
        counts = np.zeros(ours.states)
        for _ in range(tries):
            counts[np.ravel_multi_index(step_by_prose(rng, tuple(ours.columns[s]), a), shape)] += 1
        law = ours.transition[[s * 8 + a]].toarray()[0]
        assert counts[law == 0].sum() == 0
        error = np.abs(counts / tries - law) / np.sqrt(np.maximum(law * (1 - law), 1e-4) / tries)
        assert error.max() < 5, (ours.columns[s], a)


def test_sepsis_ends_as_it_should():
    ours = sepsis()
    vitals = ours.columns[:, 1:5]
    abnormal = (vitals != [1, 1, 1, 2]).sum(axis=1)
    np.testing.assert_array_equal(ours.arrival == -1, abnormal >= 3)
    np.testing.assert_array_equal(ours.arrival == 1, (abnormal == 0) & (ours.columns[:, 5:].sum(axis=1) == 0))
    assert ours.start[ours.terminal].sum() == 0
    slip = sepsis(fixed_glucose=False)
    high = np.flatnonzero((ours.columns[:, 0] == 0) & (ours.columns[:, 4] == 3))[0]
    falls = slip.transition[[high * 8]].toarray()[0] @ (slip.columns[:, 4] == 1)
    assert falls == pytest.approx(0.1)  # the published code's slip: from 3 a rise leads to 1
    assert ours.transition[[high * 8]].toarray()[0] @ (ours.columns[:, 4] == 1) == 0


@pytest.mark.parametrize(("make", "options"), [(taxi, {"destination": 4}), (frozen_lake, {"success_rate": 0.0})])
def test_what_is_refused(make, options):
    with pytest.raises(UserError, match=r"allowed|must lie"):
        make(**options)
