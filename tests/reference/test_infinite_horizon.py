"""A reward of 1 for ever, cut by a time limit: a critic that bootstraps there learns 1 / (1 - gamma) = 10, one that ends there does not.

Every step looks the same, so the critic without a memory has one value to learn. With termination in the place of truncation its
TD fixed point is the mean over a 20-step episode, V = 1 + 0.9 (19/20) V = 6.9.
"""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import jax
import jax.numpy as jnp
import pytest

import unseen
from unseen.environments import Step
from unseen.learning.learner import make_learner

DISCOUNT, LIMIT = 0.9, 20
ENDLESS = 1.0 / (1.0 - DISCOUNT)
MERGED = 1.0 / (1.0 - DISCOUNT * (LIMIT - 1) / LIMIT)
AGENT = unseen.Agent(memory=unseen.FeedForward(), embedding=4, head=(16,), previous_action=False)
A2C = unseen.A2C(discount=DISCOUNT, target_period=40, learning_rate=5e-3, entropy=0.0, entropy_end=0.0)
VTRACE = unseen.VTrace(environments=4, rollout=42, discount=DISCOUNT, optimiser="adam", learning_rate=3e-3, lag=1)
PPO = unseen.PPO(environments=4, rollout=42, discount=DISCOUNT, learning_rate=3e-3, epochs=4, minibatches=1)


class Endless:
    """One state, one observation, reward 1, no end."""

    name = "endless"
    levels = {"train": ((1.0, jnp.zeros((), jnp.float32)),)}  # noqa: RUF012

    def observation_space(self, params):
        return gymnasium.spaces.Discrete(1)

    def action_space(self, params):
        return gymnasium.spaces.Discrete(2)

    def signal_spaces(self, params):
        return {}

    def horizon(self, params):
        return LIMIT

    def reset(self, key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)

    def step(self, key, state, action, params):
        return Step(jnp.zeros((), jnp.int32), state, jnp.ones((), jnp.float32), jnp.zeros((), bool))

    def action_mask(self, state, params):
        return None

    def signals(self, key, state, params):
        return {}


def learnt_value(algorithm, updates, environment=None):
    learner = make_learner(environment or Endless(), AGENT, algorithm)
    state = learner.init(jax.random.key(0))
    critic = jax.jit(lambda s: jax.lax.fori_loop(0, updates, lambda _, s: learner.update(s), s))(state).agent.critic
    return float(critic.head(critic.trunk.observation(jnp.zeros((1,), jnp.int32)))[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["td", "td-lambda"])
def test_a2c_learns_the_endless_value(estimator):
    assert learnt_value(replace(A2C, estimator=estimator), 2000) == pytest.approx(ENDLESS, rel=0.03)


@pytest.mark.slow
def test_a2c_that_takes_the_limit_for_an_end_learns_the_fixed_point_of_merged_flags():
    assert learnt_value(replace(A2C, time_limit="terminate"), 2000) == pytest.approx(MERGED, rel=0.05)
    assert MERGED < 0.75 * ENDLESS


@pytest.mark.slow
def test_ppo_learns_the_endless_value():
    assert learnt_value(PPO, 400) == pytest.approx(ENDLESS, rel=0.03)


@pytest.mark.slow
def test_vtrace_learns_the_endless_value():
    assert learnt_value(VTRACE, 1500) == pytest.approx(ENDLESS, rel=0.03)


@pytest.mark.slow
def test_ppo_and_vtrace_that_take_the_limit_for_an_end_learns_the_fixed_point_of_merged_flags():
    class Merged(Endless):
        """The same stream, whose limit is reported as a termination."""

        def horizon(self, params):
            return 10 * LIMIT

        def reset(self, key, params):
            return jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)

        def step(self, key, state, action, params):
            return Step(jnp.zeros((), jnp.int32), state + 1, jnp.ones((), jnp.float32), state + 1 >= LIMIT)

    # With lambda 0 the fixed point is that of one-step targets.
    assert learnt_value(replace(PPO, lambda_=0.0), 400, Merged()) == pytest.approx(MERGED, rel=0.05)
    assert learnt_value(replace(VTRACE, lambda_=0.0), 1500, Merged()) == pytest.approx(MERGED, rel=0.05)
