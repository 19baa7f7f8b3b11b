"""What may go wrong with an endpoint: what passes by, what concerns one prompt, and what cannot work at all."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from unseen.errors import UserError
from unseen.planning.models.access import one_line
from unseen.planning.models.contract import Completion, Usage

NOTHING = Usage(0, 0, 0, 0)
_PASSING = {408, 409, 425, 429}
_TOO_LONG = re.compile(r"context[ _](length|window|size)", re.IGNORECASE)


class Passing(Exception):
    """Another try may bring an answer; `after` so many seconds, where the server said so."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Final(Exception):
    """This prompt gets no answer, however often it is asked; others may."""

    def __init__(self, reason: str, usage: Usage = NOTHING) -> None:
        super().__init__(reason)
        self.usage = usage


def failed(reason: str, usage: Usage = NOTHING) -> Completion:
    """A completion that did not come."""
    return Completion("", "failed", usage, error=reason)


def refusal(status: int, body: bytes, after: str | None, *, model: str, address: str, variable: str | None, key: str) -> Exception:
    """What an answer other than 200 means.

    Args:
        status: of HTTP.
        body: what came with it.
        after: the header Retry-After.
        model: that was asked for.
        address: that was asked.
        variable: with the key.
        key: not to be repeated.
    """
    code, message = _said(body)
    said = one_line(message, key)
    said = f": {said}" if said else ""
    if status in _PASSING or status >= 500:
        return Passing(f"HTTP {status}{said}", seconds(after))
    if status == 413 or (status in (400, 422) and (code == "content_filter" or _TOO_LONG.search(f"{code} {message}"))):
        return Final(f"HTTP {status}{said}")
    if status in (401, 403):
        fix = f"check the key in {variable} and what it may do" if variable else "give key_variable, the environment variable with a key"
        return UserError(f"{address} does not let us in (HTTP {status}){said}; {fix}")
    if status == 404:
        return UserError(f"{address} has no model {model!r}, or is no such place (HTTP 404){said}; check the model's name and the URL")
    if 300 <= status < 400:
        return UserError(f"{address} leads elsewhere (HTTP {status}); give the URL that it moved to")
    return UserError(f"{address} does not take the request (HTTP {status}){said}; change the setting that it names")


def seconds(after: str | None, now: datetime | None = None) -> float | None:
    """What Retry-After says, a number of seconds or a date; None where it says nothing that can be understood."""
    if after is None:
        return None
    try:
        wait = float(after)
    except ValueError:
        try:
            until = parsedate_to_datetime(after)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        wait = (until.replace(tzinfo=until.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return None if math.isnan(wait) else max(wait, 0.0)


def parse(body: bytes) -> Any:
    """JSON from outside.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _said(body: bytes) -> tuple[str, str]:
    """The code and the message of an error, wherever servers put them."""
    try:
        answer = parse(body)
    except ValueError:
        text = body.decode(errors="replace").strip()
        return "", "" if text.startswith("<") else text  # a page says nothing in a line
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, dict):
        return words(error.get("code") or error.get("type")), words(error.get("message") or error.get("detail"))
    return "", words(error)


def words(value: Any) -> str:
    """A part of an answer as it may be shown: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value) if value else ""
    except RecursionError:
        return ""
