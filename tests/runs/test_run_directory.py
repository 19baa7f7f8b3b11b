"""A run directory takes up its own experiment, refuses any other, lets one process in, and resumes to the row."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import unseen
from unseen.errors import UserError
from unseen.runs import checkpoints
from unseen.runs.directory import RunDirectory
from unseen.runs.tensors import CheckpointError

TOML = """
environment = "heavenhell-3"
env_steps = 1000
[agent]
memory = {kind = "gru", size = 128}
signals = ["heaven"]
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(unseen.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}


def test_a_new_run_has_everything_it_promises(tmp_path):
    with RunDirectory.create(tmp_path / "runs" / "first", TOML, {"python": "3.11"}) as run:
        assert {"experiment.toml", "versions.json", "metrics", "checkpoints", "episodes"} <= set(os.listdir(run.path))
        assert run.experiment["agent"]["signals"] == ["heaven"]
        assert run.resume() is None
    opened = RunDirectory.open(tmp_path / "runs" / "first")
    assert opened.experiment_toml == TOML
    assert opened.experiment == run.experiment
    assert opened.versions == {"python": "3.11"}
    assert opened.read_metrics().height == 0
    assert opened.report == tmp_path / "runs" / "first" / "report.html"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("size = 128", "size = 64"), "agent.memory.size is 128 there and 64 here"),
        (('"heaven"', '"heaven", "state"'), "agent.signals[1] is absent there and 'state' here"),
        (('environment = "heavenhell-3"', ""), "environment is 'heavenhell-3' there and absent here"),
        (("env_steps = 1000", "env_steps = 2000"), "env_steps is 1000 there and 2000 here"),
    ],
)
def test_another_experiment_is_refused_with_the_first_difference(tmp_path, change, told):
    RunDirectory.create(tmp_path, TOML).close()
    with pytest.raises(UserError) as caught:
        RunDirectory.create(tmp_path, TOML.replace(*change))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert RunDirectory.open(tmp_path).experiment_toml == TOML


def test_the_same_experiment_written_otherwise_is_taken_up(tmp_path):
    RunDirectory.create(tmp_path, TOML).close()
    reordered = """
# a comment
env_steps = 1_000
environment = "heavenhell-3"
[agent]
signals = ["heaven"]
[agent.memory]
size = 128
kind = "gru"
"""
    RunDirectory.create(tmp_path, reordered).close()


def test_extending_keeps_the_new_value(tmp_path):
    RunDirectory.create(tmp_path, TOML).close()
    longer = TOML.replace("1000", "2000")
    RunDirectory.create(tmp_path, longer, ignore=("env_steps",)).close()
    assert RunDirectory.open(tmp_path).experiment["env_steps"] == 2000
    with pytest.raises(UserError, match=r"agent\.memory\.size"):
        RunDirectory.create(tmp_path, longer.replace("128", "64"), ignore=("env_steps",))


@pytest.mark.parametrize("name", ["x" * 300, "/proc/run"])
def test_a_name_that_no_folder_can_have_is_told(tmp_path, name):
    with pytest.raises(UserError, match="cannot write") as error:
        RunDirectory.create(tmp_path / name, TOML)
    assert "\n" not in str(error.value)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"not a run directory \(it holds 'thesis.tex'\)"):
        RunDirectory.create(tmp_path, TOML)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "run").write_text("")
    for path in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(UserError, match="a file is in the way"):
            RunDirectory.create(path, TOML)


@pytest.mark.parametrize("address", ["s3://bucket/run", "gs://bucket/run"])
def test_an_address_is_not_taken_for_a_folder_name(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not a local directory"):
        RunDirectory.create(address, TOML)
    assert os.listdir(tmp_path) == []


def test_bad_toml_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UserError, match="the experiment is not valid TOML"):
        RunDirectory.create(tmp_path / "run", "environment = ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", [b"environment = ", b"\xff\xfe", b"a = " + b"[" * 10_000])
def test_a_damaged_experiment_is_told(tmp_path, damage):
    RunDirectory.create(tmp_path, TOML).close()
    (tmp_path / "experiment.toml").write_bytes(damage)
    for act in (lambda: RunDirectory.open(tmp_path), lambda: RunDirectory.create(tmp_path, TOML)):
        with pytest.raises(UserError, match="is not valid TOML"):
            act()


def test_opening_nothing_is_told(tmp_path):
    with pytest.raises(UserError, match="no run directory at"):
        RunDirectory.open(tmp_path)
    assert os.listdir(tmp_path) == []


def test_reading_does_not_write(tmp_path):
    RunDirectory.create(tmp_path, TOML).close()
    run = RunDirectory.open(tmp_path)
    for act in (lambda: run.metrics, run.resume, lambda: run.save(0, {})):
        with pytest.raises(UserError, match="open for reading only"):
            act()


def test_changed_versions_are_added_to_the_earlier_ones(tmp_path):
    for version in ("1", "1", "2", "3"):
        RunDirectory.create(tmp_path, TOML, {"jax": version}).close()
    assert RunDirectory.open(tmp_path).versions == {"jax": "3", "earlier": [{"jax": "1"}, {"jax": "2"}]}
    (tmp_path / "versions.json").write_text("{")
    RunDirectory.create(tmp_path, TOML, {"jax": "4"}).close()
    assert json.loads((tmp_path / "versions.json").read_text()) == {"jax": "4"}


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path):
    with RunDirectory.create(tmp_path, TOML):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()} on "):
            RunDirectory.create(tmp_path, TOML)
        RunDirectory.open(tmp_path)  # reading is for everybody
    RunDirectory.create(tmp_path, TOML).close()
    RunDirectory.create(tmp_path, TOML)  # dropped without closing
    RunDirectory.create(tmp_path, TOML).close()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    script = """
import sys, time
from unseen.runs import RunDirectory
run = RunDirectory.create(sys.argv[1], sys.argv[2])
print("in", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path), TOML], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as child:
        assert child.stdout.readline() == "in\n"
        with pytest.raises(UserError, match=f"in use by process {child.pid}"):
            RunDirectory.create(tmp_path, TOML)
        child.kill()
    assert str(child.pid) in (tmp_path / ".lock").read_text()
    RunDirectory.create(tmp_path, TOML).close()


def test_metrics_are_on_disk_before_the_checkpoint_that_ends_their_interval(tmp_path, monkeypatch):
    with RunDirectory.create(tmp_path, TOML) as run:
        run.metrics.append(seed=0, env_steps=10, wall_s=0.0, values={"return": 1.0})
        seen = []
        monkeypatch.setattr(checkpoints, "save", lambda *args, **kwargs: seen.append(run.read_metrics().height) or tmp_path)
        run.save(10, {})
        assert seen == [1]


def advance(run, first, last):
    for step in range(first, last):
        run.metrics.append(seed=np.arange(2), env_steps=step, wall_s=0.0, values={"return": np.array([step, -step])})
        run.save(step, {"step": np.array(step)})


def rows(last):
    return [(seed, step, float(step if seed == 0 else -step)) for step in range(last) for seed in (0, 1)]


def told(run):
    return run.read_metrics().select("seed", "env_steps", "value").rows()


def test_resume_undoes_what_came_after_the_last_good_checkpoint(tmp_path):
    with RunDirectory.create(tmp_path, TOML) as run:
        advance(run, 0, 6)
        run.metrics.append(seed=0, env_steps=6, wall_s=0.0, values={"return": 0.0})
        run.metrics.flush(6)  # and then a kill before the checkpoint
    manifest = tmp_path / "checkpoints" / "5" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-2])
    with RunDirectory.create(tmp_path, TOML) as run:
        checkpoint = run.resume()
        assert checkpoint.step == 4
        assert checkpoint.skipped == ((5, "manifest.json is damaged"),)
        assert told(run) == rows(5)
        advance(run, 5, 8)
        assert told(run) == rows(8)
        assert run.load().step == 7
        assert run.load().skipped == ()


def test_resume_from_a_chosen_step(tmp_path):
    with RunDirectory.create(tmp_path, TOML) as run:
        advance(run, 0, 6)
        assert run.resume(3).step == 3
        assert told(run) == rows(4)
        assert checkpoints.steps(run.checkpoints) == [3]


def test_a_run_killed_before_its_first_checkpoint_starts_afresh(tmp_path):
    with RunDirectory.create(tmp_path, TOML) as run:
        run.metrics.append(seed=0, env_steps=0, wall_s=0.0, values={"return": 0.0})
        run.metrics.flush(0)
        assert run.resume() is None
        assert told(run) == []


def test_when_no_checkpoint_is_good_nothing_is_thrown_away(tmp_path):
    with RunDirectory.create(tmp_path, TOML) as run:
        advance(run, 0, 3)
        for step in range(3):
            (run.checkpoints / str(step) / "manifest.json").write_text("")
        with pytest.raises(CheckpointError, match="no good checkpoint"):
            run.resume()
        assert told(run) == rows(3)
        assert checkpoints.steps(run.checkpoints) == [2, 1, 0]


CHILD = f"""
import sys
import numpy as np
import pyarrow
from unseen.runs import RunDirectory, metrics
metrics._MERGE = 3
pyarrow.array([0])  # its first array is slow; the kills are to fall into what follows
with RunDirectory.create(sys.argv[1], {TOML!r}) as run:
    checkpoint = run.resume()
    step = 0 if checkpoint is None else checkpoint.step + 1
    total = 0 if checkpoint is None else int(checkpoint.arrays["total"])
    print("ready", flush=True)
    while True:
        total = (total * 31 + step) % 1_000_003
        run.metrics.append(seed=0, env_steps=step, wall_s=0.0, values={{"total": total}})
        if step % 3:
            run.metrics.flush(step)
        else:
            run.save(step, {{"total": np.array(total)}})
        step += 1
"""


@pytest.mark.slow
def test_metrics_of_a_run_killed_again_and_again_are_those_of_a_run_never_killed(tmp_path):
    rng = np.random.default_rng(0)
    for kill in range(200):
        if kill >= 20 and (checkpoints.latest(tmp_path / "checkpoints") or 0) > 20:  # a busy machine needs more of them
            break
        with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as child:
            assert child.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0, 0.12))
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
    with RunDirectory.create(tmp_path, TOML) as run:
        checkpoint = run.resume()
        assert checkpoint.step > 20
        assert checkpoint.skipped == ()
        total, expected = 0, []
        for step in range(checkpoint.step + 1):
            total = (total * 31 + step) % 1_000_003
            expected.append((0, step, float(total)))
        assert told(run) == expected
        assert checkpoint.arrays["total"] == total
