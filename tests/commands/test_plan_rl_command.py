"""`unseen plan rl` from recordings to an evaluation of what was trained."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from unseen.cli import main
from unseen.data import Episodes

GRAPH = ["graph-search", "--environment-options", "nodes=6", "min_backtracks=0", "max_steps=8", "form=compact"]
SHORT = ["--updates", "3", "--live", "4", "--steps", "6", "--minibatch", "12", "--reward-scale", "0.01", "--save-every", "2"]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["plan", *words])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    assert run("collect", *GRAPH, "--episodes", "60", "--out", str(folder / "recordings")) == 0
    words = ["--updates", "20", "--hidden", "16", "--layers", "1", "--heads", "2", "--told-prices", "0", "0.5"]
    assert run("sft", str(folder / "recordings"), *words, "--out", str(folder / "student")) == 0
    return folder / "student"


def test_a_student_is_trained_told_its_price_and_evaluated(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "trained"
    words = ["rl", *GRAPH, "--model", str(student), *SHORT, "--plan-price", "0", "0.5", "--critic-signals", "experts", "--out", str(out)]
    assert run(*words) == 0
    said = capsys.readouterr().out
    assert "planning_frequency" in said
    assert f"model: {out}" in said.replace("\n", "")
    assert pl.read_parquet(out / "curves.parquet")["env_steps"].to_list() == [24, 48, 72]
    assert json.loads((out / "agent.json").read_text()) == json.loads((student / "agent.json").read_text())
    assert run(*words) == 0  # it is finished
    playing = ["evaluate", *GRAPH, "--model", str(out), "--told-price", "0.5", "--episodes", "3", "--out", str(tmp_path / "played")]
    assert run(*playing) == 0
    prompts = Episodes.read(tmp_path / "played" / "episodes.parquet").tokens["prompt"]
    assert len(prompts) > 0
    assert run(*words[:-2], "--clip", "0.1", "--out", str(out)) == 2
    assert "clip = 0.2, not 0.1" in capsys.readouterr().err


def test_the_twin_without_plans(student: Path, tmp_path: Path):
    out = tmp_path / "never"
    assert run("rl", *GRAPH, "--model", str(student), *SHORT, "--plans", "never", "--out", str(out)) == 0
    assert pl.read_parquet(out / "curves.parquet")["plan_tokens"].max() == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--plan-price", "0", "0.123"], "does not know 'plan price 0.123'"),
        (["--top-p", "0.9"], "--top-p"),
        (["--live", "0"], "live = 0"),
        (["--critic-signals", "exports"], "did you mean 'experts'"),
        (["--plan-price", "-1"], "plan_price"),
    ],
)
def test_mistakes_are_one_line(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str):
    assert run("rl", *GRAPH, "--model", str(student), *words, "--out", str(tmp_path / "x")) == 2
    found = capsys.readouterr().err.strip()
    assert said in found
    assert "\n" not in found


def test_prices_are_told_to_models_that_know_them_and_to_no_others(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    playing = ["evaluate", *GRAPH, "--episodes", "2", "--out", str(tmp_path / "played"), "--model"]
    assert run(*playing, str(student)) == 2
    assert "trained with one of the prices 0, 0.5 in every prompt; give one of them as --told-price" in capsys.readouterr().err
    assert run("rl", *GRAPH, "--model", str(student), *SHORT, "--out", str(tmp_path / "plain")) == 0
    assert "was told prices, and with one --plan-price no prompt tells it" in capsys.readouterr().err
    assert run(*playing, str(tmp_path / "plain"), "--told-price", "0.5") == 2
    assert f"{tmp_path / 'plain'} was never told a price in training" in capsys.readouterr().err
    assert run(*playing, str(student), "--told-price", "0.123") == 2
    assert "does not know 'plan price 0.123'" in capsys.readouterr().err
    assert run(*playing, str(student), "--told-price", "5") == 0
    assert "was never told the price 5, but 0, 0.5" in capsys.readouterr().err
    path = tmp_path / "plain" / "agent.json"
    path.write_text(path.read_text().replace("graph-search", "crafter"))
    assert run(*playing[:-3], "--out", str(tmp_path / "again"), "--model", str(tmp_path / "plain")) == 0
    assert "was trained in crafter, not in graph-search" in capsys.readouterr().err


def test_a_refused_run_leaves_what_is_there_as_it_was(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run"
    assert run("rl", *GRAPH, "--model", str(student), *SHORT, "--out", str(out)) == 0
    before = contents(out)
    for words, said in (
        (["--history", "1"], "holds a run with history = 2, not 1"),
        (["--max-plan-tokens", "9"], "holds a run with max_plan_tokens"),
        (["--clip", "0.1"], "clip = 0.2, not 0.1"),
    ):
        assert run("rl", *GRAPH, "--model", str(student), *SHORT, *words, "--out", str(out)) == 2
        assert said in capsys.readouterr().err
        assert contents(out) == before
    longer = [word.replace("max_steps=8", "max_steps=9") for word in GRAPH]
    assert run("rl", *longer, "--model", str(student), *SHORT, "--out", str(out)) == 2
    assert "holds a run with environment's max_steps = '8', not '9'" in capsys.readouterr().err
    assert contents(out) == before


def test_another_kind_of_run_is_never_called_damaged(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, before = tmp_path / "run", contents(student)
    assert run("rl", *GRAPH, "--model", str(student), *SHORT, "--out", str(student)) == 2
    said = capsys.readouterr().err
    assert f"'{student}' holds another kind of run (sft.json, not rl.json); give another directory" in said
    assert "delete" not in said
    assert contents(student) == before
    assert run("rl", *GRAPH, "--model", str(student), *SHORT, "--out", str(out)) == 0
    before = contents(out)
    assert run("sft", str(student.parent / "recordings"), "--updates", "1", "--hidden", "16", "--out", str(out)) == 2
    assert "holds another kind of run (rl.json, not sft.json)" in capsys.readouterr().err
    assert contents(out) == before


def test_other_options_of_the_world_are_noted(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    trained = "was trained with --environment-options nodes=6 min_backtracks=0 max_steps=8 form=compact, and plays with"
    playing = ["--model", str(student), "--told-price", "0.5", "--episodes", "2"]
    assert run("evaluate", *GRAPH, *playing, "--out", str(tmp_path / "same")) == 0
    assert "was trained with" not in capsys.readouterr().err
    for n, (words, told) in enumerate(((GRAPH[:1], "no --environment-options"), (["graph-search", *GRAPH[1:3]], GRAPH[2]))):
        assert run("evaluate", *words, *playing, "--out", str(tmp_path / str(n))) == 0
        said = capsys.readouterr().err
        assert trained in said
        assert said.strip().endswith(told)
    assert run("rl", "graph-search", "--model", str(student), *SHORT, "--plan-price", "0", "0.5", "--out", str(tmp_path / "rl")) == 0
    assert f"{trained} no --environment-options" in capsys.readouterr().err


def test_a_directory_of_other_things_is_no_place_for_a_training(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear")
    (tmp_path / "file").write_text("no directory")
    for name, told in (("letters", "holds other things than a training"), ("file", "is a file")):
        for words in (["rl", *GRAPH, "--model", str(student), *SHORT], ["sft", str(student.parent / "recordings")]):
            assert run(*words, "--out", str(tmp_path / name)) == 2
            assert told in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_launcher_may_start_the_module():
    done = subprocess.run(
        [sys.executable, "-m", "unseen", "plan", "rl", "--help"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert "usage: unseen plan rl" in done.stdout


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("rl", *GRAPH, "--model", str(tmp_path / "nothing")) == 2
    assert "no weights are there" in capsys.readouterr().err
