"""A run directory from a stranger: taking it up touches nothing outside of it."""

import os

import pytest

from unseen.errors import UserError
from unseen.runs.directory import RunDirectory
from unseen.runs.lock import lock

TOML = 'environment = "heavenhell-3"\n'
PRECIOUS = "years of work"


@pytest.fixture
def precious(tmp_path):
    file = tmp_path / "home" / "thesis.tex"
    file.parent.mkdir()
    file.write_text(PRECIOUS)
    yield file
    assert file.read_text() == PRECIOUS
    assert os.listdir(file.parent) == ["thesis.tex"]


@pytest.fixture
def run(tmp_path):
    RunDirectory.create(tmp_path / "run", TOML).close()
    (tmp_path / "run" / ".lock").unlink()
    return tmp_path / "run"


def refused(run, message):
    with pytest.raises(UserError, match=message) as error:
        RunDirectory.create(run, TOML)
    assert "\n" not in str(error.value)
    assert str(run) in str(error.value)


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_lock_that_is_a_link_is_not_written_through(run, precious, make):
    getattr(run / ".lock", make)(precious)
    refused(run, "is not an ordinary file")


def test_a_lock_that_leads_nowhere_makes_no_file(run, precious):
    (run / ".lock").symlink_to(precious.parent / "new")
    refused(run, "is not an ordinary file")


def test_a_lock_that_is_no_file_at_all(run):
    (run / ".lock").mkdir()
    refused(run, "is not an ordinary file")
    (run / ".lock").rmdir()
    os.mkfifo(run / ".lock")
    refused(run, "is not an ordinary file")


@pytest.mark.parametrize("content", [PRECIOUS, "{}", '{"pid": 1}', "\0"])
def test_a_file_of_that_name_that_is_not_ours_is_left_as_it_is(run, content):
    (run / ".lock").write_text(content)
    refused(run, "is not a lock that unseen wrote")
    assert (run / ".lock").read_text() == content


@pytest.mark.parametrize("left", ["", "{", '{"process": 12', '{"process": 12, "host": "h", "since": "2026-01-01"}'])
def test_what_a_killed_process_left_of_its_note_is_taken_over(run, left):
    (run / ".lock").write_text(left)
    RunDirectory.create(run, TOML).close()
    assert f'{{"process": {os.getpid()}, ' in (run / ".lock").read_text()


def test_a_refused_lock_is_let_go(run):
    (run / ".lock").write_text(PRECIOUS)
    refused(run, "is not a lock that unseen wrote")
    (run / ".lock").write_text("")
    lock(run / ".lock")()


FOLDERS = ("metrics", "checkpoints", "episodes", "tensorboard")
FILES = ("experiment.toml", "versions.json", "report.html", "environment.pomdp", "environment.json")


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_a_link_that_leads_out_is_refused(run, precious, name):
    entry = run / name
    if entry.is_dir():
        entry.rmdir()
    entry.unlink(missing_ok=True)
    entry.symlink_to(precious if name in FILES else precious.parent)
    refused(run, "is a link that leads out of the run directory")


def test_a_link_that_leads_round_in_a_circle_is_refused(run):
    (run / "metrics").rmdir()
    (run / "metrics").symlink_to(run / "metrics")
    refused(run, "a file is in the way")


def test_links_inside_and_to_the_run_directory_are_fine(run, tmp_path):
    (run / "metrics").rmdir()
    (run / "elsewhere").mkdir()
    (run / "metrics").symlink_to("elsewhere")
    (tmp_path / "latest").symlink_to(run)
    RunDirectory.create(tmp_path / "latest", TOML).close()
    RunDirectory.create(run, TOML).close()


def test_reading_a_run_with_links_is_for_everybody(run, precious):
    (run / "episodes").rmdir()
    (run / "episodes").symlink_to(precious.parent)
    assert RunDirectory.open(run).experiment == {"environment": "heavenhell-3"}
