"""Where an endpoint is, and the key to it: read from the environment when needed, kept nowhere, shown to nobody."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import quote, urlsplit

from unseen.errors import UserError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH = "/chat/completions"
_PLACEHOLDER = 8  # keys shorter than this ("EMPTY") open nothing, and may be words that a model writes
_LINE, _READ = 200, 4000  # characters of a line, and of what it is made from


def address(url: str) -> str:
    """The address that requests go to.

    Args:
        url: of an OpenAI-compatible server, with the version: "http://127.0.0.1:8000/v1".

    Raises:
        UserError: no http or https, or more than a host and a path. Parts that might be secret are not repeated.
    """
    example = "give a URL such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"the endpoint's URL cannot be read; {example}") from error
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise UserError("the endpoint's URL holds a user or a password; take them out, and put the key into an environment variable")
    if parts.query or parts.fragment:
        raise UserError("the endpoint's URL has something behind a '?' or '#'; give scheme, host and path only")
    if parts.scheme not in ("http", "https") or not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        raise UserError(f"the endpoint's URL is {url!r}; {example}")
    base = url.rstrip("/#?")
    if base.endswith(_PATH):
        raise UserError(f"the endpoint's URL is {url!r}; leave {_PATH} out, it is added")
    return base + _PATH


def key_from(variable: str | None) -> str:
    """The key that an environment variable holds; an empty one where no variable is named.

    Raises:
        UserError: the variable is not set, or holds what no header can carry. A key is never repeated, also where it was given for a name.
    """
    if variable is None:
        return ""
    if not _NAME.fullmatch(variable):
        raise UserError("key_variable is not the name of an environment variable; give a name such as OPENAI_API_KEY, not the key itself")
    shown = variable if variable.isupper() else "named by key_variable"  # in small letters it might be a key
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"environment variable {shown} is not set; put the endpoint's key into it, or give key_variable=None for a server without"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"environment variable {shown} holds characters that no key has; put the endpoint's key into it, and nothing else")
    return key


def hide(text: str, key: str) -> str:
    """A text from outside without the key, should somebody have sent it back."""
    if not key:
        return text
    for form in sorted({key, json.dumps(key)[1:-1], quote(key, safe="")}, key=len, reverse=True):
        text = text.replace(form, "[key]")
    return text


def hide_secret(text: str, key: str) -> str:
    """What a model wrote without the key, but for keys that are mere placeholders."""
    return hide(text, key) if len(key) >= _PLACEHOLDER else text


def one_line(text: str, key: str) -> str:
    """A text from outside as part of an error: without the key, on one line, short."""
    line = " ".join("".join(c if c.isprintable() else " " for c in hide(text, key)[:_READ]).split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
