"""Returns and advantages as pure, unbatched functions of arrays over time; one text serves NumPy, JAX and torch.

Index t of every argument belongs to the step from t-1 to t: `v_tm1[k]` is the value where action k was chosen, `r_t[k]` its
reward, `discount_t[k] = gamma * (1 - terminated)`, `v_t[k]` the value of what followed. `continues_t[k] = 0` says that the
trajectory was cut after step k (a time limit, or the end of the data): recursions stop there and bootstrap from `v_t[k]`.
A termination is a discount of 0; a cut is not. They are never merged here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float

Values = Float[Any, "T"]  # numpy, jax or torch


class VTrace(NamedTuple):
    """Attributes:

    target_tm1: what the value should be, v_s of the source.
    advantage_tm1: what multiplies the gradient of log pi, with the clipped ratio in it.
    """

    target_tm1: Values
    advantage_tm1: Values


def td_errors(r_t: Values, discount_t: Values, v_tm1: Values, v_t: Values) -> Values:
    """Temporal-difference errors: delta = r_t + discount_t v_t - v_tm1, shape (T,)."""
    return r_t + discount_t * v_t - v_tm1


def generalized_advantage(
    r_t: Values, discount_t: Values, v_tm1: Values, v_t: Values, lambda_: float, *, continues_t: Values | None = None
) -> Values:
    """Generalised advantages: A_tm1 = delta_t + discount_t lambda continues_t A_t, with A = 0 after the last step.

    Args:
        r_t, discount_t, v_tm1, v_t: shape (T,); see the module's first lines for the indices.
        lambda_: 0 gives TD errors, 1 Monte-Carlo returns minus `v_tm1`.
        continues_t: 0 where the trajectory was cut after this step; default: nowhere.

    Source: Schulman et al. 2016, equation 16.
    """
    decay_t = discount_t * lambda_ if continues_t is None else discount_t * lambda_ * continues_t
    return _backwards(td_errors(r_t, discount_t, v_tm1, v_t), decay_t, 0.0 * v_t[-1])


def td_lambda_returns(r_t: Values, discount_t: Values, v_t: Values, lambda_: float, *, continues_t: Values | None = None) -> Values:
    """TD(lambda) returns: G_tm1 = r_t + discount_t ((1 - lambda) v_t + lambda G_t), with G := v_t at a cut and at the end.

    Args:
        r_t, discount_t, v_t: shape (T,).
        lambda_: 0 gives one-step targets, 1 Monte-Carlo returns that bootstrap only where the data end.
        continues_t: 0 where the trajectory was cut after this step; default: nowhere.

    Source: Sutton & Barto 2018, equation 12.18.
    """
    mix_t = lambda_ * (1.0 + 0.0 * v_t) if continues_t is None else lambda_ * continues_t
    return _backwards(r_t + discount_t * (1.0 - mix_t) * v_t, discount_t * mix_t, v_t[-1])


def monte_carlo_returns(
    r_t: Values, discount_t: Values, v_final: Float[Any, ""] | float, *, continues_t: Values | None = None, v_t: Values | None = None
) -> Values:
    """Monte-Carlo returns: G_tm1 = r_t + discount_t G_t, with G := v_final after the last step.

    Args:
        r_t, discount_t: shape (T,).
        v_final: value after the last step; 0 where the data end in a termination.
        continues_t, v_t: given together: at a cut inside the array the return goes on with `v_t` instead.

    Raises:
        ValueError: when `continues_t` comes without `v_t`.
    """
    if continues_t is None:
        return _backwards(r_t, discount_t, v_final)
    if v_t is None:
        raise ValueError("monte_carlo_returns: continues_t needs v_t, the values to go on with at a cut")
    return _backwards(r_t + discount_t * (1.0 - continues_t) * v_t, discount_t * continues_t, v_final)


def n_step_returns(r_t: Values, discount_t: Values, v_t: Values, n: int, *, continues_t: Values | None = None) -> Values:
    """n-step returns: sum_{k<n} (prod discount) r + (prod discount) v after n steps; fewer steps at a cut or the end.

    Args:
        r_t, discount_t, v_t: shape (T,).
        n: number of rewards before bootstrapping, at least 1; `n >= T` gives Monte-Carlo returns.
        continues_t: 0 where the trajectory was cut after this step; default: nowhere.
    """
    if n < 1:
        raise ValueError(f"n_step_returns: n = {n}; it must be at least 1")
    xp = _namespace(v_t)
    go_on_t = 1.0 + 0.0 * v_t if continues_t is None else continues_t
    g_t = r_t + discount_t * v_t
    for _ in range(min(n, v_t.shape[0]) - 1):
        following_t = xp.concatenate([g_t[1:], v_t[-1:]])
        g_t = r_t + discount_t * (go_on_t * following_t + (1.0 - go_on_t) * v_t)
    return g_t


def vtrace(
    ratio_tm1: Values,
    r_t: Values,
    discount_t: Values,
    v_tm1: Values,
    v_t: Values,
    *,
    lambda_: float = 1.0,
    clip_ratio: float = 1.0,
    clip_trace: float = 1.0,
    clip_policy: float = 1.0,
    continues_t: Values | None = None,
) -> VTrace:
    """V-trace targets and advantages, for actions drawn by an older policy:

    delta_t = min(clip_ratio, ratio) (r_t + discount_t v_t - v_tm1)
    target_tm1 - v_tm1 = delta_t + discount_t lambda min(clip_trace, ratio) (target_t - v_t)
    advantage_tm1 = min(clip_policy, ratio) (r_t + discount_t target_t - v_tm1)

    with target_t := v_t at a cut and at the end. With ratios of 1 the targets are those of TD(lambda).

    Args:
        ratio_tm1: pi(a) / mu(a) of the action taken, shape (T,).
        r_t, discount_t, v_tm1, v_t: shape (T,); see the module's first lines for the indices.
        lambda_: shortens the traces further.
        clip_ratio, clip_trace, clip_policy: rho-bar, c-bar and rho-bar of the policy gradient.
        continues_t: 0 where the trajectory was cut after this step; default: nowhere.

    Source: Espeholt et al. 2018, equations 1 and 4.
    """
    xp = _namespace(v_t)
    go_on_t = 1.0 + 0.0 * v_t if continues_t is None else continues_t
    delta_t = xp.clip(ratio_tm1, None, clip_ratio) * td_errors(r_t, discount_t, v_tm1, v_t)
    trace_t = lambda_ * xp.clip(ratio_tm1, None, clip_trace)
    correction_tm1 = _backwards(delta_t, discount_t * trace_t * go_on_t, 0.0 * v_t[-1])
    correction_t = go_on_t * xp.concatenate([correction_tm1[1:], 0.0 * v_t[-1:]])
    advantage_tm1 = xp.clip(ratio_tm1, None, clip_policy) * td_errors(r_t, discount_t, v_tm1, v_t + correction_t)
    return VTrace(v_tm1 + correction_tm1, advantage_tm1)


def _backwards(x_t: Values, decay_t: Values, final: Any) -> Values:
    """Solve y_tm1 = x_t + decay_t y_t from the end, with y = `final` after the last step."""
    if type(x_t).__module__.startswith("jax"):
        import jax

        def step(y_t: Any, inputs: Any) -> Any:
            y_tm1 = inputs[0] + inputs[1] * y_t
            return y_tm1, y_tm1

        start = jax.numpy.asarray(final, x_t.dtype) * jax.numpy.ones_like(x_t[0])
        return jax.lax.scan(step, start, (x_t, decay_t), reverse=True)[1]
    y_t, out = final, []
    for k in range(x_t.shape[0] - 1, -1, -1):
        y_t = x_t[k] + decay_t[k] * y_t
        out.append(y_t)
    return _namespace(x_t).stack(out[::-1])


def _namespace(array: Any) -> Any:
    """The array's own library: numpy, jax.numpy or torch."""
    kind = type(array).__module__.split(".")[0]
    if kind.startswith("jax"):
        import jax.numpy as namespace
    elif kind == "torch":
        import torch as namespace
    else:
        import numpy as namespace
    return namespace
