"""Passes of a network over samples: log-probabilities of what was written, and what a value head reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from unseen.planning.models.local import left_padded, positions_of
from unseen.planning.rl.losses import log_softmax
from unseen.planning.rl.samples import Sample, Speech, forbidden_of
from unseen.planning.rl.settings import Precision


class Read(NamedTuple):
    """A pass over some samples; outputs stand at the right end of their rows.

    Attributes:
        logp: (rows, columns, vocabulary) before each token of the output, after temperature and what was forbidden.
        taken: (rows, columns) of the tokens that were written.
        hidden: (rows, columns, width) the last hidden state before each token.
        written: (rows, columns) which columns hold a token.
    """

    logp: Any
    taken: Any
    hidden: Any
    written: Any


def read(network: Any, samples: Sequence[Sample], speech: Speech, temperature: float, weights: Mapping[str, Any] | None = None) -> Read:
    """One pass over prompts and outputs.

    Args:
        network: a causal language model.
        samples: the rows.
        speech: of the model.
        temperature: of the rollout.
        weights: that stand in for the network's own of the same names.
    """
    import torch

    device = next(network.parameters()).device
    tokens, mask = left_padded(torch, [[*one.prompt, *one.output] for one in samples], device)
    lengths = torch.tensor([len(one.output) for one in samples], device=device)
    width = max(len(one.output) for one in samples)
    given = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions_of(mask), "use_cache": False}
    given |= {"logits_to_keep": width + 1}
    with _seen_by(network.get_output_embeddings()) as seen:  # all hidden states of all layers would fill the memory
        out = network(**given) if weights is None else _instead(network, weights, given)
    logp = log_softmax(out.logits[:, :-1], temperature, forbidden_of(samples, speech, width, device))
    taken = logp.gather(-1, tokens[:, -width:, None])[..., 0]
    written = torch.arange(-width, 0, device=device) >= -lengths[:, None]
    return Read(logp, taken, seen[-1][:, -width - 1 : -1], written)


def _instead(network: Any, weights: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """A pass with other weights, each in every place where the network's own of that name stands.

    torch finds places by names, and two names of one place, as tokens have that are the input's and the output's, would leave the other
    weights there.
    """
    import torch

    instead = {id(p): weights[name] for name, p in network.named_parameters() if name in weights}
    places = ((f"{path}.{name}", p) for path, module in network.named_modules() for name, p in module.named_parameters(recurse=False))
    tied = {place.removeprefix("."): instead[id(p)] for place, p in places if id(p) in instead}
    return torch.func.functional_call(network, tied, (), dict(given), tie_weights=False)


def last_hidden(network: Any, contexts: Sequence[Sequence[int]], columns: int = 1) -> Any:
    """The last hidden states at the last tokens of some texts: (rows, columns, width)."""
    import torch

    tokens, mask = left_padded(torch, contexts, next(network.parameters()).device)
    given = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions_of(mask), "use_cache": False}
    whole = network.get_base_model() if hasattr(network, "peft_config") else network
    body = getattr(whole, whole.base_model_prefix)  # without the layer that turns hidden states into logits
    return body(**given).last_hidden_state[:, -columns:]


@contextlib.contextmanager
def _seen_by(layer: Any) -> Iterator[list[Any]]:
    """What a layer is given while this lasts."""
    seen: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        hook.remove()


@contextlib.contextmanager
def precisely(network: Any, precision: Precision) -> Iterator[None]:
    """Passes in here are computed in this precision, whatever the weights have."""
    import torch

    device = next(network.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def pieces(lengths: Sequence[int], count: int) -> list[np.ndarray]:
    """Places of rows in `count` pieces of like length, longest last: less padding. None is empty."""
    order = np.argsort(lengths, kind="stable")
    return np.array_split(order, min(count, len(order))) if len(order) else []
