"""`unseen plan`: every subcommand from its words to its files, on the scripted model; mistakes in one line."""

import json
from pathlib import Path

import polars as pl
import pytest

from unseen.cli import main
from unseen.data import Episodes
from unseen.planning import Price, per_episode

GRAPH = ["graph-search", "--environment-options", "nodes=8", "min_backtracks=0"]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["plan", *words])
    return int(stop.value.code or 0)


def test_evaluate_records_episodes_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("evaluate", *GRAPH, "--schedule", "every:3", "--episodes", "5", "--signals", "path", "--out", str(tmp_path)) == 0
    played = Episodes.read(tmp_path / "episodes.parquet")
    assert len(played) == 5
    for episode in played:
        planned = episode.accounts["planned"]
        assert planned.sum() == -(-len(episode) // 3)
    assert "path" in played.signals
    assert "What was reached" in (tmp_path / "report.html").read_text()
    assert "success" in capsys.readouterr().out


def test_a_sweep_keeps_what_is_finished_and_refuses_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["sweep", *GRAPH, "--schedules", "never", "every:2", "--episodes", "4", "--out", str(tmp_path)]
    assert run(*words) == 0
    first = (tmp_path / "never.parquet").stat().st_mtime_ns
    assert run(*words, "--value", "return") == 0
    assert (tmp_path / "never.parquet").stat().st_mtime_ns == first
    assert run("sweep", *GRAPH, "--schedules", "never", "--episodes", "5", "--out", str(tmp_path)) == 2
    assert "another --out" in capsys.readouterr().err
    never, often = (Episodes.read(tmp_path / f"{name}.parquet") for name in ("never", "every-2"))
    assert not never.accounts["planned"].any()
    assert often.accounts["planned"].any()
    assert list(never.info["seed"]) == list(often.info["seed"])


def test_what_it_cost_in_dollars(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    prices = tmp_path / "prices.toml"
    prices.write_text("[reader]\nprompt = 2.0\noutput = 10.0\n")
    words = ["sweep", *GRAPH, "--schedules", "never", "always", "--episodes", "4", "--cost", "dollars"]
    assert run(*words, "--prices", str(prices), "--out", str(tmp_path / "sweep")) == 0
    assert "dollars" in (tmp_path / "sweep" / "report.html").read_text()
    played = Episodes.read(tmp_path / "sweep" / "always.parquet")
    table = per_episode(played, Price.read(prices)["reader"])
    accounts = played.accounts
    spent = 2e-6 * accounts["prompt_tokens"].sum() + 1e-5 * (accounts["plan_tokens"] + accounts["action_tokens"]).sum()
    assert table["dollars"].sum() == pytest.approx(spent)
    assert run(*words, "--out", str(tmp_path / "other")) == 2
    assert "--prices" in capsys.readouterr().err
    prices.write_text("[raeder]\nprompt = 2.0\noutput = 10.0\n")
    assert run(*words, "--prices", str(prices), "--out", str(tmp_path / "other")) == 2
    assert "raeder" in capsys.readouterr().err


def test_recordings_are_not_written_over(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run("evaluate", *GRAPH, "--episodes", "2") == 0
    assert len(list(tmp_path.rglob("episodes.parquet"))) == 2
    (first, *_) = tmp_path.rglob("episodes.parquet")
    assert run("evaluate", *GRAPH, "--episodes", "2", "--out", str(first.parent)) == 2
    assert "another --out" in capsys.readouterr().err


def test_worth_and_obey_write_their_states(tmp_path: Path):
    usual = ["graph-search", "--episodes", "12"]
    assert run("worth", *usual, "--replicates", "2", "--out", str(tmp_path / "worth")) == 0
    states = pl.read_parquet(tmp_path / "worth" / "states.parquet")
    assert {"worth", "new", "old", "plan_age"} <= set(states.columns)
    assert (states["new"] - states["old"] - states["worth"]).abs().max() < 1e-9
    assert run("obey", *usual, "--out", str(tmp_path / "obey")) == 0
    obeyed = pl.read_parquet(tmp_path / "obey" / "states.parquet")
    assert set(obeyed["kind"]) == {"none", "correct", "wrong", "shuffled"}
    for folder in ("worth", "obey"):
        assert "<h1>" in (tmp_path / folder / "report.html").read_text()


@pytest.mark.slow
def test_from_a_teacher_to_a_student_that_is_spoken_to_as_it_was_taught(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--environment-options", "nodes=5", "min_backtracks=0", "form=compact", "max_steps=8"]
    assert run("collect", "graph-search", *options, "--episodes", "30", "--style", "remember", "--out", str(tmp_path / "lessons")) == 0
    taught = ["sft", str(tmp_path / "lessons"), "--hidden", "32", "--layers", "1", "--updates", "4", "--batch", "8", "--save-every", "2"]
    assert run(*taught, "--out", str(tmp_path / "student")) == 0
    said = json.loads((tmp_path / "student" / "agent.json").read_text())
    assert said["prompts"] == "compact"
    assert said["history"] == 2
    student = ["graph-search", *options, "--model", str(tmp_path / "student")]
    assert run("evaluate", *student, "--episodes", "3", "--out", str(tmp_path / "played")) == 0
    played = Episodes.read(tmp_path / "played" / "episodes.parquet")
    assert not played.accounts["tokens_estimated"].any()
    shown = [len(row) for row in played.tokens["prompt"].to_list()]
    assert max(shown) < 160  # two observations in few words: sixteen, and the task explained, are more than 500
    assert run(*taught, "--updates", "6", "--out", str(tmp_path / "student")) == 2
    assert "updates" in capsys.readouterr().err


def test_steer_from_a_script(tmp_path: Path):
    script = tmp_path / "plans.toml"
    script.write_text('[[plan]]\nstep = 0\ntext = "explore 3 via 1 3 later none"\nhold = 2\n')
    out = tmp_path / "episode.parquet"
    assert run("steer", *GRAPH, "--script", str(script), "--out", str(out)) == 0
    played = Episodes.read(out)
    assert played.text["owner"][0] == "script"
    assert played.text["plan"][0] == "explore 3 via 1 3 later none"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "graph-serch"], "graph-search"),
        (["evaluate", "graph-search", "--schedule", "evry:4"], "every:K"),
        (["evaluate", "graph-search", "--model", "nowhere"], "no weights"),
        (["evaluate", "graph-search", "--environment-options", "node=4"], "nodes"),
        (["evaluate", "graph-search", "--episodes", "0"], "1 or more"),
        (["evaluate", "graph-search", "--prompts", "standart"], "standard"),
        (["evaluate", "graph-search", "--replay"], "--cassette"),
        (["evaluate", "graph-search", "--signals", "graf"], "graph"),
        (["evaluate", "graph-search", "--schedule", "ask-human"], "person"),
        (["evalute", "graph-search"], "evaluate"),
        (["sweep", "graph-search", "--schedules", "never", "every:0"], "every:0"),
        (["sft", "nowhere"], "collect"),
        (["obey", "crafter"], "graph-search"),
        (["evaluate", "crafter"], "graph-search"),
        (["evaluate", "graph-search", "--url", "http://127.0.0.1:9/v1"], "--model NAME"),
        (["sweep", "graph-search", "--cost", "flops", "--episodes", "2", "--schedules", "never"], "flops"),
        (["collect", "graph-search", "--style", "tense"], "terse"),
        (["steer", "graph-search", "--script", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_mistakes_are_told_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_an_endpoint_needs_its_key_before_the_first_call(monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv("UNSEEN_TEST_KEY", raising=False)
    words = ["--url", "http://127.0.0.1:9", "--model", "m", "--key-variable", "UNSEEN_TEST_KEY"]
    assert run("evaluate", "graph-search", *words) == 2
    assert "UNSEEN_TEST_KEY" in capsys.readouterr().err


def test_a_sweep_with_a_cassette_goes_through_all_schedules_and_is_played_back(tmp_path: Path, monkeypatch):
    from unseen.commands.planning import agents
    from unseen.planning.models.reader import reader

    monkeypatch.setattr(agents, "_model", lambda asked: reader())
    tape = ["--cassette", str(tmp_path / "tape.jsonl")]
    words = ["sweep", *GRAPH, "--schedules", "never", "every:2", "--episodes", "3"]
    assert run(*words, *tape, "--out", str(tmp_path / "first")) == 0

    def nobody(asked):
        raise AssertionError("a replay asks nobody")

    monkeypatch.setattr(agents, "_model", nobody)
    assert run(*words, *tape, "--replay", "--out", str(tmp_path / "again")) == 0
    for name in ("never", "every-2"):
        first, again = (Episodes.read(tmp_path / folder / f"{name}.parquet") for folder in ("first", "again"))
        assert list(first.text["output"]) == list(again.text["output"])
    assert run(*words, *tape, "--cost", "seconds", "--out", str(tmp_path / "third")) == 2


def test_an_outage_is_no_result_of_a_sweep(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    from unseen.commands.planning import agents
    from unseen.planning.models.contract import Completion, Usage
    from unseen.planning.models.reader import reader

    class Failing:
        name, capabilities = "failing", reader().capabilities

        def __init__(self):
            self.calls, self.whole = 0, reader()

        def generate(self, prompts, **how):
            self.calls += 1
            if self.calls > 2:
                return [Completion("", "failed", Usage(0, 0, 0, 0), error="the line is dead") for _ in prompts]
            return self.whole.generate(prompts, **how)

        def score(self, *_, **__):
            raise AssertionError

    monkeypatch.setattr(agents, "_model", lambda asked: Failing())
    words = ["sweep", *GRAPH, "--schedules", "never", "--episodes", "3", "--out", str(tmp_path)]
    assert run(*words) == 2
    assert "Run it again" in capsys.readouterr().err
    assert not (tmp_path / "never.parquet").exists()
    assert Episodes.read(tmp_path / "never.failed.parquet").steps > 0
    monkeypatch.setattr(agents, "_model", lambda asked: reader())
    assert run(*words) == 0
    assert not any(str(error) for error in Episodes.read(tmp_path / "never.parquet").info["error"])
