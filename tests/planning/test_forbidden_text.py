"""What is forbidden is never written, however it is cut into tokens, and nothing else is kept from being written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_models import bytes_tokenizer, prompt, words_model

from unseen.errors import UserError
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.forbidden import Forbidden
from unseen.planning.models.vocabulary import Vocabulary

BYTES = Vocabulary(bytes_tokenizer())
WORDS = Vocabulary(words_model().tokenizer)
WORD_TOKENIZER = words_model().tokenizer


class Said(Vocabulary):
    """A vocabulary of given texts."""

    def __init__(self, says):
        self._says, self.size = says, len(says)

    def says(self, token):
        return self._says[token]


def test_the_tokenizer_of_these_tests_cuts_tags_into_tokens_that_overlap():
    ids = bytes_tokenizer()(OPEN, add_special_tokens=False)["input_ids"]
    assert len(ids) > 1
    assert {"a<p", "lan", "an><", "plan>"} <= set(bytes_tokenizer().get_vocab())


@given(
    text=st.text("ab<", min_size=1, max_size=5),
    says=st.lists(st.text("ab< ", max_size=6), min_size=1, max_size=8),
    choices=st.lists(st.integers(0, 100), max_size=25),
)
@settings(max_examples=300)
def test_exactly_the_tokens_that_would_complete_a_text_are_forbidden(text, says, choices):
    forbidden, state, written = Forbidden(text, Said(says)), 0, ""
    for choice in choices:
        never = forbidden.tokens(state).tolist()
        assert never == [token for token, one in enumerate(says) if text in written + one]
        allowed = [token for token in range(len(says)) if token not in never]
        if not allowed:
            return
        token = allowed[choice % len(allowed)]
        written, state = written + says[token], forbidden.after(state, token)
        assert text not in written


@pytest.mark.parametrize("tokenizer", [bytes_tokenizer(), WORD_TOKENIZER], ids=["bytes", "words"])
@pytest.mark.parametrize("text", [OPEN, CLOSE, "<<", "an>"])
@given(data=st.data())
@settings(max_examples=40)
def test_what_is_decoded_never_holds_the_text(tokenizer, text, data):
    vocabulary = BYTES if tokenizer is bytes_tokenizer() else WORDS
    forbidden, state = Forbidden(text, vocabulary), 0
    likely = [token for token in range(vocabulary.size) if set(vocabulary.says(token)) & set(text) or vocabulary.silent(token)]
    ids: list[int] = []
    for _ in range(25):
        never = set(forbidden.tokens(state).tolist())
        for token in never:  # none is forbidden for nothing
            assert text in vocabulary.text([*ids, token])
        token = data.draw(st.sampled_from([token for token in likely if token not in never]))
        ids.append(token)
        state = forbidden.after(state, token)
        assert text not in vocabulary.text(ids)
        assert text not in tokenizer.decode(ids, skip_special_tokens=True)


def test_control_tokens_between_the_parts_do_not_help():
    tokenizer, forbidden = bytes_tokenizer(), Forbidden(OPEN, BYTES)
    state = 0
    for token in [*tokenizer("<pl", add_special_tokens=False)["input_ids"], tokenizer.pad_token_id, 10**6]:
        state = forbidden.after(state, token)
    assert "an><" in {BYTES.says(token) for token in forbidden.tokens(state).tolist()}


def test_tokens_that_spell_a_tag_out_in_words_are_none():
    ids = WORD_TOKENIZER("< plan >", add_special_tokens=False)["input_ids"]
    assert len(ids) == 3
    assert OPEN not in WORDS.text(ids)
    forbidden, state = Forbidden(OPEN, WORDS), 0
    for token in ids[:2]:
        state = forbidden.after(state, token)
    assert forbidden.tokens(state).tolist() == [WORD_TOKENIZER.convert_tokens_to_ids(OPEN)]


@pytest.mark.parametrize("text", ["", "‹plan›", "Plän"])
def test_a_text_that_cannot_be_kept_from_being_written_is_refused(text):
    with pytest.raises(UserError, match="ASCII"):
        Forbidden(text, BYTES)


def test_a_model_that_may_not_plan_never_does_and_else_often_does():
    model = words_model()
    asked = [prompt("you see a tree")] * 300
    assert sum(OPEN in c.text for c in model.generate(asked, max_tokens=8, temperature=3.0)) > 10
    kept = model.generate(asked, max_tokens=8, temperature=3.0, forbid=[OPEN if k % 2 else None for k in range(300)])
    has = np.array([OPEN in c.text for c in kept])
    assert not has[1::2].any()
    assert has[::2].any()
