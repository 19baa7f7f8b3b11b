"""What the tokens of a tokenizer say, which of them steer the model, and texts in which none of those is left."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from unseen.errors import UserError
from unseen.planning.grammar import CLOSE, OPEN

HALF = "\ufffd"  # what is shown of a character of which not all bytes are there


class Vocabulary:
    """The tokens of a tokenizer, as they read in the middle of a text.

    Attributes:
        size: tokens that the tokenizer has.
        control: tokens that steer the model and say nothing: special ones, and those that the chat template writes.
    """

    def __init__(self, tokenizer: Any, ends: Iterable[int] = ()):
        """
        Args:
            tokenizer: with a chat template.
            ends: more tokens that end an output.

        Raises:
            UserError: the chat template cannot be filled in.
        """
        self._tokenizer, self.size = tokenizer, len(tokenizer)
        added = tokenizer.added_tokens_decoder
        turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
        try:
            told = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is a program, and may fail in any way
            raise UserError(f"the tokenizer's chat template cannot be filled in: {error}") from None
        steering = {token for token in tokenizer(told, add_special_tokens=False)["input_ids"] if token in added}
        special = {token for token, one in added.items() if one.special} | set(tokenizer.all_special_ids)
        control = special | steering | set(ends)
        self.control = frozenset(token for token in control if token not in added or added[token].content not in (OPEN, CLOSE))
        self._written = sorted(tokenizer.convert_ids_to_tokens(sorted(k for k in self.control if k < self.size)), key=len, reverse=True)
        self._says: dict[int, str] = {}
        self._before, self._begun = self._ordinary()

    def _ordinary(self) -> tuple[list[int], str]:
        """A token that says something by itself, and what: others are read behind it."""
        for token in range(self.size):
            text = "" if token in self.control else self._decoded([token])
            if text.isalnum() and HALF not in text:
                return [token], text
        return [], ""

    def _decoded(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def silent(self, token: int) -> bool:
        """Whether a token says nothing. So do those that a model has a weight for, and its tokenizer does not know."""
        return token in self.control or token >= self.size

    def says(self, token: int) -> str:
        """What a token adds to a text."""
        if token not in self._says:
            text = "" if self.silent(token) else self._decoded([*self._before, token])
            self._says[token] = text.removeprefix(self._begun)
        return self._says[token]

    def text(self, ids: Sequence[int]) -> str:
        """What an output says."""
        return self._decoded([token for token in ids if not self.silent(token)])

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The text of each token; they add up to `text`. A character that is cut into tokens belongs to the last of them."""
        heard = [token for token in ids if not self.silent(token)]
        whole = self._decoded(heard)
        parts = [self._decoded(heard[:1]), *map(self.says, heard[1:])] if heard else []
        if "".join(parts) != whole:  # characters in several tokens, or a tokenizer that looks at what stands around a token
            ends = [0]
            for k in range(1, len(heard)):
                sure = (a == b for a, b in zip(self._decoded(heard[:k]), whole, strict=False))
                ends.append(max(ends[-1], sum(itertools.takewhile(bool, sure))))
            parts = [whole[a:b] for a, b in zip(ends, [*ends[1:], len(whole)], strict=True)]
        said = iter(parts)
        return tuple("" if self.silent(token) else next(said) for token in ids)

    def harmless(self, text: str) -> str:
        """A text in which nothing reads as a token that steers the model."""
        for token in self._written:
            if token in text:
                text = text.replace(token, f"‹{token[1:]}" if token[0] == "<" else f"{token[0]} {token[1:]}" if token[1:] else " ")
        return text
