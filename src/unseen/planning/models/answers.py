"""An endpoint's answer, read: any bytes give a completion, or the reason why they are none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unseen.planning.models.access import hide_secret, one_line
from unseen.planning.models.contract import Completion, FinishReason, Usage
from unseen.planning.models.failures import Final, Passing, parse, words
from unseen.planning.models.request import Request

CHARACTERS = 4  # in a token of English, about
_ABSURD = 10**9  # more than anybody reads or writes at once, and unlikelier than anything
_BROKEN_OFF = {"abort", "error"}  # vLLM, OpenRouter


def read(body: bytes, request: Request, key: str = "", *, logprobs: bool = False) -> Completion:
    """The completion in the body of an answer with status 200.

    Args:
        body: as it came.
        request: what was asked; a forced beginning is put before what came.
        key: taken out of what the model wrote, should it be there.
        logprobs: whether pieces and log-probabilities are taken over; only where the pieces add up to the text.

    Raises:
        Passing: no JSON, or not what is promised.
        Final: an answer that was withheld, or one with what was forbidden.
    """
    try:
        answer = parse(body)
    except ValueError as error:
        raise Passing(f"the answer is no JSON ({one_line(str(error), key)})") from error
    if not isinstance(answer, dict):
        raise Passing("the answer is no JSON object")
    if answer.get("error") and not answer.get("choices"):
        error = answer["error"]
        message = error.get("message") if isinstance(error, dict) else error
        raise Passing(f"the answer is an error: {one_line(words(message), key)}")
    choice = _first(answer.get("choices"))
    message = choice.get("message")
    if not isinstance(message, dict) or "content" not in message:
        raise Passing("the answer has no message with content")
    written = message["content"] if message["content"] is not None else ""  # null: all of it was reasoning
    if not isinstance(written, str):
        raise Passing("the content of the answer is no text")
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason in _BROKEN_OFF:
        raise Passing(f"the answer broke off: {reason}")
    text = (request.force or "") + hide_secret(_sound(written), key)
    usage = _usage(answer.get("usage"), request, text, _reasoning(message))
    if reason == "content_filter":
        raise Final("the server's filter withheld the answer", usage)
    if request.forbid is not None and request.forbid in text:
        raise Final(f"the server let the model write {request.forbid!r}, which was forbidden", usage)
    finish: FinishReason = "length" if reason == "length" else "stop"
    pieces, values = _pieces(choice.get("logprobs"), text) if logprobs else (None, None)
    return Completion(text, finish, usage, pieces=pieces, logprobs=values)


def _first(choices: Any) -> dict[str, Any]:
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Passing("the answer has no choices")
    return choices[0]


def _sound(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON allows and no file or request can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _reasoning(message: dict[str, Any]) -> str:
    """What was thought aside, where the server shows it: DeepSeek and vLLM, under one of two names."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str):
            return message[name]
    return ""


def _usage(told: Any, request: Request, text: str, reasoning: str) -> Usage:
    """Tokens as they were told, where that can be true; else estimated from characters."""
    if not isinstance(told, dict):
        return _estimate(request, text, reasoning)
    prompt, written = _count(told.get("prompt_tokens")), _count(told.get("completion_tokens"))
    cached = _detail(told.get("prompt_tokens_details"), "cached_tokens")
    hidden = _detail(told.get("completion_tokens_details"), "reasoning_tokens")
    new = len(text) - len(request.force or "")
    if prompt is None or written is None or cached is None or hidden is None or cached > prompt or hidden > written:
        return _estimate(request, text, reasoning)
    if (prompt == 0 and _read(request)) or (written == 0 and new + len(reasoning)):
        return _estimate(request, text, reasoning)
    if reasoning and not hidden:  # vLLM counts it with the rest and does not tell how much it was
        hidden = round(written * len(reasoning) / (len(reasoning) + new))
        return Usage(prompt, cached, hidden, written - hidden, estimated=True)
    return Usage(prompt, cached, hidden, written - hidden)


def _estimate(request: Request, text: str, reasoning: str) -> Usage:
    new = len(text) - len(request.force or "")
    prompt, hidden, output = (math.ceil(n / CHARACTERS) for n in (_read(request), len(reasoning), new))
    return Usage(prompt, 0, hidden, output, estimated=True)


def _read(request: Request) -> int:
    """Characters of a prompt."""
    return sum(len(message.content) for message in request.prompt) + len(request.force or "")


def _count(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _ABSURD or value != int(value):
        return None
    return int(value)


def _detail(details: Any, name: str) -> int | None:
    """A number of tokens that need not be told: 0 where it is not."""
    if not isinstance(details, dict) or details.get(name) is None:
        return 0
    return _count(details[name])


def _pieces(told: Any, text: str) -> tuple[tuple[str, ...] | None, np.ndarray | None]:
    """The tokens of a text and their log-probabilities, if both are whole."""
    content = told.get("content") if isinstance(told, dict) else None
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        return None, None
    pieces, values = [each.get("token") for each in content], [each.get("logprob") for each in content]
    if not all(isinstance(piece, str) for piece in pieces) or "".join(pieces) != text:
        return None, None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and -_ABSURD < v <= 0 for v in values):
        return None, None
    return tuple(pieces), np.array(values, np.float64)
