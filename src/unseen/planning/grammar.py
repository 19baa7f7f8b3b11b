"""What an agent writes in a step: an optional plan in tags, then an action.

Source: Paglieri et al. 2025 for the grammar, [ "<plan>" text "</plan>" ] action; reading it follows a public planning agent whose prompts
agree with the paper's. What happens to an unclosed plan was not found: here nothing of it is kept.
"""

from __future__ import annotations

from typing import NamedTuple

from unseen.errors import UserError

OPEN, CLOSE = "<plan>", "</plan>"


class Written(NamedTuple):
    """One output, read.

    Attributes:
        plan: what stands in the first closed pair of tags, without outer white space; None where there is none, or nothing in it.
        action: what stands behind the last closing tag, or all of an output without a closed pair; without outer white space.
        unclosed: whether a plan was begun and not ended: it is not held, and its text is no action.
        untidy: whether there was more than the grammar allows: text before the plan, or a second plan.
    """

    plan: str | None
    action: str
    unclosed: bool = False
    untidy: bool = False


def parse(output: str) -> Written:
    """Read an output. Nothing that a model can write raises an error.

    Args:
        output: all of what was written in a step.
    """
    begin = output.find(OPEN)
    if begin < 0:
        return Written(None, output.strip())
    end = output.find(CLOSE, begin)
    if end < 0:
        return Written(None, "", unclosed=True, untidy=bool(output[:begin].strip()))
    plan = output[begin + len(OPEN) : end].strip()
    rest = output[end + len(CLOSE) :]
    more = OPEN in rest or CLOSE in rest
    tail = rest.rpartition(CLOSE)[2]
    unclosed = OPEN in tail
    action = "" if unclosed else tail.strip()
    return Written(plan or None, action, unclosed, untidy=more or bool(output[:begin].strip()))


def render(plan: str | None, action: str) -> str:
    """The output that says this; `parse` reads it back.

    Raises:
        UserError: a tag inside the plan or the action, or a plan of white space.
    """
    for field, text in (("plan", plan or ""), ("action", action)):
        for tag in (OPEN, CLOSE):
            if tag in text:
                raise UserError(f"a {field} may not contain {tag}: {text!r}")
    if plan is None:
        return action
    if not plan.strip():
        raise UserError("a plan of white space is none; give None instead")
    return f"{OPEN}{plan}{CLOSE}\n{action}"


def harmless(text: str) -> str:
    """A plan as it may be shown to a model: with no tag that could end it or begin another."""
    for tag in (OPEN, CLOSE):
        text = text.replace(tag, tag.replace("<", "‹").replace(">", "›"))
    return text
