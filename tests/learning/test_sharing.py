"""Lanes taken in parts and shared among devices: the same sums, whatever the cut."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unseen
from unseen.environments import make
from unseen.experiments import platform
from unseen.experiments.compiled import CompiledSeeds
from unseen.experiments.seeds import keys_of, layout, over_seeds
from unseen.learning import sharing
from unseen.learning.learner import make_learner
from unseen.learning.sharing import Sharing, devices_for, part_size, shared


@given(st.integers(1, 600), st.integers(1, 4_000))
def test_parts_are_even_and_small(lanes, time):
    size = part_size(lanes, time)
    assert lanes % size == 0
    assert size <= 8 or size * time <= sharing.ROWS


@given(st.integers(1, 600), st.integers(0, 64))
def test_devices_share_lanes_evenly(lanes, spare):
    devices = devices_for(lanes, spare)
    assert 1 <= devices <= max(1, spare)
    assert lanes % devices == 0


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("rows", [8, 64, 10_000])
def test_totals_and_results_are_those_of_all_lanes_together(devices, rows, monkeypatch):
    monkeypatch.setattr(sharing, "ROWS", rows)
    time, lanes = 5, 24
    x = jax.random.normal(jax.random.key(0), (time, lanes, 3))
    order = jax.random.permutation(jax.random.key(1), jnp.arange(lanes, dtype=jnp.int32))[:16]

    def total(share, x, order):
        return share.total(lambda part: jnp.sum(x[:, part] ** 2, axis=(0, 1)), order, time)

    def each(share, x, order):
        return share.each(lambda part: (x[0, part], 2.0 * x[:, part]), order, time)

    np.testing.assert_allclose(jax.jit(shared(total, devices))(x, order), jnp.sum(x[:, order] ** 2, axis=(0, 1)), rtol=1e-5)
    by_lane, by_time = jax.jit(shared(each, devices))(x, order)
    np.testing.assert_array_equal(by_lane, x[0, order])
    np.testing.assert_array_equal(by_time, 2.0 * x[:, order])


# Vanilla gradient steps: Adam's first ones divide a gradient by its own size and would blow up rounding where it is near zero.
PLAIN = {"learning_rate": 1e-2, "adam_epsilon": 1.0, "max_gradient_norm": 0.5}


@pytest.mark.parametrize(
    ("memory", "shared_trunk", "carries"),
    [
        (unseen.GRU(8), False, "stored"),
        (unseen.GRU(8), True, "recomputed"),
        (unseen.LSTM(8), False, "recomputed"),
        (unseen.LRU(8), True, "stored"),
    ],
    ids=str,
)
def test_ppo_learns_the_same_in_any_parts_on_any_number_of_devices(memory, shared_trunk, carries, monkeypatch):
    critic = unseen.Critic(shared_trunk=shared_trunk, signals=("heaven",))
    agent = unseen.Agent(memory=memory, embedding=8, head=(8,), critic=critic)
    algorithm = unseen.PPO(environments=8, rollout=12, epochs=2, minibatches=2, carries=carries, value_clip=0.2, entropy=0.01, **PLAIN)

    def trained(devices, size):
        monkeypatch.setattr(sharing, "part_size", lambda lanes, time: min(lanes, size))
        spread = layout(1, lanes=4)._replace(sharing=devices)
        learner = make_learner(make("heavenhell-3"), agent, algorithm, sharing=Sharing(devices))
        state = jax.jit(over_seeds(learner.init, spread))(keys_of(spread, 3))
        update = jax.jit(over_seeds(learner.update, spread))
        for _ in range(3):
            state = update(state)
        return state

    whole = trained(1, 8)
    start = make_learner(make("heavenhell-3"), agent, algorithm).init(jax.random.key(3))
    assert any(bool(jnp.any(a != b[0])) for a, b in zip(floats(start.agent), floats(whole.agent), strict=True))
    for devices, size in ((1, 2), (2, 1)):
        other = trained(devices, size)
        for a, b in zip(floats(whole.agent), floats(other.agent), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
            copies = [np.asarray(shard.data) for shard in b.addressable_shards]
            assert len(copies) == devices
            assert all(np.array_equal(copies[0], copy) for copy in copies)  # the devices do not drift apart
        np.testing.assert_array_equal(whole.env_steps, other.env_steps)


def floats(tree):
    return jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))


def test_a_lone_seed_of_ppo_gets_every_device_and_several_seeds_one_each(monkeypatch):
    monkeypatch.setattr(platform, "available_cores", lambda: 2)
    assert layout(1, lanes=16) == (1, 1, 1, 2)
    assert layout(1, lanes=15).sharing == 1  # an odd number of lanes
    assert layout(1).sharing == 1  # A2C
    assert layout(2, lanes=16).sharing == 1
    assert layout(3, lanes=16) == (3, 2, 1, 1)
    monkeypatch.setattr(platform, "available_cores", lambda: 1)  # a container's quota: more devices would only be in the way
    assert layout(1, lanes=16).sharing == 1


def test_a_run_that_does_not_fit_when_shared_is_not_shared(monkeypatch):
    monkeypatch.setattr(platform, "available_cores", lambda: 2)
    algorithm = unseen.PPO(environments=4, rollout=8, minibatches=1)
    experiment = unseen.Experiment("heavenhell-1", unseen.Agent(memory=unseen.GRU(8)), algorithm, env_steps=64)
    shared_by_two = CompiledSeeds(experiment, make("heavenhell-1"))
    assert shared_by_two.spread.sharing == 2
    limit = shared_by_two.memory - 1
    monkeypatch.setattr("unseen.experiments.compiled.too_large", lambda needed: needed > limit)
    alone = CompiledSeeds(experiment, make("heavenhell-1"))
    assert alone.spread.sharing == 1
    assert alone.memory <= limit


def test_a_container_s_quota_bounds_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    assert platform.available_cores(tmp_path) == 64
    for text, cores in (("max 100000\n", 64), ("200000 100000\n", 2), ("150000 100000\n", 2), ("1000 100000\n", 1), ("junk", 64)):
        (tmp_path / "cpu.max").write_text(text)
        assert platform.available_cores(tmp_path) == cores
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    for quota, cores in ((-1, 64), (300_000, 3)):
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        assert platform.available_cores(tmp_path) == cores
