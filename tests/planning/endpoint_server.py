"""A server of chat completions in a process of its own, which behaves, or not, as the name of the model says.

Run as a program it prints its port and serves until its standard input ends. `GET /seen` tells what it was asked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

LONG = "<plan>" + "step and " * 10_000 + "</plan>\nnorth"
UNCLOSED = "<plan>go north"


class State:
    """What was asked, and how many at once."""

    lock = threading.Lock()
    seen: list[dict[str, Any]] = []  # noqa: RUF012  one server per process
    at_once = most = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with State.lock:
            seen, most = State.seen, State.most
            if self.path == "/forget":
                State.seen, State.most = [], 0
        self.reply(200, {"seen": seen, "most": most})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with State.lock:
            State.seen.append({"path": self.path, "body": body, "authorization": self.headers["Authorization"], "at": time.time()})
            before = sum(each["body"]["messages"] == body["messages"] for each in State.seen) - 1
            State.at_once += 1
            State.most = max(State.most, State.at_once)
        try:
            kind = body["messages"][-1]["content"].removeprefix("as ") if body["model"] == "by-prompt" else body["model"]
            getattr(self, "as_" + kind.replace("-", "_").split(":")[0], self.as_fine)(body, before)
        finally:
            with State.lock:
                State.at_once -= 1

    def as_fine(self, body: dict[str, Any], before: int) -> None:
        self.say(f"echo {body['messages'][-1]['content']}", body)

    def as_slow(self, body: dict[str, Any], before: int) -> None:
        time.sleep(0.05 + 0.05 * (len(State.seen) % 3))
        self.as_fine(body, before)

    def as_delayed(self, body: dict[str, Any], before: int) -> None:
        time.sleep(0.8)
        self.as_fine(body, before)

    def as_dripping(self, body: dict[str, Any], before: int) -> None:
        self.head(200, 1000)
        for _ in range(12):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def as_dropping(self, body: dict[str, Any], before: int) -> None:
        self.close_connection = True

    def as_dropping_once(self, body: dict[str, Any], before: int) -> None:
        if before == 0:
            self.close_connection = True
        else:
            self.as_fine(body, before)

    def as_truncating(self, body: dict[str, Any], before: int) -> None:
        self.head(200, 1000)
        self.wfile.write(b'{"choices": [')
        self.close_connection = True

    def as_malformed(self, body: dict[str, Any], before: int) -> None:
        self.raw(200, b'{"choices": [{"message": {"content": "cut')

    def as_page(self, body: dict[str, Any], before: int) -> None:
        self.raw(502, b"<html>Bad gateway</html>", kind="text/html")

    def as_mislabelled(self, body: dict[str, Any], before: int) -> None:
        self.say("fine", body, kind="text/html; charset=latin-1")

    def as_nothing(self, body: dict[str, Any], before: int) -> None:
        self.reply(200, {"object": "chat.completion", "choices": []})

    def as_busy_once(self, body: dict[str, Any], before: int) -> None:
        if before == 0:
            self.reply(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
        else:
            self.as_fine(body, before)

    def as_busy_for_a_year(self, body: dict[str, Any], before: int) -> None:
        self.reply(429, {"error": {"message": "slow down"}}, {"Retry-After": formatdate(time.time() + 3e7, usegmt=True)})

    def as_broken(self, body: dict[str, Any], before: int) -> None:
        self.reply(500, {"error": {"message": "out of memory"}})

    def as_broken_twice(self, body: dict[str, Any], before: int) -> None:
        self.as_broken(body, before) if before < 2 else self.as_fine(body, before)

    def as_locked(self, body: dict[str, Any], before: int) -> None:
        self.reply(401, {"error": {"message": f"no entry with\n{self.headers['Authorization']}!"}})

    def as_absent(self, body: dict[str, Any], before: int) -> None:
        self.reply(404, {"error": {"message": "no such model"}})

    def as_moved(self, body: dict[str, Any], before: int) -> None:
        self.reply(308, {}, {"Location": "/elsewhere"})

    def as_picky(self, body: dict[str, Any], before: int) -> None:
        self.reply(400, {"error": {"message": "no temperature\nfor " + "you " * 1000}})

    def as_too_short(self, body: dict[str, Any], before: int) -> None:
        self.reply(400, {"object": "error", "message": "This model's maximum context length is 10 tokens.", "code": 400})

    def as_echoing(self, body: dict[str, Any], before: int) -> None:
        self.reply(500, {"error": {"message": f"{' ' * 50}you sent {self.headers['Authorization']}"}})

    def as_echoing_text(self, body: dict[str, Any], before: int) -> None:
        self.say(f"the key is {self.headers['Authorization']}", body)

    def as_empty(self, body: dict[str, Any], before: int) -> None:
        self.say("", body)

    def as_unclosed(self, body: dict[str, Any], before: int) -> None:
        self.say(UNCLOSED, body, finish="length")

    def as_long(self, body: dict[str, Any], before: int) -> None:
        self.say(LONG, body)

    def as_endless(self, body: dict[str, Any], before: int) -> None:
        self.say("x" * 5_000_000, body)

    def as_lying(self, body: dict[str, Any], before: int) -> None:
        self.say("12345678", body, usage={"prompt_tokens": -5, "completion_tokens": "many"})

    def as_thinking(self, body: dict[str, Any], before: int) -> None:
        details = {
            "prompt_tokens": 20,
            "completion_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 16},
            "completion_tokens_details": {"reasoning_tokens": 25},
        }
        self.say("north", body, usage=details, reasoning_content="hm, north")

    def say(
        self, text: str, body: dict[str, Any], *, finish: str = "stop", usage: Any = None, kind: str = "application/json", **more: Any
    ) -> None:
        usage = usage or {"prompt_tokens": 7, "completion_tokens": max(len(text) // 4, 1)}
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": finish}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [{"token": c, "logprob": -0.5, "top_logprobs": []} for c in text]}
        self.raw(200, json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode(), kind=kind)

    def reply(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        self.raw(status, json.dumps(answer).encode(), headers)

    def raw(self, status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "application/json") -> None:
        self.head(status, len(body), headers, kind)
        self.wfile.write(body)

    def head(self, status: int, length: int, headers: dict[str, str] | None = None, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


class Running:
    """The server, seen from the tests."""

    def __init__(self, url: str) -> None:
        self.url = url + "/v1"
        self._url = url

    def look(self, path: str = "/seen") -> dict[str, Any]:
        return httpx.get(self._url + path, trust_env=False).json()

    def bodies(self) -> list[dict[str, Any]]:
        return [each["body"] for each in self.look()["seen"]]


@contextmanager
def running() -> Iterator[Running]:
    """Start the server, and end it with what it is asked in."""
    with subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()
            process.wait(10)


class Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""


def main() -> None:
    server = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
