"""The plan an agent holds, and who may replace it."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from unseen.errors import UserError

Owner = Literal["nobody", "model", "human", "script"]


class Slot(NamedTuple):
    """The held plan.

    Attributes:
        plan: its text; None where none is held.
        owner: who wrote it.
        written: the step it was written at.
        held_until: the model may not replace it before this step; infinity: until it is released.
    """

    plan: str | None = None
    owner: Owner = "nobody"
    written: int = 0
    held_until: float = 0.0

    def age(self, step: int) -> int | None:
        """Steps since it was written; None where none is held."""
        return None if self.plan is None else step - self.written

    def locked(self, step: int) -> bool:
        """Whether the model must keep it."""
        return self.plan is not None and step < self.held_until

    def replaced(self, plan: str, owner: Owner, step: int, hold: float = 0.0) -> Slot:
        """With another plan in it.

        Args:
            plan: its text; white space around it goes.
            owner: who wrote it.
            step: when.
            hold: the steps for which the model must keep it; infinity: until it is released; 0: it is a suggestion.

        Raises:
            UserError: an empty plan, or steps below 0.
        """
        if not plan.strip():
            raise UserError("a plan must say something; to take a plan away, clear the slot")
        if math.isnan(hold) or hold < 0:
            raise UserError(f"a plan cannot be held for {hold} steps; give 0 or more")
        return Slot(plan.strip(), owner, step, step + hold if hold else 0.0)

    def released(self) -> Slot:
        """The same plan, free to be replaced."""
        return self._replace(held_until=0.0)


EMPTY = Slot()
