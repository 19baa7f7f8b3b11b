"""Recordings of teachers, in the form that an agent's own have."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make, options_of
from unseen.errors import UserError, unknown
from unseen.planning.agent import Agent
from unseen.planning.grammar import render
from unseen.planning.models.contract import Completion, Usage
from unseen.planning.models.scripted import ScriptedModel, pieces
from unseen.planning.steps import as_episode, ask, begin, take
from unseen.planning.teachers.contract import Teacher

STREAM = 1  # of a teacher's draws; the environment's come from the seed itself


def collect(
    teacher: Teacher | str,
    environment: TextEnvironment | str,
    episodes: int = 100,
    seed: int = 0,
    *,
    style: str | None = None,
    interval: int | None = None,
) -> Episodes:
    """Let a teacher play, one episode per seed from `seed` on, and log it as an agent is logged; a token is a word.

    Args:
        teacher: who plays; or the name of the environment that it teaches.
        environment: where; or its name.
        episodes: how many.
        seed: of the first.
        style: of all plans; None: drawn for each episode.
        interval: between plans; None: drawn for each plan, as in the published recipe; 0: only where something happened.

    Returns:
        Episodes whose text "reason" says why there is a plan, and whose account "wrong" says what was made wrong on purpose.

    Raises:
        UserError: a number that is not allowed, an unknown teacher, style or environment, or the teacher of another environment.
    """
    if episodes < 1 or seed < 0:
        raise UserError(f"episodes = {episodes}, seed = {seed}: give 1 episode or more, and a seed of 0 or more")
    environment = make(environment) if isinstance(environment, str) else copy.deepcopy(environment)
    if isinstance(teacher, str):
        if teacher != environment.name:
            raise UserError(f"the teacher of {teacher!r} cannot play {environment.name}; give a teacher of that environment")
        teacher = teacher_of(teacher)
    scribe = Agent(ScriptedModel(lambda *_: "", name=type(teacher).__name__), "dynamic", history=1, max_plan_tokens=10**6)
    recorded = []
    for number in range(seed, seed + episodes):
        teacher.begin(np.random.default_rng((number, STREAM)), style, interval)
        live, reasons, wrong = begin(scribe, environment, number), [], []
        while not live.over:
            lesson = teacher.write(environment, live.events)
            reasons.append(lesson.reason)
            wrong.append(lesson.wrong)
            text = render(lesson.written.plan, lesson.written.action)
            take(
                scribe, live, ask(scribe, live), Completion(text, "stop", Usage(0, 0, 0, len(pieces(text))), pieces=pieces(text)), 0.0, 0.0
            )
        said = {"seed": number, "environment": environment.name, "model": scribe.model.name, "schedule": "teacher", "error": ""}
        episode = as_episode(live, said)
        episode["text"]["reason"] = reasons
        episode["accounts"]["wrong"] = np.array(wrong)
        recorded.append(episode)
    return Episodes.from_list(recorded)


def teacher_of(environment: str, **noise: float) -> Teacher:
    """The teacher of an environment.

    Args:
        environment: its name.
        noise: shares, as its class takes them: `mistakes`, `stale`; that of graph search also `slips`, `late`.

    Raises:
        UserError: it has none, a kind of noise that it does not have, or a share that is none.
    """
    if environment == "graph-search":
        from unseen.planning.teachers.graph_search import GraphSearchTeacher

        kind: Any = GraphSearchTeacher
    elif environment == "crafter":
        from unseen.planning.teachers.crafter import CrafterTeacher

        kind = CrafterTeacher
    else:
        raise unknown("environment with a teacher", environment, ("graph-search", "crafter"))
    allowed = [name for name in options_of(kind) if name != "styles"]
    for name in noise:
        if name not in allowed:
            raise unknown(f"noise of the teacher of {environment}", name, allowed)
    return kind(**noise)
