"""What every training of a language model here needs: adapters on its layers, and draws that follow from a seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unseen.errors import UserError
from unseen.planning.models.local import unwarned
from unseen.planning.models.small import needed


@contextlib.contextmanager
def drawing(*seed: int) -> Iterator[None]:
    """Draws of torch follow from a seed in here, and what is drawn outside is not touched."""
    torch, _, _ = needed()
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        yield


def adapted(network: Any, lora: int | None, *, seed: int, saved: bool, of: str, tokens: Sequence[int] = ()) -> Any:
    """With adapters on every linear layer, where a rank is given and it has none yet; those of a model that has some are trained on.

    Args:
        network: of `transformers`, or of `peft`.
        lora: rank; None: all weights are trained, or the adapters that are there.
        seed: of new adapters.
        saved: whether they will be saved.
        of: whose settings these are, for errors.
        tokens: whose embeddings are trained beside new adapters.

    Raises:
        UserError: adapters of another rank, or adapters that are to be saved over weights that are not.
    """
    if not hasattr(network, "peft_config"):
        if lora is None:
            return network
        if saved and not Path(network.name_or_path or "nowhere", "config.json").is_file():
            raise UserError("adapters are saved without the weights below them: save the model in a directory and load it from there first")
        import peft

        how: dict[str, Any] = {"r": lora, "lora_alpha": 2 * lora, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
        if tokens:
            how["trainable_token_indices"] = list(tokens)
        with drawing(seed), unwarned():
            return peft.get_peft_model(network, peft.LoraConfig(**how))
    rank = network.peft_config[network.active_adapter].r
    if lora not in (None, rank):
        raise UserError(f"the model has adapters of rank {rank}, and lora = {lora} of {of}")
    for name, weights in network.named_parameters():
        weights.requires_grad_("lora_" in name or "trainable_tokens_delta" in name)
    return network
