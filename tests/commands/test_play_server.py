"""The server: what it answers to the page, and to nobody else."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from play_hall import Hall

from unseen.commands.play.looking import view
from unseen.commands.play.server import HOST, LARGEST, Server
from unseen.commands.play.session import Session, Settings
from unseen.errors import UserError


@contextmanager
def serving(session: Session) -> Iterator[Server]:
    with Server(0) as server:
        server.session = session
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def compiled() -> Session:
    return Session(Hall(), Settings(episodes=2))


@pytest.fixture
def server(compiled: Session) -> Iterator[Server]:
    compiled.running, compiled.begun = None, 0  # a new game, compiled already
    compiled.scores.clear()
    compiled.finished.clear()
    with serving(compiled) as server:
        yield server


def asked(server: Server, what: str, body: Any = None, *, raw: bytes | None = None, token: str | None = None, **headers: str) -> Any:
    """The status of an answer, and what it says."""
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    url = f"http://{HOST}:{server.server_address[1]}/{server.token if token is None else token}/{what}"
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
            status, told, kind = answer.status, answer.read(), answer.headers.get_content_type()
    except urllib.error.HTTPError as error:
        with error:
            status, told, kind = error.code, error.read(), error.headers.get_content_type()
    return status, json.loads(told) if kind == "application/json" else told.decode()


def begun(server: Server) -> None:
    status, _ = asked(server, "begin", {})
    assert status == 200


# --- the game


def test_actions_are_played_and_answered(server: Server) -> None:
    assert asked(server, "view") == (200, view(server.session))
    status, first = asked(server, "begin", {})
    assert (status, first["stage"], first["step"]) == (200, "playing", 0)
    status, told = asked(server, "act", {"action": 0, "episode": 1, "step": 0})
    assert (status, told["step"], told["score"]) == (200, 1, -0.125)
    assert told == view(server.session) == asked(server, "view")[1]
    assert server.session.running.actions == [0]


def test_an_action_that_is_not_legal_changes_nothing(server: Server) -> None:
    begun(server)
    _, before = asked(server, "act", {"action": 0, "episode": 1, "step": 0})
    assert asked(server, "act", {"action": 2, "episode": 1, "step": 1}) == (409, {"error": "action 2 is not legal now"})
    assert asked(server, "view")[1] == before


@pytest.mark.parametrize("stale", [{"episode": 1, "step": 0}, {"episode": 0, "step": 1}, {"episode": 1, "step": 2}])
def test_an_action_for_another_step_is_not_played(server: Server, stale: dict[str, int]) -> None:
    begun(server)
    asked(server, "act", {"action": 1, "episode": 1, "step": 0})
    assert asked(server, "act", {"action": 0, **stale})[0] == 409
    assert server.session.running.actions == [1]


def test_the_end_is_told_before_the_program_ends(server: Server) -> None:
    for episode in (1, 2):
        assert not server.over.is_set()
        begun(server)
        for step in (0, 1):
            status, told = asked(server, "act", {"action": 1, "episode": episode, "step": step})
    assert (status, told["stage"]) == (200, "over")
    assert server.over.wait(5)
    assert asked(server, "begin", {}) == (409, {"error": "all episodes have been played"})


class Broken(Hall):
    def draw(self, state: Any, params: Any) -> Any:
        raise ZeroDivisionError("no picture")


def test_an_environment_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Session(Broken(), Settings(reveal=True))) as server:
        status, told = asked(server, "begin", {})
    assert (status, told["error"]) == (500, "the environment failed with ZeroDivisionError; the terminal says more")
    assert "no picture" in capsys.readouterr().err


# --- nobody else


@pytest.mark.parametrize("token", ["", "guess", "é", "x" * 4_000])
@pytest.mark.parametrize(("what", "body"), [("", None), ("view", None), ("begin", {}), ("act", {"action": 0, "episode": 0, "step": 0})])
def test_without_the_token_there_is_nothing(server: Server, token: str, what: str, body: Any) -> None:
    status, told = asked(server, what, body, token=urllib.request.quote(token))
    assert (status, told) == (403, {"error": "open the whole address that `unseen play` printed"})
    assert server.session.begun == 0


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost@evil", "[::1]", "0.0.0.0", ""])
def test_another_host_is_refused_though_it_knows_the_token(server: Server, host: str) -> None:
    for what, body in (("", None), ("view", None), ("begin", {})):
        assert asked(server, what, body, Host=host)[0] == 403
    assert server.session.begun == 0


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1"])
def test_this_machine_by_any_of_its_names_is_served(server: Server, host: str) -> None:
    assert asked(server, "view", Host=host)[0] == 200


@pytest.mark.parametrize(
    ("status", "raw", "headers"),
    [
        (415, b"{}", {"Content_Type": "text/plain"}),
        (415, b"{}", {"Content_Type": "application/x-www-form-urlencoded"}),
        (400, b"{", {}),
        (400, b"\xff\xfe", {}),
        (400, b"[1]", {}),
        (400, b"[" * LARGEST, {}),
        (413, b" " * (LARGEST + 1), {}),
        (411, b"{}", {"Content_Length": "-1"}),
    ],
)
@pytest.mark.parametrize("what", ["begin", "act"])
def test_what_is_no_small_json_object_is_refused(server: Server, what: str, status: int, raw: bytes, headers: dict[str, str]) -> None:
    assert asked(server, what, raw=raw, **headers)[0] == status
    assert server.session.begun == 0


@pytest.mark.parametrize("action", [None, True, 1.0, "1", [1], 3, -1, 2**70])
def test_only_an_action_is_an_action(server: Server, action: Any) -> None:
    begun(server)
    assert asked(server, "act", {"action": action, "episode": 1, "step": 0})[0] in (400, 409)
    assert server.session.running.actions == []


def test_there_is_nothing_else(server: Server) -> None:
    for what in ("session.py", "../session.py", "page.html", "begin", "act", "x/page.js"):
        assert asked(server, what)[0] == 404
    assert asked(server, "view", {})[0] == 404
    assert server.session.begun == 0


def test_the_page_holds_all_it_needs(server: Server) -> None:
    url = server.address
    for what in ("", "page.css", "page.js"):
        with urllib.request.urlopen(url + what) as answer:
            text, headers = answer.read().decode(), answer.headers
        assert not re.search(r"https?:|url\(|@import|[\"'(]//", text)  # nothing from elsewhere
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"  # the address is the key
        assert "innerHTML" not in text


def test_only_this_machine_is_listened_to(server: Server) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address.startswith("http://127.0.0.1:")
    assert len(server.token) >= 20
    with Server(0) as another:
        assert another.token != server.token


def test_a_port_that_is_taken_is_one_line_with_the_fix() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} cannot be used \(.*\); choose another with --port, or --port 0") as refused:
            Server(port)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_does_not_exist(port: int) -> None:
    with pytest.raises(UserError, match=f"port {port} does not exist"):
        Server(port)
