"""Synthetic informed POMDPs: frequencies, rewards and values against their tables."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments import check_environment, make
from unseen.environments.synthetic import WEIGHTS, InformedPOMDP, tables
from unseen.errors import UserError


@pytest.mark.parametrize("options", [{}, {"observation_noise": 0.5, "signal_noise": 0.3, "observed": "34", "seed": 7, "actions": 2}])
def test_its_promises_hold(options):
    check_environment(make("synthetic", **options))


def test_transitions_have_the_frequencies_of_the_table():
    environment = InformedPOMDP(states=6, actions=3, seed=2)
    _, transitions = tables(6, 3, 1.0, 2)
    keys = jax.random.split(jax.random.key(0), 20_000)
    for state in range(6):
        for action in range(3):
            step = jax.jit(jax.vmap(lambda key, s=state, a=action: environment.step(key, jnp.int32(s), jnp.int32(a)).state))
            found = np.bincount(np.asarray(step(keys)), minlength=6) / len(keys)
            bound = 5.0 * np.sqrt(transitions[state, action] * (1 - transitions[state, action]) / len(keys)) + 1e-4
            assert (np.abs(found - transitions[state, action]) < bound).all()


def test_rewards_are_those_of_the_state_that_is_left_and_signals_its_features():
    environment = InformedPOMDP(seed=3)
    features, _ = tables(20, 4, 1.0, 3)
    for state in range(20):
        step = environment.step(jax.random.key(state), jnp.int32(state), jnp.int32(1))
        assert float(step.reward) == pytest.approx(float(features[state] @ np.asarray(WEIGHTS)), abs=1e-5)
        np.testing.assert_allclose(step.observation, features[int(step.state), :2], atol=1e-6)
        told = environment.signals(jax.random.key(0), jnp.int32(state))
        np.testing.assert_allclose(told["1245"], features[state, [0, 1, 3, 4]], atol=1e-6)
        np.testing.assert_allclose(told["feature_3"], features[state, 2:3], atol=1e-6)
        np.testing.assert_allclose(told["state"], features[state], atol=1e-6)


def test_noise_has_the_stated_deviation():
    environment = InformedPOMDP(observation_noise=0.5, signal_noise=0.2)
    keys = jax.random.split(jax.random.key(1), 20_000)
    features, _ = tables(20, 4, 1.0, 0)
    told = jax.vmap(lambda key: environment.signals(key, jnp.int32(4)))(keys)
    assert np.std(np.asarray(told["12"]) - features[4, :2]) == pytest.approx(0.2, rel=0.03)
    assert abs(np.corrcoef(np.asarray(told["12"])[:, 0], np.asarray(told["123"])[:, 0])[0, 1]) < 0.03  # each signal has noise of its own
    observation, state = jax.vmap(environment.reset)(keys)
    assert np.std(np.asarray(observation) - features[np.asarray(state), :2]) == pytest.approx(0.5, rel=0.03)


def test_reference_scores_are_those_of_simulated_players():
    environment = InformedPOMDP(states=5, actions=3, time_limit=6, concentration=0.3, seed=4)
    features, transitions = tables(5, 3, 0.3, 4)
    reward, value, best = features @ np.asarray(WEIGHTS), np.zeros(5), []
    for _ in range(6):
        best.append((transitions @ value).argmax(axis=1))
        value = reward + (transitions @ value).max(axis=1)
    plan = jnp.asarray(np.stack(best[::-1]), jnp.int32)  # by the step

    def play(key, chosen):
        k_reset, k_steps = jax.random.split(key)
        _, state = environment.reset(k_reset)

        def advance(state, inputs):
            t, key = inputs
            action = chosen(t, state, key)
            step = environment.step(jax.random.fold_in(key, 1), state, action)
            return step.state, step.reward

        return jnp.sum(jax.lax.scan(advance, state, (jnp.arange(6), jax.random.split(k_steps, 6)))[1])

    keys = jax.random.split(jax.random.key(5), 40_000)
    scores = environment.references("train")
    players = {"oracle": lambda t, s, key: plan[t, s], "random": lambda t, s, key: jax.random.randint(key, (), 0, 3)}
    for name, chosen in players.items():
        total = np.asarray(jax.jit(jax.vmap(lambda key, chosen=chosen: play(key, chosen)))(keys))
        assert abs(total.mean() - getattr(scores, name).mean) < 4 * total.std() / np.sqrt(len(total))
    assert scores.oracle.mean > scores.random.mean + 0.1
    assert InformedPOMDP(observation_noise=0.1).references("train").perfect_memory is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("observed", ""),
        ("observed", "16"),
        ("observed", "11"),
        ("told", "12 6"),
        ("told", "12 12"),
        ("observation_noise", -1.0),
        ("states", 1),
        ("concentration", 0.0),
    ],
)
def test_what_cannot_be_built_is_refused(option, value):
    with pytest.raises(UserError, match=option):
        make("synthetic", **{option: value})
