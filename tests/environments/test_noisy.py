"""Noise on signals: the deviation and the probability that were asked for, and nothing else changed."""

from __future__ import annotations

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unseen
from unseen.environments import check_environment
from unseen.errors import UserError


@pytest.mark.parametrize(
    ("name", "noise"), [("heavenhell-3", 0.3), ("car-flag", {"velocity": 0.5, "heaven": 0.2}), ("cleaner", 0.1), ("synthetic", {"12": 2.0})]
)
def test_every_promise_of_an_environment_still_holds(name, noise):
    check_environment(unseen.make(name, noisy=noise))


def test_numbers_get_the_stated_deviation_and_other_signals_stay_exact():
    plain, noisy = unseen.make("car-flag"), unseen.make("car-flag", noisy={"velocity": 0.5})
    _, state = plain.reset(jax.random.key(0), ())
    keys = jax.random.split(jax.random.key(1), 20_000)
    exact = plain.signals(keys[0], state, ())
    told = jax.vmap(lambda key: noisy.signals(key, state, ()))(keys)
    difference = np.asarray(told["velocity"]) - np.asarray(exact["velocity"])
    assert difference.std() == pytest.approx(0.5, rel=0.03)
    assert abs(difference.mean()) < 5 * 0.5 / np.sqrt(len(keys))
    np.testing.assert_array_equal(told["state"], np.broadcast_to(exact["state"], told["state"].shape))
    assert noisy.signal_spaces(())["velocity"].contains(np.asarray(told["velocity"][0]))


def test_categories_are_replaced_with_the_stated_probability():
    plain, noisy = unseen.make("heavenhell-3"), unseen.make("heavenhell-3", noisy=0.4)
    _, state = plain.reset(jax.random.key(3), ())
    keys = jax.random.split(jax.random.key(1), 20_000)
    exact = int(plain.signals(keys[0], state, ())["position"])
    told = np.asarray(jax.vmap(lambda key: noisy.signals(key, state, ())["position"])(keys))
    kept = 0.6 + 0.4 / 14  # a uniform draw may hit the truth
    assert np.mean(told == exact) == pytest.approx(kept, abs=5 * np.sqrt(kept * (1 - kept) / len(keys)))
    others = np.bincount(told, minlength=14)[np.arange(14) != exact] / len(keys)
    assert np.abs(others - 0.4 / 14).max() < 5 * np.sqrt(0.03 / len(keys))


def test_what_happens_is_the_environments_own():
    plain, noisy = unseen.make("shopping-3"), unseen.make("shopping-3", noisy=0.5)
    key = jax.random.key(5)
    (seen, state), (seen_too, state_too) = plain.reset(key, ()), noisy.reset(key, ())
    np.testing.assert_array_equal(seen, seen_too)
    for t in range(20):
        k = jax.random.fold_in(key, t)
        step, step_too = plain.step(k, state, jnp.int32(t % 6), ()), noisy.step(k, state_too, jnp.int32(t % 6), ())
        jax.tree.map(np.testing.assert_array_equal, step, step_too)
        state, state_too = step.state, step_too.state


def test_the_same_key_draws_the_same_noise():
    noisy = unseen.make("synthetic", noisy=1.0)
    one, two = (noisy.signals(jax.random.key(2), jnp.int32(3), ()) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ({"velocty": 0.1}, "did you mean 'velocity'"),
        ({"velocity": -1.0}, "a deviation, 0 or more"),
        ({"heaven": 1.5}, "a probability from 0 to 1"),
        ({"velocity": float("nan")}, "a deviation"),
    ],
)
def test_impossible_noise_is_refused_in_one_line(noise, message):
    with pytest.raises(UserError, match=message) as error:
        unseen.make("car-flag", noisy=noise)
    assert "\n" not in str(error.value)


def test_an_external_environment_is_refused():
    with pytest.raises(UserError, match="needs an environment of this package"):
        unseen.make("gym:CartPole-v1", noisy=0.1)


def test_a_noisy_experiment_is_written_and_read(tmp_path):
    from unseen.experiments.toml import from_toml, to_toml

    experiment = unseen.Experiment("car-flag", environment_options={"noisy": {"velocity": 0.5}})
    again = from_toml(to_toml(experiment), "here")
    assert again == experiment
    space = unseen.make(again.environment, **again.environment_options).signal_spaces(())["velocity"]
    assert isinstance(space, gymnasium.spaces.Box)
    assert np.isinf(space.high).all()
