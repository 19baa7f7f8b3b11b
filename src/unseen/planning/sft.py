"""Supervised fine-tuning on recorded steps: a plain loop, resumable to the bit, for small models from scratch and adapters on large ones.

Source: Paglieri et al. 2025 for the stage; its batch, learning rate, schedule, epochs and loss mask were not found, these are ours.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unseen.errors import UserError
from unseen.planning.checkpoints import compare, resume, save
from unseen.planning.lessons import Pair
from unseen.planning.models.local import LocalModel, left_padded, positions_of
from unseen.planning.models.small import needed
from unseen.planning.training import adapted, drawing

Say = Callable[[str], None]
IGNORED = -100  # a label that takes no part in a loss, by the convention of torch
WINDOW = 32  # batches that are sorted by length together: less padding, and still drawn at random


@dataclass(frozen=True)
class SFT:
    """How to train.

    Attributes:
        updates: steps of AdamW.
        batch: recorded steps per update at most: a pass is cut into batches of equal size, give or take one.
        learning_rate: after the warm-up; it falls along a cosine to a tenth.
        warmup: the share of updates over which it rises from 0.
        prompt_loss: the share of updates, from the first on, in which prompts are learned too: small models learn to copy from them.
        weight_decay, max_gradient_norm: of AdamW, and of the clipping.
        lora: rank of adapters, the only weights that are then trained; None: all weights are, or the adapters of a model that has some.
        save_every: updates between two checkpoints.
        seed: of the order, of new adapters, and of dropout where a model has any.

    Raises:
        UserError: a number that is not allowed.
    """

    updates: int = 3_000
    batch: int = 48
    learning_rate: float = 2e-3
    warmup: float = 0.05
    prompt_loss: float = 0.4
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    lora: int | None = None
    save_every: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} of SFT must be 1 or more")
        for name in ("warmup", "prompt_loss"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} = {getattr(self, name)} of SFT must be a share from 0 to 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0 and self.max_gradient_norm > 0 and self.weight_decay >= 0):
            raise UserError("learning_rate and max_gradient_norm of SFT must be above 0, weight_decay 0 or more")
        if self.lora is not None and self.lora < 1:
            raise UserError(f"lora = {self.lora} of SFT must be a rank of 1 or more, or None")

    def rate(self, update: int) -> float:
        """The learning rate of an update, from 0."""
        rising = max(1, round(self.warmup * self.updates))
        if update < rising:
            return self.learning_rate * (update + 1) / rising
        share = (update - rising) / max(1, self.updates - rising)
        return self.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))


class Tokens(NamedTuple):
    """A recorded step in tokens: what is shown, and what should be written, its end included."""

    prompt: list[int]
    output: list[int]


def tokenized(pairs: Sequence[Pair], model: LocalModel) -> list[Tokens]:
    """Recorded steps in a model's tokens."""
    prompts = model.read([pair.prompt for pair in pairs])
    outputs = model.tokenizer([model.vocabulary.harmless(pair.output) for pair in pairs], add_special_tokens=False)["input_ids"]
    return [Tokens(prompt, [*output, model.tokenizer.eos_token_id]) for prompt, output in zip(prompts, outputs, strict=True)]


def fine_tune(
    model: LocalModel,
    pairs: Sequence[Pair],
    settings: SFT,
    directory: str | os.PathLike[str] | None = None,
    *,
    accepted: Callable[[], object] | None = None,
    say: Say = print,
) -> LocalModel:
    """Teach a model to write what was recorded.

    loss = −mean log p(output tokens) − [prompts are learned too] · mean log p(prompt tokens)

    Args:
        model: it is changed.
        pairs: recorded steps.
        settings: see `SFT`.
        directory: for checkpoints; a run that was interrupted there goes on, and ends with the same weights as one that was not.
        accepted: called once, when the directory is known to be this run's: time to write beside the checkpoints.
        say: told about progress.

    Returns:
        The trained model; in `directory` it can be loaded with `LocalModel.load(directory / "checkpoint" / "model")`.

    Raises:
        UserError: nothing to learn from, a directory of a run with other settings or recordings or with a damaged checkpoint, a loss that
            is no number, or adapters that could not be loaded again.
    """
    if not pairs:
        raise UserError("there are no recorded steps to learn from")
    torch, _, _ = needed()
    network = adapted(model.model, settings.lora, seed=settings.seed, saved=directory is not None, of="SFT")
    model.model = network
    data = tokenized(pairs, model)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.95))
    folder, said = None if directory is None else Path(directory), {"settings": asdict(settings), "recordings": _digest(data)}
    there = None if folder is None else resume(folder, "sft.json", lambda found: _check(folder, found, said), network, optimiser)
    first = 0 if there is None else int(there[0]["updates"])
    if accepted is not None:
        accepted()
    losses: list[float] = []
    network.train()
    try:
        for update in range(first, settings.updates):
            losses.append(_update(network, trained, optimiser, data, settings, update))
            done = update + 1
            if done % settings.save_every == 0 or done == settings.updates:
                say(f"update {done:,} of {settings.updates:,}: loss {np.mean(losses[-settings.save_every :]):.3f}")
                if folder is not None:
                    save(folder, "sft.json", said | {"updates": done}, model, optimiser)
    finally:  # whatever happened, the weights have changed
        network.eval()
        model.forget()
    return model


def _update(network: Any, trained: Sequence[Any], optimiser: Any, data: Sequence[Tokens], settings: SFT, update: int) -> float:
    """One step of AdamW, and the loss before it. Nothing is drawn but from seed and number of the update."""
    torch, _, _ = needed()
    rows = [data[k] for k in batch_of(data, settings, update)]
    for group in optimiser.param_groups:
        group["lr"] = settings.rate(update)
    with drawing(settings.seed, update):
        value = loss(network, rows, with_prompts=update < settings.prompt_loss * settings.updates)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # inside, for layers that are run again here
    said, norm = float(value.detach()), float(torch.nn.utils.clip_grad_norm_(trained, settings.max_gradient_norm))
    if not (math.isfinite(said) and math.isfinite(norm)):
        raise UserError(
            f"the loss of update {update} is {said:g}, its gradient's norm {norm:g}; what was saved before is sound: begin in another "
            "directory with a smaller learning_rate"
        )
    optimiser.step()
    return said


def _digest(data: Sequence[Tokens]) -> str:
    """What tells recordings apart."""
    found = hashlib.sha256()
    for row in data:
        found.update(np.array([len(row.prompt), *row.prompt, *row.output], np.int64).tobytes())
    return found.hexdigest()


def loss(network: Any, rows: Sequence[Tokens], with_prompts: bool) -> Any:
    """The loss of one batch, a torch scalar; see `fine_tune`."""
    torch, _, _ = needed()
    tokens, mask = left_padded(torch, [[*prompt, *output] for prompt, output in rows], next(network.parameters()).device)
    ends = max(len(output) for _, output in rows)
    read = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions_of(mask), "use_cache": False}
    # where prompts are not learned their logits are not asked for: over a large vocabulary they would fill the memory
    logits = network(**read, logits_to_keep=0 if with_prompts else ends + 1).logits[:, :-1].float()
    column = torch.arange(-tokens.shape[1], 0, device=tokens.device)  # counted from the end
    prompts, outputs = (torch.tensor(sizes, device=tokens.device)[:, None] for sizes in zip(*((len(p), len(o)) for p, o in rows)))
    written, shown = column >= -outputs, (column > -outputs - prompts) & (column < -outputs)  # nothing stands before a prompt's first token
    labels, context = tokens.masked_fill(~written, IGNORED), tokens.masked_fill(~shown, IGNORED)
    kept = logits.shape[1]
    entropy, flat = torch.nn.functional.cross_entropy, logits.flatten(0, 1)
    value = entropy(flat, labels[:, -kept:].flatten(), ignore_index=IGNORED)
    return value + entropy(flat, context[:, -kept:].flatten(), ignore_index=IGNORED) if with_prompts else value


def batch_of(data: Sequence[Tokens], settings: SFT, update: int) -> np.ndarray:
    """Which recorded steps an update learns from; every one once per pass, in an order that follows from seed and pass alone."""
    per_pass = -(-len(data) // settings.batch)
    cuts = [len(data) * k // per_pass for k in range(per_pass + 1)]
    number, place = divmod(update, per_pass)
    order = np.random.default_rng((settings.seed, number)).permutation(len(data))
    begin = place // WINDOW * WINDOW
    end = min(begin + WINDOW, per_pass)
    window = order[cuts[begin] : cuts[end]]
    # by prompts alone: with their outputs, batches would be all plans or none, and a mean over tokens weigh the decision to plan by
    # 1 / length
    window = window[np.argsort([len(data[k].prompt) for k in window], kind="stable")]
    piece = begin + int(np.random.default_rng((settings.seed, number, begin)).permutation(end - begin)[place - begin])
    return window[cuts[piece] - cuts[begin] : cuts[piece + 1] - cuts[begin]]


def _check(folder: Path, said: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    compare(folder, said["settings"], asked["settings"])
    if said["recordings"] != asked["recordings"]:
        raise UserError(f"{str(folder)!r} holds a run on other recordings or with another tokenizer; give another directory")
