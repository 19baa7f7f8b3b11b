"""Every value, gradient and variance of a small problem by summing all its paths: a slow oracle in plain NumPy, double precision.

Critics are given by their value at every step of every path, (paths, horizon); a "gradient" is with respect to the logits of the
policy, (histories, actions). The last section runs the package's own functions on the same paths.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import numpy as np
from jaxtyping import Float, Int
from small_problems import Gradient, PathFloats, PathInts, Paths, Problem, first_row

from unseen.learning.returns import generalized_advantage, td_lambda_returns

# ---- features and values --------------------------------------------------------------------------------------------------


def features(paths: Paths) -> dict[str, PathInts]:
    """What a critic may be given at t, as one number per path and t; every conditional expectation is taken per t (time-aware)."""
    h, s, o, i = paths.history, paths.state, paths.observation, paths.signal
    size = 1 + max(int(s.max()), int(i.max()))
    so_far = np.stack([i[:, : t + 1] @ size ** np.arange(t + 1) for t in range(i.shape[1])], axis=1)
    following = np.concatenate([i[:, 1:], np.zeros_like(i[:, :1])], axis=1)
    return {
        "h": h,
        "h,i": h * size + i,
        "h,s": h * size + s,
        "h,i_0:t": h * size ** i.shape[1] + so_far,
        "h,i_t+1": h * size + following,  # the signal one step too late: it has seen what the action did
        "s": s,
        "i": i,
        "o": o,
    }


def expectation(paths: Paths, feature: Int[np.ndarray, "paths"], x: Float[np.ndarray, "paths"]) -> Float[np.ndarray, "paths"]:
    """E[x | feature], told to every path."""
    _, group = np.unique(feature, return_inverse=True)
    return (np.bincount(group, paths.probability * x) / np.bincount(group, paths.probability))[group]


def conditional(paths: Paths, feature: PathInts, x: PathFloats) -> PathFloats:
    """E[x_t | feature_t] for every t, told to every path."""
    return np.stack([expectation(paths, feature[:, t], x[:, t]) for t in range(x.shape[1])], axis=1)


def returns(problem: Problem, paths: Paths) -> PathFloats:
    """G_t = sum_k discount^k r_{t+k}."""
    steps = np.arange(problem.horizon)
    ahead = steps[:, None] - steps[None, :]
    return paths.reward @ np.where(ahead >= 0, problem.discount ** np.maximum(ahead, 0), 0.0)


def values(problem: Problem, paths: Paths, feature: PathInts) -> PathFloats:
    """V(f) = E[G_t | f_t]."""
    return conditional(paths, feature, returns(problem, paths))


def action_values(problem: Problem, paths: Paths, feature: PathInts) -> PathFloats:
    """Q(f, a) = E[G_t | f_t, a_t]."""
    return values(problem, paths, feature * problem.reward.shape[1] + paths.action)


def td_fixed_point(problem: Problem, paths: Paths, feature: PathInts) -> PathFloats:
    """U(f) = E[r_t + discount U(f_{t+1}) | f_t], backwards from U = 0 after the last step."""
    following, out = np.zeros(len(paths.code)), []
    for t in reversed(range(problem.horizon)):
        following = expectation(paths, feature[:, t], paths.reward[:, t] + problem.discount * following)
        out.append(following)
    return np.stack(out[::-1], axis=1)


# ---- gradients ------------------------------------------------------------------------------------------------------------


def expected_return(problem: Problem) -> float:
    """J by the forward recursion over (history, state), without paths, signals or returns: what finite differences are taken of."""
    observations, actions = problem.observation.shape[1], problem.reward.shape[1]

    def from_history(t: int, within: int, reach: np.ndarray) -> float:  # reach[s] = P(h_t, s_t = s)
        total = 0.0
        for a, chosen in enumerate(problem.policy[first_row(t, observations, actions) + within]):
            total += problem.discount**t * chosen * (reach @ problem.reward[:, a])
            if t + 1 < problem.horizon:
                ahead = chosen * (reach @ problem.transition[:, a])
                for o in range(observations):
                    total += from_history(t + 1, (within * actions + a) * observations + o, ahead * problem.observation[:, o])
        return total

    return sum(from_history(0, o, problem.start * problem.observation[:, o]) for o in range(observations))


def finite_differences(problem: Problem, step: float = 1e-4) -> Gradient:
    """dJ / dlogits by central differences."""
    gradient = np.zeros_like(problem.logits)
    for at in np.ndindex(gradient.shape):
        nudge = np.zeros_like(gradient)
        nudge[at] = step
        up, down = (expected_return(replace(problem, logits=problem.logits + sign * nudge)) for sign in (1, -1))
        gradient[at] = (up - down) / (2 * step)
    return gradient


def path_gradients(problem: Problem, paths: Paths, weight: PathFloats) -> Float[np.ndarray, "paths histories actions"]:
    """What one episode adds: sum_t discount^t weight_t grad log pi(a_t | h_t)."""
    each = np.arange(len(paths.code))
    out = np.zeros((len(each), *problem.logits.shape))
    for t in range(problem.horizon):
        h = paths.history[:, t]
        score = np.eye(problem.reward.shape[1])[paths.action[:, t]] - problem.policy[h]
        out[each, h] += problem.discount**t * weight[:, t, None] * score
    return out


def policy_gradient(problem: Problem, paths: Paths, weight: PathFloats) -> Gradient:
    """E[sum_t discount^t weight_t grad log pi(a_t | h_t)]."""
    return np.tensordot(paths.probability, path_gradients(problem, paths, weight), axes=1)


def exact_gradient(problem: Problem, paths: Paths) -> Gradient:
    """The gradient of J, by the policy-gradient theorem with the returns themselves as weights."""
    return policy_gradient(problem, paths, returns(problem, paths))


# ---- the package's own functions on every path ----------------------------------------------------------------------------


def advantages(problem: Problem, paths: Paths, critic: PathFloats, lambda_: float) -> PathFloats:
    """`generalized_advantage` on every path, for a critic given as its value at every step of every path."""
    discount_t, v_t = _what_follows(problem, critic)
    with jax.enable_x64(True):
        return np.asarray(_advantages_of_all(lambda_)(paths.reward, discount_t, critic, v_t))


def targets(problem: Problem, paths: Paths, critic: PathFloats, lambda_: float) -> PathFloats:
    """`td_lambda_returns` on every path: what the critic would be fitted to."""
    discount_t, v_t = _what_follows(problem, critic)
    with jax.enable_x64(True):
        return np.asarray(_targets_of_all(lambda_)(paths.reward, discount_t, v_t))


def _what_follows(problem: Problem, critic: PathFloats) -> tuple[Float[np.ndarray, "horizon"], PathFloats]:
    """`discount_t` and `v_t`. The last step terminates, so what a critic says of the state after it (here: 1000) must not count."""
    discount_t = np.full(problem.horizon, problem.discount)
    discount_t[-1] = 0.0
    return discount_t, np.concatenate([critic[:, 1:], np.full_like(critic[:, :1], 1e3)], axis=1)


@cache
def _advantages_of_all(lambda_: float):
    return jax.jit(jax.vmap(partial(generalized_advantage, lambda_=lambda_), in_axes=(0, None, 0, 0)))


@cache
def _targets_of_all(lambda_: float):
    return jax.jit(jax.vmap(partial(td_lambda_returns, lambda_=lambda_), in_axes=(0, None, 0)))
