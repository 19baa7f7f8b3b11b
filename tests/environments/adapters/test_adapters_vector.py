import gymnasium
import numpy as np
import pytest
from corridor import Corridor
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from unseen.environments.adapters import to_gymnasium, to_gymnasium_vector
from unseen.errors import UserError

MODES = list(AutoresetMode)


def one_by_one(num_envs, mode, level="train"):
    """The oracle: Gymnasium's own loop over single environments."""
    single = to_gymnasium(Corridor(), level)  # compiled once
    return SyncVectorEnv([lambda: single.spec.make(disable_env_checker=True)] * num_envs, autoreset_mode=mode)


def assert_same(ours, theirs):
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif theirs is None:
        assert ours is None
    else:
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize(("num_envs", "level"), [(1, "train"), (5, "mixed")])
def test_equals_gymnasiums_own_loop_over_single_environments(num_envs, level, mode):
    ours, theirs = to_gymnasium_vector(Corridor(), num_envs, level, mode.value), one_by_one(num_envs, mode, level)
    assert ours.metadata["autoreset_mode"] is mode
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    for a, b in zip(ours.reset(seed=3), theirs.reset(seed=3)):
        assert_same(a, b)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        actions = rng.integers(3, size=num_envs)
        step = ours.step(actions)
        for a, b in zip(step, theirs.step(actions)):
            assert_same(a, b)
        ended = step[2] | step[3]
        ends += ended.sum()
        if mode is AutoresetMode.DISABLED and ended.any():
            seeds = None if rng.random() < 0.5 else [int(s) for s in rng.integers(1000, size=num_envs)]
            # Each loop gets its own options: Gymnasium's takes the mask out of them.
            pair = [env.reset(seed=seeds, options={"reset_mask": ended.copy()}) for env in (ours, theirs)]
            assert_same(pair[0][0], pair[1][0])
            assert_same(pair[0][1], pair[1][1])
    assert ends >= 5 * num_envs


def test_same_step_keeps_the_final_observation_and_its_signals():
    env = to_gymnasium_vector(Corridor(), 3, autoreset_mode="SameStep")
    _, infos = env.reset(seed=0)
    goals = infos["signals"]["goal"]
    for _ in range(2):
        observation, _, terminated, _, infos = env.step(np.array([2, 2, 0]))
    assert terminated.tolist() == [True, True, False]
    assert observation["position"].tolist() == [4, 4, 2]
    assert [final and int(final["position"]) for final in infos["final_obs"]] == [8, 8, None]
    assert infos["final_info"]["signals"]["goal"][:2].tolist() == goals[:2].tolist()


def test_disabled_refuses_to_step_what_has_ended():
    env = to_gymnasium_vector(Corridor(), 2, autoreset_mode="Disabled")
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([2, 0]))
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"slots \[0\] have ended"):
        env.step(np.array([0, 0]))
    observation, _ = env.reset(options={"reset_mask": np.array([True, False])})
    assert observation["position"].tolist() == [4, 2]  # the other one keeps its episode


def test_seeds_may_be_given_one_by_one():
    env = to_gymnasium_vector(Corridor(), 3)
    observation, _ = env.reset(seed=[7, 8, 7])
    np.testing.assert_array_equal(observation["noise"][0], observation["noise"][2])
    assert not np.array_equal(observation["noise"][0], observation["noise"][1])


def test_what_was_returned_does_not_change_later():
    env = to_gymnasium_vector(Corridor(), 2)
    observation, _ = env.reset(seed=0)
    before = observation["noise"].copy()
    observation["position"][:] = -5
    following, *_ = env.step(np.array([0, 0]))
    np.testing.assert_array_equal(observation["noise"], before)
    assert following["position"].tolist() == [3, 3]


def test_pictures_of_every_copy():
    env = to_gymnasium_vector(Corridor(), 2, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.array([0, 1]))
    left, right = env.render()
    assert np.flatnonzero(left[0, :, 0])[0] == 24
    assert np.flatnonzero(right[0, :, 0])[0] == 40


def test_mistakes_are_named():
    with pytest.raises(UserError, match="did you mean 'NextStep'"):
        to_gymnasium_vector(Corridor(), 2, autoreset_mode="NextStp")
    with pytest.raises(UserError, match="num_envs is 0"):
        to_gymnasium_vector(Corridor(), 0)
    env = to_gymnasium_vector(Corridor(), 2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2, int))
    with pytest.raises(UserError, match="3 entries for 2"):
        env.reset(seed=[1, 2, 3])
    for mask in (np.zeros(2, bool), np.ones(3, bool), np.ones(2)):
        with pytest.raises(UserError, match="reset_mask"):
            env.reset(options={"reset_mask": mask})
