"""`reproduce planning` at a scale of seconds: everything is made once, goes on where it was, and ends in a page and plain figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from unseen.commands.reproduce import reproduce
from unseen.errors import UserError
from unseen.experiments.reproduce import planning, planning_rl
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
    episodes=16,
    states=6,
    replicates=2,
    minutes=None,
)


REINFORCED = planning_rl.Grid(
    "", TINY, planning_rl.VARIANTS[:3], replace(planning_rl.GRAPH, updates=12, live=4, steps=3, minibatch=12, warmup=1), 1, 4, 2
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(planning.SCALES, "tiny", TINY)
    monkeypatch.setattr(planning_rl, "GRIDS", {"tiny": (REINFORCED,)})


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
    for word in ("twin", "every:2", "What a new plan was worth", "Does it obey", "Reinforcement: graph-search", "best of 2"):
        assert word in text
    assert "Not run" not in text
    (grid,) = figures["reinforced"]
    assert [cell["variant"] for cell in grid["cells"]] == [variant.name for variant in planning_rl.VARIANTS[:3]]
    assert all(cell["env_steps"] == 12 * 4 * 3 for cell in grid["cells"])
    assert [cell["planned"] for cell in grid["cells"]][1] == 0.0
    assert ["above_own_fixed" in cell for cell in grid["cells"]] == [True, False, False]  # the primed agent meets its own clock
    assert {"student, dynamic", "twin, never", "base, dynamic", "fixed, never", "fixed, every:2"} == set(grid["before"])
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix in (".parquet", ".safetensors")}
    reproduce("planning", "tiny", tmp_path)
    assert "update" not in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_cut_run_says_what_is_missing(tmp_path: Path, tiny):
    results = planning.run(tmp_path, "tiny", minutes=1e-9, say=lambda _: None)
    assert results.taught is None
    assert "Not run" in [section.title for section in page(results).sections]
    assert as_json(results)["schedules"] == {}


@pytest.mark.slow
def test_a_second_stage_that_is_cut_goes_on_with_the_same_weights(tmp_path: Path, tiny):
    planning.run(tmp_path / "whole", "tiny", say=lambda _: None)
    (whole,) = planning_rl.run(tmp_path / "whole", "tiny", say=lambda _: None)
    planning.run(tmp_path / "cut", "tiny", say=lambda _: None)

    class Over(Exception):
        pass

    def say(line: str) -> None:
        if "update 10 of" in line:  # the end of the first slice
            raise Over

    with pytest.raises(Over):
        planning_rl.run(tmp_path / "cut", "tiny", say=say)
    (cut,) = planning_rl.run(tmp_path / "cut", "tiny", minutes=1e-9, say=lambda _: None)
    assert all(outcome.curves is None for outcome in cut.outcomes)
    assert "Not run: SFT + RL, may plan (1 of 1 seeds)" in str(page(planning.run(tmp_path / "cut", "tiny", say=print), (cut,)))
    (done,) = planning_rl.run(tmp_path / "cut", "tiny", say=lambda _: None)
    for one, other in zip(whole.outcomes, done.outcomes, strict=True):
        assert one.curves is not None
        assert other.curves is not None
        timeless = [name for name in one.curves.columns if not name.endswith(("_s", "_share"))]
        assert one.curves.select(timeless).equals(other.curves.select(timeless))


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
