import gymnasium
import numpy as np
import pytest
from corridor import Corridor
from gymnasium.utils.env_checker import check_env

import unseen
from unseen.environments.adapters import to_gymnasium
from unseen.errors import UserError


def play(env, actions, seed=None):
    """Everything one episode shows: first observation and info, then the steps until it ends or the actions run out."""
    seen = [env.reset(seed=seed)]
    for action in actions:
        seen.append(env.step(action))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


@pytest.mark.parametrize("make", [Corridor, lambda: unseen.make("heavenhell-3")], ids=["corridor", "heavenhell-3"])
def test_gymnasium_finds_nothing_to_complain_about(make):
    check_env(to_gymnasium(make(), render_mode="rgb_array"))  # warnings are errors here


@pytest.mark.parametrize(("action", "steps", "end"), [(0, 4, 0), (1, 4, 8), (2, 2, 8)])
def test_walking_straight_reaches_an_end_and_pays_by_the_hidden_side(action, steps, end):
    env = to_gymnasium(Corridor())
    for seed in range(6):
        (_, info), *rest = play(env, [action] * 10, seed)
        observation, reward, terminated, truncated, _ = rest[-1]
        assert len(rest) == steps
        assert observation["position"] == end
        assert terminated
        assert not truncated
        assert reward == (1.0 if info["signals"]["goal"] == (end == 8) else -1.0)
        assert all(step[1] == 0 for step in rest[:-1])


def test_the_horizon_truncates_and_says_nothing_of_termination():
    *_, last = play(to_gymnasium(Corridor()), [0, 1] * 10, 0)
    assert last[2:4] == (False, True)
    assert len(play(to_gymnasium(Corridor()), [0, 1] * 10, 0)) == 1 + 6


def test_reaching_the_end_at_the_horizon_is_a_termination():
    *_, last = play(to_gymnasium(Corridor()), [0, 1, 0, 1, 2, 2], 0)  # position 8 at step 6, the horizon
    assert last[0]["position"] == 8
    assert last[2:4] == (True, False)


def test_signals_and_mask_belong_to_the_state_returned():
    env = to_gymnasium(Corridor())
    steps = play(env, [2, 1], 3)
    for observation, *_, info in steps:
        assert set(info["signals"]) == {"goal", "hint"}
        assert all(env.unwrapped.signal_spaces[name].contains(value) for name, value in info["signals"].items())
        assert info["action_mask"].tolist() == [True, True, observation["position"] < 7]
        assert "goal" not in observation
    assert len({float(info["signals"]["hint"]) for *_, info in steps}) == 3  # one draw per state


def test_equal_seeds_give_equal_streams_and_later_episodes_differ():
    first, second = to_gymnasium(Corridor()), to_gymnasium(Corridor(), seed=11)
    noises = []
    for episode in range(3):
        ours = play(first, [0, 1, 1], 11 if episode == 0 else None)
        theirs = play(second, [0, 1, 1])
        assert [step[0]["noise"].tolist() for step in ours] == [step[0]["noise"].tolist() for step in theirs]
        assert [step[-1]["signals"] for step in ours] == [step[-1]["signals"] for step in theirs]
        noises += [tuple(step[0]["noise"]) for step in ours]
    assert len(set(noises)) == len(noises)
    assert tuple(first.reset(seed=12)[0]["noise"]) not in noises


def test_both_parts_of_a_mixture_are_played_as_often_as_they_weigh():
    env = to_gymnasium(Corridor(), level="mixed", seed=0)
    lengths = [len(play(env, [0, 1] * 10)) - 1 for _ in range(300)]
    assert set(lengths) == {3, 7}
    assert lengths.count(3) / 300 == pytest.approx(0.25, abs=0.1)  # four standard errors


def test_observations_are_the_callers_to_keep():
    env = to_gymnasium(Corridor())
    observation, _ = env.reset(seed=0)
    observation["noise"][:] = -1
    kept = observation["noise"].copy()
    env.step(0)
    np.testing.assert_array_equal(observation["noise"], kept)


def test_the_picture_is_the_environments_own():
    env = to_gymnasium(Corridor(), render_mode="rgb_array")
    env.reset(seed=0)
    env.step(0)
    picture = env.render()
    assert picture.shape == (8, 72, 3)
    assert np.flatnonzero(picture[0, :, 0]).tolist() == list(range(24, 32))  # position 3
    assert to_gymnasium(Corridor()).render() is None


def test_mistakes_are_named():
    with pytest.raises(UserError, match="unknown level of corridor/test 'tain'; did you mean 'train'"):
        to_gymnasium(Corridor(), level="tain")
    with pytest.raises(gymnasium.error.ResetNeeded):
        to_gymnasium(Corridor()).step(0)


def test_a_level_of_several_spaces_is_refused():
    class Growing(Corridor):
        def observation_space(self, params):
            return gymnasium.spaces.Discrete(int(params["limit"]))

    with pytest.raises(UserError, match="mixes several observation_spaces"):
        to_gymnasium(Growing(), level="mixed")
