"""Data sets of d3rlpy, by the names of what they hold (its version that runs with today's Gymnasium cannot be installed beside it)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from unseen.data import Transitions
from unseen.errors import UserError


def episode(length, terminated, seed=0):
    rng = np.random.default_rng(seed)
    return SimpleNamespace(
        observations=rng.normal(size=(length, 2)).astype(np.float32),
        actions=rng.integers(0, 3, (length, 1)),
        rewards=rng.normal(size=(length, 1)).astype(np.float32),
        terminated=terminated,
    )


def test_episodes_become_transitions():
    first, second = episode(4, True), episode(3, False, 1)
    data = Transitions.from_d3rlpy(SimpleNamespace(episodes=[first, second]), actions=[0, 1, 2])
    assert len(data) == 4 + 2  # what followed the second's last decision is not known
    assert data.dropped == 1
    np.testing.assert_array_equal(data.terminated, [False, False, False, True, False, False])
    np.testing.assert_allclose(data.states[:4], first.observations)
    np.testing.assert_allclose(data.next_states[4:], second.observations[1:])
    np.testing.assert_allclose(data.rewards, np.concatenate([first.rewards[:, 0], second.rewards[:2, 0]]))
    np.testing.assert_array_equal(data.actions, np.concatenate([first.actions[:, 0], second.actions[:2, 0]]))
    assert [c.name for c in data.state_columns] == ["observation[0]", "observation[1]"]


def test_observations_may_be_named_and_be_categories():
    one = episode(5, True)
    one.observations = np.array([[0], [1], [1], [0], [2]])
    data = Transitions.from_d3rlpy([one], state={"place": "categorical"})
    assert data.n_states == 3
    assert data.state_columns[0].name == "place"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observations": np.zeros((5, 3, 3))}, "observations of shape"),
        ({"actions": np.zeros((5, 2), int)}, "actions of shape"),
        ({"actions": np.zeros((5, 1))}, "type float64 are no choices"),
        ({"observations": np.zeros((6, 2))}, "episode 0 has 6 observations, 5 actions, 5 rewards"),
        ({"observations": (np.zeros((5, 2)), np.zeros((5, 3, 3)))}, "observations are tuples"),
    ],
)
def test_what_is_refused(change, words):
    one = SimpleNamespace(**{**vars(episode(5, True)), **change})
    with pytest.raises(UserError, match=words):
        Transitions.from_d3rlpy([one])


def test_something_else_is_refused():
    for other in (3, [], [1, 2]):
        with pytest.raises(UserError, match="has no episodes; give a d3rlpy ReplayBuffer"):
            Transitions.from_d3rlpy(other)
    without = SimpleNamespace(**{k: v for k, v in vars(episode(3, True)).items() if k != "terminated"})
    with pytest.raises(UserError, match="episode 0 has no terminated"):
        Transitions.from_d3rlpy([without])
    wider = episode(3, True)
    wider.observations = np.zeros((3, 5))
    with pytest.raises(UserError, match=r"observations have \[2, 5\] numbers"):
        Transitions.from_d3rlpy([episode(3, True), wider])
    with pytest.raises(UserError, match="state names 1 columns, observations have 2 numbers"):
        Transitions.from_d3rlpy([episode(3, True)], state=["x"])
