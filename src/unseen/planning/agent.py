"""An agent that writes: a language model, a schedule of plans, the wordings of its prompts, and limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from unseen.errors import UserError
from unseen.planning.models.contract import LanguageModel
from unseen.planning.prompts import Prompts
from unseen.planning.schedules import Schedule, schedule

Features = Callable[[Any], Mapping[str, float]]
"""(environment at the moment of the decision) -> numbers to be logged and given to the schedule, by name."""


@dataclass(frozen=True)
class Agent:
    """What decides when to plan, writes plans, and acts.

    Attributes:
        model: see `LanguageModel`.
        schedule: one, or its word, as in "every:4".
        prompts: wordings, or their name.
        history: observations that are shown, the current one included.
        max_plan_tokens: of a plan, its tags included; a longer one is cut there, and no action is taken in that step.
        max_action_tokens: that may be written beside a plan.
        temperature, top_p: of sampling.
        impose: whether a decision of the schedule is imposed where the model can: the opening tag is forced, or forbidden. Else it is asked
            for in words, and a plan that was not asked for is not held.
        features: more numbers to log at each decision; see `Features`.

    Raises:
        UserError: a limit that is not allowed, or an unknown name.
    """

    model: LanguageModel
    schedule: Schedule | str = "dynamic"
    prompts: Prompts | str = "standard"
    history: int = 16
    max_plan_tokens: int = 256
    max_action_tokens: int = 32
    temperature: float = 1.0
    top_p: float = 1.0
    impose: bool = True
    features: Features | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("history", "max_plan_tokens", "max_action_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} of an agent must be 1 or more")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UserError(f"temperature = {self.temperature} of an agent must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p = {self.top_p} of an agent must be above 0 and at most 1")
        _ = self.when, self.wording

    @cached_property
    def when(self) -> Schedule:
        """The schedule, read."""
        return schedule(self.schedule) if isinstance(self.schedule, str) else self.schedule

    @cached_property
    def wording(self) -> Prompts:
        """The prompts, read."""
        return Prompts.named(self.prompts) if isinstance(self.prompts, str) else self.prompts

    @property
    def can_hold(self) -> bool:
        """Whether the model can be kept from replacing a plan."""
        return self.impose and self.model.capabilities.forbid
