"""`a2c.loss`, differentiated, against the gradient of the expected return: every path of small problems, with its probability.

The actor is a table of logits by history and the critics are tables of values at every step, so that nothing is approximated. The
frozen target is given absurd values wherever only the policy is looked at: the advantage must not touch it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import equinox as eqx
import exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_problems
from jaxtyping import Array

import unseen
from unseen.agents.actor import Seen
from unseen.agents.distributions import Categorical
from unseen.learning import a2c
from unseen.learning.rollout import Slots

A2C = unseen.A2C(discount=0.9, time_limit="terminate")
SEEDS = (0, 1, 2)


class TableActor(eqx.Module):
    """pi(a | h): the observation is the number of the history."""

    logits: Array

    def initial(self, batch: int) -> tuple[()]:
        return ()

    def unroll(self, carry: Any, seen: Seen, embedding: Any = None, recalled: Any = None) -> tuple[Any, Categorical, Array]:
        return carry, Categorical(self.logits[seen.observation]), jnp.zeros((*seen.observation.shape, 1))


class TableCritic(eqx.Module):
    """The value at each step of the one path it is asked about, (T + 1, 1)."""

    v: Array

    def initial(self, batch: int) -> tuple[()]:
        return ()

    def unroll(self, carry: Any, seen: Seen, signals: Any, features: Any = None) -> tuple[Any, Array]:
        return carry, self.v


def gradients(problem, paths, critic, target, settings, entropy_weight=0.0):
    """E over paths of the gradients with respect to the logits, (histories, actions), and of each path with respect to its values."""

    def one_path(history, action, reward, v, v_target):
        horizon = action.shape[0]
        off = jnp.zeros((horizon, 1), bool)
        ended = off.at[-1].set(True)
        seen = Seen(jnp.append(history, 0)[:, None], jnp.zeros((horizon + 1, 1), jnp.int32), jnp.zeros((horizon + 1, 1), bool), None)
        zero = jnp.zeros((horizon, 1), jnp.float32)
        time = jnp.arange(horizon, dtype=jnp.int32)[:, None]
        slots = Slots(seen, {}, action[:, None], zero, reward[:, None], ended, off, ~off, time, zero, zero)
        modules = TableActor(jnp.asarray(problem.logits, jnp.float32)), TableCritic(v[:, None])
        found, _ = eqx.filter_grad(a2c.loss, has_aux=True)(
            modules, TableCritic(v_target[:, None]), slots, settings, jnp.float32(entropy_weight)
        )
        return found[0].logits, found[1].v[:, 0]

    absurd = np.full((len(paths.code), 1), 1e3)  # after the end nobody may look

    def floats(x):
        return jnp.asarray(x, jnp.float32)

    arrays = (jnp.asarray(paths.history, jnp.int32), jnp.asarray(paths.action, jnp.int32), floats(paths.reward))
    known = (floats(np.hstack([critic, absurd])), floats(np.hstack([target, absurd])))
    logits, v = jax.jit(jax.vmap(one_path))(*arrays, *known)
    return np.tensordot(paths.probability, np.asarray(logits, np.float64), axes=1), np.asarray(v)


def gap(a, b):
    return float(np.abs(a - b).max())


@pytest.fixture(params=SEEDS)
def case(request):
    problem = small_problems.random_problem(request.param)
    paths = small_problems.enumerate_paths(problem)
    return problem, paths, exact.features(paths), exact.exact_gradient(problem, paths)


@pytest.mark.parametrize("feature", ["h", "h,i", "h,s"])
@pytest.mark.parametrize("estimator", ["td", "td-lambda", "n-step", "monte-carlo"])
def test_the_policy_loss_descends_along_the_gradient_of_the_return(case, feature, estimator):
    problem, paths, features, truth = case
    critic = exact.values(problem, paths, features[feature])
    if feature == "h,i" and estimator == "td":  # any critic with the right average over i will do: the TD fixed point too
        critic = exact.td_fixed_point(problem, paths, features[feature])
    absurd = np.full_like(critic, -500.0)
    settings = replace(A2C, estimator=estimator, n=2)
    descent, _ = gradients(problem, paths, critic, absurd, settings)
    assert gap(-descent, truth) < 2e-6
    assert np.abs(truth).max() > 0.01
    # The control: without the weight gamma^t it is another direction.
    unweighted, _ = gradients(problem, paths, critic, absurd, replace(settings, discount_gradient=False))
    assert gap(-unweighted, truth) > 1e-3


def test_a_state_only_critic_sends_the_policy_elsewhere(case):
    problem, paths, features, truth = case
    critic = exact.values(problem, paths, features["s"])
    descent, _ = gradients(problem, paths, critic, critic, A2C)
    assert gap(-descent, truth) > 1e-3


def test_the_critic_descends_on_its_squared_error_to_the_frozen_target(case):
    problem, paths, _, _ = case
    rng = np.random.default_rng(0)
    critic, target = rng.normal(size=(2, *paths.reward.shape))
    _, moved = gradients(problem, paths, critic, target, A2C)
    following = np.hstack([target[:, 1:], np.zeros((len(target), 1))])
    expected = 2.0 * (critic - (paths.reward + problem.discount * following))
    assert gap(moved[:, :-1], expected) < 1e-5
    assert not moved[:, -1].any()  # the value shown after the end is no prediction


def test_the_entropy_bonus_is_summed_over_time_without_discount(case):
    problem, paths, features, _ = case
    critic = exact.values(problem, paths, features["h"])
    without, _ = gradients(problem, paths, critic, critic, A2C)
    with_bonus, _ = gradients(problem, paths, critic, critic, A2C, 0.3)
    policy = problem.policy
    log_p = np.log(policy)
    entropy = -np.sum(policy * log_p, axis=1, keepdims=True)
    slope = -policy * (log_p + entropy)  # dH / dlogits
    visits = np.zeros(len(policy))
    for t in range(problem.horizon):
        np.add.at(visits, paths.history[:, t], paths.probability)
    assert gap(with_bonus - without, -0.3 * visits[:, None] * slope) < 1e-5
