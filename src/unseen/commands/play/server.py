"""The page and its few requests, for one browser on this machine.

Other pages in the same browser can send requests here too. They are kept out three ways: the address holds a random token; the Host
header must name this machine, so that a foreign name that resolves to it (DNS rebinding) does not pass; and what changes the game is
JSON, which a foreign page cannot send without being asked first.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import socketserver
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from unseen.commands.play.looking import game, view
from unseen.commands.play.session import Session, Stage
from unseen.errors import UserError

HOST = "127.0.0.1"
LARGEST = 4_096  # bytes of a request's body
FILES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """Serves a session at `address`; `over` is set once the last of its episodes has been shown.

    Args:
        port: 0 for any free one.

    Raises:
        UserError: the port is taken or not allowed.
    """

    session: Session
    allow_reuse_address = sys.platform != "win32"  # there it would let two programs share a port

    def __init__(self, port: int):
        if not 0 <= port <= 65_535:
            raise UserError(f"port {port} does not exist; give one from 1024 to 65535, or 0 for any free one")
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port, or --port 0 for any free one"
            ) from error
        self.token = secrets.token_urlsafe(16)
        self.lock = threading.Lock()  # a session is one game: one request at a time
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own asks name servers for the machine's name, which may take long
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Refused(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30  # seconds; browsers open connections that they then leave unused

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_POST(self) -> None:
        self._answered(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is for the person."""

    def _answered(self, answer: Any) -> None:
        try:
            body, kind = answer(self._what())
        except Refused as refused:
            self._send(refused.status, *_json({"error": str(refused)}))
        except UserError as error:
            self._send(409, *_json({"error": str(error)}))
        except (ConnectionError, TimeoutError):
            raise  # a browser that went away
        except Exception as error:
            traceback.print_exc()
            self._send(500, *_json({"error": f"the environment failed with {type(error).__name__}; the terminal says more"}))
        else:
            self._send(200, body, kind)
            if self.server.session.stage == Stage.OVER:
                self.server.over.set()  # only now: the page has been told

    def _what(self) -> str:
        """What is asked for, behind the token."""
        # Any port: a tunnel from another machine may end at another one.
        if not re.fullmatch(rf"(localhost|{re.escape(HOST)})(:\d+)?", self.headers.get("Host", ""), re.IGNORECASE):
            raise Refused(403, "this page is for a browser on the machine that serves it")
        token, _, what = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(403, "open the whole address that `unseen play` printed")
        return what

    def _get(self, what: str) -> tuple[bytes, str]:
        if what in FILES:
            name, kind = FILES[what]
            return resources.files("unseen.commands.play").joinpath(name).read_bytes(), kind
        if what not in ("game", "view"):
            raise Refused(404, f"there is no {what!r} here")
        with self.server.lock:
            return _json((game if what == "game" else view)(self.server.session))

    def _post(self, what: str) -> tuple[bytes, str]:
        if what not in ("begin", "act"):
            raise Refused(404, f"there is no {what!r} here")
        asked = self._asked()
        session = self.server.session
        with self.server.lock:
            if what == "begin":
                session.begin()
            else:
                action = _whole(asked, "action")
                # A key pressed twice before an answer, or in two windows, must not count for a step its player has not seen.
                if (_whole(asked, "episode"), _whole(asked, "step")) != (session.begun, session.running.step if session.running else 0):
                    raise Refused(409, "the game is at another step already")
                session.act(action)
            return _json(view(session))

    def _asked(self) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise Refused(411, "send Content-Length")
        if int(length) > LARGEST:
            raise Refused(413, f"send at most {LARGEST} bytes")
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(400, "that is no JSON") from None
        if not isinstance(asked, dict):
            raise Refused(400, "send a JSON object")
        return asked

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, allow_nan=False).encode(), "application/json"


def _whole(asked: dict[str, Any], name: str) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(400, f"{name} must be a whole number")
    return value
