"""A language model that is a function: for tests, for teaching, and as a stand-in. Never the source of a published figure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from unseen.errors import UserError
from unseen.planning.models.contract import Capabilities, Completion, Prompt, Scored, Usage, seeds, spread

Write = Callable[[Prompt, "str | None", "str | None", np.random.Generator], str]
"""(prompt, what to begin with, what not to write, a generator for draws) -> the whole output."""

PIECE = re.compile(r"\s*(?:</?plan>|(?:(?!</?plan>)\S)+)|\s+\Z")


def pieces(text: str) -> tuple[str, ...]:
    """Words, each with the white space before it; a tag is a word. They add up to the text."""
    return tuple(PIECE.findall(text))


class ScriptedModel:
    """Writes what a function says; a token is a word."""

    def __init__(self, write: Write, *, name: str = "scripted"):
        """
        Args:
            write: (prompt, force, forbid, generator) -> the whole output, a text. It is asked once for every prompt, must begin with
                `force` and must not contain `forbid` where they are not None, and draws from `generator`, if at all.
            name: for tables.
        """
        self._write, self._name = write, name

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(force=True, forbid=True)

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
        """See `LanguageModel.generate`; `stop`, `temperature` and `top_p` are the function's own business.

        Raises:
            UserError: the function did not begin with what was forced, or wrote what was forbidden.
        """
        n = len(prompts)
        asked = zip(prompts, spread(max_tokens, n, "max_tokens"), spread(force, n, "force"), spread(forbid, n, "forbid"), seeds(seed, n))
        return [self._one(prompt, limit, begin, not_this, draws) for prompt, limit, begin, not_this, draws in asked]

    def _one(self, prompt: Prompt, limit: int, force: str | None, forbid: str | None, seed: tuple[int, int]) -> Completion:
        text = self._write(prompt, force, forbid, np.random.default_rng(seed))
        if not isinstance(text, str):
            raise UserError(f"the scripted model {self.name!r} must write a text, and wrote {type(text).__name__} {text!r}")
        if force and not text.startswith(force):
            raise UserError(f"the scripted model {self.name!r} must begin with {force!r}, and wrote {text[:60]!r}")
        if forbid and forbid in text:
            raise UserError(f"the scripted model {self.name!r} must not write {forbid!r}, and wrote {text[:60]!r}")
        written = pieces(text)
        kept = written[:limit]
        usage = Usage(sum(len(pieces(message.content)) for message in prompt), 0, 0, len(kept))
        return Completion("".join(kept), "stop" if len(kept) == len(written) else "length", usage, pieces=kept)

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], *, temperature: float = 1.0) -> list[Scored]:
        raise UserError(f"the scripted model {self.name!r} has no probabilities to score with")
