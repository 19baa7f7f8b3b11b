import warnings

import gymnasium
import numpy as np
import pytest
from counter import RAISE, Counter, Unseedable, length
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.environments.adapters import EnvironmentCrash, ExternalEnvironment, external
from unseen.environments.adapters.single import to_gymnasium
from unseen.errors import UserError


def seeing(external_env, observation, i):
    """Row i of a batched observation, as nested Gymnasium dicts show it (without what was dropped)."""
    return {k: v[i] for k, v in observation.items()} if isinstance(observation, dict) else observation[i]


def assert_row(ours, theirs, dropped):
    if isinstance(theirs, dict):
        theirs = {k: v for k, v in theirs.items() if f"{k} (text)" not in dropped}
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            np.testing.assert_array_equal(ours[key], value)
    else:
        np.testing.assert_array_equal(ours, theirs)


def check_against_plain_gymnasium(identifier, num_envs, first_seed, steps, action_seed):
    """Step a batch and, beside it, plain environments one by one; every observation of every episode must agree."""
    batch = external(identifier, num_envs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = [gymnasium.make(identifier) for _ in range(num_envs)]
    rng = np.random.default_rng(action_seed)
    seeds = first_seed + np.arange(num_envs)
    observation, _ = batch.reset(seeds)
    for i, env in enumerate(plain):
        assert_row(seeing(batch, observation, i), env.reset(seed=int(seeds[i]))[0], batch.dropped)
    ended_before = 0
    batch.action_space.seed(action_seed)
    for _ in range(steps):
        actions = np.stack([batch.action_space.sample() for _ in range(num_envs)])
        step = batch.step(actions)
        for i, env in enumerate(plain):
            theirs, reward, terminated, truncated, _ = env.step(actions[i])
            assert_row(seeing(batch, step.observation, i), theirs, batch.dropped)  # the final one too
            assert step.reward[i] == np.float32(reward)
            assert (step.terminated[i], step.truncated[i]) == (terminated, truncated)
        ended = step.terminated | step.truncated
        ended_before += ended.sum()
        if ended.any():
            seeds = rng.integers(10_000, size=num_envs)
            observation, _ = batch.reset(seeds, ended)
            for i in range(num_envs):
                if ended[i]:
                    assert_row(seeing(batch, observation, i), plain[i].reset(seed=int(seeds[i]))[0], batch.dropped)
                else:
                    assert_row(seeing(batch, observation, i), _row(step.observation, i), ())
    batch.close()
    for env in plain:
        env.close()
    return ended_before


def _row(observation, i):
    return {k: v[i] for k, v in observation.items()} if isinstance(observation, dict) else observation[i]


@settings(max_examples=10, deadline=None)
@given(num_envs=st.integers(1, 4), first_seed=st.integers(0, 10_000), action_seed=st.integers(0, 10_000))
def test_cartpole_as_plain_gymnasium(num_envs, first_seed, action_seed):
    check_against_plain_gymnasium("CartPole-v1", num_envs, first_seed, 80, action_seed)


def test_pendulum_as_plain_gymnasium_across_its_time_limit():
    assert check_against_plain_gymnasium("Pendulum-v1", 2, 5, 450, 0) == 4


def test_minigrid_as_plain_gymnasium_without_its_mission():
    assert check_against_plain_gymnasium("MiniGrid-MemoryS7-v0", 3, 0, 260, 1) >= 3
    env = external("MiniGrid-MemoryS7-v0")
    assert env.dropped == ("mission (text)",)
    assert set(env.observation_space) == {"image", "direction"}
    assert env.horizon == 245  # 5 x 7 x 7, MiniGrid's own limit
    env.close()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_episode_ends_with_its_final_observation_and_signals(data):
    num_envs = data.draw(st.integers(1, 4))
    env = external(Counter, num_envs)
    seeds = np.array(data.draw(st.lists(st.integers(0, 2**31 - 1), min_size=num_envs, max_size=num_envs)))
    observation, signals = env.reset(seeds)
    playing, time = seeds.copy(), np.zeros(num_envs, int)
    for _ in range(25):
        np.testing.assert_array_equal(observation["seed"][:, 0], playing)
        np.testing.assert_array_equal(observation["inner.time"], time)  # counted from 0, where Gymnasium's starts at 5
        np.testing.assert_array_equal(observation["inner.flags"][:, 0], time % 2)
        np.testing.assert_array_equal(signals["seed"], playing.astype(np.float32))
        np.testing.assert_array_equal(signals["odd"], playing % 2)
        np.testing.assert_array_equal(env.action_mask()[:, 1], time % 2 == 1)
        actions = np.array(data.draw(st.lists(st.integers(0, 1), min_size=num_envs, max_size=num_envs)))
        step = env.step(actions)
        time = time + 1
        over = time == [length(seed) for seed in playing]
        np.testing.assert_array_equal(step.reward, time + actions / 2)
        np.testing.assert_array_equal(step.terminated, over & (playing % 2 == 0))
        np.testing.assert_array_equal(step.truncated, over & (playing % 2 == 1))
        np.testing.assert_array_equal(step.observation["inner.time"], time)
        np.testing.assert_array_equal(step.observation["seed"][:, 0], playing)
        np.testing.assert_array_equal(step.signals["seed"], playing.astype(np.float32))
        observation, signals = step.observation, step.signals
        if over.any():
            mask = over | np.array(data.draw(st.lists(st.booleans(), min_size=num_envs, max_size=num_envs)))
            seeds = np.array(data.draw(st.lists(st.integers(0, 1000), min_size=num_envs, max_size=num_envs)))
            observation, signals = env.reset(seeds, mask)
            playing, time = np.where(mask, seeds, playing), np.where(mask, 0, time)


def test_what_was_returned_does_not_change_later():
    env = external(Counter)
    observation, _ = env.reset([4])
    env.step(np.array([0]))
    env.reset([9])
    assert observation["seed"].tolist() == [[4]]


def test_spaces_and_facts():
    env = external(Counter, 2)
    assert isinstance(env, ExternalEnvironment)
    assert env.observation_space == gymnasium.spaces.Dict(
        {
            "seed": gymnasium.spaces.Box(0, 2**31 - 1, (1,), np.int32),
            "inner.time": gymnasium.spaces.Discrete(100),
            "inner.flags": gymnasium.spaces.MultiBinary(2),
        }
    )
    assert env.action_space == gymnasium.spaces.Discrete(5)
    assert env.signal_spaces == {"seed": gymnasium.spaces.Box(0, np.inf, (), np.float32), "odd": gymnasium.spaces.Discrete(2)}
    assert (env.name, env.num_envs, env.horizon, env.dropped) == ("Counter", 2, None, ("note (text)",))
    assert external("CartPole-v1").horizon == 500
    assert external("gym:CartPole-v1").name == external("CartPole-v1").name == "gym:CartPole-v1"


def test_undeclared_signals_are_inferred_and_other_options_reach_the_environment():
    env = external(Counter, declared=False, masked=False)
    assert env.signal_spaces == {name: gymnasium.spaces.Box(-np.inf, np.inf, (), np.float32) for name in ("seed", "odd")}
    assert env.action_mask() is None
    env = external(Unseedable, forget="nothing")
    assert env.signal_spaces["lit"] == gymnasium.spaces.Discrete(2)
    assert env.signal_spaces["truth"].shape == (2,)
    env.reset([0])
    assert env.step(np.array([0])).signals["truth"].tolist() == [[1.0, 2.0]]
    assert external("CartPole-v1").signal_spaces == {}


@pytest.mark.parametrize("forget", ["signals", "action_mask"])
def test_forgotten_infos_are_named(forget):
    env = external(Unseedable, forget=forget)
    env.reset([0])
    with pytest.raises(UserError, match=forget):
        env.step(np.array([0]))


def test_ended_or_unstarted_environments_cannot_be_stepped():
    env = external(Counter, 2)
    with pytest.raises(UserError, match=r"environments \[0, 1\] have ended"):
        env.step(np.zeros(2, int))
    env.reset([0, 1])  # lengths 2 and 3
    env.step(np.zeros(2, int))
    env.step(np.zeros(2, int))
    with pytest.raises(UserError, match=r"environments \[0\] have ended"):
        env.step(np.zeros(2, int))


def test_resting_environments_repeat_themselves():
    env = external(Counter, 2)
    env.reset([0, 13])  # lengths 2 and 5
    env.step(np.zeros(2, int))
    env.step(np.zeros(2, int))
    step = env.step(np.ones(2, int), np.array([False, True]))
    assert step.observation["inner.time"].tolist() == [2, 3]
    assert step.signals["seed"].tolist() == [0, 13]
    assert step.reward.tolist() == [0, 3.5]
    assert not (step.terminated | step.truncated).any()
    with pytest.raises(UserError, match="needs 2 actions and a mask of 2 booleans"):
        env.step(np.zeros(3, int))


def test_an_exception_inside_names_the_environment_and_keeps_the_traceback():
    env = external(Counter, 2)
    env.reset([0, 1])
    with pytest.raises(EnvironmentCrash, match="Counter: environment 1 raised ArithmeticError: the counter cannot subtract") as caught:
        env.step(np.array([0, RAISE]))
    assert "counter.py" in caught.value.first_traceback
    assert isinstance(caught.value.__cause__, ArithmeticError)


@pytest.mark.parametrize("between", [0, 1])
def test_saved_batches_go_on_where_they_were(between):
    env = external(Counter, 3)
    env.reset([0, 13, 24])  # lengths 2, 5, 6
    for _ in range(2):
        env.step(np.zeros(3, int))
    saved = env.save()
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in saved.values())
    env.reset([3, 4, 5], np.array([True, False, False]))
    expected = env.step(np.ones(3, int))
    other = env if between == 0 else external(Counter, 3)
    other.load(saved)
    other.reset([3, 4, 5], np.array([True, False, False]))
    again = other.step(np.ones(3, int))
    np.testing.assert_array_equal(again.observation["inner.time"], [1, 3, 3])
    np.testing.assert_array_equal(again.observation["seed"], expected.observation["seed"])
    np.testing.assert_array_equal(again.reward, expected.reward)


def test_a_registered_time_limit_is_part_of_what_is_saved():
    gymnasium.register("unseen-test/Counter-v0", entry_point=Counter, max_episode_steps=4)
    try:
        env = external("unseen-test/Counter-v0")
        assert env.horizon == 4
        env.reset([4])  # length 6, cut at 4
        env.step(np.zeros(1, int))
        env.step(np.zeros(1, int))
        saved = env.save()
        env.reset([9])
        env.load(saved)
        assert not env.step(np.zeros(1, int)).truncated[0]
        assert env.step(np.zeros(1, int)).truncated[0]
    finally:
        del gymnasium.registry["unseen-test/Counter-v0"]


def test_most_environments_cannot_be_saved_and_say_so():
    env = external("CartPole-v1")
    assert not env.supports_save
    with pytest.raises(UserError, match="no save_state"):
        env.save()
    with pytest.raises(UserError, match="holds 1 environments; this batch has 2"):
        external(Counter, 2).load(external(Counter, 1).save())


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("CartPol-v1", "did you mean 'CartPole-v1'"),
        ("CartPole-v9", "did you mean 'CartPole-v1'"),
        ("MiniGrid-MemroyS7-v0", "did you mean 'MiniGrid-MemoryS7-v0'"),
        ("zzzzzz", "import the package that registers it"),
        ("no_such_module:Thing-v0", "needs the module no_such_module"),
        ("unseen/heavenhel-3", "did you mean 'unseen/heavenhell-3'"),
    ],
)
def test_unknown_ids(identifier, message):
    with pytest.raises(UserError, match=message):
        external(identifier)


def test_a_missing_package_comes_with_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "minigrid", None)  # as if it were not installed
    for known in [name for name in gymnasium.registry if name.startswith("MiniGrid-")]:
        monkeypatch.delitem(gymnasium.registry, known)
    with pytest.raises(UserError, match=r"run: pip install 'unseen\[minigrid\]'"):
        external("MiniGrid-Empty-5x5-v0")


@pytest.mark.parametrize(("arguments", "message"), [({"num_envs": 0}, "num_envs is 0"), ({"workers": 2}, "allowed: 0")])
def test_counts_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        external("CartPole-v1", **arguments)


def test_wrong_options_seeds_and_masks():
    with pytest.raises(UserError, match=r"could not be made with \{'colour': 3\}"):
        external("CartPole-v1", colour=3)
    env = external(Counter, 2)
    for seeds, mask in [([1], None), ([1, 2], np.ones(3, bool)), ([1, 2], np.ones(2))]:
        with pytest.raises(UserError, match="needs 2 seeds and a mask"):
            env.reset(seeds, mask)


def test_environments_that_reset_themselves_are_refused():
    with pytest.raises(UserError, match="Autoreset"):
        external(lambda: gymnasium.wrappers.Autoreset(Counter()))


def test_our_own_environments_come_back_with_their_signals():
    from corridor import Corridor

    env = external(lambda: to_gymnasium(Corridor()), 2)
    assert env.horizon == 6
    assert set(env.signal_spaces) == {"goal", "hint"}
    single = to_gymnasium(Corridor())
    observation, signals = env.reset([5, 6])
    alone, info = single.reset(seed=6)
    np.testing.assert_array_equal(observation["noise"][1], alone["noise"])
    assert signals["goal"][1] == info["signals"]["goal"]
    assert env.action_mask().shape == (2, 3)
