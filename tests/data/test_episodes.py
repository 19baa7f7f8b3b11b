import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import recordings, simple

from unseen.data import Episodes, Ragged
from unseen.errors import UserError


def check_same(episode, recorded):
    """An episode view against the dict it was made from."""
    for name, values in recorded["observations"].items():
        listed = values if isinstance(values, list) else values.tolist()  # np.asarray would strip trailing NULs from text
        assert episode.observations[name].tolist() == listed
    np.testing.assert_array_equal(episode.actions, recorded["actions"])
    np.testing.assert_array_equal(episode.rewards, recorded["rewards"])
    steps = len(recorded["rewards"])
    assert episode.terminated.tolist() == [False] * (steps - 1) + [recorded["terminated"]]
    assert episode.truncated.tolist() == [False] * (steps - 1) + [recorded["truncated"]]
    for name, values in recorded.get("tokens", {}).items():
        assert [row.tolist() for row in episode.tokens[name].to_list()] == values
    for name, values in recorded.get("text", {}).items():
        assert episode.text[name].tolist() == values
    for group in ("signals", "reads"):
        for name, values in recorded.get(group, {}).items():
            np.testing.assert_array_equal(getattr(episode, group)[name], values)
    for name, value in recorded.get("info", {}).items():
        assert episode.info[name] == value or np.isnan(value)


@given(recordings())
def test_every_episode_reads_back_as_recorded(recorded):
    episodes = Episodes.from_list(recorded)
    assert len(episodes) == len(recorded)
    assert episodes.lengths.tolist() == [len(r["rewards"]) for r in recorded]
    assert episodes.episode_of_step.tolist() == [e for e, r in enumerate(recorded) for _ in r["rewards"]]
    assert episodes.time_of_step.tolist() == [t for r in recorded for t in range(len(r["rewards"]))]
    for episode, r in zip(episodes, recorded, strict=True):
        check_same(episode, r)
    check_same(episodes[-1], recorded[-1])


@given(recordings(), st.data())
def test_select_equals_picking_from_the_list(recorded, data):
    episodes = Episodes.from_list(recorded)
    chosen = data.draw(st.lists(st.integers(-len(recorded), len(recorded) - 1), max_size=5))
    picked = episodes.select(chosen)
    assert len(picked) == len(chosen)
    for episode, i in zip(picked, chosen, strict=True):
        check_same(episode, recorded[i])
    mask = data.draw(st.lists(st.booleans(), min_size=len(recorded), max_size=len(recorded)))
    assert episodes.select(mask).identical(episodes.select([i for i, m in enumerate(mask) if m]))


@given(recordings(), st.data())
def test_concatenate_puts_back_what_select_took_apart(recorded, data):
    episodes = Episodes.from_list(recorded)
    cut = data.draw(st.integers(0, len(recorded)))
    parts = [episodes.select(range(cut)), episodes.select(range(cut, len(recorded)))]
    assert Episodes.concatenate(parts).identical(episodes)


@given(recordings(), st.floats(0, 1))
def test_returns_equal_the_backward_recursion(recorded, discount):
    expected = []
    for r in recorded:
        total = 0.0
        for reward in reversed(r["rewards"].tolist()):
            total = reward + discount * total
        expected.append(total)
    scale = [sum(abs(x) for x in r["rewards"].tolist()) for r in recorded]  # a sum cancels: exact up to the size of its terms
    assert np.all(np.abs(Episodes.from_list(recorded).returns(discount) - expected) <= 1e-12 * np.array(scale) + 1e-300)


def test_rows_of_observations_keep_the_final_one():
    episodes = Episodes.from_list(simple(2, 1, 3))
    assert episodes.observation.tolist() == [0, 1, 2, 100, 101, 200, 201, 202, 203]
    assert episodes.observation[episodes.rows_of_steps].tolist() == [0, 1, 100, 200, 201, 202]
    assert episodes.observation[episodes.final_rows].tolist() == [2, 101, 203]
    assert episodes.episode(1).observation.tolist() == [100, 101]
    assert np.shares_memory(episodes.episode(2).observation, episodes.observation)
    assert "3 episodes, 6 steps" in repr(episodes)


def test_no_episodes_is_a_valid_recording():
    none = Episodes.from_list(simple(2)).select([])
    assert len(none) == none.steps == 0
    assert none.returns().shape == none.lengths.shape == (0,)
    assert list(none) == []


def broken(**changes):
    return lambda episodes: dataclasses.replace(episodes, **{name: change(getattr(episodes, name)) for name, change in changes.items()})


def put(row, value):
    def change(values):
        values = values.copy()
        values[row] = value
        return values

    return change


BROKEN = {
    "short observations": (
        broken(observations=lambda o: {"observation": o["observation"][:-1]}),
        r"observations\['observation'\] has 7 rows",
    ),
    "short actions": (broken(actions=lambda a: a[1:]), "actions has 4 rows, but 5 steps"),
    "info per step": (broken(info=lambda i: {"seed": np.arange(5)}), r"info\['seed'\] has 5 rows, but 3 episodes"),
    "nan reward": (broken(rewards=put(3, np.nan)), r"rewards is nan at episode 2, step 0 \(row 3\)"),
    "infinite signal": (
        broken(signals=lambda s: {"x": put(4, -np.inf)(np.zeros(8))}),
        r"signals\['x'\] is -inf at episode 1, step 1 \(row 4\)",
    ),
    "nan in a vector": (broken(actions=lambda a: put((1, 1), np.nan)(np.zeros((5, 2)))), "actions is nan at episode 0, step 1"),
    "early termination": (broken(terminated=put(0, True)), "terminated is true at episode 0, step 0 .* goes on"),
    "early truncation": (broken(truncated=put(3, True)), "truncated is true at episode 2, step 0 .* goes on"),
    "both endings": (broken(truncated=put(2, True)), "both true at episode 1, step 0"),
    "empty episode": (broken(offsets=lambda o: np.array([0, 2, 2, 5])), "episode 1 has 0 steps"),
    "offsets from 1": (broken(offsets=lambda o: o + 1), "begins with 0"),
    "offsets as int32": (broken(offsets=lambda o: o.astype(np.int32)), "int64"),
    "falling offsets": (broken(offsets=lambda o: np.array([0, 3, 2, 5])), "episode 1 has -1 steps"),
    "whole rewards": (broken(rewards=lambda r: r.astype(np.int64)), "rewards has dtype int64"),
    "reward vectors": (broken(rewards=lambda r: r[:, None]), "must be"),
    "flags as numbers": (broken(terminated=lambda f: f.astype(np.int8)), "terminated has dtype int8"),
    "no observation": (broken(observations=lambda o: {}), "need observations"),
    "objects": (broken(actions=lambda a: a.astype(object)), "dtype object"),
    "complex": (broken(reads=lambda a: {"r": np.zeros(5, complex)}), "complex128"),
    "bracketed name": (broken(info=lambda i: {"a[0]": np.arange(3)}), "brackets"),
    "empty dimension": (broken(actions=lambda a: np.zeros((5, 0))), "empty dimension"),
    "float tokens": (broken(tokens=lambda t: {"t": Ragged(np.zeros(2), np.array([0, 0, 0, 0, 1, 2]))}), "integers"),
    "torn tokens": (broken(tokens=lambda t: {"t": Ragged(np.arange(2), np.array([0, 0, 0, 0, 1, 3]))}), "ragged offsets"),
    "few tokens": (broken(tokens=lambda t: {"t": Ragged(np.arange(2), np.array([0, 1, 2]))}), "has 2 rows"),
    "text as numbers": (broken(text=lambda t: {"completion": np.arange(5)}), "StringDType"),
    "foreign byte order": (broken(actions=lambda a: a.astype(">i8")), "native byte order"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_names_column_and_place(name):
    episodes = Episodes.from_list(simple(2, 1, 2))
    breaking, message = BROKEN[name]
    with pytest.raises(UserError, match=message):
        breaking(episodes)


def test_concatenate_names_the_column_that_differs():
    whole = Episodes.from_list(simple(2))
    with pytest.raises(UserError, match=r"info\['seed'\] is in only one of parts 0 and 1"):
        Episodes.concatenate([whole, dataclasses.replace(whole, info={})])
    with pytest.raises(UserError, match="rewards is float64 in part 0 but float32 in part 1"):
        Episodes.concatenate([whole, dataclasses.replace(whole, rewards=whole.rewards.astype(np.float32))])
    with pytest.raises(UserError, match="at least one"):
        Episodes.concatenate([])


def test_identical_sees_every_difference():
    episodes = Episodes.from_list(simple(2, 1))
    assert episodes.identical(Episodes.from_list(simple(2, 1)))
    assert not episodes.identical(Episodes.from_list(simple(1, 2)))
    assert not episodes.identical(dataclasses.replace(episodes, info={}))
    assert not episodes.identical(dataclasses.replace(episodes, rewards=-episodes.rewards))  # -0.0 in the first row
    assert not episodes.identical(dataclasses.replace(episodes, rewards=episodes.rewards.astype(np.float32)))


@pytest.mark.parametrize("which", [[3], [-4], [0.5], [[0]], [True]])
def test_select_refuses_what_is_no_episode(which):
    with pytest.raises(UserError, match="select takes"):
        Episodes.from_list(simple(1, 1, 1)).select(np.array(which))


def test_misuse_is_named():
    episodes = Episodes.from_list([{**simple(2)[0], "observations": {"position": np.zeros(3)}}])
    with pytest.raises(UserError, match="'observation'"):
        _ = episodes.observation
    with pytest.raises(UserError, match=r"discount is 1\.5"):
        episodes.returns(1.5)
    with pytest.raises(IndexError):
        episodes.episode(1)
    with pytest.raises(UserError, match="need 'actions'"):
        Episodes.from_columns({c: v for c, v in episodes.columns().items() if c[0] != "actions"}, episodes.offsets)
