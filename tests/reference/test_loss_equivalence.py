"""An informed critic that is told a constant, its signal weights frozen at zero, is the symmetric agent, bit for bit.

The signal's product is added to the first layer of the value head, so with U = 0 it adds exact zeros; the draws of the
signal's parameters come last, so all other parameters start equal.
"""

from __future__ import annotations

from dataclasses import replace

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unseen
from unseen.environments import Step
from unseen.learning import a2c, optimise, ppo
from unseen.learning.learner import make_learner

SYMMETRIC = unseen.Agent(memory=unseen.GRU(6), embedding=4, head=(7,))
INFORMED = replace(SYMMETRIC, critic=unseen.Critic(signals=("told",)))


class Walk:
    """A walk on a ring of five places seen through noise; a reward at one place, an end by chance, cut after twelve steps."""

    name = "walk"
    levels = {"train": ((1.0, jnp.zeros((), jnp.float32)),)}  # noqa: RUF012

    def observation_space(self, params):
        return gymnasium.spaces.Discrete(2)

    def action_space(self, params):
        return gymnasium.spaces.Discrete(2)

    def signal_spaces(self, params):
        return {"told": gymnasium.spaces.Box(-10.0, 10.0, (3,))}

    def horizon(self, params):
        return 12

    def reset(self, key, params):
        return jnp.zeros((), jnp.int32), jax.random.randint(key, (), 0, 5, jnp.int32)

    def step(self, key, state, action, params):
        state = (state + 2 * action - 1) % 5
        seen = (state == 0) ^ jax.random.bernoulli(key, 0.2)
        return Step(seen.astype(jnp.int32), state, (state == 3).astype(jnp.float32), jax.random.bernoulli(jax.random.fold_in(key, 1), 0.05))

    def action_mask(self, state, params):
        return None

    def signals(self, key, state, params):
        return {"told": jnp.full((3,), 2.5)}


class Varying(Walk):
    def signals(self, key, state, params):
        return {"told": jnp.full((3,), 1.0) * state.astype(jnp.float32)}


ALGORITHMS = {
    "a2c": unseen.A2C(estimator="td", target_period=30),
    "a2c-lambda": unseen.A2C(estimator="td-lambda", target_period=30, max_gradient_norm=0.5),
    "ppo": unseen.PPO(environments=4, rollout=10, epochs=3, minibatches=2),
    "ppo-recomputed": unseen.PPO(environments=4, rollout=10, epochs=2, minibatches=2, carries="recomputed"),
}


def signal_weights(critic):
    """The parameters that only the informed critic has."""
    return critic.join, critic.signals


@pytest.fixture
def frozen(monkeypatch):
    """Gradients through the signal's weights are set to zero in every gradient step, as a frozen parameter's are."""
    taken = eqx.filter_grad

    def without_signal_weights(function, **options):
        gradient = taken(function, **options)

        def call(*arguments):
            (actor, critic), losses = gradient(*arguments)
            if critic.join is not None:
                critic = eqx.tree_at(signal_weights, critic, jax.tree.map(jnp.zeros_like, signal_weights(critic)))
            return (actor, critic), losses

        return call

    for module in (a2c, ppo):
        monkeypatch.setattr(module.eqx, "filter_grad", without_signal_weights)


def with_zero_join(state):
    zero = jnp.zeros_like(state.agent.critic.join)
    state = state._replace(agent=eqx.tree_at(lambda m: m.critic.join, state.agent, zero))
    return state if state.target == () else state._replace(target=eqx.tree_at(lambda m: m.join, state.target, zero))


def after_updates(environment, agent, algorithm, count=5, zero=False):
    learner = make_learner(environment, agent, algorithm)
    state = learner.init(jax.random.key(3))
    state = with_zero_join(state) if zero else state
    update = jax.jit(learner.update)
    for _ in range(count):
        state = update(state)
    assert int(state.fault) == 0
    return state


def shared_parts(agent):
    return jax.tree.leaves((agent.actor, agent.critic.trunk, agent.critic.head))


@pytest.mark.optimised
@pytest.mark.parametrize("name", ALGORITHMS)
def test_constant_signal_and_frozen_zero_weights_reproduce_the_symmetric_agent(name, frozen):
    informed = after_updates(Walk(), INFORMED, ALGORITHMS[name], zero=True)
    symmetric = after_updates(Walk(), SYMMETRIC, ALGORITHMS[name])
    for a, b in zip(shared_parts(informed.agent), shared_parts(symmetric.agent), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(informed.log.scores, symmetric.log.scores)
    assert float(np.abs(informed.agent.critic.join).max()) == 0.0


@pytest.mark.parametrize("name", ["a2c", "ppo"])
def test_weights_that_are_not_frozen_make_another_agent(name):
    """The control: the same signal, no longer constant and free to act, changes what is learnt."""
    informed = after_updates(Varying(), INFORMED, ALGORITHMS[name])
    symmetric = after_updates(Varying(), SYMMETRIC, ALGORITHMS[name])
    assert any(
        np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(shared_parts(informed.agent), shared_parts(symmetric.agent), strict=True)
    )


def test_an_optimiser_does_not_move_a_frozen_weight():
    """What the test above leans on: a zero gradient from the first step leaves Adam's weight where it is."""
    adam = a2c.optimiser(unseen.A2C())
    w = jnp.array([1.0, -2.0])
    state = adam.init(w)
    for _ in range(3):
        moved, state = optimise.step(adam, w, jnp.array([0.0, 1.0]), state)
    assert float(moved[0]) == 1.0
    assert float(moved[1]) < -2.0
