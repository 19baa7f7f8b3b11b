"""Keeping a model from writing a text, however it would be cut into tokens."""

from __future__ import annotations

import numpy as np

from unseen.errors import UserError
from unseen.planning.models.vocabulary import Vocabulary


class Forbidden:
    """Which tokens would complete a text, given how much of it stands at the end of the output; no others are forbidden.

    A state is how many characters of the text the output ends with, from 0 to one less than all of it.
    """

    def __init__(self, text: str, vocabulary: Vocabulary):
        """
        Args:
            text: what may not be written.
            vocabulary: of the model.

        Raises:
            UserError: no text, or one whose characters may be cut into several tokens.
        """
        if not text or not text.isascii():
            raise UserError(f"a model cannot be kept from writing {text!r}; give a text of ASCII characters")
        self._text, self._vocabulary = text, vocabulary
        self._last: list[tuple[int, str]] | None = None
        self._tokens: dict[int, np.ndarray] = {}

    def tokens(self, state: int) -> np.ndarray:
        """Every token that would complete the text in this state, ascending."""
        if state not in self._tokens:
            if self._last is None:
                said = ((token, self._vocabulary.says(token)) for token in range(self._vocabulary.size))
                self._last = [(token, says) for token, says in said if self._text[-1] in says]
            begun = self._text[:state]
            self._tokens[state] = np.array([token for token, says in self._last if self._text in begun + says], np.int64)
        return self._tokens[state]

    def after(self, state: int, token: int) -> int:
        """The state after a token that does not complete the text."""
        written = self._text[:state] + self._vocabulary.says(token)
        longest = min(len(self._text) - 1, len(written))
        return next(n for n in range(longest, -1, -1) if written.endswith(self._text[:n]))
