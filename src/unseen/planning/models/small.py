"""A causal transformer without downloaded weights: built from a few numbers, with a tokenizer made of an environment's own words.

Every action of the environment and both tags are single tokens, so that whether to plan is the first token of an output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unseen.errors import UserError
from unseen.planning.grammar import CLOSE, OPEN

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PAD, UNKNOWN, END, USER, ASSISTANT = "<pad>", "<unk>", "<end>", "<user>", "<answer>"
TOKEN = r"\n|\w+|[^\w\s]"
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<user>' if message.role != 'assistant' else '<answer>' }}{{ message.content }}"
    "{{ '<end>' if message.role == 'assistant' else '' }}"
    "{% endfor %}{% if add_generation_prompt %}<answer>{% endif %}"
)


def needed() -> tuple[Any, Any, Any]:
    """The modules torch, transformers and tokenizers.

    Raises:
        UserError: they are not installed.
    """
    try:
        import tokenizers
        import torch
        import transformers
    except ModuleNotFoundError as missing:
        raise UserError(f"a local model needs {missing.name}; install it with: pip install 'unseen[llm]'") from missing
    return torch, transformers, tokenizers


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars of `transformers`: a small model is read and written in no time."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def word_tokenizer(texts: Iterable[str], actions: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are the words, signs and line ends of these texts, and each action as one.

    Reading back what it writes gives the same tokens, but where signs stand between the words of an action; white space is not kept.

    Args:
        texts: all that it should know, such as observations and plans; what it does not know becomes <unk>.
        actions: of the environment.

    Raises:
        UserError: an action with white space other than single spaces between words.
    """
    _, transformers, tokenizers = needed()
    whole = sorted({action for action in actions if not re.fullmatch(TOKEN, action)}, key=len, reverse=True)
    for action in actions:
        if action != " ".join(action.split()) or not action:
            raise UserError(f"an action must be words with single spaces between them to be one token; not {action!r}")
    one = "|".join(rf"(?<!\w){re.escape(action)}(?!\w)" for action in whole)
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    core.normalizer = tokenizers.normalizers.Replace(tokenizers.Regex(r"[^\S\n]+"), " ")
    pattern = tokenizers.Regex(f"{one}|{TOKEN}" if one else TOKEN)
    core.pre_tokenizer = tokenizers.pre_tokenizers.Split(pattern, behavior="removed", invert=True)
    lines = {line for text in texts for line in text.split("\n")}  # most stand in many texts
    spoken = {*lines, *actions, *(word for action in whole for word in action.split())}
    words = {"\n", *(word for text in spoken for word in _words(core, text))}
    fixed = [PAD, UNKNOWN, END, USER, ASSISTANT, OPEN, CLOSE]
    core.model = tokenizers.models.WordLevel({word: k for k, word in enumerate([*fixed, *sorted(words)])}, unk_token=UNKNOWN)
    core.add_special_tokens([PAD, UNKNOWN, END, USER, ASSISTANT])
    core.add_tokens([tokenizers.AddedToken(tag, normalized=False) for tag in (OPEN, CLOSE)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _words(core: Any, text: str) -> list[str]:
    """The words of a text, cut as the tokenizer cuts them; tags are none."""
    for tag in (OPEN, CLOSE):
        text = text.replace(tag, " ")
    return [word for word, _ in core.pre_tokenizer.pre_tokenize_str(core.normalizer.normalize_str(text))]


def small_model(
    tokenizer: PreTrainedTokenizerFast, *, hidden: int = 128, layers: int = 3, heads: int = 4, context: int = 1024, seed: int = 0
) -> PreTrainedModel:
    """A Llama with random weights and tied embeddings.

    Args:
        tokenizer: whose vocabulary it speaks.
        hidden: width; a multiple of `heads`, and each head's share even.
        layers, heads: how many.
        context: tokens that a prompt and its output may have.
        seed: of the weights.

    Raises:
        UserError: sizes that do not fit.
    """
    torch, transformers, _ = needed()
    if min(hidden, layers, heads, context) < 1 or hidden % heads or hidden // heads % 2:
        raise UserError(
            f"hidden = {hidden}, layers = {layers}, heads = {heads}, context = {context}: hidden must be an even multiple of heads"
        )
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.LlamaForCausalLM(config).eval()
