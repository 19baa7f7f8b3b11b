"""What a teacher promises: it sees what an agent could have seen, remembers it, and writes plans and actions in an agent's grammar."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from unseen.planning.grammar import Written


class Lesson(NamedTuple):
    """What a teacher writes in a step.

    Attributes:
        written: the plan, where there is a new one, and the action.
        reason: why it planned: "none held", "event NAME" or "interval"; "withheld" where it would have planned and was not allowed
            to; empty where there was no reason.
        wrong: whether the action, or the plan that is held, was made wrong on purpose (see the noise settings of a teacher).
    """

    written: Written
    reason: str = ""
    wrong: bool = False


@runtime_checkable
class Teacher(Protocol):
    """Plays one episode at a time."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The ways in which it can word a plan, by name."""
        ...

    def begin(self, generator: np.random.Generator, style: str | None = None, interval: int | None = None) -> None:
        """Forget everything: an episode begins.

        Args:
            generator: of all that it draws: noise, wording, intervals.
            style: of this episode's plans; None: drawn.
            interval: steps after which a plan is written anew without need; None: drawn from 2 … 12 for each plan; 0: never.
        """
        ...

    def write(self, environment: Any, events: tuple[str, ...] = ()) -> Lesson:
        """What to do now.

        Args:
            environment: at the moment to act in. It looks at nothing but what an agent is shown at this moment.
            events: of the step before.
        """
        ...
