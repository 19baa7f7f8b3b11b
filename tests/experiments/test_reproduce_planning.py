"""`reproduce planning` at a scale of seconds: everything is made once, goes on where it was, and ends in a page and plain figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from unseen.commands.reproduce import reproduce
from unseen.errors import UserError
from unseen.experiments.reproduce import planning
from unseen.planning.sft import SFT
from unseen.reports.planning_reproduced import as_json, page

TINY = replace(
    planning.SCALES["smoke"],
    lessons=30,
    sft=SFT(updates=6, batch=8, save_every=3),
    hidden=16,
    layers=1,
    heads=2,
    schedules=("never", "every:2", "dynamic"),
    episodes=4,
    states=6,
    replicates=2,
    minutes=None,
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(planning.SCALES, "tiny", TINY)


@pytest.mark.slow
def test_a_reproduction_is_made_once_and_told_on_a_page(tmp_path: Path, tiny, capsys: pytest.CaptureFixture[str]):
    report = reproduce("planning", "tiny", tmp_path)
    first = capsys.readouterr().out
    assert "student: update 6 of 6" in first
    assert "twin: update 6 of 6" in first
    figures = json.loads((tmp_path / "results.json").read_text())
    assert {"never", "every:2", "dynamic", "teacher", "twin, never"} == set(figures["schedules"])
    assert figures["schedules"]["teacher"]["success"]["mean"] > 0.8
    assert figures["schedules"]["never"]["planned"]["mean"] == 0.0
    text = report.read_text()
    for word in ("twin", "every:2", "What a new plan was worth", "Does it obey"):
        assert word in text
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix in (".parquet", ".safetensors")}
    reproduce("planning", "tiny", tmp_path)
    assert "update" not in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_cut_run_says_what_is_missing(tmp_path: Path, tiny):
    results = planning.run(tmp_path, "tiny", minutes=1e-9, say=lambda _: None)
    assert results.taught is None
    assert "Not run" in [section.title for section in page(results).sections]
    assert as_json(results)["schedules"] == {}


def test_student_and_twin_speak_the_same_words(tmp_path: Path, tiny):
    results = planning.run(tmp_path, "tiny", say=lambda _: None)
    assert results.twin is not None
    student, twin = ((tmp_path / name / "checkpoint" / "model" / "tokenizer.json").read_text() for name in ("student", "twin"))
    assert student == twin


def test_unknown_scales_and_other_directories_are_refused(tmp_path: Path, tiny):
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        planning.run(tmp_path, "smok")
    planning.run(tmp_path, "tiny", minutes=1e-9, say=lambda _: None)
    with pytest.raises(UserError, match="holds scale 'tiny'"):
        planning.run(tmp_path, "smoke")
