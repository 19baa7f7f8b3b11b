"""`unseen play` from the command line: what it refuses, how it ends, and that a killed one loses the running episode only."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from play_hall import Hall

from unseen.cli import main
from unseen.commands.play.command import play, result
from unseen.commands.play.session import Session, Settings
from unseen.data import Episodes
from unseen.environments import register, registry
from unseen.environments.adapters import external
from unseen.errors import UserError

START = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from unseen.cli import main; main(sys.argv[1:])"
NORTH, SOUTH, EAST, WEST = range(4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["heavnhell-3"], "unknown environment 'heavnhell-3'; did you mean 'heavenhell-3'?"),
        (["heavenhell-3", "--level", "trian"], "unknown level of heavenhell-3 'trian'; did you mean 'train'?"),
        (["heavenhell-3", "--episodes", "-3"], "episodes = -3 is not allowed; give 1 or more"),
        (["heavenhell-3", "--frames-per-second", "1000"], "frames_per_second = 1000.0 is not allowed"),
        (["heavenhell-3", "--port", "{port}"], "choose another with --port, or --port 0 for any free one"),
        (["heavenhell-3", "--port", "700000"], "port 700000 does not exist"),
        (["heavenhell-3", "--port", "0", "--out", "{tmp}/file"], "a file is in the way"),
        (["heavenhell-3", "--environment-options", "m=3"], "unknown option of heavenhell-3 'm'"),
        (["gym:CartPole-v1"], "gym:CartPole-v1 is an external environment, and play needs one of this package"),
        (["heavenhell-3", "--epsodes", "3"], "did you mean --episodes?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        typed = [a.format(tmp=tmp_path, port=taken.getsockname()[1]) for a in arguments]
        with pytest.raises(SystemExit) as stop:
            main(["play", *typed])
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in err
    assert "Traceback" not in err
    assert err.strip().count("\n") == 0


def test_an_external_environment_under_another_name_is_refused_too(own_registry: None) -> None:
    register("test/external", lambda: external("CartPole-v1"), replace=True)
    with pytest.raises(UserError, match="test/external is an external environment"):
        play("test/external", Settings(), port=0)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered here is not seen by other tests."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


def asked(address: str, what: str, body: Any) -> Any:
    request = urllib.request.Request(address + what, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def walked(address: str, actions: list[int]) -> Any:
    """The last answer of an episode that is begun and played."""
    view = asked(address, "begin", {})
    for action in actions:
        view = asked(address, "act", {"action": action, "episode": view["episode"], "step": view["step"]})
    return view


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", START, "play", "heavenhell-1", "--no-browser", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("play heavenhell-1 at http://127.0.0.1:")
            yield process, line.split()[3]
        finally:
            process.kill()


def test_a_killed_program_loses_the_running_episode_only(tmp_path: Path) -> None:
    with started("--out", str(tmp_path)) as (process, address):
        assert walked(address, [NORTH, NORTH, EAST, EAST])["stage"] == "ended"
        assert walked(address, [NORTH])["stage"] == "playing"
        process.kill()
    (file,) = tmp_path.glob("*.parquet")
    assert Episodes.read(file).actions.tolist() == [NORTH, NORTH, EAST, EAST]
    assert sorted(note.name for note in tmp_path.glob("begun-*")) == ["begun-00000.json", "begun-00001.json"]


def test_ctrl_c_ends_it_with_the_score(tmp_path: Path) -> None:
    with started("--out", str(tmp_path), "--player", "Ada") as (process, address):
        scores = [walked(address, [NORTH, NORTH, EAST, EAST])["score"] for _ in range(2)]
        walked(address, [NORTH])
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    mean, error = sum(scores) / 2, abs(scores[0] - scores[1]) / 2
    assert out.splitlines() == [
        "mean score ± standard error",
        f"  you, 2 episodes  {mean:.4g}" + (f" ± {error:.2g}" if error else ""),
        "  random           0",
        "  perfect memory   1",
        "  oracle           1",
        f"  normalised, random 0 and perfect memory 100: {100 * mean:.4g}" + (f" ± {100 * error:.2g}" if error else ""),
        "1 more was begun and not finished",
        f"recorded in {tmp_path}",
    ]


def test_it_ends_by_itself_after_the_last_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_registry: None
) -> None:
    register("test/hall", Hall, replace=True)
    opened: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(
        "webbrowser.open", lambda address: opened.append(address) or threading.Thread(target=person, args=[address]).start()
    )

    def person(address: str) -> None:
        for _ in range(2):
            walked(address, [1, 1])

    session = play("test/hall", Settings(episodes=2), port=0, options={"name": "test/hall"})
    assert len(session.scores) == 2
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"play test/hall at {opened[0]} (Ctrl-C ends)"
    assert rest[-1] == f"recorded in {Path('runs/play/test/hall')}"
    assert len(list((tmp_path / "runs" / "play" / "test" / "hall").glob("*.parquet"))) == 2


def test_what_was_not_played_or_not_hidden_is_said() -> None:
    session = Session(Hall(), Settings(reveal=True))
    assert result(session, Path("there")) == "no episode was finished"
    session.begin()
    assert result(session, Path("there")) == "no episode was finished\n1 more was begun and not finished"
    session.act(1)
    session.act(1)
    assert "the state was shown" in result(session, Path("there"))
