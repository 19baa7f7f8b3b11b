"""Which critics leave the policy gradient alone, settled by enumerating every path of small random problems.

A critic that keeps the history and adds a signal of the state is exact at every lambda; one that forgets the history is biased
below lambda = 1; one whose signal has seen the action is biased everywhere. The biased ones are the negative controls: with them,
no test here can pass by measuring nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import exact
import numpy as np
import pytest
import small_problems
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = (0, 1, 2)
LAMBDAS = (0.0, 0.5, 0.95, 1.0)
EXACT = 1e-10
CRITICS = {"V": exact.values, "U": exact.td_fixed_point}


@cache
def case(seed: int, signal: str = "partial") -> tuple[small_problems.Problem, small_problems.Paths, dict[str, np.ndarray], np.ndarray]:
    """A problem with this kind of signal, its paths, their features, and the true gradient (which no signal can change)."""
    problem = small_problems.random_problem(seed)
    if signal != "partial":
        problem = {
            "leaky": lambda p: small_problems.with_leaky_signal(p, seed),
            "state": small_problems.with_state_signal,
            "coin": small_problems.with_coin_signal,
        }[signal](problem)
    paths = small_problems.enumerate_paths(problem)
    return problem, paths, exact.features(paths), exact.exact_gradient(problem, paths)


def gap(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def gradient_errors(problem, paths, critic, truth) -> list[float]:
    """Largest error of the expected gradient, one number per lambda."""
    return [gap(exact.policy_gradient(problem, paths, exact.advantages(problem, paths, critic, x)), truth) for x in LAMBDAS]


# ---- the instrument itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_gradient_is_the_derivative_of_the_expected_return(seed):
    problem, paths, _, truth = case(seed)
    assert paths.probability.sum() == pytest.approx(1.0, abs=1e-12)
    assert paths.probability @ exact.returns(problem, paths)[:, 0] == pytest.approx(exact.expected_return(problem), abs=1e-12)
    differences = exact.finite_differences(problem)
    assert gap(truth, differences) < 1e-8
    assert np.abs(truth).max() > 0.01

    undiscounted = exact.returns(problem, paths) / problem.discount ** np.arange(problem.horizon)
    assert gap(exact.policy_gradient(problem, paths, undiscounted), differences) > 1e-3  # without the weight discount^t: another direction


@pytest.mark.parametrize("seed", SEEDS)
def test_paths_of_another_policy_give_another_gradient(seed):
    problem, _, _, truth = case(seed)
    stale = small_problems.enumerate_paths(replace(problem, logits=problem.logits[::-1]))
    assert gap(exact.policy_gradient(problem, stale, exact.returns(problem, stale)), truth) > 1e-3


# ---- the table of specification 8.1 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize(
    ("signal", "feature"),
    [("partial", "h"), ("partial", "h,s"), ("partial", "h,i"), ("partial", "h,i_0:t"), ("state", "h,i"), ("coin", "h,i")],
)
def test_history_and_informed_critics_are_unbiased_at_every_lambda(seed, critic, signal, feature):
    problem, paths, features, truth = case(seed, signal)
    errors = gradient_errors(problem, paths, CRITICS[critic](problem, paths, features[feature]), truth)
    assert max(errors) < EXACT
    assert gap(exact.policy_gradient(problem, paths, exact.action_values(problem, paths, features[feature])), truth) < EXACT


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("feature", ["s", "i", "o"])
def test_memoryless_critics_are_biased_below_lambda_one(seed, critic, feature):
    problem, paths, features, truth = case(seed)
    errors = gradient_errors(problem, paths, CRITICS[critic](problem, paths, features[feature]), truth)
    assert errors[0] > 1e-3
    assert errors[0] > errors[1] > errors[2] > 1e-4
    assert errors[3] < EXACT  # a baseline is harmless when nothing is bootstrapped
    assert gap(exact.policy_gradient(problem, paths, exact.action_values(problem, paths, features[feature])), truth) > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize(("signal", "feature"), [("leaky", "h,i"), ("partial", "h,i_t+1")], ids=["drawn after the action", "one step late"])
def test_a_signal_that_has_seen_the_action_biases_the_advantage_form_at_every_lambda(seed, critic, signal, feature):
    problem, paths, features, truth = case(seed, signal)
    informed = CRITICS[critic](problem, paths, features[feature])
    errors = gradient_errors(problem, paths, informed, truth)
    assert min(errors) > 4e-4
    assert max(errors) - min(errors) < EXACT  # later TD errors average to zero, so lambda makes no difference
    assert gap(exact.policy_gradient(problem, paths, exact.action_values(problem, paths, features[feature])), truth) < EXACT


@pytest.mark.parametrize("seed", SEEDS)
def test_an_admissible_signal_is_independent_of_the_action_given_the_history(seed):
    def dependence(signal: str) -> float:
        """Largest |P(i = 0 | h, a) - P(i = 0 | h)|."""
        problem, paths, features, _ = case(seed, signal)
        zero = (paths.signal == 0).astype(float)
        told_action = exact.conditional(paths, features["h"] * problem.reward.shape[1] + paths.action, zero)
        return gap(told_action, exact.conditional(paths, features["h"], zero))

    assert max(dependence("partial"), dependence("state"), dependence("coin")) < EXACT
    assert dependence("leaky") > 0.01


# ---- V, its TD fixed point, and what averaging over the signal leaves ----------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_value_and_td_fixed_point_differ_for_partial_signals_only(seed):
    problem, paths, features, _ = case(seed)

    def distance(feature: str) -> float:
        return gap(exact.values(problem, paths, features[feature]), exact.td_fixed_point(problem, paths, features[feature]))

    assert max(distance(feature) for feature in ("h", "h,s", "h,i_0:t")) < EXACT  # these never forget what they were told
    assert min(distance(feature) for feature in ("h,i", "s", "i", "o")) > 0.01


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("signal", ["partial", "state", "coin", "leaky"])
def test_averaged_over_the_signal_every_informed_value_is_the_value_of_the_history(seed, signal):
    problem, paths, features, _ = case(seed, signal)
    symmetric = exact.values(problem, paths, features["h"])
    for critic in CRITICS.values():
        informed = critic(problem, paths, features["h,i"])
        assert gap(exact.conditional(paths, features["h"], informed), symmetric) < EXACT
    forgetful = exact.conditional(paths, features["h"], exact.values(problem, paths, features["s"]))
    assert gap(forgetful, symmetric) > 1e-3

    told = features["h"] * problem.reward.shape[1] + paths.action  # the same for Q, unless the signal leaks the action
    informed = exact.conditional(paths, told, exact.action_values(problem, paths, features["h,i"]))
    assert gap(informed, exact.action_values(problem, paths, features["h"])) < EXACT


@pytest.mark.parametrize("seed", SEEDS)
def test_td_targets_have_v_as_fixed_point_at_lambda_one_and_u_at_lambda_zero(seed):
    problem, paths, features, _ = case(seed)
    f = features["h,i"]
    v, u = exact.values(problem, paths, f), exact.td_fixed_point(problem, paths, f)

    def refitted(critic: np.ndarray, lambda_: float) -> np.ndarray:
        return exact.conditional(paths, f, exact.targets(problem, paths, critic, lambda_))

    assert gap(refitted(u, 0.0), u) < EXACT
    assert gap(refitted(v, 1.0), v) < EXACT
    assert gap(refitted(v, 0.0), v) > 0.01  # one-step targets waste a transient signal


@settings(max_examples=20, deadline=None)
@given(seed=st.sampled_from(SEEDS), lambda_=st.sampled_from(LAMBDAS), table=st.integers(0, 2**32 - 1))
def test_any_informed_critic_is_exactly_as_biased_as_its_average_over_the_signal(seed, lambda_, table):
    problem, paths, features, truth = case(seed)
    arbitrary = np.random.default_rng(table).normal(size=features["h,i"].max() + 1)[features["h,i"]]  # W(h, i): an untrained critic
    averaged = exact.conditional(paths, features["h"], arbitrary)  # E[W | h]
    informed, symmetric = (
        exact.policy_gradient(problem, paths, exact.advantages(problem, paths, critic, lambda_)) for critic in (arbitrary, averaged)
    )
    assert gap(informed, symmetric) < EXACT
    assert (gap(informed, truth) < EXACT) == (lambda_ == 1.0)  # untrained and bootstrapped is biased, informed or not


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    states=st.integers(1, 3),
    actions=st.integers(1, 3),
    observations=st.integers(1, 3),
    signals=st.integers(1, 3),
    lambda_=st.sampled_from(LAMBDAS),
)
def test_informed_critics_are_unbiased_whatever_the_sizes(seed, states, actions, observations, signals, lambda_):
    problem = small_problems.random_problem(seed, states, actions, observations, signals, horizon=2)
    paths = small_problems.enumerate_paths(problem)
    for critic in CRITICS.values():
        informed = critic(problem, paths, exact.features(paths)["h,i"])
        gradient = exact.policy_gradient(problem, paths, exact.advantages(problem, paths, informed, lambda_))
        assert gap(gradient, exact.finite_differences(problem)) < 1e-6


# ---- sampled gradients and their variance -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_of_1e5_sampled_gradients_tells_unbiased_from_biased(seed):
    episodes = 100_000

    def furthest(signal: str, feature: str, lambda_: float) -> float:
        """Largest distance between the sampled mean and the true gradient, in standard errors."""
        problem, paths, features, truth = case(seed, signal)
        critic = exact.values(problem, paths, features[feature])
        each = exact.path_gradients(problem, paths, exact.advantages(problem, paths, critic, lambda_))
        sampled = small_problems.simulate(problem, np.random.default_rng(100 + seed), episodes)
        rows = np.searchsorted(paths.code, sampled)
        np.testing.assert_array_equal(paths.code[rows], sampled)
        share = np.bincount(rows, minlength=len(paths.code)) / episodes
        mean, square = np.tensordot(share, each, axes=1), np.tensordot(share, each**2, axes=1)
        often = (
            np.bincount(paths.history.ravel(), np.repeat(share * episodes, problem.horizon), len(truth)) > 100
        )  # the rest is not normal yet
        return float((np.abs(mean - truth) / np.sqrt((square - mean**2) / episodes))[often].max())

    for unbiased in [
        ("partial", "h", 0.0),
        ("partial", "h,i", 0.0),
        ("partial", "h,i", 0.95),
        ("state", "h,i", 0.5),
        ("partial", "s", 1.0),
    ]:
        assert furthest(*unbiased) < 4, unbiased
    for biased in [("partial", "s", 0.0), ("partial", "i", 0.0), ("partial", "o", 0.5), ("leaky", "h,i", 0.95), ("leaky", "h,i", 1.0)]:
        assert furthest(*biased) > 4, biased


def spread(paths: small_problems.Paths, x: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """E[Var(x_t | feature_t)] for every t."""
    return paths.probability @ exact.conditional(paths, feature, (x - exact.conditional(paths, feature, x)) ** 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_signal_lowers_the_variance_left_in_the_returns_and_a_coin_does_not(seed):
    for signal in ("partial", "state", "coin"):
        problem, paths, features, _ = case(seed, signal)
        g = exact.returns(problem, paths)
        left, told = spread(paths, g, features["h"]), spread(paths, g, features["h,i"])
        if signal == "coin":
            np.testing.assert_allclose(told, left, rtol=1e-12)
        else:
            assert (told < left).all()
            assert (spread(paths, g, features["h,s"]) <= told + EXACT).all()  # no signal of the state beats the state


@pytest.mark.parametrize("seed", SEEDS)
def test_telling_an_aliased_state_steadies_the_sampled_gradient(seed):
    """One history, three hidden states that never change and are worth -1, 0 and 1: the problem a signal is for."""
    base = small_problems.random_problem(seed)
    aliased = replace(
        base,
        start=np.full(3, 1 / 3),
        transition=np.repeat(np.eye(3)[:, None, :], 2, axis=1),
        observation=np.full((3, 2), 0.5),
        reward=np.array([-1.0, 0.0, 1.0])[:, None] + 0.1 * base.reward,
    )

    def total_variance(problem: small_problems.Problem, feature: str) -> float:
        paths = small_problems.enumerate_paths(problem)
        critic = exact.values(problem, paths, exact.features(paths)[feature])
        each = exact.path_gradients(problem, paths, exact.advantages(problem, paths, critic, 1.0))
        mean = np.tensordot(paths.probability, each, axes=1)
        np.testing.assert_allclose(mean, exact.exact_gradient(problem, paths), atol=EXACT)
        return float(np.tensordot(paths.probability, (each - mean) ** 2, axes=1).sum())

    symmetric = total_variance(aliased, "h")
    assert total_variance(small_problems.with_state_signal(aliased), "h,i") < 0.2 * symmetric
    assert total_variance(small_problems.with_coin_signal(aliased), "h,i") == pytest.approx(symmetric, rel=1e-9)
