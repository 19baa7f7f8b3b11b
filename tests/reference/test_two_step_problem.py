"""A memory problem solved by hand: the action that matters at the end is chosen by what was seen, and done, at the start.

z in {0, 1} is a fair coin; o_0 = z with probability 0.8 and o_1 says nothing; r_0 = 0, r_1 = 1 if a_1 = z else -1; no discounting.
a_0 is 1 with probability sigmoid(theta[o_0]) at theta = 0; a_1 = 1 with probability 0.9 after o_0 = a_0 = 1, else 0.5.

Only (o_0, a_0) = (1, 1) makes a difference: there E[r_1] = (0.9 - 0.1) (0.8 - 0.2) = 0.48, everywhere else 0. Hence
dJ / dtheta[1] = P(o_0 = 1) * 0.25 * 0.48 = 0.06, and dJ / dtheta[0] = 0.
"""

from __future__ import annotations

from functools import cache

import exact
import numpy as np
import pytest
import small_problems

LAMBDAS = (0.0, 0.5, 0.9, 0.95, 1.0)
CRITICS = {"V": exact.values, "U": exact.td_fixed_point}


@cache
def case() -> tuple[small_problems.Problem, small_problems.Paths, dict[str, np.ndarray]]:
    """State 2 t + z; the signal is z in the first state and always 0 in the second (transient)."""
    z = np.array([0, 1, 0, 1])
    transition = np.zeros((4, 2, 4))
    transition[[0, 1, 2, 3], :, [2, 3, 2, 3]] = 1.0
    policy = np.full((small_problems.first_row(2, observations=2, actions=2), 2), 0.5)
    after_one_one = small_problems.first_row(1, 2, 2) + (1 * 2 + 1) * 2  # o_0 = 1, a_0 = 1, o_1 = 0
    policy[after_one_one] = [0.1, 0.9]
    problem = small_problems.Problem(
        start=np.array([0.5, 0.5, 0.0, 0.0]),
        transition=transition,
        observation=np.array([[0.8, 0.2], [0.2, 0.8], [1.0, 0.0], [1.0, 0.0]]),
        signal=np.repeat(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])[:, None], 2, axis=1),
        reward=np.array([[0.0, 0.0], [0.0, 0.0], [1.0, -1.0], [-1.0, 1.0]]),
        logits=np.log(policy),
        discount=1.0,
        horizon=2,
    )
    paths = small_problems.enumerate_paths(problem)
    np.testing.assert_array_equal(z[paths.state[:, 0]], z[paths.state[:, 1]])
    return problem, paths, exact.features(paths)


def theta_gradient(weight: np.ndarray) -> np.ndarray:
    """Gradient with respect to (theta[0], theta[1]): the logit of a_0 = 1 after o_0 = 0 and after o_0 = 1."""
    problem, paths, _ = case()
    return exact.policy_gradient(problem, paths, weight)[:2, 1]


def test_the_true_gradient():
    problem, paths, _ = case()
    np.testing.assert_allclose(theta_gradient(exact.returns(problem, paths)), [0.0, 0.06], atol=1e-12)
    np.testing.assert_allclose(exact.finite_differences(problem)[:2, 1], [0.0, 0.06], atol=1e-8)
    assert exact.expected_return(problem) == pytest.approx(0.5 * 0.5 * 0.48, abs=1e-12)


@pytest.mark.parametrize("lambda_", LAMBDAS)
@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("feature", ["h", "h,s", "h,i"])
def test_history_and_informed_critics_credit_the_first_action_in_full(lambda_, critic, feature):
    problem, paths, features = case()
    weight = exact.advantages(problem, paths, CRITICS[critic](problem, paths, features[feature]), lambda_)
    np.testing.assert_allclose(theta_gradient(weight), [0.0, 0.06], atol=1e-12)


@pytest.mark.parametrize(("lambda_", "credit"), [(0.0, 0.0), (0.5, 0.03), (0.9, 0.054), (0.95, 0.057), (1.0, 0.06)])
def test_a_state_only_critic_credits_it_in_proportion_to_lambda(lambda_, credit):
    problem, paths, features = case()
    weight = exact.advantages(problem, paths, exact.values(problem, paths, features["s"]), lambda_)
    np.testing.assert_allclose(theta_gradient(weight), [0.0, credit], atol=1e-12)


def test_one_step_targets_forget_a_transient_signal():
    """V(h_0, i) = +0.4 or -0.4 after o_0 = 1 (half of 0.9 - 0.1), the TD(0) fixed point 0.24 for either; 0.24 is the mean of both."""
    problem, paths, features = case()
    saw_one, told_one = paths.observation[:, 0] == 1, paths.signal[:, 0] == 1
    v, u = (critic(problem, paths, features["h,i"])[:, 0] for critic in CRITICS.values())
    np.testing.assert_allclose(v[saw_one & told_one], 0.4, atol=1e-12)
    np.testing.assert_allclose(v[saw_one & ~told_one], -0.4, atol=1e-12)
    np.testing.assert_allclose(u[saw_one], 0.24, atol=1e-12)
    for critic in (v, u):
        np.testing.assert_allclose(exact.expectation(paths, features["h"][:, 0], critic)[saw_one], 0.24, atol=1e-12)
