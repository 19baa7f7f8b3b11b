"""Advantages against brute force: sums over futures that are written out, with ends, cuts, and outputs of unequal length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.planning.rl.advantages import discounted_return, dual_discount, group_baseline, turn_level

GAMMA, LAMBDA = 0.9, 0.8


def track(seed: int, steps: int):
    """Steps with rewards that are often 0, ends and cuts, the last step among them."""
    draws = np.random.default_rng(seed)
    r_t = draws.normal(size=steps) * (draws.random(steps) < 0.5)
    kind = draws.choice(3, steps, p=[0.6, 0.2, 0.2])
    kind[-1] = draws.choice([1, 2])
    lengths = draws.integers(1, 5, steps)
    values = [draws.normal(size=n) for n in lengths]
    behind = draws.normal(size=steps)  # values of the states behind cuts
    return r_t, (kind == 1).astype(float), (kind == 2).astype(float), values, behind


def followed(values, terminated_t, cut_t, behind):
    """The value of what followed each step, by cases."""
    v_t = []
    for t in range(len(values)):
        v_t.append(behind[t] if cut_t[t] else 0.0 if terminated_t[t] else values[t + 1][0])
    return np.array(v_t)


def by_sums(r_t, terminated_t, cut_t, v_tm1, v_t):
    """A_t = Σ_k (γλ)^k δ_{t+k} up to the end of what belongs together."""
    found = []
    for t in range(len(r_t)):
        total, weight = 0.0, 1.0
        for k in range(t, len(r_t)):
            total += weight * (r_t[k] + GAMMA * (1 - terminated_t[k]) * v_t[k] - v_tm1[k])
            if terminated_t[k] or cut_t[k]:
                break
            weight *= GAMMA * LAMBDA
        found.append(total)
    return np.array(found)


def by_tokens(r_t, terminated_t, cut_t, values, v_t):
    """The same over one long row of tokens, whose discounts are 1 but behind a step's last token."""
    rows = [(t, j) for t in range(len(values)) for j in range(len(values[t]))]
    found = [np.zeros(len(v)) for v in values]
    for at, (t, j) in enumerate(rows):
        total, weight = 0.0, 1.0
        for s, i in rows[at:]:
            last = i == len(values[s]) - 1
            following = v_t[s] * (1 - terminated_t[s]) if last else values[s][i + 1]
            total += weight * ((r_t[s] if last else 0.0) + (GAMMA if last else 1.0) * following - values[s][i])
            if last and (terminated_t[s] or cut_t[s]):
                break
            weight *= GAMMA * LAMBDA if last else 1.0
        found[t][j] = total
    return found


@given(seed=st.integers(0, 10_000), steps=st.integers(1, 9))
def test_turn_level_advantages_are_sums_of_errors(seed, steps):
    r_t, terminated_t, cut_t, values, behind = track(seed, steps)
    v_tm1, v_t = np.array([v[0] for v in values]), followed(values, terminated_t, cut_t, behind)
    found = turn_level(r_t, terminated_t, cut_t, v_tm1, v_t, GAMMA, LAMBDA)
    np.testing.assert_allclose(found, by_sums(r_t, terminated_t, cut_t, v_tm1, v_t), atol=1e-12)


@given(seed=st.integers(0, 10_000), steps=st.integers(1, 9))
def test_dual_discount_advantages_are_sums_over_tokens(seed, steps):
    r_t, terminated_t, cut_t, values, behind = track(seed, steps)
    v_t = followed(values, terminated_t, cut_t, behind)
    found = dual_discount(r_t, terminated_t, cut_t, values, v_t, GAMMA, LAMBDA)
    for mine, plain in zip(found, by_tokens(r_t, terminated_t, cut_t, values, v_t), strict=True):
        np.testing.assert_allclose(mine, plain, atol=1e-12)


@given(seed=st.integers(0, 10_000), steps=st.integers(1, 9))
def test_with_one_value_per_step_both_are_the_same(seed, steps):
    r_t, terminated_t, cut_t, values, behind = track(seed, steps)
    values = [np.full(len(v), v[0]) for v in values]
    v_tm1, v_t = np.array([v[0] for v in values]), followed(values, terminated_t, cut_t, behind)
    per_step = turn_level(r_t, terminated_t, cut_t, v_tm1, v_t, GAMMA, LAMBDA)
    for a, some in zip(per_step, dual_discount(r_t, terminated_t, cut_t, values, v_t, GAMMA, LAMBDA), strict=True):
        np.testing.assert_allclose(some, a, atol=1e-12)


def test_a_time_limit_is_bootstrapped_and_an_end_is_not():
    one, none = np.ones(1), np.zeros(1)
    v_tm1, v_t = np.zeros(1), np.full(1, 10.0)
    assert turn_level(one, none, one, v_tm1, v_t, GAMMA, LAMBDA) == pytest.approx([1 + GAMMA * 10])
    assert turn_level(one, one, none, v_tm1, v_t, GAMMA, LAMBDA) == pytest.approx([1.0])


def test_returns_against_those_of_the_same_seed():
    assert discounted_return(np.array([1.0, 0.0, 2.0]), 0.5) == pytest.approx(1.5)
    centred = group_baseline(np.array([[1.0, 3.0], [5.0, 5.0]]))
    np.testing.assert_allclose(centred, [[-1.0, 1.0], [0.0, 0.0]])
