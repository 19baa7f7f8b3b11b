"""From recorded episodes back to conversations: what a student is shown at each step, and what it should have written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from unseen.data.episodes import Episode, Episodes
from unseen.environments.text.contract import TextObservation
from unseen.errors import UserError
from unseen.planning.grammar import harmless, render
from unseen.planning.models.contract import Message
from unseen.planning.prompts import Prompts, Turn
from unseen.planning.schedules import Mode
from unseen.planning.steps import NO_ACTION

Asked = Literal["choose", "told", "mixed"]
"""How a student is asked: as it likes; told to plan exactly where the teacher did; or each half of the time."""


WITHHELD = "withheld"  # the reason of a step in which a teacher would have planned and was not allowed to: it is no example of choosing


class Pair(NamedTuple):
    """A step of a recording."""

    prompt: list[Message]
    output: str


def pairs(
    episodes: Episodes,
    instructions: str,
    prompts: Prompts,
    *,
    history: int,
    plans: bool = True,
    asked: Asked = "mixed",
    bare: float = 0.0,
    seed: int = 0,
) -> Iterator[Pair]:
    """Every step of every episode as a conversation and an output, with the same wordings and window as an agent's.

    Left out are steps that a teacher made wrong on purpose, which are seen in what follows and not imitated; and steps in which the model
    replaced a plan that had been set from outside in that very step: it was not recorded. Tags in an action, or within a plan, are taught
    as the other signs that a conversation shows for them.

    Args:
        episodes: of `collect` or `evaluate`.
        instructions: of the environment they were played in.
        prompts, history: of the agent that is to be taught.
        plans: whether plans are shown and written; without them the same trajectories make a student that knows none.
        asked: see `Asked`.
        bare: the share of episodes that are shown without plans, so that the same student can act without one.
        seed: of the draws of `asked` and `bare`.

    Raises:
        UserError: recordings without outputs and plans, an unknown way to ask, or a history below 1.
    """
    if history < 1:
        raise UserError(f"history = {history} of lessons must be 1 or more")
    if asked not in ("choose", "told", "mixed"):
        raise UserError(f"asked = {asked!r}; allowed: choose, told, mixed")
    if not 0 <= bare <= 1:
        raise UserError(f"bare = {bare} must be a share of episodes, from 0 to 1")
    for name in ("output", "plan"):
        if name not in episodes.text:
            raise UserError(f"the recordings have no text {name!r}; collect them with unseen.planning.collect")
    generator = np.random.default_rng(seed)
    for episode in episodes:
        shown = plans and not generator.random() < bare
        yield from _steps(episode, instructions, prompts, history, shown, asked, generator)


def texts(lessons: Iterable[Pair]) -> set[str]:
    """All that is shown and written in these lessons: what a student's tokenizer has to know."""
    return {text for pair in lessons for text in (*(message.content for message in pair.prompt), pair.output)}


def _says(columns: Mapping[str, np.ndarray], name: str, t: int) -> Any:
    """An entry of a column that only a teacher's recordings have."""
    return columns[name][t] if name in columns else None


def _steps(
    episode: Episode, instructions: str, prompts: Prompts, history: int, plans: bool, asked: Asked, generator: np.random.Generator
) -> Iterator[Pair]:
    past: deque[Turn] = deque(maxlen=history - 1)
    held: str | None = None
    long_term, short_term = episode.observations["long_term"], episode.observations["short_term"]
    for t in range(len(episode)):
        now = TextObservation(str(long_term[t]), str(short_term[t]))
        planned, action, after = bool(episode.accounts["planned"][t]), str(episode.actions[t]), str(episode.text["plan"][t])
        told: Mode = "plan" if planned else "act"
        free = asked == "choose" or (asked == "mixed" and generator.random() < 0.5)
        mode: Mode = "choose" if free and _says(episode.text, "reason", t) != WITHHELD else told
        if not planned:  # what is held after the step was held in it, whoever set it
            held = after or None
        elif episode.accounts["replaced_age"][t] < 0:
            held = None
        if _says(episode.accounts, "wrong", t):
            pass
        elif not plans:
            yield Pair(prompts.conversation(instructions, list(past), now, None, "act"), harmless(action))
        elif not (planned and episode.accounts["replaced_age"][t] == 0):
            output = render(harmless(after) if planned else None, harmless(action))
            yield Pair(prompts.conversation(instructions, list(past), now, held, mode), output)
        held = after or None
        past.append(Turn(now.long_term, action or NO_ACTION))
