"""A tokenizer made of an environment's words reads back what it writes; a small model is made of a few numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from unseen.environments.text import Crafter, GraphSearch
from unseen.errors import UserError
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.small import ASSISTANT, END, USER, small_model, word_tokenizer

ACTIONS = ("Do", "Move West", "Move", "Place Stone", "Place Stone Now", "12", "north-east", "say hi!")
TEXTS = ["You see:\n- water 2 steps west, stone\n", "go straße x² naïve e\u0301 日本", "plan: take 12 (or 7)"]
TOKENIZER = word_tokenizer(TEXTS, ACTIONS)
PARTS = [
    *ACTIONS,
    "West",
    "Place",
    "Stone",
    "Now",
    "north",
    "east",
    "say",
    "hi",
    "go",
    "water",
    "1",
    "2",
    "\n",
    " ",
    "  ",
    "\t",
    "-",
    "!",
    "?",
    "(",
    "²",
]
PARTS += [OPEN, CLOSE, "<", "plan", ">", "unheard", "_", "é", "e\u0301", "\r\n", "\u00a0", USER, END, ASSISTANT]


def ids(text, tokenizer=TOKENIZER):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@given(st.lists(st.sampled_from(PARTS), max_size=20).map("".join) | st.text(max_size=30))
def test_what_is_written_reads_back_as_the_same_tokens(text):
    read = ids(text)
    assert ids(TOKENIZER.decode(read)) == read


@given(st.lists(st.sampled_from([*ACTIONS, OPEN, CLOSE]), max_size=12))
def test_actions_and_tags_are_one_token_each_wherever_they_stand(words):
    expected = TOKENIZER.convert_tokens_to_ids(words)
    assert ids(" ".join(words)) == expected
    assert ids("\n".join(words)) == [token for word in expected for token in (word, *ids("\n"))][:-1]


@pytest.mark.parametrize("world", [GraphSearch(), Crafter()], ids=lambda world: world.name)
def test_actions_and_tags_of_the_environments_are_one_token_each(world):
    seen = world.reset(0).text
    tokenizer = word_tokenizer([world.instructions, seen], world.actions)
    for word in (*world.actions, OPEN, CLOSE):
        assert len(ids(word, tokenizer)) == 1
        assert ids(f"x {word}\n", tokenizer)[1] == ids(word, tokenizer)[0]
    assert tokenizer.unk_token_id not in ids(world.instructions + seen, tokenizer)


def test_an_action_inside_a_longer_word_is_none():
    assert ids("Move Westward") == [*ids("Move"), TOKENIZER.unk_token_id]
    assert ids("123") == [TOKENIZER.unk_token_id]
    assert ids("Place Stone Now") == [TOKENIZER.convert_tokens_to_ids("Place Stone Now")]


def test_white_space_between_the_words_of_an_action_is_one_space_but_for_line_ends():
    (whole,) = ids("Move West")
    assert ids("Move  West") == ids("Move\t\u00a0West") == [whole]
    assert ids("Move \n West") == [*ids("Move"), *ids("\n"), *ids("West")]


def test_every_word_of_the_texts_is_known():
    for text in TEXTS:
        assert TOKENIZER.unk_token_id not in ids(text)
    assert TOKENIZER.unk_token_id in ids("unheard")


@pytest.mark.parametrize("action", ["", " go", "go ", "go  on", "go\non", "go\ton"])
def test_an_action_that_could_not_be_one_token_is_refused(action):
    with pytest.raises(UserError, match="single spaces"):
        word_tokenizer([], [action])


def test_a_saved_tokenizer_is_the_same(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert loaded.get_vocab() == TOKENIZER.get_vocab()
    text = "".join(PARTS)
    assert ids(text, loaded) == ids(text)
    assert loaded.decode(ids(text)) == TOKENIZER.decode(ids(text))
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": "Do"}, {"role": "user", "content": "go"}]
    said = [one.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) for one in (loaded, TOKENIZER)]
    assert said == [f"{USER}go{ASSISTANT}Do{END}{USER}go{ASSISTANT}"] * 2
    assert loaded.eos_token_id == TOKENIZER.eos_token_id
    assert loaded.all_special_ids == TOKENIZER.all_special_ids


def test_the_vocabulary_does_not_depend_on_the_order_of_the_texts():
    assert word_tokenizer(reversed(TEXTS), ACTIONS).get_vocab() == TOKENIZER.get_vocab()
    assert sorted(TOKENIZER.get_vocab().values()) == list(range(len(TOKENIZER)))


def test_a_small_model_follows_from_its_seed_and_leaves_other_draws_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (small_model(TOKENIZER, hidden=16, layers=1, heads=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    for (name, a), b, c in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim < 2 or not torch.equal(a, c), name
    assert first.get_input_embeddings().weight is first.get_output_embeddings().weight
    assert first.config.vocab_size == len(TOKENIZER)


def test_a_small_model_does_not_see_what_comes_after():
    model = small_model(TOKENIZER, hidden=16, layers=2, heads=2).double()
    tokens = torch.tensor([ids("You see water 2 steps west")])
    with torch.no_grad():
        before = model(input_ids=tokens).logits.numpy()
        tokens[0, -1] = 7
        after = model(input_ids=tokens).logits.numpy()
    np.testing.assert_allclose(before[:, :-1], after[:, :-1], rtol=1e-10)
    assert not np.allclose(before[:, -1], after[:, -1])


@pytest.mark.parametrize("sizes", [{"hidden": 15}, {"hidden": 6, "heads": 2}, {"layers": 0}, {"heads": 0}, {"context": 0}])
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(UserError, match="even multiple"):
        small_model(TOKENIZER, **sizes)
