"""The file an environment is made of stays with the run: copied once, the same ever after, found again when it has moved."""

import hashlib
import json
import os

import pytest

from unseen.errors import UserError
from unseen.runs import sources
from unseen.runs.directory import RunDirectory

OLD, NEW = b"discount: 0.95", b"discount: 0.99"


def started(tmp_path, data=OLD):
    path = tmp_path / "tiger.pomdp"
    path.write_bytes(data)
    toml = f"environment = {json.dumps(str(path))}\n"
    with RunDirectory.create(tmp_path / "run", toml, source=sources.read(tmp_path / "run", str(path))) as run:
        return path, run.path, toml


def test_the_copy_and_its_digest_are_kept(tmp_path):
    path, run, _ = started(tmp_path)
    assert (run / "environment.pomdp").read_bytes() == OLD
    assert json.loads((run / "environment.json").read_text()) == {"path": str(path), "sha256": hashlib.sha256(OLD).hexdigest()}


def test_names_that_are_no_paths_have_no_source(tmp_path):
    assert sources.read(tmp_path, "heavenhell-3") is None
    assert sources.read(tmp_path, "gym:CartPole-v1") is None
    assert sources.read(tmp_path, str(tmp_path / "nowhere.pomdp")) is None
    (tmp_path / "folder.pomdp").mkdir()
    assert sources.read(tmp_path, str(tmp_path / "folder.pomdp")) is None


def test_a_changed_file_is_refused_and_nothing_is_written(tmp_path):
    path, run, toml = started(tmp_path)
    path.write_bytes(NEW)
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file() and file.name != ".lock"}
    with pytest.raises(UserError) as error:
        sources.read(run, str(path))
    for word in (
        str(path),
        hashlib.sha256(OLD).hexdigest()[:8],
        hashlib.sha256(NEW).hexdigest()[:8],
        "environment.pomdp back in its place",
    ):
        assert word in str(error.value)
    with pytest.raises(UserError, match="is not the file that the run"):
        RunDirectory.create(run, toml + "env_steps = 5\n", ignore=("env_steps",), source=sources.Source(str(path), NEW))
    assert before == {file.name: file.read_bytes() for file in run.iterdir() if file.is_file() and file.name != ".lock"}


def test_the_original_serves_while_it_is_the_same_and_the_copy_when_not(tmp_path):
    path, run, _ = started(tmp_path)
    assert sources.usable(run, str(path)) == path
    path.write_bytes(NEW)
    assert sources.usable(run, str(path)) == run / "environment.pomdp"
    path.unlink()
    assert sources.usable(run, str(path)) == run / "environment.pomdp"
    source = sources.read(run, str(path))
    assert source is not None
    assert source.data == OLD


@pytest.mark.parametrize("damage", ["changed", "missing", "link"])
def test_a_copy_that_is_not_what_the_run_began_with_is_not_used(tmp_path, damage):
    path, run, _ = started(tmp_path)
    (run / "environment.pomdp").unlink()
    if damage == "changed":
        (run / "environment.pomdp").write_bytes(NEW)
    if damage == "link":
        os.rename(path, tmp_path / "elsewhere")
        (run / "environment.pomdp").symlink_to(tmp_path / "elsewhere")
    path.unlink(missing_ok=True)
    with pytest.raises(UserError, match="is the file that this run began with"):
        sources.usable(run, str(path))


def test_a_lost_copy_is_made_again_from_the_same_file(tmp_path):
    path, run, toml = started(tmp_path)
    (run / "environment.pomdp").unlink()
    RunDirectory.create(run, toml, source=sources.read(run, str(path))).close()
    assert (run / "environment.pomdp").read_bytes() == OLD


def test_a_run_begun_before_copies_were_kept_takes_the_file_there_is(tmp_path):
    path, run, toml = started(tmp_path)
    (run / "environment.pomdp").unlink()
    (run / "environment.json").unlink()
    assert sources.usable(run, str(path)) == path
    RunDirectory.create(run, toml, source=sources.read(run, str(path))).close()
    assert (run / "environment.pomdp").read_bytes() == OLD


def test_a_start_killed_before_its_experiment_was_written_leaves_no_trace(tmp_path):
    path, run, _ = started(tmp_path)
    (run / "experiment.toml").unlink()
    other = tmp_path / "other.pomdp"
    other.write_bytes(NEW)
    toml = f"environment = {json.dumps(str(other))}\n"
    RunDirectory.create(run, toml, source=sources.read(run, str(other))).close()
    assert (run / "environment.pomdp").read_bytes() == NEW
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"path": 1}', "[" * 10_000, "\0"])
def test_a_damaged_record_is_told(tmp_path, text):
    path, run, _ = started(tmp_path)
    (run / "environment.json").write_text(text)
    for act in (lambda: sources.usable(run, str(path)), lambda: sources.read(run, str(path))):
        with pytest.raises(UserError, match=r"environment\.json is damaged"):
            act()
