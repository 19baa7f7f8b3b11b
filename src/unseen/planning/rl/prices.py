"""Telling the price of a plan: one trained model serves every budget that it has been told in training.

Proposed (specification §9.2): the paper's price stands in the training reward only, and a deployed model cannot be told one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unseen.errors import UserError
from unseen.planning.models.local import LocalModel
from unseen.planning.prompts import Prompts

SAID = "plan price {price:g}"


def priced(prompts: Prompts, price: float) -> Prompts:
    """The same wordings with the price of a plan's token before the instruction; for SFT, reinforcement and evaluation alike.

    Args:
        prompts: wordings.
        price: in units of the reward, for one token of a plan.
    """
    line, before = SAID.format(price=price), prompts.current.partition("$instruction")[0]
    if before == prompts.current:
        return replace(prompts, current=f"{prompts.current}\n{line}")
    apart = "" if not before or before[-1].isspace() else "\n"  # it would else become part of a $name before it
    return replace(prompts, current=prompts.current.replace("$instruction", f"{apart}{line}\n$instruction", 1))


def check_told(model: LocalModel, prices: Sequence[float]) -> None:
    """Raises:
    UserError: prices that the model cannot tell apart, because its tokenizer does not know their words.
    """
    unknown = model.tokenizer.unk_token_id
    seen: dict[tuple[int, ...], float] = {}
    for price in prices:
        said = SAID.format(price=price)
        ids = tuple(model.tokens(said))
        if unknown is not None and unknown in ids:
            raise UserError(
                f"the tokenizer of {model.name!r} does not know {said!r}; teach with told prices first (SFT), or give one price"
            )
        if ids in seen:
            raise UserError(f"prices {seen[ids]:g} and {price:g} are the same words ({said!r}); give prices that differ in 6 digits")
        seen[ids] = price
