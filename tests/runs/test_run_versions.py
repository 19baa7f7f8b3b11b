"""Versions name what is installed, and the commit only where there is one."""

import json
import platform
import subprocess
from importlib import metadata

from unseen.runs import versions


def test_everything_is_json_and_true():
    found = versions.collect(["cpu:0"], {"jax_enable_x64": False})
    assert json.loads(json.dumps(found)) == found
    assert found["python"] == platform.python_version()
    assert found["devices"] == ["cpu:0"]
    assert found["flags"] == {"jax_enable_x64": False}
    assert found["cpus"] >= 1
    for name in ("jax", "jaxlib", "numpy", "safetensors"):
        assert found["packages"][name] == metadata.version(name)


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_and_whether_files_differ_from_it(tmp_path):
    assert versions.git_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert versions.git_commit(tmp_path) is None
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    (tmp_path / "untracked").write_text("")
    assert versions.git_commit(tmp_path) == {"commit": git(tmp_path, "rev-parse", "HEAD"), "changed": False}
    (tmp_path / "file").write_text("2")
    assert versions.git_commit(tmp_path)["changed"] is True


def test_no_git_is_no_trouble(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert versions.git_commit() is None
