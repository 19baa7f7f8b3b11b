"""What a language model promises an agent: texts for prompts, what they cost, and what it can be made to write or not to write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from unseen.errors import UserError

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "failed"]


class Message(NamedTuple):
    """A turn of a conversation."""

    role: Role
    content: str


Prompt = Sequence[Message]


class Usage(NamedTuple):
    """Tokens of one completion. All of them are compute, cached and hidden ones too.

    Attributes:
        prompt: read, cached ones among them.
        cached: of the prompt, those whose keys and values were there already.
        reasoning: written and not shown; not among `output`.
        output: written and shown.
        estimated: whether any of these was estimated from characters, because the model did not tell, or told what cannot be.
    """

    prompt: int
    cached: int
    reasoning: int
    output: int
    estimated: bool = False


class Completion(NamedTuple):
    """What a model wrote.

    Attributes:
        text: all that is shown of it, a forced beginning included.
        finish_reason: "stop" by itself, "length" at the limit, "failed" where nothing came, for the reason in `error`.
        usage: what it cost.
        token_ids: of `text`; None where the model does not tell.
        pieces: `text`, token by token; they add up to it. None where the model does not tell.
        logprobs: (tokens,) of each token of `text`, after temperature, top-p, and what was forced or forbidden (a forced token has 0).
        prompt_token_ids: as they were read.
        error: why it failed.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    token_ids: tuple[int, ...] | None = None
    pieces: tuple[str, ...] | None = None
    logprobs: np.ndarray | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    error: str = ""


class Scored(NamedTuple):
    """A continuation, token by token, with the log-probability of each given the prompt and what stands before it: (tokens,)."""

    token_ids: tuple[int, ...]
    logprobs: np.ndarray


class Capabilities(NamedTuple):
    """What a model can do.

    Attributes:
        token_ids: it tells the tokens it read and wrote.
        logprobs: and their log-probabilities.
        force: it can be made to begin with a given text.
        forbid: it can be kept from writing a given text.
        score: it can score a given continuation.
        stops: it ends at the first of the `stop` texts outside a plan.
        parameters: how many weights take part in a token; None where that is not known.
    """

    token_ids: bool = False
    logprobs: bool = False
    force: bool = False
    forbid: bool = False
    score: bool = False
    stops: bool = False
    parameters: int | None = None


@runtime_checkable
class LanguageModel(Protocol):
    """Writes a text for each of many prompts at once."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | Sequence[int] = 0,
        force: str | Sequence[str | None] | None = None,
        forbid: str | Sequence[str | None] | None = None,
    ) -> list[Completion]:
        """A completion for every prompt.

        What one prompt gets does not depend on the others, where the model promises that equal seeds give equal texts.

        Args:
            prompts: conversations, each ending with a user's turn.
            max_tokens: that may be written, reasoning included; one number, or one per prompt.
            stop: the words that end an output where they stand outside a plan; they are kept in it. A model without `stops` goes on.
            temperature: 0 takes the likeliest token.
            top_p: of the probability mass, the likeliest tokens that make it up.
            seed: of the draws; one, or one per prompt. One seed for many prompts draws differently for each.
            force: what an output begins with; one text, or one per prompt.
            forbid: what an output may not contain; one text, or one per prompt.

        Raises:
            UserError: a setting that is not allowed, `force` or `forbid` where the model cannot, or an endpoint that cannot work at all
                (no key, no such model, no permission). What may pass by is no error: it ends as a completion that failed.
        """
        ...

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], *, temperature: float = 1.0) -> list[Scored]:
        """The log-probabilities of given continuations.

        Raises:
            UserError: the model cannot.
        """
        ...


def spread(value: Any, count: int, name: str) -> list[Any]:
    """One value for each of `count` prompts, from one for all or a sequence of them; a text is one value.

    Raises:
        UserError: a sequence of another length.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise UserError(f"{name} has {len(value)} entries for {count} prompts; give one for all, or one for each")
    return list(value)


def seeds(seed: int | Sequence[int], count: int) -> list[tuple[int, int]]:
    """A pair to seed each prompt's draws with: one seed for all is told apart by the prompt's place."""
    if isinstance(seed, Sequence):
        return [(s, 0) for s in spread(seed, count, "seed")]
    return [(seed, k) for k in range(count)]
