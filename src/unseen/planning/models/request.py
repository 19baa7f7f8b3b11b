"""One prompt and how it is to be answered: what a batch asks, prompt by prompt."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

from unseen.errors import UserError
from unseen.planning.models.contract import Message, Prompt, seeds, spread

SEEDS = 2**31  # some servers keep 32 bits of a seed


class Request(NamedTuple):
    """A prompt with its settings; those of `LanguageModel.generate`, one of each."""

    prompt: tuple[Message, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    force: str | None = None
    forbid: str | None = None


def requests(
    prompts: Sequence[Prompt],
    *,
    max_tokens: int | Sequence[int],
    stop: Sequence[str] = (),
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int | Sequence[int] = 0,
    force: str | Sequence[str | None] | None = None,
    forbid: str | Sequence[str | None] | None = None,
) -> list[Request]:
    """What `LanguageModel.generate` is asked with these arguments, prompt by prompt.

    Raises:
        UserError: a setting that is not allowed.
    """
    count = len(prompts)
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UserError(f"temperature is {temperature}; give 0 or more")
    if not 0 < top_p <= 1:
        raise UserError(f"top_p is {top_p}; give more than 0 and at most 1")
    limits = spread(max_tokens, count, "max_tokens")
    for limit in limits:
        if limit < 1:
            raise UserError(f"max_tokens is {limit}; give at least 1")
    forbidden = spread(forbid, count, "forbid")
    if "" in forbidden:
        raise UserError("forbid is an empty text, which every output contains; give None to forbid nothing")
    return [
        Request(
            tuple(Message(*message) for message in prompts[k]),
            int(limits[k]),
            tuple(stop),
            float(temperature),
            float(top_p),
            one_seed(*pair),
            begin or None,
            forbidden[k],
        )
        for k, (pair, begin) in enumerate(zip(seeds(seed, count), spread(force, count, "force")))
    ]


def one_seed(seed: int, place: int) -> int:
    """A number for a seed and a prompt's place: the seed itself at place 0, where servers can hold it."""
    if place == 0 and 0 <= seed < SEEDS:
        return int(seed)
    digest = hashlib.blake2b(f"{seed} {place}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SEEDS
