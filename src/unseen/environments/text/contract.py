"""What an environment in words promises: seeded, forkable, and no action that it does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable


class TextObservation(NamedTuple):
    """What is seen.

    Attributes:
        long_term: what stays in an agent's history.
        short_term: what is shown with the newest observation only, such as vital signs; may be empty.
    """

    long_term: str
    short_term: str = ""

    @property
    def text(self) -> str:
        """All of it, the short-term part first."""
        return f"{self.short_term}\n\n{self.long_term}" if self.short_term else self.long_term


class TextStep(NamedTuple):
    """What an action led to.

    Attributes:
        observation: what is seen now.
        reward: of this step.
        terminated: whether the episode ended by itself.
        truncated: whether the step limit cut it.
        illegal: whether the action was none of the legal ones, and what the environment does instead was done.
        events: what a plan may have to answer to, by name.
        progression: from 0 to 1, how much of the task has been done so far.
    """

    observation: TextObservation
    reward: float
    terminated: bool
    truncated: bool
    illegal: bool
    events: tuple[str, ...]
    progression: float


@runtime_checkable
class TextEnvironment(Protocol):
    """An episode at a time, in words.

    Two episodes with the same seed and the same actions are the same, in every process. `restore(snapshot())` goes back to a moment of an
    episode as often as one likes: what follows is the same each time the actions are.
    """

    @property
    def name(self) -> str: ...

    @property
    def actions(self) -> tuple[str, ...]:
        """Every word that may be an action, legal now or not."""
        ...

    @property
    def max_steps(self) -> int: ...

    @property
    def instructions(self) -> str:
        """The task, its rules and its actions, for somebody who has never seen it."""
        ...

    def reset(self, seed: int) -> TextObservation:
        """A new episode, the same for every equal seed of 0 or more."""
        ...

    def step(self, action: str) -> TextStep:
        """An illegal action is answered and counts as a step; nothing that is written here raises an error.

        Raises:
            UserError: there is no episode to go on with.
        """
        ...

    def legal(self) -> tuple[str, ...]:
        """The words that are legal actions now."""
        ...

    def snapshot(self) -> Any:
        """This moment; nothing that is done later changes it."""
        ...

    def restore(self, snapshot: Any) -> TextObservation:
        """Back to that moment, of this or another environment with the same settings, and what was seen at it."""
        ...

    def signals(self) -> Mapping[str, str]:
        """What is hidden from the agent, in words, by name."""
        ...
