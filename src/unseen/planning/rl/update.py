"""Epochs over a rollout: minibatches, in pieces, and a step of AdamW for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unseen.errors import UserError
from unseen.planning.rl.batch import Learner, Row, values_of
from unseen.planning.rl.losses import aggregated, clipped_policy_loss, clipped_value_loss, divergence, drift, entropy
from unseen.planning.rl.passes import pieces, precisely, read
from unseen.planning.rl.processes import Processes, summed_gradients
from unseen.planning.rl.samples import DECISION, END, PLAN
from unseen.planning.rl.settings import RL

Placed = Sequence[tuple[int, int, Row]]  # (track, place in its time, row)


class Diverged(UserError):
    """A loss or a gradient is no number."""


@dataclass
class Losses:
    """Means over the minibatches of an update: what was minimised, and how far the policy has gone from the rollout's."""

    policy: float = 0.0
    value: float = 0.0
    drift: float = 0.0
    clipped: float = 0.0
    gradient_norm: float = 0.0
    minibatches: int = 0
    stopped: bool = False


def learn(rows: Placed, learner: Learner, optimiser: Any, settings: RL, update: int, others: Processes) -> Losses:
    """All epochs over a rollout, or as many as there are before the policy has gone `kl_target` away from the one that played.

    Args:
        rows: of this process.
        learner: it is changed.
        optimiser: of its weights; the first group those that write, the second the critic's.
        settings: of the training.
        update: its number, from 0; in the first `warmup` only the critic learns.
        others: that have the other tracks.

    Raises:
        Diverged: a loss or a gradient is no number.
    """
    frozen = settings.critic and update < settings.warmup
    sizes: dict[int, int] = {}
    for one in others.everyone({track: 1 + t for track, t, _ in rows}):
        sizes |= one
    tracks = sorted(sizes)
    starts = dict(zip(tracks, np.cumsum([0, *(sizes[track] for track in tracks)])[:-1].tolist(), strict=True))
    mine = {starts[track] + t: row for track, t, row in rows}
    total = sum(sizes.values())
    told = Losses()
    parts = max(1, round(total / settings.minibatch))
    for epoch in range(settings.epochs):
        order = np.random.default_rng((settings.seed, update, epoch)).permutation(total)
        for part in np.array_split(order, parts):
            some = [mine[k] for k in part if k in mine]
            if not _minibatch(some, len(part), learner, optimiser, settings, frozen, told, others):
                told.stopped = True
                return _averaged(told)
    return _averaged(told)


def _minibatch(
    rows: Sequence[Row], size: int, learner: Learner, optimiser: Any, settings: RL, frozen: bool, told: Losses, others: Processes
) -> bool:
    """One step of AdamW; False where the policy has gone too far, and none was taken."""
    import torch

    optimiser.zero_grad(set_to_none=True)
    sums = torch.zeros(5, dtype=torch.float64)  # policy, value, drift, clipped, learned tokens
    for piece in pieces([len(row.move.sample.prompt) + len(row.move.sample.output) for row in rows], settings.accumulate):
        with precisely(learner.network, settings.precision):
            loss, parts = loss_of([rows[k] for k in piece], size, learner, settings, frozen)
        loss.backward()
        sums += parts
    writers, critics = (group["params"] for group in optimiser.param_groups)
    summed_gradients([*writers, *critics], others)
    policy, value, moved, clipped, tokens = others.total(sums).tolist()
    if frozen:
        for p in writers:
            p.grad = None
    norms = [torch.nn.utils.clip_grad_norm_(some, settings.max_gradient_norm) for some in (writers, critics) if some]
    norm = float(torch.stack([n.cpu() for n in norms]).norm())
    if not (math.isfinite(norm) and math.isfinite(policy + value)):
        raise Diverged(f"the loss of a minibatch is {policy + value:g}, its gradient's norm {norm:g}; give a smaller learning_rate")
    tokens = max(tokens, 1.0)
    if settings.kl_target is not None and moved / tokens > settings.kl_target:
        return False
    optimiser.step()
    told.policy += policy
    told.value += value
    told.drift += moved / tokens
    told.clipped += clipped / tokens
    told.gradient_norm += norm
    told.minibatches += 1
    return True


def loss_of(rows: Sequence[Row], size: int, learner: Learner, settings: RL, frozen: bool = False) -> tuple[Any, Any]:
    """The loss of some rows of a minibatch, and its parts for the curves.

    L = Σ_tokens (w (−min(ρ A, clip(ρ) A)) + β KL(π ‖ π_ref)) / size − c_H Σ H(first token) / size + c_v Σ value loss / size

    with w the weight of the token's kind, and values in units of `Values.unit`. The entropy is that of the first token of every output
    that the model began itself, whether it may plan or not: a twin that never plans explores its actions as one that may does, and what is
    compared is planning (of the bare decision it would be a bonus that only one of the two gets).

    Args:
        rows: some of a minibatch.
        size: steps of the whole minibatch, in all pieces and processes.
        learner: what is trained.
        settings: of the training.
        frozen: whether only the critic learns.

    Returns:
        The loss, and (policy loss, value loss, drift, clipped tokens, learned tokens), all summed over the rows.
    """
    import torch

    samples = [row.move.sample for row in rows]
    dual = settings.advantages == "dual"
    with torch.set_grad_enabled(not frozen):
        now = read(learner.network, samples, learner.speech, learner.temperature)
    width, device = now.taken.shape[1], now.taken.device
    right = lambda arrays: torch.from_numpy(_right([np.asarray(a, np.float32) for a in arrays], width)).to(device)  # noqa: E731
    learned = right([one.learned for one in samples])
    weights = right([_weights(one.kinds, settings) for one in samples]) * learned
    logp_old, advantage = right([row.logp_old for row in rows]), right([row.advantage for row in rows])
    with torch.no_grad():
        moved = (drift(now.taken, logp_old) * learned).sum()
        clipped = (((now.taken - logp_old).exp() - 1).abs() > settings.clip).float().mul(learned).sum()
    policy = aggregated(clipped_policy_loss(now.taken, logp_old, advantage, settings.clip), weights, size)
    loss = torch.zeros((), device=device)
    if not frozen:
        loss = loss + policy
        if settings.kl_weight > 0:
            loss = loss + settings.kl_weight * aggregated(divergence(now.logp, _reference(rows, samples, learner, now)), learned, size)
        if settings.entropy_weight > 0:
            first = right([[k == 0 for k in range(len(one.output))] for one in samples]) * learned
            loss = loss - settings.entropy_weight * aggregated(entropy(now.logp), first, size)
    value = torch.zeros((), device=device)
    if settings.critic:
        v = values_of([row.move for row in rows], now.hidden, learner, settings, dual)
        columns = v.shape[1]
        shaped = lambda arrays: torch.from_numpy(_right([np.asarray(a, np.float32) for a in arrays], columns)).to(device)  # noqa: E731
        unit = learner.values.unit
        old, target = shaped([row.value_old / unit for row in rows]), shaped([row.target / unit for row in rows])
        each = shaped([np.full(len(row.target), 1 / len(row.target)) for row in rows])  # a step's tokens share one weight
        value = aggregated(clipped_value_loss(v.float() / unit, old, target, settings.value_clip), each, size)
        loss = loss + settings.value_weight * value
    parts = torch.stack([policy.detach(), value.detach(), moved, clipped, learned.sum()]).double().cpu()
    return loss, parts


def kl_to_reference(rows: Placed, learner: Learner, settings: RL) -> tuple[float, int]:
    """The divergence of the present weights from the policy the run started from, summed over the learned tokens, and their number."""
    import torch

    total, tokens = 0.0, 0
    flat = [row for _, _, row in rows]
    lengths = [len(row.move.sample.prompt) + len(row.move.sample.output) for row in flat]
    for piece in pieces(lengths, -(-len(flat) // settings.rows)):
        some = [flat[k] for k in piece]
        samples = [row.move.sample for row in some]
        with torch.no_grad(), precisely(learner.network, settings.precision):
            now = read(learner.network, samples, learner.speech, learner.temperature)
            kl = divergence(now.logp, _reference(some, samples, learner, now)).double().cpu().numpy()
        for per_token, one in zip(kl, samples, strict=True):
            total += float(per_token[-len(one.output) :][np.array(one.learned)].sum())
            tokens += sum(one.learned)
    return total, tokens


def _reference(rows: Sequence[Row], samples: Sequence[Any], learner: Learner, now: Any) -> Any:
    """(rows, columns, vocabulary) log-probabilities of the policy the run started from."""
    import torch

    if any(row.reference is None for row in rows):
        with torch.no_grad():
            return read(learner.network, samples, learner.speech, learner.temperature, learner.reference).logp
    logp = now.logp.detach().clone()  # where there is no token nothing is learned, whatever stands there
    for k, row in enumerate(rows):
        logp[k, -len(row.reference) :] = row.reference
    return logp


def _weights(kinds: Sequence[int], settings: RL) -> list[float]:
    """The weight of every token of an output in the policy loss."""
    of = {DECISION: settings.decision_weight, PLAN: settings.plan_weight, END: settings.action_weight}
    return [of.get(kind, settings.action_weight) for kind in kinds]


def _right(arrays: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Arrays of unequal length as rows, each at the right end of its own; 0 elsewhere."""
    out = np.zeros((len(arrays), width), np.float32)
    for k, array in enumerate(arrays):
        out[k, width - len(array) :] = array
    return out


def _averaged(told: Losses) -> Losses:
    n = max(told.minibatches, 1)
    for name in ("policy", "value", "drift", "clipped", "gradient_norm"):
        setattr(told, name, getattr(told, name) / n)
    return told
