"""Trajectories with terminations (discount 0) and cuts (continues 0) anywhere inside, and every return of the package on one of them.

The boundaries are drawn often, because they are where implementations of these functions go wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unseen.learning.returns import generalized_advantage, monte_carlo_returns, n_step_returns, td_lambda_returns


class Trajectory(NamedTuple):
    """Arguments as the functions name them, all (T,); numpy, jax or torch."""

    r_t: Any
    discount_t: Any
    v_tm1: Any
    v_t: Any
    continues_t: Any


@st.composite
def trajectories(draw, boundaries: bool = True, min_size: int = 1) -> Trajectory:
    """Rewards and values in [-10, 10]; `v_t` is the next `v_tm1` wherever the trajectory goes on, and free at its boundaries."""
    length = draw(st.integers(min_size, 12))

    def numbers(low: float, high: float) -> np.ndarray:
        return draw(hnp.arrays(np.float64, length, elements=st.floats(low, high, allow_subnormal=False)))

    r_t, v_tm1, free, discount_t = numbers(-10, 10), numbers(-10, 10), numbers(-10, 10), numbers(0.1, 1.0)
    flags = hnp.arrays(np.float64, length, elements=st.sampled_from([0.0, 1.0]))
    alive, continues_t = (draw(flags), draw(flags)) if boundaries else (np.ones(length), np.ones(length))
    v_t = np.append(v_tm1[1:], 0.0)
    goes_on = (alive * continues_t > 0) & (np.arange(length) < length - 1)
    return Trajectory(r_t, discount_t * alive, v_tm1, np.where(goes_on, v_t, free), continues_t)


def random_trajectory(seed: int, length: int = 9) -> Trajectory:
    rng = np.random.default_rng(seed)
    flags = rng.random((2, length)) > 0.2
    values = rng.normal(size=length + 1)
    return Trajectory(rng.normal(size=length), rng.random(length) * flags[0], values[:-1], values[1:], flags[1].astype(float))


lambdas = st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0, allow_subnormal=False)


def close(actual, expected) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


def every_return(x: Trajectory, lambda_: float, n: int) -> dict[str, Any]:
    """Every function that looks more than one step ahead, by name."""
    return {
        "generalized_advantage": generalized_advantage(*x[:4], lambda_, continues_t=x.continues_t),
        "td_lambda_returns": td_lambda_returns(x.r_t, x.discount_t, x.v_t, lambda_, continues_t=x.continues_t),
        "monte_carlo_returns": monte_carlo_returns(x.r_t, x.discount_t, x.v_t[-1], continues_t=x.continues_t, v_t=x.v_t),
        "n_step_returns": n_step_returns(x.r_t, x.discount_t, x.v_t, n, continues_t=x.continues_t),
    }
