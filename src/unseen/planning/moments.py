"""The moments of a recorded episode: what there was before each decision, put together from the recording alone."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from unseen.data.episodes import Episode
from unseen.environments.text.contract import TextObservation
from unseen.errors import UserError
from unseen.planning.prompts import Turn
from unseen.planning.schedules import Situation
from unseen.planning.slot import Slot
from unseen.planning.steps import NO_ACTION

FEATURE = "feature "  # what the accounts of features begin with


class Moment(NamedTuple):
    """What there is before a decision.

    Attributes:
        seed, step: which episode, and when.
        left: steps until the episode is cut, or the horizon is reached.
        now: what is seen.
        past: the steps in the window, oldest first.
        slot: the held plan.
        events, illegal: of the step before.
        plan_tokens: spent in this episode so far.
        signals: what is hidden from the agent, in words, by name, as far as it was recorded.
        features: what was logged for the decision, by name; none at the end of an episode, where nothing is decided.
    """

    seed: int
    step: int
    left: int
    now: TextObservation
    past: tuple[Turn, ...]
    slot: Slot
    events: tuple[str, ...]
    illegal: bool
    plan_tokens: int
    signals: Mapping[str, str]
    features: Mapping[str, float]

    @property
    def age(self) -> int | None:
        """Of the held plan; None where none is held."""
        return self.slot.age(self.step)

    @property
    def situation(self) -> Situation:
        """What a schedule may look at."""
        return Situation(self.step, self.age, self.events, self.plan_tokens, self.features)


def moments(episode: Episode, horizon: int | None = None) -> list[Moment]:
    """The moments before every decision of a recorded episode, and the one behind its last step.

    Args:
        episode: of an agent of this room.
        horizon: steps that count; None: as many as the environment allows.

    Returns:
        T + 1 of them.

    Raises:
        UserError: a recording that does not say how long its window was, or when time is up.
    """
    info, text, accounts = episode.info, episode.text, episode.accounts
    for name in ("history", "max_steps", "seed"):
        if name not in info:
            raise UserError(f"the recordings do not say {name!r} of their episodes; record them anew with unseen.planning.evaluate")
    last = int(info["max_steps"]) if horizon is None else min(horizon, int(info["max_steps"]))
    names = [name for name in accounts if name.startswith(FEATURE)]
    past: deque[Turn] = deque(maxlen=int(info["history"]) - 1)
    spent = np.concatenate([[0], np.cumsum(accounts["plan_tokens"].astype(np.int64))])
    found = []
    for t in range(len(episode) + 1):
        now = TextObservation(*(str(episode.observations[part][t]) for part in TextObservation._fields))
        found.append(
            Moment(
                int(info["seed"]),
                t,
                last - t,
                now,
                tuple(past),
                _slot(episode, t - 1),
                _events(str(text["events"][t - 1])) if t else (),
                bool(accounts["illegal"][t - 1]) if t else False,
                int(spent[t]),
                {name: str(words[t]) for name, words in episode.signals.items()},
                {name.removeprefix(FEATURE): float(accounts[name][t]) for name in names} if t < len(episode) else {},
            )
        )
        if t < len(episode):
            past.append(Turn(now.long_term, str(episode.actions[t]) or NO_ACTION))
    return found


def _events(words: str) -> tuple[str, ...]:
    return tuple(words.split("; ")) if words else ()


def _slot(episode: Episode, t: int) -> Slot:
    """The held plan behind step t."""
    if t < 0 or int(episode.accounts["plan_age"][t]) < 0:
        return Slot()
    held = int(episode.accounts["held_for"][t])
    until = 0.0 if held == 0 else math.inf if held < 0 else float(t + held)
    return Slot(str(episode.text["plan"][t]), str(episode.text["owner"][t]), t - int(episode.accounts["plan_age"][t]), until)  # type: ignore[arg-type]
