"""Tiny local models and tokenizers for the tests, and plain generation as the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers

from unseen.planning.models.contract import Message, Prompt
from unseen.planning.models.local import LocalModel
from unseen.planning.models.small import TEMPLATE, small_model, word_tokenizer

WORDS = "you see a tree and some water north south of here go on then look"
ACTIONS = ("north", "Move West", "Place Stone", "12")
SPECIAL = ["<pad>", "<unk>", "<end>", "<user>", "<answer>"]


def prompt(text: str) -> list[Message]:
    return [Message("user", text)]


def prompts(count: int, shared: int, longest: int = 9) -> list[Prompt]:
    """Conversations of unequal lengths that begin with the same words."""
    words, generator = WORDS.split(), np.random.default_rng(count)
    begin = [words[k % len(words)] for k in range(shared)]
    return [prompt(" ".join([*begin, *generator.choice(words, 1 + k * longest // count)])) for k in range(count)]


def words_model(dtype: torch.dtype = torch.float64, hidden: int = 16, scale: float = 8.0, batch: int = 64) -> LocalModel:
    """A word-level model whose weights are large enough for its distributions to be uneven."""
    tokenizer = word_tokenizer([WORDS, "< plan > / ."], ACTIONS)
    network = small_model(tokenizer, hidden=hidden, layers=2, heads=2, seed=3).to(dtype)
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim == 2:
                weights *= scale
    return LocalModel(network, tokenizer, name="words", batch=batch)


@cache
def bytes_tokenizer(size: int = 330) -> Any:
    """A byte-level BPE in which <plan> is several tokens, some of which overlap it: "a<p", "lan", "an><", "plan>", …"""
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = ["a<p", "<pl", "x<<p", "lan", "lan> ", "n> go", "an><", "> ", "<plan", "é–木🌲", "plan>", "go north", " n>", "p"] * 20
    core.train_from_iterator(texts, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        additional_special_tokens=["<user>", "<answer>"],
        chat_template=TEMPLATE,
    )


def bytes_model(hidden: int = 16) -> LocalModel:
    tokenizer = bytes_tokenizer()
    return LocalModel(small_model(tokenizer, hidden=hidden, layers=1, heads=2, seed=1).double(), tokenizer, name="bytes")


def plainly(model: LocalModel, ids: Sequence[int], count: int, choose: Any) -> list[int]:
    """`count` tokens, each by a full pass over everything before it; `choose(logits, written)` takes one."""
    written: list[int] = []
    with torch.no_grad():
        for _ in range(count):
            logits = model.model(input_ids=torch.tensor([[*ids, *written]])).logits[0, -1].double().numpy()
            written.append(int(choose(logits, written)))
    return written


def plain_distribution(logits: np.ndarray, temperature: float, top_p: float = 1.0, never: Sequence[int] = ()) -> np.ndarray:
    """What the next token is drawn from, by loops."""
    allowed = [k for k in range(len(logits)) if k not in set(never)]
    largest = max(logits[k] for k in allowed)
    p = np.zeros(len(logits))
    for k in allowed:
        p[k] = np.exp((logits[k] - largest) / temperature)
    p /= p.sum()
    if top_p < 1:
        kept, mass = [], 0.0
        for k in sorted(range(len(p)), key=lambda k: (-p[k], k)):
            if mass >= top_p:
                break
            kept.append(k)
            mass += p[k]
        q = np.zeros(len(p))
        q[kept] = p[kept]
        p = q / q.sum()
    return p


def taken(p: np.ndarray, uniform: float) -> int:
    """The token that a uniform number stands for."""
    total = 0.0
    for token, share in enumerate(p):
        total += share
        if total > uniform * p.sum():
            return token
    return int(np.flatnonzero(p)[-1])
