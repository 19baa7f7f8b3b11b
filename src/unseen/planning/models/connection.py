"""One POST over HTTP: bytes there, bytes back, within a time and a size, or the reason why not."""

from __future__ import annotations

import time

from unseen.errors import UserError
from unseen.planning.models.access import one_line
from unseen.planning.models.failures import Final, Passing

try:
    import httpx
except ModuleNotFoundError as missing:
    raise UserError("endpoints need httpx and tenacity; install them with: pip install 'unseen[endpoint]'") from missing

LARGEST = 4 * 2**20  # bytes of an answer; more is cut


class Answer:
    """What came back.

    Attributes:
        status: of HTTP.
        after: its header Retry-After.
        body: at most `LARGEST` bytes.
    """

    def __init__(self, status: int, after: str | None, body: bytes) -> None:
        self.status, self.after, self.body = status, after, body


class Connection:
    """Kept-alive connections to an address, for `concurrency` threads at once.

    Raises:
        UserError: no address, or the environment names a proxy that cannot be used.
    """

    def __init__(self, address: str, timeout_s: float, concurrency: int) -> None:
        self.address, self.timeout_s = address, timeout_s
        try:
            httpx.URL(address)
        except httpx.InvalidURL as error:
            raise UserError(f"{address!r} is no URL ({error}); give one such as http://127.0.0.1:8000/v1") from error
        # Compressed answers are not asked for: a small one could unpack to a large one.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        try:
            self._client = httpx.Client(timeout=timeout_s, limits=limits, headers=headers)
        except (ValueError, ImportError) as error:  # whose message may hold a proxy's password
            raise UserError(
                "the proxy that the environment names cannot be used; correct or unset HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
            ) from error

    def close(self) -> None:
        self._client.close()

    def post(self, content: bytes, key: str) -> Answer:
        """Send JSON, with the key in its header, and wait for the whole answer.

        Raises:
            Passing: none came, or not all of it in time.
            Final: more than is allowed.
        """
        until = time.monotonic() + self.timeout_s
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with self._client.stream("POST", self.address, content=content, headers=headers) as response:
                body = self._body(response, until)
        except httpx.TimeoutException as error:
            raise Passing(f"no answer in {self.timeout_s:g} s") from error
        except httpx.TransportError as error:
            raise Passing(f"no connection: {one_line(str(error) or type(error).__name__, key)}") from error
        return Answer(response.status_code, response.headers.get("Retry-After"), body)

    def _body(self, response: httpx.Response, until: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                if response.status_code == 200:
                    raise Final(f"the answer has more than {LARGEST} bytes, and was cut")
                break  # a refusal is one, however much it says
            if time.monotonic() > until:  # httpx counts from one read to the next
                raise Passing(f"no whole answer in {self.timeout_s:g} s")
        return b"".join(parts)[:LARGEST]
