"""From what was played to what is learned: one pass over a rollout with the weights that played it, then advantages and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from unseen.planning.rl.advantages import discounted_return, dual_discount, group_baseline, turn_level
from unseen.planning.rl.critic import Values
from unseen.planning.rl.losses import divergence, entropy
from unseen.planning.rl.passes import last_hidden, pieces, precisely, read
from unseen.planning.rl.processes import Processes
from unseen.planning.rl.rollouts import Move
from unseen.planning.rl.samples import DECISION, Speech
from unseen.planning.rl.settings import RL

KEPT = 2**26  # numbers of the reference's log-probabilities that are kept; where there are more, they are computed again


class Learner(NamedTuple):
    """What is trained.

    Attributes:
        network: that writes.
        values: the critic.
        reference: the weights that are trained, as they were when the run started.
        speech: of the model.
        temperature: of the rollouts.
    """

    network: Any
    values: Values
    reference: Mapping[str, Any]
    speech: Speech
    temperature: float


class Row(NamedTuple):
    """A step, ready to be learned from.

    Attributes:
        move: as it was played.
        logp_old: (tokens,) of the output under the weights that played.
        advantage: (tokens,).
        value_old, target: (1,) of the step, or (tokens,) with an advantage for every token.
        reference: (tokens, vocabulary) log-probabilities of the reference; None where they are computed again.
    """

    move: Move
    logp_old: np.ndarray
    advantage: np.ndarray
    value_old: np.ndarray
    target: np.ndarray
    reference: Any


@dataclass
class Seen:
    """Sums over a rollout: steps, learned tokens, and what is told of them."""

    steps: int = 0
    tokens: int = 0
    kl: float = 0.0
    decisions: int = 0
    entropy: float = 0.0
    plan_probability: float = 0.0
    mismatch: float = 0.0
    compared: int = 0
    values: list[np.ndarray] = field(default_factory=list)
    targets: list[np.ndarray] = field(default_factory=list)


def rows_of(
    moves: Mapping[int, Sequence[Move]], learner: Learner, settings: RL, others: Processes
) -> tuple[list[tuple[int, int, Row]], Seen]:
    """Every step of these tracks with its advantage, as (track, place in its time, row); and what was seen on the way.

    Args:
        moves: of `Rollout`.
        learner: with the weights that played.
        settings: of the training.
        others: over which advantages are normalised.
    """
    seen = Seen()
    order = [(track, t) for track in sorted(moves) for t in range(len(moves[track]))]
    flat = [moves[track][t] for track, t in order]
    logps, values, references = _passed(flat, learner, settings, seen)
    after = _after(flat, learner, settings)
    advantages: dict[tuple[int, int], np.ndarray] = {}
    if settings.critic:
        for track, some in moves.items():
            at = [k for k, (number, _) in enumerate(order) if number == track]
            found = _advantages(some, [values[k] for k in at], [after[k] for k in at], settings)
            advantages |= {(track, t): one for t, one in enumerate(found)}
    else:
        for track, centred in _grouped(moves, settings, others).items():
            advantages |= {(track, t): np.full(len(move.sample.output), centred) for t, move in enumerate(moves[track])}
    scale = _spread([advantages[place] for place in order], others) if settings.normalise else 1.0
    rows = []
    for k, (track, t) in enumerate(order):
        a = advantages[track, t]
        value = values[k]
        target = value + (a if settings.advantages == "dual" else a[:1])
        seen.values.append(value[:1])
        seen.targets.append(target[:1])
        rows.append((track, t, Row(flat[k], logps[k], a / scale, value, target, references[k])))
    return rows, seen


def _passed(flat: Sequence[Move], learner: Learner, settings: RL, seen: Seen) -> tuple[list[np.ndarray], list[np.ndarray], list[Any]]:
    """Log-probabilities, values, and the reference's log-probabilities, of every move."""
    import torch

    n = len(flat)
    logps: list[Any] = [np.zeros(0)] * n
    values: list[Any] = [np.zeros(1)] * n
    references: list[Any] = [None] * n
    dual = settings.advantages == "dual"
    lengths = [len(move.sample.prompt) + len(move.sample.output) for move in flat]
    tokens = sum(len(move.sample.output) for move in flat)
    for piece in pieces(lengths, -(-n // settings.rows)):
        some = [flat[k] for k in piece]
        samples = [move.sample for move in some]
        with torch.no_grad(), precisely(learner.network, settings.precision):
            now = read(learner.network, samples, learner.speech, learner.temperature)
            before = read(learner.network, samples, learner.speech, learner.temperature, learner.reference).logp
            v = values_of(some, now.hidden, learner, settings, dual) if settings.critic else None
        kl = divergence(now.logp, before)
        first = entropy(now.logp)
        keep = settings.kl_weight > 0 and tokens * now.logp.shape[-1] <= KEPT
        for row, k in enumerate(piece):
            one = samples[row]
            size, learned = len(one.output), np.array(one.learned)
            logps[k] = now.taken[row, -size:].double().cpu().numpy()
            if v is not None:
                values[k] = v[row, -size if dual else -1 :].double().cpu().numpy()
            if keep:
                references[k] = before[row, -size:].clone()
            seen.tokens += int(learned.sum())
            seen.kl += float(kl[row, -size:].double().cpu().numpy()[learned].sum())
            if one.kinds[0] == DECISION:
                seen.decisions += 1
                seen.entropy += float(first[row, -size])
                if len(learner.speech.tag) == 1:
                    seen.plan_probability += float(now.logp[row, -size, learner.speech.tag[0]].exp())
            if one.logprobs is not None:
                seen.mismatch += float(np.abs(logps[k] - one.logprobs)[learned].sum())
                seen.compared += int(learned.sum())
        seen.steps += len(piece)
    return logps, values, references


def values_of(moves: Sequence[Move], hidden: Any, learner: Learner, settings: RL, dual: bool) -> Any:
    """Values of some moves: (rows, 1), or (rows, columns) before every token of their outputs.

    Args:
        moves: the rows.
        hidden: (rows, columns, width) of the actor's own pass, which a shared critic reads.
        learner: with the critic.
        settings: of the training.
        dual: whether there is one for every token.
    """
    import torch

    values, outputs = learner.values, [move.sample.output for move in moves]
    if values.critic.where == "shared":
        if dual:
            return values.of_hidden(hidden)
        first = torch.tensor([hidden.shape[1] - len(output) for output in outputs], device=hidden.device)
        return values.of_hidden(hidden[torch.arange(len(outputs), device=hidden.device), first])[:, None]
    if dual:
        texts = [(*move.context, *output[:-1]) for move, output in zip(moves, outputs, strict=True)]
        return values.of_texts(learner.network, texts, max(map(len, outputs)))
    return values.of_texts(learner.network, [move.context for move in moves])


def _after(flat: Sequence[Move], learner: Learner, settings: RL) -> list[float]:
    """Values of what was behind every cut; 0 elsewhere."""
    import torch

    found = [0.0] * len(flat)
    cut = [k for k, move in enumerate(flat) if move.after is not None] if settings.critic else []
    texts = [flat[k].after or () for k in cut]
    for piece in pieces([len(text) for text in texts], -(-len(texts) // settings.rows)):
        some = [texts[k] for k in piece]
        with torch.no_grad(), precisely(learner.network, settings.precision):
            if learner.values.critic.where == "shared":
                v = learner.values.of_hidden(last_hidden(learner.network, some))
            else:
                v = learner.values.of_texts(learner.network, some)
        for k, value in zip(piece, v[:, -1].double().tolist(), strict=True):
            found[cut[k]] = value
    return found


def _advantages(moves: Sequence[Move], values: Sequence[np.ndarray], after: Sequence[float], settings: RL) -> list[np.ndarray]:
    """Advantages of the tokens of every step of a track."""
    r_t = np.array([move.reward for move in moves])
    terminated_t = np.array([float(move.terminated) for move in moves])
    cut_t = np.array([float(move.after is not None) for move in moves])
    v_tm1 = np.array([value[0] for value in values])
    v_t = np.where(cut_t > 0, np.array(after), np.append(v_tm1[1:], 0.0))
    if settings.advantages == "dual":
        return dual_discount(r_t, terminated_t, cut_t, values, v_t, settings.discount, settings.lambda_)
    per_step = turn_level(r_t, terminated_t, cut_t, v_tm1, v_t, settings.discount, settings.lambda_)
    return [np.full(len(move.sample.output), a) for move, a in zip(moves, per_step, strict=True)]


def _grouped(moves: Mapping[int, Sequence[Move]], settings: RL, others: Processes) -> dict[int, float]:
    """The advantage of every track's whole episode."""
    mine = {track: discounted_return(np.array([move.reward for move in some]), settings.discount) for track, some in moves.items()}
    returns = {track: value for one in others.everyone(mine) for track, value in one.items()}
    centred = group_baseline(np.array([returns[track] for track in sorted(returns)]).reshape(-1, settings.group)).ravel()
    return {track: float(centred[track]) for track in moves}


def _spread(advantages: Sequence[np.ndarray], others: Processes) -> float:
    """The standard deviation of the steps' advantages, over all processes; 1 where they are all the same."""
    first = np.concatenate([np.array([a[0] for a in some]) for some in others.everyone(list(advantages)) if some])
    spread = float(first.std())
    return spread if spread > 1e-8 else 1.0
