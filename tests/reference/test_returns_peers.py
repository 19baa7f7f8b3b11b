"""The same returns from rlax, and the same text run by numpy, jax (compiled, batched, both precisions) and torch."""

from __future__ import annotations

import warnings
from functools import partial

import jax
import numpy as np
import pytest
from trajectories import Trajectory, close, every_return, random_trajectory

from unseen.learning.returns import monte_carlo_returns


@pytest.fixture(scope="module")
def rlax():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies use deprecated names while importing
        import rlax
    return rlax


@pytest.mark.parametrize("seed", range(3))
def test_rlax_agrees(rlax, seed):
    x = random_trajectory(seed)
    values = np.append(x.v_tm1, x.v_t[-1])
    with jax.enable_x64(True):
        r_t, discount_t, values, v_t, continues_t = map(jax.numpy.asarray, (x.r_t, x.discount_t, values, x.v_t, x.continues_t))
        for lambda_ in (0.3, 0.95):
            decay = lambda_ * continues_t  # rlax has no cuts, but a lambda per step that says the same
            ours = every_return(x, lambda_, 1)
            close(ours["td_lambda_returns"], rlax.lambda_returns(r_t, discount_t, v_t, decay))
            close(ours["generalized_advantage"], rlax.truncated_generalized_advantage_estimation(r_t, discount_t, decay, values))
        for n in (2, 5, 9):
            close(every_return(x, 0.0, n)["n_step_returns"], rlax.n_step_bootstrapped_returns(r_t, discount_t, v_t, n, continues_t))
        close(monte_carlo_returns(x.r_t, x.discount_t, x.v_t[-1]), rlax.discounted_returns(r_t, discount_t, v_t[-1]))


@pytest.mark.parametrize("seed", range(2))
def test_jax_compiled_and_batched_equals_numpy_one_by_one(seed):
    each = [random_trajectory(10 * seed + k) for k in range(4)]
    batch = Trajectory(*(np.stack(a) for a in zip(*each)))
    expected = [every_return(x, 0.95, 4) for x in each]
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-5)):
        with jax.enable_x64(dtype is np.float64):
            arrays = Trajectory(*(jax.numpy.asarray(a, dtype) for a in batch))
            actual = jax.jit(jax.vmap(partial(every_return, lambda_=0.95, n=4)))(arrays)
            for name, got in actual.items():
                assert got.dtype == dtype
                np.testing.assert_allclose(got, np.stack([x[name] for x in expected]), rtol=rtol, atol=10 * rtol, err_msg=name)


def test_torch_equals_numpy():
    torch = pytest.importorskip("torch", reason="torch comes with the extras for language models and benchmarks")
    x = random_trajectory(0)
    for lambda_, n in ((0.0, 1), (0.95, 4)):
        actual = every_return(Trajectory(*(torch.as_tensor(a) for a in x)), lambda_, n)
        for name, expected in every_return(x, lambda_, n).items():
            assert isinstance(actual[name], torch.Tensor)
            close(actual[name].numpy(), expected)
