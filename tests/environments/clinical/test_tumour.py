"""Tumour dosing against a slow patient in plain Python, patients against the published distributions, and how it ends and pays."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from unseen.environments import make
from unseen.environments.clinical import Tumour
from unseen.environments.clinical.tumour import TumourState, day, draws, patient
from unseen.errors import UserError

V13, V30, ONE_CELL = 1150.3465, 14137.1669, 1 / 5.8e8


def slow_day(v: float, c: float, alpha: float, rho: float, beta_c: float, action: str, e: float, luck: float) -> tuple[Any, ...]:
    """Volume, concentration, reward and end ("death", "recovery" or None); in double precision, from the specification's prose."""
    chemo, radio = action in ("chemo", "both"), action in ("radio", "both")
    c = c / 2 + (5.0 if chemo else 0.0)
    d = 2.0 if radio else 0.0
    beta = alpha / 10
    new = v * (1 + rho * math.log(V30 / v) - beta_c * c - (alpha * d + beta * d**2) + e)
    if new < 0:
        new = 0.0
    end = None
    if new > V13:
        new, end = V13, "death"
    elif new < ONE_CELL or luck < math.exp(-5.8e8 * new):
        new, end = 0.0, "recovery"
    change = math.log(max(new, ONE_CELL)) - math.log(v)
    reward = -max(-1.0, min(1.0, change))
    reward -= 0.25 if chemo else 0.0
    reward -= 0.4 if radio else 0.0
    reward += {"death": -10.0, "recovery": 10.0, None: 0.0}[end]
    return new, c, reward, end


def state_of(v: Any, c: Any, alpha: Any, rho: Any, beta_c: Any, kind: int = 0, status: int = 0) -> TumourState:
    numbers = [jnp.asarray(x, jnp.float32) for x in (v, c, alpha, rho, beta_c)]
    whole = [jnp.full(numbers[0].shape, x, jnp.int32) for x in (kind, status)]
    return TumourState(*numbers, *whole)


def test_days_equal_the_slow_patients() -> None:
    """6,000 states: sizes from a cell to the largest, the near-dead and the near-well well represented."""
    rng, n = np.random.default_rng(0), 6_000
    v = np.exp(rng.uniform(math.log(1.01 * ONE_CELL), math.log(V13), n))
    v[: n // 4] = rng.uniform(0.97 * V13, V13, n // 4)
    v[n // 4 : n // 2] = np.exp(rng.uniform(0.1, 8, n // 4)) * ONE_CELL
    values = [v, rng.uniform(0, 10, n), rng.uniform(0, 0.6, n), rng.uniform(0, 0.03, n), rng.uniform(0.02, 0.04, n)]
    values[1][: n // 8], values[2][: n // 8] = 0.0, 0.0  # hardly treated: half of these die
    e, luck, actions = rng.normal(0, 0.03, n), rng.random(n), rng.integers(4, size=n)
    state = state_of(*values)
    chance = (jnp.asarray(actions, jnp.int32), jnp.asarray(e, jnp.float32), jnp.asarray(luck, jnp.float32))
    after, reward, ended = jax.tree.map(np.asarray, jax.jit(jax.vmap(day))(state, *chance))
    seen = {"death": 0, "recovery": 0, None: 0}
    for i in range(n):
        single = [float(np.float32(x[i])) for x in values]
        noise, lucky = float(np.float32(e[i])), float(np.float32(luck[i]))
        name = ("none", "chemo", "radio", "both")[actions[i]]
        volume, c, r, end = slow_day(*single, name, noise, lucky)
        if end is None:  # where rounding may decide what happens
            edge = min(abs(volume / V13 - 1), abs(volume / ONE_CELL - 1), abs(lucky - math.exp(-5.8e8 * volume)))
            if edge < 1e-5:
                continue
        assert float(after.volume[i]) == pytest.approx(volume, rel=3e-4, abs=1e-12 * V13)  # 1 + ... - ... cancels
        assert float(after.concentration[i]) == pytest.approx(c, rel=1e-6)
        assert float(reward[i]) == pytest.approx(r, abs=1e-3)
        assert (bool(ended[i]), int(after.status[i])) == (end is not None, {None: 0, "recovery": 1, "death": 2}[end])
        seen[end] += 1
    assert min(seen.values()) > 200


def test_radiotherapy_below_nothing_is_recovery_and_one_cell_is_the_limit() -> None:
    once, quiet = jax.jit(day), (jnp.float32(0.0), jnp.float32(1.0))
    strong, _, _ = once(state_of(100.0, 0.0, 0.9, 0.005, 0.028), jnp.int32(2), *quiet)  # 2.4 alpha > 1: V' < 0
    assert (float(strong.volume), int(strong.status)) == (0.0, 1)
    above, _, _ = once(state_of(1.5 * ONE_CELL, 0.0, 0.1, 0.0, 0.028), jnp.int32(2), *quiet)
    below, reward, ended = once(state_of(1.2 * ONE_CELL, 0.0, 0.1, 0.0, 0.028), jnp.int32(2), *quiet)
    assert (int(above.status), int(below.status), bool(ended)) == (0, 1, True)
    assert float(reward) == pytest.approx(10.0 + math.log(1.2) - 0.4, abs=1e-5)


def test_nothing_happens_after_the_end() -> None:
    once = jax.jit(Tumour().step)
    for status, volume in ((1, 0.0), (2, V13)):
        before = state_of(volume, 3.0, 0.1, 0.005, 0.028, status=status)
        step = once(jax.random.key(0), before, jnp.int32(3))
        assert jax.tree.map(float, step.state) == jax.tree.map(float, before)
        assert (float(step.reward), bool(step.terminated)) == (0.0, True)
        assert np.isfinite(step.observation).all()


def test_the_days_draws() -> None:
    noise, luck = jax.jit(jax.vmap(draws))(jax.random.split(jax.random.key(1), 20_000))
    assert stats.kstest(np.asarray(noise, np.float64) / 0.01, "norm").pvalue > 1e-3
    assert stats.kstest(np.asarray(luck, np.float64), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(noise, luck)[0, 1]) < 4 / math.sqrt(20_000)


# ---- patients ----------------------------------------------------------------------------------------------------------


KEYS = 40_000


@pytest.fixture(scope="module")
def drawn() -> TumourState:
    return jax.jit(jax.vmap(patient))(jax.random.split(jax.random.key(7), KEYS))


@pytest.fixture(scope="module")
def patients(drawn: TumourState) -> TumourState:
    return jax.tree.map(lambda x: np.asarray(x, np.float64), drawn)


def test_responses_are_the_truncated_normal_of_the_sources(patients: TumourState) -> None:
    """Beside NumPy's own bivariate normal, redrawn in the plainest way."""
    rng = np.random.default_rng(2)
    shared = 0.87 * 0.168 * 7.23e-3
    drawn = rng.multivariate_normal([0.0398, 7e-5], [[0.168**2, shared], [shared, 7.23e-3**2]], 100_000)
    drawn = drawn[(drawn > 0).all(axis=1)]
    alpha = patients.alpha - 0.00398 * (patients.kind == 0)
    assert min(alpha.min(), patients.rho.min()) > 0
    assert stats.ks_2samp(alpha, drawn[:, 0]).pvalue > 1e-3
    assert stats.ks_2samp(patients.rho, drawn[:, 1]).pvalue > 1e-3
    assert np.corrcoef(alpha, patients.rho)[0, 1] == pytest.approx(np.corrcoef(drawn.T)[0, 1], abs=0.01)
    unshifted = patients.alpha[patients.kind == 0]  # the shift of type 1 shows: no type-1 patient lies below it
    assert unshifted.min() > 0.00398 - 1e-7


def test_types_and_chemotherapy(patients: TumourState) -> None:
    assert stats.chisquare(np.bincount(patients.kind.astype(int), minlength=3)).pvalue > 1e-3
    for kind, shift in enumerate((0.0, 0.0, 0.0028)):
        beta_c = patients.beta_c[patients.kind == kind]
        assert stats.kstest((beta_c - 0.028 - shift) / 0.0007, "norm").pvalue > 1e-3


def test_first_diameters_are_truncated_log_normals_by_stage(patients: TumourState) -> None:
    stages = ((1.72, 4.70, 0.3, 5.0, 1432), (1.96, 1.63, 0.3, 13, 128), (1.91, 9.40, 0.3, 13, 1306), (2.76, 6.87, 0.3, 13, 7248))
    stages = (*stages, (3.86, 8.82, 0.3, 13, 12840))

    def cumulative(diameter: Any) -> Any:
        total = np.zeros(np.shape(diameter))
        for mean, sd, low, high, count in stages:
            a, b = (math.log(low) - mean) / sd, (math.log(high) - mean) / sd
            total = total + count / 22_954 * stats.truncnorm.cdf((np.log(diameter) - mean) / sd, a, b)
        return total

    diameter = (6 * patients.volume / math.pi) ** (1 / 3)
    assert diameter.min() > 0.3 - 1e-4
    assert diameter.max() < 13 + 1e-4
    assert stats.kstest(diameter, cumulative).pvalue > 1e-3
    assert abs(np.corrcoef(diameter, patients.alpha)[0, 1]) < 4 / math.sqrt(len(diameter))
    assert not patients.concentration.any()
    assert not patients.status.any()


def test_a_batch_of_patients_is_each_of_them(patients: TumourState) -> None:
    """The loop that redraws goes on until the last of a batch is done: the first ones must not change meanwhile."""
    keys, single = jax.random.split(jax.random.key(7), KEYS), jax.jit(patient)
    for i in range(8):
        alone = single(keys[i])
        for name in ("volume", "alpha", "rho", "beta_c", "kind"):
            np.testing.assert_allclose(getattr(patients, name)[i], getattr(alone, name), rtol=1e-5)


# ---- the environment ---------------------------------------------------------------------------------------------------


def test_what_is_seen_and_told() -> None:
    state = state_of(math.exp(3.0), 5.0, 0.168, 0.00723, 0.0308, kind=2)
    told = Tumour().signals(jax.random.key(0), state)
    everything = [0.3, 0.5, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(told["state"], everything, atol=1e-4)
    np.testing.assert_allclose(told["parameters"], everything[2:], atol=1e-4)
    assert int(told["type"]) == 2
    over = state._replace(status=jnp.int32(2))  # nothing changes any more
    seen, less = (jax.jit(Tumour(known).step)(jax.random.key(0), over, jnp.int32(0)).observation for known in (True, False))
    np.testing.assert_allclose(seen, everything, atol=1e-4)
    np.testing.assert_allclose(less, [0.3, 0.5, 0.0, 0.0, 1.0], atol=1e-4)


def test_names_options_and_references() -> None:
    assert (make("tumour"), make("tumour-type-only")) == (Tumour(True), Tumour(False))
    assert make("tumour", time_limit=30).horizon() == 30
    assert make("tumour").horizon() == 60
    with pytest.raises(UserError, match="time_limit=0 is not allowed"):
        make("tumour", time_limit=0)
    for name in ("tumour", "tumour-type-only"):
        found = make(name).references("train")
        assert found.random.mean < found.memoryless.mean < found.perfect_memory.mean <= found.oracle.mean
        assert make(name, time_limit=30).references("train").random is None


def test_always_treating_scores_what_the_references_say(drawn: TumourState) -> None:
    """The best fixed rule of the references (both, whatever the size), on other patients and through the environment."""
    environment = Tumour(False)

    @jax.jit
    def play(state: Any, keys: Any) -> Any:
        def advance(state: Any, key: Any) -> Any:
            step = jax.vmap(environment.step, (0, 0, None))(jax.random.split(key, KEYS), state, jnp.int32(3))
            return step.state, step.reward

        return jax.lax.scan(advance, state, keys)[1].sum(axis=0)

    total = np.asarray(play(drawn, jax.random.split(jax.random.key(11), 60)), np.float64)
    reference = environment.references("train").memoryless
    assert abs(total.mean() - reference.mean) < 4 * math.hypot(total.std() / math.sqrt(KEYS), reference.standard_error)


def test_pictures_differ_where_the_patient_does() -> None:
    states = [state_of(v, c, 0.1, 0.005, 0.028, status=status) for v in (1.0, 500.0) for c in (0.0, 5.0) for status in (0, 1, 2)]
    assert len({Tumour().draw(state).tobytes() for state in states}) == len(states)
