"""The package's returns against their definitions, written as loops forwards in time, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trajectories import Trajectory, close, every_return, lambdas, trajectories

from unseen.learning.returns import generalized_advantage, monte_carlo_returns, n_step_returns, td_errors, td_lambda_returns

# ---- definitions, forwards in time ----------------------------------------------------------------------------------------


def steps_left(x: Trajectory, k: int) -> int:
    """How many rewards from index k on before the trajectory is cut or the data end."""
    for j in range(k, len(x.r_t)):
        if x.continues_t[j] == 0:
            return j - k + 1
    return len(x.r_t) - k


def n_step_by_definition(x: Trajectory, k: int, n: int) -> float:
    """r_k + c_k r_{k+1} + ... + (c_k ... c_{k+n-1}) v, with the discounts c multiplied up one by one."""
    total, weight = 0.0, 1.0
    last = k + min(n, steps_left(x, k)) - 1
    for j in range(k, last + 1):
        total += weight * x.r_t[j]
        weight *= x.discount_t[j]
    return total + weight * x.v_t[last]


def td_lambda_by_definition(x: Trajectory, k: int, lambda_: float) -> float:
    """(1 - lambda) sum_{n < N} lambda^{n-1} G^(n) + lambda^{N-1} G^(N): the mixture of all n-step returns."""
    longest = steps_left(x, k)
    shorter = sum((1 - lambda_) * lambda_ ** (n - 1) * n_step_by_definition(x, k, n) for n in range(1, longest))
    return shorter + lambda_ ** (longest - 1) * n_step_by_definition(x, k, longest)


def advantage_by_definition(x: Trajectory, k: int, lambda_: float) -> float:
    """sum_j (product of lambda c from k to j - 1) delta_j, to the end or the cut."""
    total, weight = 0.0, 1.0
    for j in range(k, k + steps_left(x, k)):
        total += weight * (x.r_t[j] + x.discount_t[j] * x.v_t[j] - x.v_tm1[j])
        weight *= lambda_ * x.discount_t[j]
    return total


@given(x=trajectories(), lambda_=lambdas, n=st.integers(1, 14))
def test_every_return_is_what_its_definition_says(x, lambda_, n):
    time = range(len(x.r_t))
    actual = every_return(x, lambda_, n)
    close(actual["n_step_returns"], [n_step_by_definition(x, k, n) for k in time])
    close(actual["monte_carlo_returns"], [n_step_by_definition(x, k, len(x.r_t)) for k in time])
    close(actual["td_lambda_returns"], [td_lambda_by_definition(x, k, lambda_) for k in time])
    close(actual["generalized_advantage"], [advantage_by_definition(x, k, lambda_) for k in time])


def test_three_steps_by_hand():
    """Rewards 1, 2, 4; discount 1/2; values 8 throughout; lambda 1/2."""
    r_t, half, v = np.array([1.0, 2.0, 4.0]), np.full(3, 0.5), np.full(3, 8.0)
    close(td_errors(r_t, half, v, v), [-3.0, -2.0, 0.0])
    close(generalized_advantage(r_t, half, v, v, 0.5), [-3.5, -2.0, 0.0])
    close(td_lambda_returns(r_t, half, v, 0.5), [4.5, 6.0, 8.0])
    close(n_step_returns(r_t, half, v, 2), [4.0, 6.0, 8.0])
    close(monte_carlo_returns(r_t, half, np.float64(0.0)), [3.0, 4.0, 4.0])
    middle = np.array([1.0, 0.0, 1.0])
    close(td_lambda_returns(r_t, half * middle, v, 0.5), [3.5, 2.0, 8.0])  # ends at the second step: nothing follows
    close(td_lambda_returns(r_t, half, v, 0.5, continues_t=middle), [4.5, 6.0, 8.0])  # cut there: the value follows
    close(monte_carlo_returns(r_t, half, np.float64(0.0), continues_t=middle, v_t=v), [4.0, 6.0, 4.0])


# ---- identities (specification 8.3, item 13) ------------------------------------------------------------------------------


@given(x=trajectories(), lambda_=lambdas)
def test_the_ends_of_every_family_meet(x, lambda_):
    length = len(x.r_t)
    monte_carlo = every_return(x, 1.0, length)["monte_carlo_returns"]
    one_step = x.r_t + x.discount_t * x.v_t
    for n in (length, length + 1, 10 * length):
        close(every_return(x, lambda_, n)["n_step_returns"], monte_carlo)
    close(every_return(x, lambda_, 1)["n_step_returns"], one_step)
    close(every_return(x, 1.0, 1)["td_lambda_returns"], monte_carlo)
    close(every_return(x, 0.0, 1)["td_lambda_returns"], one_step)
    close(every_return(x, 0.0, 1)["generalized_advantage"], td_errors(*x[:4]))
    close(every_return(x, 1.0, 1)["generalized_advantage"], monte_carlo - x.v_tm1)
    both = every_return(x, lambda_, 1)
    close(both["generalized_advantage"], both["td_lambda_returns"] - x.v_tm1)


@given(x=trajectories(boundaries=False), lambda_=lambdas, n=st.integers(1, 14))
def test_continues_defaults_to_an_uncut_trajectory(x, lambda_, n):
    expected = every_return(x, lambda_, n)
    np.testing.assert_array_equal(generalized_advantage(*x[:4], lambda_=lambda_), expected["generalized_advantage"])
    np.testing.assert_array_equal(td_lambda_returns(x.r_t, x.discount_t, x.v_t, lambda_), expected["td_lambda_returns"])
    np.testing.assert_array_equal(monte_carlo_returns(x.r_t, x.discount_t, x.v_t[-1]), expected["monte_carlo_returns"])
    np.testing.assert_array_equal(n_step_returns(x.r_t, x.discount_t, x.v_t, n), expected["n_step_returns"])


@given(x=trajectories(boundaries=False, min_size=2), lambda_=lambdas, data=st.data())
def test_a_value_moves_its_own_advantage_and_those_before_it_and_none_after(x, lambda_, data):
    """What a critic is told at k alone (8.3, item 4) moves A_k by -d and A_j, j < k, by (c_j ... c_{k-1}) lambda^{k-1-j} (1 - lambda) d."""
    k, moved = data.draw(st.integers(1, len(x.r_t) - 1)), 3.0
    v_tm1, v_t = x.v_tm1.copy(), x.v_t.copy()
    v_tm1[k] += moved
    v_t[k - 1] += moved
    change = generalized_advantage(x.r_t, x.discount_t, v_tm1, v_t, lambda_) - generalized_advantage(*x[:4], lambda_=lambda_)
    expected = np.zeros(len(x.r_t))
    expected[k] = -moved
    for j in range(k):
        expected[j] = np.prod(x.discount_t[j:k]) * lambda_ ** (k - 1 - j) * (1 - lambda_) * moved
    close(change, expected)


def test_what_makes_no_sense_is_refused():
    one = np.ones(3)
    with pytest.raises(ValueError, match="n = 0"):
        n_step_returns(one, one, one, 0)
    with pytest.raises(ValueError, match="needs v_t"):
        monte_carlo_returns(one, one, np.float64(0.0), continues_t=one)
