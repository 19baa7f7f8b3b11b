import os
import signal
import time

import numpy as np
import pytest
from counter import DIE, HANG, RAISE, Counter, Crash

from unseen.environments.adapters import EnvironmentCrash, ExternalEnvironment, external
from unseen.errors import UserError


@pytest.fixture
def batch():
    """A factory of worker batches that are closed whatever happens."""
    made = []

    def make(*args, **kwargs):
        made.append(external(*args, **kwargs))
        return made[-1]

    yield make
    for env in made:
        env.close()
        env.close()  # harmless


def assert_same(ours, theirs):
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("num_envs", "workers"), [(3, 2), (2, 1)])
def test_the_same_stream_as_in_one_process(batch, num_envs, workers):
    ours, theirs = batch(Counter, num_envs, workers=workers), external(Counter, num_envs)
    assert isinstance(ours, ExternalEnvironment)
    for fact in ("name", "num_envs", "observation_space", "action_space", "signal_spaces", "dropped", "horizon", "supports_save"):
        assert getattr(ours, fact) == getattr(theirs, fact)
    rng = np.random.default_rng(0)
    mask = np.ones(num_envs, bool)
    for _ in range(12):
        seeds = rng.integers(1000, size=num_envs)
        for a, b in zip(ours.reset(seeds, mask), theirs.reset(seeds, mask)):
            assert_same(a, b)
        mask[:] = False
        while not mask.any():
            actions, active = rng.integers(2, size=num_envs), rng.random(num_envs) < 0.8
            a, b = ours.step(actions, active), theirs.step(actions, active)
            for x, y in zip(a, b):
                assert_same(x, y)
            assert_same(ours.action_mask(), theirs.action_mask())
            mask = a.terminated | a.truncated
    assert ours.restarts == 0


def test_registered_ids_are_found_in_the_worker_too(batch):
    ours, theirs = batch("MiniGrid-MemoryS7-v0", 2, workers=1), external("MiniGrid-MemoryS7-v0", 2)
    assert_same(ours.reset([1, 2])[0], theirs.reset([1, 2])[0])
    assert ours.horizon == 245


def test_saved_by_workers_loaded_without_and_back(batch):
    ours, theirs = batch(Counter, 3, workers=2), external(Counter, 3)
    ours.reset([13, 24, 4])
    ours.step(np.zeros(3, int))
    saved = ours.save()
    theirs.load(saved)
    expected = theirs.step(np.ones(3, int))
    assert expected.observation["inner.time"].tolist() == [2, 2, 2]
    ours.reset([1, 2, 3])
    ours.load(theirs.save())
    assert_same(ours.reset([5, 5, 5], np.array([True, False, False]))[0]["inner.time"], np.array([0, 2, 2], np.int32))
    assert ours.step(np.zeros(3, int)).observation["seed"][:, 0].tolist() == [5, 24, 4]
    with pytest.raises(UserError, match="holds 2 environments; this batch has 3"):
        ours.load(external(Counter, 2).save())


def test_a_killed_worker_truncates_its_episodes_and_goes_on(batch):
    env = batch(Counter, 3, workers=2)  # environments 0 and 1 share a process
    env.reset([13, 24, 34])  # lengths 5, 6, 6
    before = env.step(np.zeros(3, int))
    step = env.step(np.array([0, DIE, 0]))
    assert env.restarts == 1
    assert step.truncated.tolist() == [True, True, False]
    assert not step.terminated.any()
    assert step.reward.tolist() == [0, 0, 2]
    assert step.observation["inner.time"].tolist() == [1, 1, 2]  # the last known observation of what was lost
    assert step.observation["seed"][:, 0].tolist() == [13, 24, 34]
    assert step.signals["seed"].tolist() == before.signals["seed"].tolist()
    with pytest.raises(UserError, match=r"environments \[0, 1\] have ended"):
        env.step(np.zeros(3, int))
    env.reset([3, 4, 0], np.array([True, True, False]))
    after = env.step(np.zeros(3, int))
    assert after.observation["seed"][:, 0].tolist() == [3, 4, 34]
    assert after.observation["inner.time"].tolist() == [1, 1, 3]
    assert not after.truncated.any()


def test_a_signal_from_outside_is_survived_too(batch):
    env = batch(Counter, 2, workers=2)
    env.reset([13, 24])
    process = env._workers[0]._process
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    step = env.step(np.zeros(2, int))
    assert step.truncated.tolist() == [True, False]
    assert step.observation["inner.time"].tolist() == [0, 1]


def test_a_worker_that_died_in_a_reset_of_others_truncates_a_step_later(batch):
    env = batch(Counter, 2, workers=1, die_in_reset_of=99, max_restarts=1)
    env.reset([13, 24])
    env.step(np.zeros(2, int))
    process = env._workers[0]._process
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    observation, _ = env.reset([3, 0], np.array([True, False]))
    assert env.restarts == 1
    assert observation["seed"][:, 0].tolist() == [3, 24]
    assert not env.supports_save
    with pytest.raises(EnvironmentCrash, match="step once before saving"):
        env.save()
    step = env.step(np.zeros(2, int))
    assert env.supports_save
    assert step.truncated.tolist() == [False, True]
    assert step.observation["inner.time"].tolist() == [1, 1]
    with pytest.raises(EnvironmentCrash, match="2 worker processes have died, 1 may; the last one ended with exit code 7"):
        env.reset([0, 99], np.array([False, True]))


def test_a_resting_environment_learns_of_its_loss_when_it_is_wanted_again(batch):
    env = batch(Counter, 3, workers=1)
    env.reset([13, 24, 0])  # lengths 5, 6, 2
    env.step(np.zeros(3, int))
    env.step(np.zeros(3, int))  # environment 2 has ended
    step = env.step(np.array([DIE, 0, 0]), np.array([True, False, False]))
    assert step.truncated.tolist() == [True, False, False]
    step = env.step(np.zeros(3, int), np.array([False, True, False]))
    assert step.truncated.tolist() == [False, True, False]
    assert step.observation["inner.time"].tolist() == [2, 2, 2]
    with pytest.raises(UserError, match=r"environments \[1\] have ended"):
        env.step(np.zeros(3, int), np.array([False, True, False]))


def test_an_endless_crash_stops_after_max_restarts(batch):
    env = batch(Counter, 1, workers=1, max_restarts=2)
    for attempt in range(3):
        env.reset([13])
        if attempt < 2:
            assert env.step(np.array([DIE])).truncated[0]
    with pytest.raises(EnvironmentCrash, match="3 worker processes have died, 2 may; the last one ended with exit code 9"):
        env.step(np.array([DIE]))


def test_a_hanging_worker_is_replaced(batch):
    env = batch(Counter, 2, workers=2, timeout=4.0, max_restarts=1)
    env.reset([13, 24])
    started = time.monotonic()
    step = env.step(np.array([HANG, 0]))
    assert 4 <= time.monotonic() - started < 120
    assert step.truncated.tolist() == [True, False]
    env.reset([14, 0], np.array([True, False]))
    assert env.step(np.zeros(2, int)).observation["seed"][:, 0].tolist() == [14, 24]
    with pytest.raises(EnvironmentCrash, match="the last one has not answered for 4 s"):
        env.step(np.array([HANG, 0]))


def test_an_exception_is_raised_here_with_its_traceback(batch):
    env = batch(Counter, 2, workers=2)
    env.reset([13, 24])
    with pytest.raises(EnvironmentCrash, match="Counter: environment 0 raised ArithmeticError: the counter cannot subtract") as caught:
        env.step(np.array([RAISE, 0]))
    assert "counter.py" in caught.value.first_traceback
    assert env.restarts == 0


def test_an_environment_that_cannot_be_made_is_not_retried(batch):
    with pytest.raises(EnvironmentCrash, match="FileNotFoundError: no such level file"):
        batch(Crash, 2, workers=2)


def test_what_cannot_be_sent_to_a_worker_is_refused(batch):
    with pytest.raises(UserError, match="define it at the top level of a module"):
        batch(lambda: Counter(), 1, workers=1)
