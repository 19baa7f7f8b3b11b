"""A full disk stops with one line and leaves everything already written readable."""

import builtins
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import unseen
from unseen.errors import UserError
from unseen.runs import checkpoints, files, metrics
from unseen.runs.directory import RunDirectory
from unseen.runs.files import DiskFull

TOML = 'environment = "tiger"\n'


class FailingDisk:
    """Lets `after` operations of a kind through, then reports no space, once half of a write has gone through."""

    def __init__(self, monkeypatch, kind, after, code=errno.ENOSPC):
        self.left, self.code, self.failed = after, code, False
        if kind == "write":
            monkeypatch.setattr(files, "open", self.open, raising=False)
        else:
            plain = getattr(os, kind)
            monkeypatch.setattr(os, kind, lambda *args, **kwargs: (self.spend(), plain(*args, **kwargs))[1])

    def spend(self):
        self.left -= 1
        if self.left < 0:
            self.failed = True
            raise OSError(self.code, os.strerror(self.code))

    def open(self, path, mode):
        file = builtins.open(path, mode)  # noqa: SIM115 - the caller closes it
        return file if "x" not in mode else HalfWritten(file, self)


class HalfWritten:
    def __init__(self, file, disk):
        self.file, self.disk = file, disk
        self.flush, self.fileno = file.flush, file.fileno

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.disk.spend()
        self.file.write(data[len(data) // 2 :])


def contents(step):
    return {"w": np.full(50, step, np.float32)}


def assert_no_more_than(folder, names):
    assert {name for name in os.listdir(folder) if name.startswith(".")} <= names


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize(("kind", "operations"), [("write", 2), ("fsync", 4), ("rename", 1), ("mkdir", 1)])
def test_a_checkpoint_that_finds_no_room_at_any_operation(tmp_path, monkeypatch, kind, operations, code):
    for step in (1, 2):
        checkpoints.save(tmp_path, step, contents(step))
    for after in range(operations):
        with monkeypatch.context() as context:
            disk = FailingDisk(context, kind, after, code)
            with pytest.raises(DiskFull, match="free some space and run the same command again") as caught:
                checkpoints.save(tmp_path, 3, contents(3))
            assert disk.failed
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, UserError)
        assert_no_more_than(tmp_path, set())  # the half-written one does not fill the disk further
        loaded = checkpoints.load(tmp_path)
        assert loaded.step == 2 or (kind, after) == ("fsync", operations - 1)  # there it is complete, but perhaps not durable
        assert (loaded.arrays["w"] == loaded.step).all()
        assert loaded.skipped == ()
    checkpoints.save(tmp_path, 4, contents(4))
    assert checkpoints.load(tmp_path).step == 4


@pytest.mark.parametrize(("kind", "operations"), [("write", 1), ("fsync", 1), ("replace", 1)])
def test_metrics_that_find_no_room_stay_in_memory(tmp_path, monkeypatch, kind, operations):
    writer = metrics.MetricsWriter(tmp_path)
    for step in range(3):
        writer.append(seed=0, env_steps=step, wall_s=0.0, values={"return": float(step)})
        if step < 2:
            writer.flush(step)
    for after in range(operations):
        with monkeypatch.context() as context:
            FailingDisk(context, kind, after)
            with pytest.raises(DiskFull):
                writer.flush(2)
        assert_no_more_than(tmp_path, set())
        assert metrics.read(tmp_path)["value"].to_list() == [0.0, 1.0]
    writer.flush(2)
    assert metrics.read(tmp_path)["value"].to_list() == [0.0, 1.0, 2.0]


def test_merging_that_finds_no_room_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "_MERGE", 2)
    writer = metrics.MetricsWriter(tmp_path)
    for step in range(2):
        writer.append(seed=0, env_steps=step, wall_s=0.0, values={"return": float(step)})
        with monkeypatch.context() as context:
            disk = FailingDisk(context, "replace", 1)
            assert writer.flush(step) is not None
    assert disk.failed
    assert metrics.read(tmp_path)["value"].to_list() == [0.0, 1.0]


@pytest.mark.parametrize(("kind", "operations"), [("write", 2), ("fsync", 8), ("replace", 2), ("mkdir", 4)])
def test_a_run_directory_that_finds_no_room_can_be_made_later(tmp_path, monkeypatch, kind, operations):
    for after in range(operations):
        folder = tmp_path / f"run-{after}"
        with monkeypatch.context() as context:
            disk = FailingDisk(context, kind, after)
            with pytest.raises(DiskFull):
                RunDirectory.create(folder, TOML, {"python": "3"})
            assert disk.failed
        with RunDirectory.create(folder, TOML, {"python": "3"}) as run:
            assert run.experiment == {"environment": "tiger"}


def test_a_real_limit_of_the_operating_system(tmp_path):
    """The kernel refuses to let any file grow beyond 64 KiB; no part of the package is replaced."""
    pytest.importorskip("resource", reason="only POSIX limits file sizes")
    script = f"""
import resource, sys
import numpy as np
from unseen.runs import RunDirectory
from unseen.runs.files import DiskFull
resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
with RunDirectory.create({str(tmp_path / "run")!r}, {TOML!r}) as run:
    run.metrics.append(seed=0, env_steps=1, wall_s=0.0, values={{"return": 1.0}})
    run.save(1, {{"w": np.ones(100)}})
    run.metrics.append(seed=0, env_steps=2, wall_s=0.0, values={{"return": 2.0}})
    try:
        run.save(2, {{"w": np.ones(100_000)}})
    except DiskFull as error:
        print(error)
"""
    source = str(Path(unseen.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": source}
    )
    assert done.stdout.startswith("no space left while writing")
    assert done.stdout.count("\n") == 1
    run = RunDirectory.open(tmp_path / "run")
    assert run.load().step == 1
    assert run.read_metrics()["value"].to_list() == [1.0, 2.0]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_place_that_may_not_be_written_is_told_in_one_line(tmp_path, monkeypatch, code):
    FailingDisk(monkeypatch, "mkdir", 0, code)
    with pytest.raises(UserError, match=r"cannot write .*; choose a directory you may write to"):
        RunDirectory.create(tmp_path / "run", TOML)


def test_other_troubles_of_the_disk_are_not_called_full(tmp_path, monkeypatch):
    FailingDisk(monkeypatch, "fsync", 0, errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        checkpoints.save(tmp_path, 1, contents(1))
    monkeypatch.undo()
    assert_no_more_than(tmp_path, set())
