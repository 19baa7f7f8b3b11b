"""The lines of a cassette's tape: JSON that gives back exactly what was asked and what came."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np

from unseen.planning.models.contract import Capabilities, Completion, Message, Usage
from unseen.planning.models.request import Request

VERSION = 1
BEGINNING = b'{"cassette": '  # of every tape
_KINDS = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


class Header(NamedTuple):
    """Whose answers a tape holds."""

    name: str
    capabilities: Capabilities


class Recorded(NamedTuple):
    """An answer, the `time`-th (from 0) to this request."""

    request: Request
    time: int
    completion: Completion


def key(request: Request) -> str:
    """Equal for equal requests, and for no others: a hash of canonical JSON."""
    return hashlib.sha256(json.dumps(_asked(request), sort_keys=True).encode()).hexdigest()


def header_line(header: Header) -> bytes:
    return _line({"cassette": VERSION, "model": header.name, "capabilities": header.capabilities._asdict()})


def line(recorded: Recorded) -> bytes:
    return _line({"asked": _asked(recorded.request), "time": recorded.time, "came": _came(recorded.completion)})


def read_header(text: bytes) -> Header:
    """The header that `header_line` wrote.

    Raises:
        ValueError: it is none.
    """
    try:
        fields = json.loads(text)
        if fields["cassette"] != VERSION:
            raise ValueError(f"it has version {fields['cassette']}, this is version {VERSION}")
        return Header(_text(fields["model"]), Capabilities(**fields["capabilities"]))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("it is no cassette's header") from error


def read_line(text: bytes) -> Recorded:
    """The answer that `line` wrote.

    Raises:
        ValueError: it is none.
    """
    try:
        fields = json.loads(text)
        asked, came = fields["asked"], fields["came"]
        request = Request(**asked | {"prompt": tuple(Message(*each) for each in asked["prompt"]), "stop": tuple(asked["stop"])})
        _text(came["text"])
        completion = Completion(
            **came
            | {
                "usage": Usage(**came["usage"]),
                "token_ids": _tuple(came["token_ids"]),
                "pieces": _tuple(came["pieces"]),
                "logprobs": _array(came["logprobs"]),
                "prompt_token_ids": _tuple(came["prompt_token_ids"]),
            }
        )
        return Recorded(request, int(fields["time"]), completion)
    except (TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is no answer of a cassette ({type(error).__name__}: {error})") from error


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, default=_plain).encode() + b"\n"  # ASCII without line breaks


def _plain(value: Any) -> Any:
    """A number of NumPy's as one of Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be recorded")


def _asked(request: Request) -> dict[str, Any]:
    return request._asdict() | {"prompt": [list(message) for message in request.prompt], "stop": list(request.stop)}


def _came(completion: Completion) -> dict[str, Any]:
    values = completion.logprobs
    logprobs = None if values is None else {"kind": values.dtype.name, "values": values.tolist()}
    return completion._asdict() | {"usage": completion.usage._asdict(), "logprobs": logprobs}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _array(told: dict[str, Any] | None) -> np.ndarray | None:
    return None if told is None else np.array(told["values"], _KINDS[told["kind"]])
