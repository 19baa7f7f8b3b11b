"""`unseen plan worth --log`: from recordings to a table, a file, a page and a schedule; mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unseen.cli import main
from unseen.data import Episodes

WORLD = ["graph-search", "--environment-options", "nodes=8", "min_backtracks=0", "form=compact"]
PLAYER = ["--prompts", "compact", "--history", "2"]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["plan", *words])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    how = ["--schedule", "softened:0.3:age:2", "--episodes", "120", "--signals", "graph", "--out", str(folder)]
    assert run("evaluate", *WORLD, *PLAYER, *how) == 0
    return folder


def test_from_a_log_to_a_table_a_file_a_page_and_a_schedule(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "worth"
    asked = ["--log", str(log), "--policy", "age:2", "--price", "0.2", "--truth", "10", "--continuations", "2"]
    assert run("worth", *WORLD, *PLAYER, *asked, "--out", str(out)) == 0
    shown = capsys.readouterr().out
    assert "verdict: " in shown
    assert "advice" in shown
    said = json.loads((out / "worth.json").read_text())
    assert said["estimand"] == {"policy": "age:2", "discount": 0.95, "horizon": None, "price": 0.2}
    steps = Episodes.read(log / "episodes.parquet").steps
    assert sum(row["decisions"] for row in said["situations"]) == steps
    assert all(row["low"] <= row["worth"] <= row["high"] for row in said["situations"])
    assert all(isinstance(row["truth"], float) for row in said["situations"])
    page = (out / "report.html").read_text()
    assert "What planning was worth, from the log" in page
    assert "no plan held" in page
    learnt = out / "when-worth-it.json"
    assert learnt.exists() == (said["verdict"]["colour"] != "red")
    if learnt.exists():
        again = ["--log", str(log), "--policy", f"when-worth-it:{learnt}", "--out", str(out)]
        assert run("worth", *WORLD, *PLAYER, *again) == 2
        assert "give another --out" in capsys.readouterr().err
        both = ["--schedules", "never", f"when-worth-it:{learnt}", "--episodes", "3", "--out", str(tmp_path / "sweep")]
        assert run("sweep", *WORLD, *PLAYER, *both) == 0
        assert len(list((tmp_path / "sweep").glob("*.parquet"))) == 2


def test_own_states_and_situations(log: Path, tmp_path: Path):
    (tmp_path / "state.py").write_text("def markov(moment):\n    return {'left': float(moment.left), 'age': float(moment.age or 0)}\n")
    (tmp_path / "where.json").write_text('[{"name": "early", "within": {"step": [null, 1]}}]')
    own = ["--markov", str(tmp_path / "state.py"), "--situations", str(tmp_path / "where.json"), "--out", str(tmp_path / "out")]
    assert run("worth", *WORLD, *PLAYER, "--log", str(log / "episodes.parquet"), *own) == 0
    said = json.loads((tmp_path / "out" / "worth.json").read_text())
    assert [row["situation"] for row in said["situations"]] == ["early", "elsewhere"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--policy", "dynamic"], "leaves the decision to somebody else"),
        (["--price", "-1"], "price = -1.0"),
        (["--markov", "missing.py"], "defines markov(moment)"),
        (["--situations", "missing.json"], "--situations"),
        (["--truth", "5", "--history", "3"], "--history 2"),
    ],
)
def test_mistakes_are_told_in_one_line(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str):
    player = PLAYER[:2] if "--history" in words else PLAYER
    assert run("worth", *WORLD, *player, "--log", str(log), *words, "--out", str(tmp_path / "x")) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_log_without_a_name_is_no_other_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("worth", *WORLD, *PLAYER, "--log", "--out", str(tmp_path / "x")) == 2
    assert capsys.readouterr().err.strip() == "unseen: --log: give at least one file or directory of recordings"
    assert not (tmp_path / "x").exists()


def test_a_truth_of_a_few_states_leaves_valid_json(log: Path, tmp_path: Path):
    """One state of a situation has a mean and no error."""
    asked = ["--log", str(log), "--policy", "age:2", "--truth", "6", "--continuations", "1", "--out", str(tmp_path)]
    assert run("worth", *WORLD, *PLAYER, *asked) == 0

    def refuse(word: str) -> float:
        raise AssertionError(word)

    said = json.loads((tmp_path / "worth.json").read_text(), parse_constant=refuse)
    assert None in [row["truth_error"] for row in said["situations"] if row["truth"] is not None]


def test_states_that_are_no_functions_or_fail_are_told_in_one_line(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "state.py").write_text("X = 3\n\n\ndef failing(moment):\n    return {'a': moment.nothing}\n")
    for name, told in (("X", "X in"), ("failing", "fails with AttributeError")):
        own = ["--markov", f"{tmp_path / 'state.py'}:{name}", "--out", str(tmp_path / "x")]
        assert run("worth", *WORLD, *PLAYER, "--log", str(log), *own) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


def test_logs_of_another_kind_are_refused(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("evaluate", *WORLD, *PLAYER, "--schedule", "every:2", "--episodes", "2", "--signals", "graph", "--out", str(tmp_path)) == 0
    assert run("worth", *WORLD, *PLAYER, "--log", str(tmp_path), "--out", str(tmp_path / "x")) == 2
    assert "must be drawn with one from 0.2 to 0.8" in capsys.readouterr().err
