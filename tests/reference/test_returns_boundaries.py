"""Terminations end a return, cuts bootstrap it, and neither lets anything from behind the boundary through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from trajectories import Trajectory, close, every_return, lambdas, trajectories

from unseen.learning.returns import td_lambda_returns


@given(x=trajectories(min_size=2), lambda_=lambdas, n=st.integers(1, 14), data=st.data(), kind=st.sampled_from(["terminated", "cut"]))
def test_nothing_leaks_back_across_a_boundary(x, lambda_, n, data, kind):
    k = data.draw(st.integers(0, len(x.r_t) - 2))
    field = {"terminated": x.discount_t, "cut": x.continues_t}[kind]
    field[k] = 0.0
    later = Trajectory(*(a.copy() for a in x))
    later.r_t[k + 1 :] += 100.0
    later.v_tm1[k + 1 :] -= 50.0
    later.v_t[k + 1 :] += 20.0
    if kind == "terminated":
        later.v_t[k] += 1000.0  # after a termination even the value of what follows must not count
    before, after = every_return(x, lambda_, n), every_return(later, lambda_, n)
    for name in before:
        np.testing.assert_array_equal(before[name][: k + 1], after[name][: k + 1], err_msg=name)
        assert (before[name][k + 1 :] != after[name][k + 1 :]).all(), name


@given(x=trajectories(boundaries=False, min_size=2), lambda_=st.floats(0.1, 1.0), n=st.integers(2, 14), data=st.data())
def test_without_a_boundary_the_same_change_is_felt(x, lambda_, n, data):
    """The control of the test above: what it looks for is there to be found."""
    k = data.draw(st.integers(0, len(x.r_t) - 2))
    later = x._replace(r_t=np.where(np.arange(len(x.r_t)) == k + 1, x.r_t + 100.0, x.r_t))
    before, after = every_return(x, lambda_, n), every_return(later, lambda_, n)
    for name in before:
        assert after[name][k] > before[name][k] + 0.5, name


@given(x=trajectories(min_size=2), lambda_=lambdas, n=st.integers(1, 14))
def test_a_cut_trajectory_equals_its_pieces_taken_apart(x, lambda_, n):
    ends = [*(np.flatnonzero(x.continues_t[:-1] == 0) + 1), len(x.r_t)]
    pieces = [Trajectory(*(a[start:end] for a in x)) for start, end in zip([0, *ends], ends)]
    whole = every_return(x, lambda_, n)
    apart = [every_return(piece._replace(continues_t=np.ones_like(piece.r_t)), lambda_, n) for piece in pieces]
    for name in whole:
        close(whole[name], np.concatenate([piece[name] for piece in apart]))


@given(x=trajectories(), lambda_=lambdas)
def test_a_cut_bootstraps_and_a_termination_does_not(x, lambda_):
    assume(x.discount_t[-1] > 0 and abs(x.v_t[-1]) > 0.1)
    ended = x._replace(discount_t=np.append(x.discount_t[:-1], 0.0))
    cut, end = every_return(x, lambda_, 3), every_return(ended, lambda_, 3)
    for name in ("td_lambda_returns", "n_step_returns", "monte_carlo_returns", "generalized_advantage"):
        assert cut[name][-1] - end[name][-1] == pytest.approx(x.discount_t[-1] * x.v_t[-1], abs=1e-9)


# ---- a reward of 1 for ever, seen through time limits -----------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 4, 20])
@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.95, 1.0])
def test_a_time_limit_does_not_change_what_a_state_is_worth(lambda_, limit):
    """One state, reward 1: 1 / (1 - discount) where the limit cuts, 1 + discount + ... + discount^{limit-1} at most where it ends."""
    discount, one = 0.9, np.ones(limit)
    last = np.append(one[1:], 0.0)

    def fixed_point(discount_t: np.ndarray, continues_t: np.ndarray) -> float:
        """Refit the value to the mean of its own targets until it stays."""
        value = 0.0
        for _ in range(2_000):
            value = float(td_lambda_returns(one, discount_t, value * one, lambda_, continues_t=continues_t).mean())
        return value

    truth = 1 / (1 - discount)
    assert fixed_point(discount * one, last) == pytest.approx(truth, rel=1e-9)
    merged = fixed_point(discount * last, one)
    assert merged < truth - 0.5
    # the merged fixed point in closed form at both ends: one-step targets, and the mean of the truncated sums
    ends = {0.0: 1 / (1 - discount * (1 - 1 / limit)), 1.0: np.mean([(1 - discount**k) * truth for k in range(1, limit + 1)])}
    if lambda_ in ends:
        assert merged == pytest.approx(ends[lambda_], rel=1e-9)
