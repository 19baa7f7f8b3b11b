"""A run that was stopped, killed or damaged goes on as if nothing had happened: bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import TINY, small, stop_after

import unseen
from unseen.experiments.seeds import Layout
from unseen.experiments.train import extend
from unseen.runs import checkpoints


def changed(algorithm, **settings):
    experiment = small(algorithm)
    return replace(experiment, algorithm=replace(experiment.algorithm, **settings))


def values(run):
    """Metrics without the columns that tell the time."""
    return run.metrics().filter(pl.col("metric") != "steps_per_s").drop("wall_s")


def assert_same(run, other):
    assert values(run).equals(values(other), null_equal=True)
    a, b = (checkpoints.load(r.directory / "checkpoints").arrays for r in (run, other))
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {name: unseen.train(small(name), folder / name) for name in ("a2c", "ppo")}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["a2c", "ppo"])
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(split=st.integers(1, 4))
def test_stopped_and_resumed_is_the_uninterrupted_run(algorithm, split, uninterrupted, tmp_path_factory):
    directory = tmp_path_factory.mktemp("split") / "run"
    unseen.train(small(algorithm), directory, callbacks=[stop_after(split)])
    assert len(values(unseen.load(directory))) < len(values(uninterrupted[algorithm]))
    assert_same(unseen.train(small(algorithm), directory), uninterrupted[algorithm])


@pytest.mark.slow
@pytest.mark.parametrize("given", [None, 5, 100, 600], ids=lambda n: f"asked-for-{n}")
def test_extended_is_the_longer_run_whatever_interval_is_asked_for(given, uninterrupted, tmp_path):
    unseen.train(small(env_steps=300), tmp_path / "run")
    if given is None:
        extended = extend(tmp_path / "run", 600)
    else:
        extended = unseen.train(small(report_every=given), tmp_path / "run", extend=600)
    assert extended.experiment == small(env_steps=600)
    assert_same(extended, uninterrupted["a2c"])
    with pytest.raises(unseen.UserError, match="extend = 100; the run's budget is already 600"):
        extend(tmp_path / "run", 100)


@pytest.mark.slow
def test_extended_with_the_default_interval_logs_as_often_as_before(tmp_path):
    e = small("ppo", env_steps=6_400, report_every=0)  # 64 steps between rows, 128 when extended
    unseen.train(e, tmp_path / "run")
    steps = unseen.train(replace(e, env_steps=12_800), tmp_path / "run", extend=12_800).metrics().filter(metric="return")["env_steps"]
    first, second = (steps.is_between(low, low + 6_400).sum() for low in (1, 6_401))
    assert first > 50
    assert second > 50


# What each holds besides networks and optimisers must be in the checkpoint, or the resumed run is another one.
OTHERS = {
    "lru": (small(agent=replace(TINY, memory=unseen.LRU(8))), "agent.actor.trunk.memory"),
    "reset-pool": (small(env_steps=1_500, report_every=250, reset_pool=64), "source.entries"),
    "ppo-reset-pool": (small("ppo", env_steps=1_500, report_every=250, reset_pool=64), "source.entries"),
    "recomputed-carries": (changed("ppo", carries="recomputed"), "before"),
    "normalised-returns": (changed("ppo", normalise_returns=True), "returns"),
    "lagging-actors": (changed("vtrace", lag=2), "actors"),
    "auxiliary-loss": (small("ppo", agent=replace(TINY, auxiliary=unseen.CPC(steps=3))), "agent.auxiliary"),
    "slots": (small("ppo", agent=replace(TINY, memory=unseen.MEM(unseen.LSTM(8), 100, 3, 4))), "lanes.carry"),
    "previous-reward": (
        replace(small("ppo", agent=replace(TINY, previous_reward=True)), environment="higher-lower-easy"),
        "lanes.previous_reward",
    ),
    "normalised-observations": (
        replace(small("ppo", agent=replace(TINY, normalise_observations=True)), environment="car-flag"),
        "agent.statistics",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_whatever_a_run_keeps_is_resumed_bit_for_bit(name, tmp_path):
    experiment, kept = OTHERS[name]
    whole = unseen.train(experiment, tmp_path / "whole", save_every_s=0.0)
    unseen.train(experiment, tmp_path / "split", callbacks=[stop_after(3)])
    halfway = checkpoints.load(tmp_path / "split" / "checkpoints").arrays
    final = checkpoints.load(whole.directory / "checkpoints").arrays
    assert any(n.startswith(kept) and not np.array_equal(a, final[n]) for n, a in halfway.items())  # it does change meanwhile
    assert_same(unseen.train(experiment, tmp_path / "split"), whole)


def spread(monkeypatch, devices, width):
    monkeypatch.setattr("unseen.experiments.compiled.layout", lambda seeds, *_: Layout(seeds, devices, width))


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [((2, 1), (1, 1)), ((1, 1), (2, 1)), ((2, 1), (1, 2))], ids=str)
def test_a_run_goes_on_with_another_number_of_devices(before, after, tmp_path, monkeypatch):
    e = small("ppo", seeds=3)
    spread(monkeypatch, *before)
    whole = unseen.train(e, tmp_path / "whole")
    unseen.train(e, tmp_path / "split", callbacks=[stop_after(2)])
    assert {len(a) for a in checkpoints.load(tmp_path / "split" / "checkpoints").arrays.values()} == {3}
    spread(monkeypatch, *after)
    resumed = unseen.train(e, tmp_path / "split")
    if after[1] == 1:  # seeds mapped one by one, on whatever device: the same program for each
        assert_same(resumed, whole)
    else:  # under vmap products are summed in another order
        a, b = values(resumed), values(whole)
        assert a.drop("value").equals(b.drop("value"))
        np.testing.assert_allclose(a["value"], b["value"], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_padded_rows_of_an_older_checkpoint_are_passed_over(tmp_path):
    e = small("ppo", seeds=3)
    whole = unseen.train(e, tmp_path / "whole")
    unseen.train(e, tmp_path / "split", callbacks=[stop_after(2)])
    folder = tmp_path / "split" / "checkpoints"
    saved = checkpoints.load(folder)
    older = {name: np.concatenate([a, a[-1:]]) for name, a in saved.arrays.items()}
    checkpoints.save(folder, saved.step, older, saved.meta)
    assert_same(unseen.train(e, tmp_path / "split"), whole)


@pytest.mark.slow
def test_a_damaged_checkpoint_falls_back_to_the_one_before(uninterrupted, tmp_path, capsys):
    directory = tmp_path / "run"
    unseen.train(small(), directory, callbacks=[stop_after(4)], save_every_s=0.0)
    newest = max((directory / "checkpoints").iterdir(), key=lambda p: int(p.name) if p.name.isdigit() else -1)
    file = newest / "arrays.safetensors"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(bytes(data))
    run = unseen.train(small(), directory)
    assert "is damaged and was passed over" in capsys.readouterr().out
    assert_same(run, uninterrupted["a2c"])


SCRIPT = """
import sys; sys.path.insert(0, {tests!r})
import unseen
from small import small
print("ready", flush=True)
tell = lambda i: print(i.fraction, flush=True)
unseen.train(small(env_steps=200_000, report_every=100), {directory!r}, save_every_s=0.0, callbacks=[tell])
"""


def start(directory):
    tests = os.path.dirname(__file__)
    script = textwrap.dedent(SCRIPT.format(tests=tests, directory=str(directory)))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_run_loses_at_most_the_work_since_its_last_checkpoint(tmp_path):
    process = start(tmp_path / "run")
    for _ in range(4):  # "ready" and three intervals
        process.stdout.readline()
    time.sleep(0.05)
    process.kill()
    process.communicate()
    before = checkpoints.load(tmp_path / "run" / "checkpoints").step
    assert before >= 2
    run = extend(tmp_path / "run", 200_000, callbacks=[stop_after(1)])
    assert checkpoints.load(tmp_path / "run" / "checkpoints").step == before + 1
    rows = run.metrics().filter(metric="return")
    assert len(rows) == before + 1  # none lost, none twice


@pytest.mark.slow
def test_sigterm_saves_and_stops(tmp_path):
    process = start(tmp_path / "run")
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "can be resumed" in err
    saved = checkpoints.load(tmp_path / "run" / "checkpoints").step
    assert len(unseen.load(tmp_path / "run").metrics().filter(metric="return")) == saved


def test_another_experiment_in_the_directory_is_refused(tmp_path):
    unseen.train(small(env_steps=100), tmp_path / "run")
    with pytest.raises(unseen.UserError, match=r"algorithm\.kind"):
        unseen.train(small("ppo", env_steps=100), tmp_path / "run")
    assert unseen.load(tmp_path / "run").experiment == small(env_steps=100)
