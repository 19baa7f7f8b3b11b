import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from old_style import OldWalk, Spaced, Unlimited

from unseen.environments import check_environment
from unseen.environments.adapters import from_gymnax
from unseen.environments.contract import Environment
from unseen.errors import UserError

# One or more of every kind: bounds that hold and that do not, integers declared as floats and the reverse, pictures, Discrete
# observations, Box actions, Python numbers in the state, rewards as integers.
NAMES = [
    "CartPole-v1",
    "Pendulum-v1",
    "Catch-bsuite",
    "MemoryChain-bsuite",
    "FourRooms-misc",
    "GaussianBandit-misc",
    "FrozenLake-misc",
]


def sample_action(space, i):
    space.seed(i)
    action = space.sample()
    return np.asarray(action, np.int32 if isinstance(space, gymnasium.spaces.Discrete) else space.dtype)


@pytest.fixture(scope="module", params=NAMES)
def pair(request):
    ours = from_gymnax(request.param)
    return ours, ours.gymnax


@pytest.fixture(scope="module")
def cartpole():
    return from_gymnax("CartPole-v1")


@pytest.fixture(scope="module")
def catch():
    return from_gymnax("Catch-bsuite")


def test_keeps_the_contract(pair):
    assert isinstance(pair[0], Environment)
    check_environment(pair[0])


def test_the_same_steps_as_gymnax_itself(pair):
    """gymnax's own `step`, which resets by itself, agrees until the episode is over: its flags, and its final observation then."""
    ours, theirs = pair
    params = theirs.default_params
    step = jax.jit(ours.step)
    for episode in range(3):
        key = jax.random.key(episode)
        observation, state = ours.reset(key, ())
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            their_observation, their_state = theirs.reset(key, params)
        np.testing.assert_allclose(observation, np.asarray(their_observation, observation.dtype), rtol=1e-6)
        for t in range(ours.horizon(())):
            key = jax.random.fold_in(key, t)
            action = sample_action(ours.action_space(()), 1000 * episode + t)
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                *_, reward, terminated, truncated, info = theirs.step(key, their_state, action, params)
                key_step, _ = jax.random.split(key)
                _, their_state, *_ = theirs.step_env(key_step, their_state, action, params)
            result = step(key_step, state, action, ())
            state = result.state
            np.testing.assert_allclose(result.reward, reward, rtol=1e-5, atol=1e-5)
            assert bool(result.terminated) == bool(terminated)
            final = np.asarray(info["final_observation"], result.observation.dtype)
            np.testing.assert_allclose(result.observation, final, rtol=1e-4, atol=1e-4)
            assert bool(truncated) == (t + 1 == ours.horizon(()))
            if terminated or t > 30:
                break


def test_observations_and_signals_lie_in_their_spaces(pair):
    ours, _ = pair
    space, told = ours.observation_space(()), ours.signal_spaces(())["state"]

    def run(key):
        observation, state = ours.reset(key, ())

        def step(state, key):
            act, move = jax.random.split(key)
            action = jax.random.randint(act, (), 0, ours.action_space(()).n) if discrete else jax.random.uniform(act, (1,))
            result = ours.step(move, state, action, ())
            return result.state, (result.observation, ours.signals(key, result.state, ())["state"], result.terminated)

        return observation, jax.lax.scan(step, state, jax.random.split(key, 60))[1]

    discrete = isinstance(ours.action_space(()), gymnasium.spaces.Discrete)
    first, (rest, signals, terminated) = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), 8))
    over = np.cumsum(np.asarray(terminated), axis=1) - np.asarray(terminated) > 0  # after the end nothing is promised
    observations = [*np.asarray(first), *np.asarray(rest)[~over]]
    for observation in observations:
        assert space.contains(int(observation) if isinstance(space, gymnasium.spaces.Discrete) else observation)
    for signal in np.asarray(signals)[~over]:
        assert told.contains(signal)


def test_declared_bounds_survive_where_they_hold(cartpole, catch):
    space = cartpole.observation_space(())
    np.testing.assert_allclose(space.high, [4.8, np.inf, 24 * np.pi / 180, np.inf], rtol=1e-6)  # twice the failure limits, as declared
    assert catch.observation_space(()) == gymnasium.spaces.Box(0, 1, (10, 5), np.int32)
    assert from_gymnax("FourRooms-misc", probe_steps=0).observation_space(()).dtype == np.float32  # declared float, delivered int


def test_only_the_offending_elements_are_widened():
    declared = from_gymnax(OldWalk(), probe_steps=0).observation_space(())
    assert declared == gymnasium.spaces.Box(0, 2, (2,), np.int32)
    found = from_gymnax(OldWalk()).observation_space(())
    assert (found.low.tolist(), found.high.tolist()) == ([0, 0], [np.iinfo(np.int32).max, 2])
    halves = from_gymnax(OldWalk(halves=True)).observation_space(())  # 0 to 1.5 lie within, but as integers would be other numbers
    assert halves == gymnasium.spaces.Box(0, 2, (2,), np.float32)
    own = gymnasium.spaces.Box(0, 9, (2,), np.float32)
    assert from_gymnax(OldWalk(), observation_space=own).observation_space(()) is own


@pytest.mark.parametrize(("action", "steps", "terminated"), [(1, 3, True), (0, 5, False)])
def test_environments_older_than_gymnax_1_do_not_pass_a_time_limit_off_as_termination(action, steps, terminated):
    env = from_gymnax(OldWalk())
    assert env.horizon(()) == 5
    _, state = env.reset(jax.random.key(0), ())
    flags = []
    for _ in range(steps):
        result = env.step(jax.random.key(0), state, jnp.int32(action), ())
        state = result.state
        flags.append(bool(result.terminated))
    assert flags == [False] * (steps - 1) + [terminated]


def test_parameters_options_and_horizon():
    assert from_gymnax("CartPole-v1", horizon=7, probe_steps=0).horizon(()) == 7
    assert from_gymnax("CartPole-v1", {"max_steps_in_episode": 9}, probe_steps=0).horizon(()) == 9
    assert from_gymnax("DeepSea-bsuite", size=4, probe_steps=0).observation_space(()).shape == (4, 4)
    import gymnax

    env, params = gymnax.make("CartPole-v1")
    assert from_gymnax(env, params.replace(max_steps_in_episode=3), probe_steps=0).horizon(()) == 3


def test_the_state_signal_holds_every_number_of_the_state(cartpole):
    observation, state = cartpole.reset(jax.random.key(0), ())
    signal = cartpole.signals(jax.random.key(1), state, ())["state"]
    assert signal.dtype == jnp.float32
    assert sorted(signal.tolist()) == sorted([*observation.tolist(), 0.0])  # the four numbers and the time


def test_pictures_show_what_is_there(cartpole, catch):
    observation, state = catch.reset(jax.random.key(0), ())
    picture = catch.draw(state, ())
    assert picture.shape == (160, 80, 3)
    np.testing.assert_array_equal(picture[8::16, 8::16, 0] > 0, np.asarray(observation) > 0)  # the middle of every field
    bars = cartpole.draw(cartpole.reset(jax.random.key(0), ())[1], ())
    assert bars.dtype == np.uint8
    assert bars.shape == (160, 60, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: from_gymnax("CartPol-v1"), "unknown gymnax environment 'CartPol-v1'; did you mean 'CartPole-v1'"),
        (lambda: from_gymnax("CartPole-v1", {"gravty": 1.0}), "did you mean 'gravity'"),
        (lambda: from_gymnax("CartPole-v1", colour=3), "could not be made with options"),
        (lambda: from_gymnax(OldWalk(), colour=3), "need a name"),
        (lambda: from_gymnax("CartPole-v1", horizon=0), "time limit of 0"),
        (lambda: from_gymnax(Unlimited()), "time limit of None; pass horizon=STEPS"),
        (lambda: from_gymnax(Spaced()), "the observation space of Spaced is a Tuple; allowed: Box, Discrete, Dict"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_without_gymnax_there_is_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)
    with pytest.raises(UserError, match=r"pip install 'unseen\[gymnax\]'"):
        from_gymnax("CartPole-v1")
