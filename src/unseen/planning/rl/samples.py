"""What is learned from: one sample per step of an environment, tokens as they were read and written, each with its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unseen.errors import UserError
from unseen.planning.grammar import OPEN
from unseen.planning.models.contract import Completion
from unseen.planning.models.forbidden import Forbidden
from unseen.planning.models.local import LocalModel
from unseen.planning.slot import Slot
from unseen.planning.steps import Request
from unseen.planning.tokens import spent

DECISION, PLAN, ACTION, END = range(4)
KINDS = ("decision", "plan", "action", "end")


class Sample(NamedTuple):
    """An output and what it answered.

    Attributes:
        prompt: tokens that were read; none of them is learned.
        output: tokens that were written, as they were sampled.
        kinds: of each token of the output: it decides whether to plan, belongs to a plan, to what follows, or ends the output.
        learned: of each token, whether it is in the loss. Forced ones are not, nor is a step that somebody else had a hand in.
        logprobs: (tokens,) under which they were drawn, 0 where forced; None where the writer does not tell.
        forbidden: whether the tag that opens a plan could not be written.
    """

    prompt: tuple[int, ...]
    output: tuple[int, ...]
    kinds: tuple[int, ...]
    learned: tuple[bool, ...]
    logprobs: np.ndarray | None
    forbidden: bool


class Speech(NamedTuple):
    """What has to be known of a model's tokens.

    Attributes:
        tag: those of the tag that opens a plan: one, or several for ordinary checkpoints.
        ends: that end an output.
        never: which tokens would complete the tag.
    """

    tag: tuple[int, ...]
    ends: frozenset[int]
    never: Forbidden

    @classmethod
    def of(cls, model: LocalModel) -> Speech:
        """That of a model."""
        return cls(tuple(model.tokens(OPEN)), model.ends, Forbidden(OPEN, model.vocabulary))


def sample(speech: Speech, request: Request, completion: Completion, held: Slot, step: int) -> Sample:
    """The sample of a step.

    Args:
        speech: of the model that is trained.
        request, completion: of the step.
        held: the slot in which the plan was when the output was written.
        step: of the episode.

    Raises:
        UserError: the writer does not tell its tokens.
    """
    if completion.token_ids is None or completion.prompt_token_ids is None:
        raise UserError(
            "the model does not tell the tokens it read and wrote, and reinforcement needs them: use local weights, or a server"
        )
    output = tuple(int(token) for token in completion.token_ids)
    if not output:
        raise UserError("the rollout is empty: the model wrote no token at all, which nothing can be learned from")
    begun = len(speech.tag) if request.force is not None else 0
    steered = held.owner in ("human", "script") or held.locked(step)
    learned = tuple(k >= begun and not steered for k in range(len(output)))
    chosen = request.force is None and request.forbid is None
    kinds = kinds_of(output, spent(completion).plan, speech, chosen)
    prompt = tuple(int(token) for token in completion.prompt_token_ids)
    return Sample(prompt, output, kinds, learned, completion.logprobs, request.forbid is not None)


def kinds_of(output: Sequence[int], plan: int, speech: Speech, chosen: bool) -> tuple[int, ...]:
    """The kind of every token.

    Where the model chose, the decision is the first token; of a tag of several tokens all of them, or those up to the one in which the
    output parts from the tag.

    Args:
        output: tokens.
        plan: how many of them belong to the plan, tags included.
        speech: of the model.
        chosen: whether the model could choose.
    """
    decided = 0
    if chosen:
        common = next((k for k, (a, b) in enumerate(zip(output, speech.tag, strict=False)) if a != b), min(len(output), len(speech.tag)))
        decided = min(common + 1, len(speech.tag), len(output))
    kinds = (DECISION if k < decided else PLAN if k < plan else END if token in speech.ends else ACTION for k, token in enumerate(output))
    return tuple(kinds)


def forbidden_of(samples: Sequence[Sample], speech: Speech, width: int, device: Any) -> tuple[Any, Any, Any] | None:
    """Where which tokens could not be written: indices into (rows, width, vocabulary), outputs at the right end of their rows.

    None where everything could.
    """
    import torch

    rows, columns, tokens = [], [], []
    for row, one in enumerate(samples):
        if not one.forbidden:
            continue
        state = 0
        for k, token in enumerate(one.output):
            never = speech.never.tokens(state)
            rows.append(np.full(len(never), row))
            columns.append(np.full(len(never), width - len(one.output) + k))
            tokens.append(never)
            state = speech.never.after(state, token)
    if not rows:
        return None
    return tuple(torch.from_numpy(np.concatenate(each).astype(np.int64)).to(device) for each in (rows, columns, tokens))  # pyright: ignore[reportReturnType]


def plan_probability(model: LocalModel, prompts: Sequence[Any], temperature: float = 1.0) -> np.ndarray:
    """P(plan) at each prompt, (prompts,): the probability of the tag's own token sequence, which is one token or several.

    Args:
        model: with local weights.
        prompts: conversations.
        temperature: above 0.
    """
    tag = model.tokens(OPEN)
    scored = model.scored(model.read(prompts), [tag] * len(prompts), temperature)
    return np.exp([float(one.logprobs.sum()) for one in scored])
