"""V-trace against its definition as an explicit sum, against rlax, and against TD(lambda) where the policies are the same."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trajectories import Trajectory, close, lambdas, random_trajectory, trajectories

from unseen.learning.returns import td_lambda_returns, vtrace

clips = st.sampled_from([0.5, 1.0, 2.5])


def ratios(x: Trajectory, seed: int) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(size=len(x.r_t)))


def by_definition(x: Trajectory, ratio: np.ndarray, k: int, lambda_: float, clip: float, clip_trace: float) -> float:
    """v_k + sum_j (product of gamma lambda c from k to j - 1) min(clip, rho_j) delta_j, to the end or the cut."""
    total, weight = x.v_tm1[k], 1.0
    for j in range(k, len(x.r_t)):
        total += weight * min(clip, ratio[j]) * (x.r_t[j] + x.discount_t[j] * x.v_t[j] - x.v_tm1[j])
        if x.continues_t[j] == 0:
            break
        weight *= x.discount_t[j] * lambda_ * min(clip_trace, ratio[j])
    return total


@given(x=trajectories(), lambda_=lambdas, clip=clips, clip_trace=clips, clip_policy=clips, seed=st.integers(0, 9))
def test_targets_and_advantages_are_what_their_definitions_say(x, lambda_, clip, clip_trace, clip_policy, seed):
    ratio = ratios(x, seed)
    actual = vtrace(
        ratio, x.r_t, x.discount_t, x.v_tm1, x.v_t,
        lambda_=lambda_, clip_ratio=clip, clip_trace=clip_trace, clip_policy=clip_policy, continues_t=x.continues_t,
    )  # fmt: skip
    targets = [by_definition(x, ratio, k, lambda_, clip, clip_trace) for k in range(len(x.r_t))]
    close(actual.target_tm1, targets)
    for k in range(len(x.r_t)):
        goes_on = k + 1 < len(x.r_t) and x.continues_t[k] != 0
        # What follows a step is worth its value, corrected as far as the target behind it is.
        follows = x.v_t[k] + (targets[k + 1] - x.v_tm1[k + 1] if goes_on else 0.0)
        expected = min(clip_policy, ratio[k]) * (x.r_t[k] + x.discount_t[k] * follows - x.v_tm1[k])
        close(actual.advantage_tm1[k], expected)


@given(x=trajectories(), lambda_=lambdas)
def test_on_policy_the_targets_are_those_of_td_lambda(x, lambda_):
    """Where each value is the one that the step before saw ahead, as in any rollout."""
    v_tm1 = np.concatenate([x.v_tm1[:1], np.where(x.continues_t[:-1] != 0, x.v_t[:-1], x.v_tm1[1:])])
    actual = vtrace(np.ones_like(x.r_t), x.r_t, x.discount_t, v_tm1, x.v_t, lambda_=lambda_, continues_t=x.continues_t)
    close(actual.target_tm1, td_lambda_returns(x.r_t, x.discount_t, x.v_t, lambda_, continues_t=x.continues_t))


@pytest.mark.parametrize("seed", range(3))
def test_rlax_agrees(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies use deprecated names while importing
        import rlax
    x = random_trajectory(seed)
    ratio = ratios(x, seed)
    # It has no cuts, and each value is the one that the step before saw ahead.
    v_t = np.append(x.v_tm1[1:], x.v_t[-1])
    clips = {"lambda_": 1.0, "clip_rho_threshold": 1.2, "clip_pg_rho_threshold": 0.8}
    ours = vtrace(ratio, x.r_t, x.discount_t, x.v_tm1, v_t, clip_ratio=1.2, clip_policy=0.8)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        theirs = rlax.vtrace_td_error_and_advantage(*map(jax.numpy.asarray, (x.v_tm1, v_t, x.r_t, x.discount_t, ratio)), **clips)
    close(ours.target_tm1 - x.v_tm1, theirs.errors)
    close(ours.advantage_tm1, theirs.pg_advantage)


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_reward_of_one_for_ever_is_worth_one_over_one_minus_gamma_though_time_limits_cut_it(ratio):
    """Specification §4.8: a cut bootstraps from what would have followed; merged with a termination it would be worth less."""
    steps, gamma = 12, 0.9
    worth = np.full(steps, 1.0 / (1.0 - gamma))
    cut = np.ones(steps)
    cut[3::4] = 0.0
    ones, discount = np.ones(steps), np.full(steps, gamma)
    right = vtrace(ratio * ones, ones, discount, worth, worth, continues_t=cut)
    close(right.target_tm1, worth)
    close(right.advantage_tm1, np.zeros(steps))
    merged = vtrace(ratio * ones, ones, discount * cut, worth, worth)
    assert (merged.target_tm1 < worth - 0.5).any()


def test_nothing_leaks_across_the_end_of_an_episode():
    x = random_trajectory(4)
    steps = len(x.r_t)
    for end in ("termination", "cut"):
        discount, goes_on = np.full(steps, 0.97), np.ones(steps)
        (discount if end == "termination" else goes_on)[steps // 2] = 0.0
        before = vtrace(ratios(x, 1), x.r_t, discount, x.v_tm1, x.v_t, continues_t=goes_on)
        other = np.where(np.arange(steps) > steps // 2, 5.0, 0.0)
        after = vtrace(ratios(x, 1), x.r_t + other, discount, x.v_tm1 - other, x.v_t, continues_t=goes_on)
        for a, b in zip(before, after, strict=True):
            close(a[: steps // 2 + 1], b[: steps // 2 + 1])
            assert not np.allclose(a[steps // 2 + 1 :], b[steps // 2 + 1 :])
