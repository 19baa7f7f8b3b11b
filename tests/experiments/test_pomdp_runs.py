"""A run on a `.pomdp` file goes on with that file and no other, wherever it is read from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from small import small

import unseen
from unseen.environments import tabular
from unseen.experiments import train as training
from unseen.experiments.train import extend

TIGER = (Path(tabular.__file__).parent / "files" / "tiger.pomdp").read_text()


def experiment(environment, **changes):
    return replace(small("ppo", env_steps=400), environment=environment, environment_options={"time_limit": 12}, **changes)


def stop(_):
    raise StopIteration


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory with the file and an unfinished run that names it by a relative path."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    Path("tiger.pomdp").write_text(TIGER)
    unseen.train(experiment("tiger.pomdp"), "run", callbacks=[stop])
    return tmp_path / "home"


def harmless(path):
    text = TIGER.replace("-100", "-1")
    assert text != TIGER
    path.write_text(text)
    return text


@pytest.mark.slow
def test_an_edited_file_is_not_trained_on_in_mid_run(home, monkeypatch):
    text = harmless(home / "tiger.pomdp")

    def engine(*_):
        raise AssertionError("compiled all the same")

    with monkeypatch.context() as patch:
        patch.setattr(training, "_engine", engine)
        for act in (lambda: unseen.train(experiment("tiger.pomdp"), "run"), lambda: extend("run", 800)):
            with pytest.raises(unseen.UserError, match=r"tiger\.pomdp is not the file that the run in run began with") as error:
                act()
            for content in (TIGER, text):
                assert hashlib.sha256(content.encode()).hexdigest()[:8] in str(error.value)
    rewards = unseen.load("run").environment.pomdp.reward_full()
    assert rewards.min() == -100  # what is trained already is judged by the file it was trained on

    Path("run/environment.pomdp").replace("tiger.pomdp")
    assert unseen.train(experiment("tiger.pomdp"), "run").metrics()["env_steps"].max() >= 400


@pytest.mark.slow
def test_a_run_is_read_and_resumed_from_another_working_directory(home, tmp_path, monkeypatch):
    here = unseen.load("run").evaluate(episodes=8)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = unseen.load(home / "run")
    assert run.environment.name == "tiger"
    assert run.environment.time_limit == 12
    assert run.evaluate(episodes=8).equals(here, null_equal=True)
    assert unseen.train(experiment("tiger.pomdp"), home / "run").metrics()["env_steps"].max() >= 400
    harmless(elsewhere / "tiger.pomdp")  # a file that only has the same name
    assert unseen.load(home / "run").evaluate(episodes=8).height == 1
    assert unseen.load(home / "run").environment.pomdp.reward_full().min() == -100


@pytest.mark.slow
def test_a_file_that_is_gone_without_a_copy_is_told(home):
    Path("tiger.pomdp").unlink()
    Path("run/environment.pomdp").unlink()
    with pytest.raises(unseen.UserError, match=r"neither tiger\.pomdp nor run/environment\.pomdp is the file"):
        unseen.train(experiment("tiger.pomdp"), "run")


def test_a_file_that_never_was_is_told(tmp_path):
    with pytest.raises(unseen.UserError, match="no file of that name"):
        unseen.train(experiment(str(tmp_path / "tiger.pomdp")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
