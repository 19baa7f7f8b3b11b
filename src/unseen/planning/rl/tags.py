"""Tags of plans as tokens of their own, for a checkpoint whose tokenizer cuts them into several."""

from __future__ import annotations

import copy
from pathlib import Path

from unseen.planning.checkpoints import save_model
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.local import LocalModel
from unseen.planning.rl.processes import Alone, Processes, by_the_first


def with_tags(model: LocalModel, directory: Path | None = None, others: Processes | None = None) -> tuple[int, ...]:
    """Make each tag one token, whose embeddings begin as the mean of those it was cut into; they are trained like all others.

    Args:
        model: it is changed; nothing happens where the tags are single tokens.
        directory: where the enlarged model is kept, for adapters to be loaded over; needed only where adapters are saved.
        others: processes that do the same; only the first one writes. Default: there are none.

    Returns:
        The new tokens.
    """
    import torch

    cut = {tag: model.tokens(tag) for tag in (OPEN, CLOSE)}
    cut = {tag: ids for tag, ids in cut.items() if len(ids) > 1}
    if not cut:
        return ()
    from tokenizers import AddedToken

    model.tokenizer = copy.deepcopy(model.tokenizer)  # others may hold it
    model.tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in cut])
    network = model.model
    rows = network.get_input_embeddings().weight.shape[0]
    if len(model.tokenizer) > rows:
        network.resize_token_embeddings(len(model.tokenizer), mean_resizing=False)
    places = {tag: model.tokens(tag)[0] for tag in cut}
    matrices = {id(layer.weight): layer.weight for layer in (network.get_input_embeddings(), network.get_output_embeddings()) if layer}
    with torch.no_grad():
        for weights in matrices.values():
            for tag, ids in cut.items():
                weights[places[tag]] = weights[torch.tensor(ids)].mean(0)
    fresh = LocalModel(network, model.tokenizer, name=model.name)
    vars(model).update({name: value for name, value in vars(fresh).items() if name != "_batch"})
    if directory is not None:
        by_the_first(others or Alone(), lambda: save_model(model, directory))
        network.name_or_path = str(directory)
        network.config._name_or_path = str(directory)
    return tuple(places.values())
