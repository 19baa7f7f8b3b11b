"""A sensor as signal: Pendulum with its velocity hidden from the actor and told to the critic."""

from __future__ import annotations

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pendulum import HiddenVelocityPendulum

import unseen
from unseen.environments import check_environment
from unseen.learning.learner import make_train


def test_the_dynamics_are_those_of_gymnasium():
    theirs, ours = gymnasium.make("Pendulum-v1").unwrapped, HiddenVelocityPendulum()
    check_environment(ours)
    theirs.reset(seed=0)
    state = jnp.asarray(theirs.state, jnp.float32)
    step = jax.jit(lambda state, action: ours.step(jax.random.key(0), state, action, ()))
    rng = np.random.default_rng(0)
    for _ in range(100):
        action = rng.uniform(-2.0, 2.0, 1).astype(np.float32)
        theirs.state = np.asarray(state, np.float64)  # from the same state each time: the swing-up is chaotic
        observation, reward, *_ = theirs.step(action)
        after = step(state, jnp.asarray(action))
        np.testing.assert_allclose(after.observation, observation[:2], atol=1e-5)
        np.testing.assert_allclose(ours.signals(jax.random.key(0), after.state, ())["velocity"], observation[2], atol=1e-5)
        np.testing.assert_allclose(after.reward, reward, rtol=1e-5, atol=1e-5)
        state = after.state


@pytest.mark.slow
def test_the_pendulum_is_swung_up_by_an_actor_that_never_sees_its_velocity():
    """Random play returns about -1,200 +- 300 an episode, doing nothing about -1,200, a good swing-up about -200."""
    agent = unseen.Agent(memory=unseen.GRU(64), embedding=32, head=(64,), critic=unseen.Critic(signals=("velocity",)))
    algorithm = unseen.PPO(environments=32, rollout=100, minibatches=4, learning_rate=1e-3, discount=0.95, normalise_returns=True)
    train = jax.jit(make_train(HiddenVelocityPendulum(), agent, algorithm, env_steps=300_000, reports=6))
    _, metrics = train(jax.random.key(0))
    assert float(metrics["return"][0]) < -800.0  # it starts from nothing
    assert float(metrics["return"][-1]) > -500.0
