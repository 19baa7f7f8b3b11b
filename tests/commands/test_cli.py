"""The command line: what it understands, what it refuses, and that a user's mistake is one line and exit code 2."""

from __future__ import annotations

import subprocess
import sys

import pytest

import unseen
from unseen.agents.settings import GRU, LSTM, FeedForward, Memax
from unseen.cli import _parsed_train, main
from unseen.commands.words import (
    auxiliary_from_word,
    memory_from_word,
    memory_to_word,
    option_from_word,
    pictures_from_word,
    settings_to_word,
)
from unseen.errors import UserError
from unseen.experiments.toml import to_toml
from unseen.runs import RunDirectory


def ran(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def test_flags_become_settings():
    experiment = _parsed_train(
        [
            "heavenhell-3",
            "--critic.signals",
            "heaven",
            "position",
            "--agent.memory",
            "lstm:64",
            "--algorithm",
            "ppo",
            "--algorithm.rollout",
            "32",
        ]
    ).experiment
    assert experiment.environment == "heavenhell-3"
    assert experiment.agent.critic.signals == ("heaven", "position")
    assert experiment.agent.memory == LSTM(64)
    assert experiment.algorithm == unseen.PPO(rollout=32)
    options = _parsed_train(["heavenhell-3", "--environment-options", "n=4", "time_limit=50"]).experiment.environment_options
    assert options == {"n": 4, "time_limit": 50}


@pytest.mark.parametrize(
    "word",
    ["gru:128", "lstm:7", "lru:3", "feed-forward", "memax:FART:64", "mem:lstm:9:capacity=5", "gtrxl:64", "gtrxl:64:layers=3:window=16"],
)
def test_memory_words_say_what_they_mean(word):
    assert memory_to_word(memory_from_word(word)) == word


def test_memory_words_have_defaults_and_refusals():
    assert memory_from_word("gru") == GRU()
    assert memory_from_word("feed-forward") == FeedForward()
    assert memory_from_word("memax:GDN") == Memax("GDN")
    for word, message in (
        ("gruu", "did you mean 'gru'"),
        ("gru:x", "'x' must be a whole number"),
        ("gru:1:2", "not understood"),
        ("gru:0", "'0'"),
        ("gtrxl:64:128", "not understood"),
        ("gtrxl:64:windows=8", "did you mean 'window'"),
        ("gtrxl:layers=two", "layers 'two' must be a whole number"),
        ("mem:gtrxl:64", "no working memory of mem"),
    ):
        with pytest.raises(UserError, match=message):
            memory_from_word(word)


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("cpc", unseen.CPC()),
        ("cpc:steps=3:weight=0.1", unseen.CPC(3, 0.1)),
        ("reconstruction:source=both", unseen.Reconstruction(source="both")),
        ("none", None),
    ],
)
def test_auxiliary_losses_in_a_word(word, settings):
    assert auxiliary_from_word(word) == settings
    assert settings_to_word(settings, "none") == word
    assert _parsed_train(["heavenhell-3", "--agent.auxiliary", word]).experiment.agent.auxiliary == settings


@pytest.mark.parametrize(
    ("word", "settings"),
    [("convolutions", None), ("residual", unseen.Residual()), ("residual:blocks=1:channels=[8,16]", unseen.Residual(1, (8, 16)))],
)
def test_encoders_of_pictures_in_a_word(word, settings):
    assert pictures_from_word(word) == settings
    assert settings_to_word(settings, "convolutions") == word


def test_words_that_name_nothing_are_refused():
    for reader, word, message in (
        (auxiliary_from_word, "cpcc", "did you mean 'cpc'"),
        (auxiliary_from_word, "cpc:step=3", "did you mean 'steps'"),
        (pictures_from_word, "resnet", "unknown encoder of pictures 'resnet'"),
        (pictures_from_word, "residual:block=1", "did you mean 'blocks'"),
    ):
        with pytest.raises(UserError, match=message):
            reader(word)


def test_the_v_trace_learner_from_the_command_line():
    experiment = _parsed_train(["heavenhell-3", "--algorithm", "vtrace", "--algorithm.lag", "4"]).experiment
    assert experiment.algorithm == unseen.VTrace(lag=4)


def test_option_words():
    assert option_from_word("n=5") == ("n", 5)
    assert option_from_word("slip=0.5") == ("slip", 0.5)
    assert option_from_word("name=easy") == ("name", "easy")
    assert option_from_word("on=true") == ("on", True)
    with pytest.raises(UserError, match="name=value"):
        option_from_word("n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "heavnhell-3", "--out", "{tmp}/a"], "did you mean 'heavenhell-3'"),
        (["train", "heavenhell-3", "--algorithm", "pppo", "--out", "{tmp}/a"], "did you mean 'ppo'"),
        (["train", "heavenhell-3", "--critic.signals", "heavn", "--out", "{tmp}/a"], "did you mean 'heaven'"),
        (["train", "heavenhell-3", "--env-steps", "0", "--out", "{tmp}/a"], "env_steps = 0"),
        (["train", "nowhere.pomdp", "--out", "{tmp}/a"], "no file of that name"),
        (["train", "nowhere.toml", "--out", "{tmp}/a"], "No such file"),
        (["train", "heavenhell-3", "--extend", "5"], "--extend goes with a run directory"),
        (["train", "gym:CartPol-v1", "--out", "{tmp}/a"], "did you mean 'CartPole-v1'"),
        (["evaluate", "{tmp}"], "no run directory at"),
        (["train", "heavenhell-3", "--out", "{tmp}/" + "x" * 300], "File name too long; choose another name"),
        (["train", "{tmp}/bytes.toml"], "is not valid TOML"),
        (["evaluate"], "Missing from unseen evaluate"),
        (["evaluate", "{tmp}", "--episodes", "many"], "--episodes: invalid literal for int() with base 10: 'many'; write --episodes INT"),
        (["evaluate", "{tmp}", "--levl", "train"], "--levl, train; did you mean --level?"),
        (["train", "heavenhell-3", "--algorithm=pppo"], "did you mean 'ppo'"),
        (["train", "heavenhell-3", "--algorithm.estimator", "tdd"], "unknown value of --algorithm.estimator 'tdd'; did you mean 'td'?"),
        (["train", "heavenhell-3", "--agent.embeding", "8"], "did you mean --agent.embedding?"),
        (["train", "heavenhell-3", "--agent.memory", "gruu:8"], "--agent.memory: unknown memory 'gruu'; did you mean 'gru'?"),
        (["train", "heavenhell-3", "--seeds"], "Missing value for argument '--seeds'"),
        (["report"], "at least one run directory"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(arguments, message, tmp_path, capsys):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    code, _, err = ran(capsys, *(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert err.strip().count("\n") == 0


def test_list_shows_every_name_whole_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = ran(capsys, "list")
    assert code == 0
    assert all(f" {name} " in out for name in unseen.environments.names())


def test_help_lists_every_command(capsys):
    code, out, _ = ran(capsys, "--help")
    assert code == 0
    for command in ("quickstart", "list", "train", "evaluate", "report", "doctor"):
        assert command in out


@pytest.mark.parametrize("flag", ["--algorithm ppo", "--algorithm a2c", "--algorithm=a2c", "--algorithm.learning-rate 1", "--seeds 1"])
@pytest.mark.parametrize("given", ["run", "run/experiment.toml"])
def test_what_is_complete_takes_no_settings_not_even_its_own(flag, given, tmp_path, capsys):
    RunDirectory.create(tmp_path / "run", to_toml(unseen.Experiment("heavenhell-1"))).close()
    code, _, err = ran(capsys, "train", tmp_path / given, *flag.split())
    assert code == 2
    name = flag.replace("=", " ").split()[0]
    assert f"{tmp_path / given} has settings of its own: leave {name} out" in err


def test_a_run_stays_in_its_directory(tmp_path, capsys):
    RunDirectory.create(tmp_path / "run", to_toml(unseen.Experiment("heavenhell-1"))).close()
    code, _, err = ran(capsys, "train", tmp_path / "run", "--out", tmp_path / "elsewhere")
    assert code == 2
    assert "--out does not go with" in err
    assert not (tmp_path / "elsewhere").exists()


def test_algorithm_may_be_written_with_an_equals_sign():
    assert _parsed_train(["heavenhell-3", "--algorithm=ppo", "--algorithm.rollout=32"]).experiment.algorithm == unseen.PPO(rollout=32)


@pytest.mark.parametrize("episodes", [0, -1])
def test_no_episodes_are_refused(episodes, tmp_path, capsys):
    RunDirectory.create(tmp_path, to_toml(unseen.Experiment("heavenhell-1"))).close()
    code, _, err = ran(capsys, "evaluate", tmp_path, "--episodes", episodes)
    assert code == 2
    assert err == f"unseen: episodes = {episodes}; it must be a whole number from 1 to 10,000,000\n"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_a_reader_who_stops_reading_gets_no_traceback(arguments):
    with subprocess.Popen([sys.executable, "-m", "unseen.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.slow
def test_train_evaluate_extend_report(tmp_path, capsys):
    run = tmp_path / "run"
    small = ["--agent.memory", "gru:8", "--agent.head", "8", "--agent.embedding", "8", "--env-steps", "300"]
    code, _, _ = ran(capsys, "train", "heavenhell-1", *small, "--critic.signals", "heaven", "--out", run)
    assert code == 0
    assert (run / "report.html").exists()
    code, _, _ = ran(capsys, "evaluate", run, "--episodes", "20", "--save", tmp_path / "episodes.parquet")
    assert code == 0
    assert len(unseen.Episodes.read(tmp_path / "episodes.parquet")) == 20
    code, _, _ = ran(capsys, "train", run, "--extend", "500")
    assert code == 0
    assert unseen.load(run).experiment.env_steps == 500
    code, _, err = ran(capsys, "train", run, "--seeds", "3")
    assert code == 2
    assert "settings of its own" in err
    code, _, _ = ran(capsys, "train", run / "experiment.toml", "--out", tmp_path / "again")
    assert code == 0
    code, _, _ = ran(capsys, "report", run, tmp_path / "again", "--out", tmp_path / "both.html")
    assert code == 0
    page = (tmp_path / "both.html").read_text()
    assert "2 runs compared" in page
    assert page.count("<script") == 3  # the data of two episode players, and the player
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_signals_prints_a_ranking_and_writes_a_page(capsys, tmp_path):
    out = tmp_path / "signals.html"
    few = ["--regressor", "linear", "--episodes", 30, "--draws", 299, "--methods", "standardised", "kci", "--leaks", "--out", out]
    code, said, _ = ran(capsys, "signals", "heavenhell-1", "--environment-options", "time_limit=20", *few)
    assert code == 0
    assert said.count("signals  ") == 2
    assert "heaven + position" in said
    assert "no sign that it knows the action" in said
    assert "Criterion A: independence of standardised residuals" in out.read_text()


def test_signals_of_recorded_episodes(capsys, tmp_path):
    from unseen.signals import record

    record(unseen.make("heavenhell-1"), 30).episodes.write(tmp_path / "log.parquet")
    code, said, _ = ran(capsys, "signals", tmp_path / "log.parquet", "--methods", "plain", "--regressor", "linear", "--draws", 99)
    assert code == 0
    assert "recorded episodes" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["heavenhell-9x", "--draws", "39"], "unknown environment 'heavenhell-9x'"),
        (["heavenhell-1", "--signals", "heven"], "did you mean 'heaven'"),
        (["heavenhell-1", "--draws", "5"], "draws = 5"),
        (["heavenhell-1", "--methods", "kcl"], "kci"),
        (["nothing.parquet"], "nothing.parquet"),
        (["heavenhell-1", "--alpha", "2"], "alpha = 2"),
        (["heavenhell-1", "--episodes", "0"], "episodes"),
    ],
)
def test_a_mistake_about_signals_is_one_line(capsys, arguments, message):
    code, _, err = ran(capsys, "signals", *arguments)
    assert code == 2
    assert message in err
    assert err.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["informd"], "informed"), (["informed", "--scale", "huge"], "smoke"), (["informed", "--minutes", "-1"], "positive number")],
)
def test_a_mistake_about_reproducing_is_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = ran(capsys, "reproduce", *arguments)
    assert code == 2
    assert message in err
    assert err.strip().count("\n") == 0
