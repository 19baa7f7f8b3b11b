import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import simple

from unseen.data import Episodes
from unseen.errors import UserError


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 2), st.booleans())
def test_from_padded_equals_slicing_each_column(lengths, spare, named):
    horizon, batch = max(lengths) + spare, len(lengths)
    rng = np.random.default_rng(sum(lengths))
    rows = {
        "observations": rng.normal(size=(horizon + 1, batch, 2)).astype(np.float32),
        "actions": rng.integers(0, 3, (horizon, batch)),
        "rewards": rng.normal(size=(horizon, batch)),
        "behaviour_log_probability": -rng.random((horizon, batch)),
    }
    signal, read, seed = rng.integers(0, 9, (horizon + 1, batch)), rng.normal(size=(horizon, batch, 2, 2)), np.arange(batch)
    valid = np.arange(horizon)[:, None] < np.array(lengths)
    last = np.arange(horizon)[:, None] == np.array(lengths) - 1
    terminated = last & (seed % 2 == 0)
    padded = Episodes.from_padded(
        **{**rows, "observations": {"eye": rows["observations"]} if named else rows["observations"]},
        terminated=terminated,
        truncated=last & ~terminated,
        valid=valid,
        signals={"s": signal},
        reads={"r": read},
        accounts={"tokens": rows["actions"] + 1},
        info={"seed": seed},
    )
    columns = [b for b in range(batch) if lengths[b]]
    assert len(padded) == len(columns)
    for episode, b in zip(padded, columns, strict=True):
        steps = lengths[b]
        np.testing.assert_array_equal(episode.observations["eye" if named else "observation"], rows["observations"][: steps + 1, b])
        np.testing.assert_array_equal(episode.actions, rows["actions"][:steps, b])
        np.testing.assert_array_equal(episode.rewards, rows["rewards"][:steps, b])
        np.testing.assert_array_equal(episode.behaviour_log_probability, rows["behaviour_log_probability"][:steps, b])
        np.testing.assert_array_equal(episode.signals["s"], signal[: steps + 1, b])
        np.testing.assert_array_equal(episode.reads["r"], read[:steps, b])
        np.testing.assert_array_equal(episode.accounts["tokens"], rows["actions"][:steps, b] + 1)
        assert episode.info["seed"] == b
        assert episode.terminated[-1] == (b % 2 == 0)


def padded(**changes):
    arrays = {
        "observations": np.zeros((4, 2)),
        "actions": np.zeros((3, 2), np.int64),
        "rewards": np.zeros((3, 2)),
        "terminated": np.zeros((3, 2), np.bool_),
        "truncated": np.zeros((3, 2), np.bool_),
    }
    return Episodes.from_padded(**{**arrays, **changes})


def test_padding_may_hold_anything_but_the_episode_may_not():
    rewards = np.full((3, 2), np.nan)
    rewards[:2] = 1.0
    valid = np.array([[True, True], [True, True], [False, False]])
    assert padded(rewards=rewards, valid=valid).returns().tolist() == [2.0, 2.0]
    with pytest.raises(UserError, match=r"rewards is nan at episode 0, step 2"):
        padded(rewards=rewards)


def test_jax_arrays_are_taken_as_they_are():
    episodes = padded(observations=jnp.ones((4, 2), jnp.float32), rewards=jnp.ones((3, 2), jnp.float32))
    assert isinstance(episodes.observation, np.ndarray)
    assert episodes.observation.dtype == episodes.rewards.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": np.zeros((3, 2))}, r"must begin with \(4, 2\)"),
        ({"actions": np.zeros((2, 3))}, r"must begin with \(3, 2\)"),
        ({"info": {"seed": np.zeros(3)}}, r"must begin with \(2,\)"),
        ({"rewards": np.zeros(3)}, "time-major"),
        ({"valid": np.ones((3, 1), np.bool_)}, "valid has"),
        ({"valid": np.ones((3, 2))}, "valid has dtype float64"),
        ({"valid": np.array([[True, True], [True, False], [True, True]])}, "column 1"),
    ],
)
def test_from_padded_names_what_does_not_fit(changes, message):
    with pytest.raises(UserError, match=message):
        padded(**changes)


def test_whole_rewards_become_floats_and_flags_may_be_given_per_step():
    episode = {**simple(3)[0], "rewards": [1, 2, 3], "terminated": [False, False, True], "truncated": [False] * 3}
    episodes = Episodes.from_list([episode])
    assert episodes.rewards.dtype == np.float64
    assert episodes.terminated.tolist() == [False, False, True]


def changed(second):
    return [simple(2, 3)[0], {**simple(2, 3)[1], **second}]


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        ([], "at least one episode"),
        (changed({"observation": 1}), "did you mean 'observations'"),
        ([{k: v for k, v in simple(2)[0].items() if k != "truncated"}], "episode 0 has no 'truncated'"),
        (changed({"signals": {}}), r"signals\['twice'\] is in only one of episodes 0 and 1"),
        (changed({"observations": np.zeros((4, 2))}), "in episode 1 but int64.* in episode 0"),
        (changed({"observations": np.zeros(3)}), "of episode 1 has 3 rows, but its 3 rewards ask for 4"),
        (changed({"actions": ["a", "b", "c"]}), "in episode 1 but int64"),
        (changed({"rewards": ["a", "b", "c"]}), "rewards of episode 1"),
        (changed({"rewards": 1.0}), "rewards of episode 1"),
        (changed({"rewards": [], "actions": [], "observations": [1], "signals": {"twice": np.zeros((1, 2))}}), "episode 1 has 0 steps"),
        (changed({"observations": [[1, 2], [3], [4], [5]]}), "unequal shapes"),
        (changed({"terminated": 1}), "terminated has dtype"),
        (changed({"signals": np.zeros(4)}), "signals must be a mapping"),
    ],
)
def test_from_list_names_the_episode(episodes, message):
    with pytest.raises(UserError, match=message):
        Episodes.from_list(episodes)


def test_lengths_that_are_wrong_in_opposite_directions_do_not_cancel():
    first, second = simple(2, 3)
    first["actions"], second["actions"] = np.arange(3), np.arange(2)
    with pytest.raises(UserError, match="actions of episode 0 has 3 rows"):
        Episodes.from_list([first, second])
