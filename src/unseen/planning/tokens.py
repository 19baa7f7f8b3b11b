"""Which tokens of an output were spent on its plan, and which on its action."""

from __future__ import annotations

from typing import NamedTuple

from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.contract import Completion


class Spent(NamedTuple):
    """Tokens of an output; they add up to all that was shown.

    Attributes:
        plan: up to the end of the last closing tag, or of everything where a plan was left open; the tags included. Never more than the
            limit where there is one: a plan ends where it is cut.
        action: what is left, the end of the output included.
        estimated: whether the model did not tell its tokens, and they were shared out by characters.
    """

    plan: int
    action: int
    estimated: bool


def spent(completion: Completion, limit: int | None = None) -> Spent:
    """Share the tokens of a completion out between its plan and its action.

    Args:
        completion: what was written.
        limit: tokens that the plan could have; None: as many as it has.
    """
    whole = _spent(completion)
    if limit is None or whole.plan <= limit:
        return whole
    return whole._replace(plan=limit, action=whole.plan + whole.action - limit)


def _spent(completion: Completion) -> Spent:
    end = _plan_end(completion.text)
    total = completion.usage.output
    if completion.pieces is None:
        share = round(total * end / len(completion.text)) if completion.text else 0
        return Spent(share, total - share, estimated=True)
    plan, read = 0, 0
    for piece in completion.pieces:
        if read >= end:
            break
        read += len(piece)
        plan += 1
    return Spent(plan, total - plan, estimated=False)


def _plan_end(text: str) -> int:
    """Where the plan part of an output ends; 0 where there is none."""
    begin = text.find(OPEN)
    if begin < 0:
        return 0
    close = text.rfind(CLOSE)
    left_open = text.find(OPEN, max(close, 0)) >= 0 if close > begin else True
    return len(text) if left_open else close + len(CLOSE)


def cut(completion: Completion, limit: int) -> str:
    """The beginning of a plan that is too long: what `limit` tokens hold of it, its opening tag among them.

    Where the tokens are not told, the same share of its characters.
    """
    text = completion.text
    start = text.find(OPEN) + len(OPEN)
    stop = text.find(CLOSE, start)
    stop = len(text) if stop < 0 else stop
    if completion.pieces is None:
        whole = spent(completion).plan
        end = start + round((stop - start) * limit / max(whole, 1))
    else:
        end = sum(len(piece) for piece in completion.pieces[:limit])
    return text[start : min(end, stop)].strip()
