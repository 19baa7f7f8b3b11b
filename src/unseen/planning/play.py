"""Many episodes at once: one call of the model for all that are live, everything logged."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Sequence

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.models.contract import Completion
from unseen.planning.steps import AskHuman, Live, Request, as_episode, ask, begin, take


def evaluate(
    agent: Agent,
    environment: TextEnvironment | str,
    episodes: int = 20,
    seed: int = 0,
    *,
    live: int = 32,
    ask_human: AskHuman | None = None,
    signals: Sequence[str] = (),
    watch: Callable[[Live], None] | None = None,
) -> Episodes:
    """Play whole episodes and return them with their accounts: see `unseen.planning.accounting` for the columns.

    Episode e has the seed `seed + e`, whoever plays it, so that two agents meet the same instances; what it becomes does not depend on how
    many are live, where the model promises that.

    Args:
        agent: who plays.
        environment: copied for each live episode; or its name.
        episodes: how many.
        seed: of the first.
        live: at the same time, one call of the model for all of them.
        ask_human: who is asked under the schedule "ask-human".
        signals: names of what is hidden from the agent, to be recorded with every observation.
        watch: called with each episode when it ends.

    Returns:
        The episodes in the order of their seeds. Where the model failed for good, an episode ends there with neither flag, and its
        `info["error"]` says why; one that failed before its first step is left out, with a warning.

    Raises:
        UserError: numbers below 1, a seed below 0, an unknown signal, or no episode got a first answer.
    """
    if episodes < 1 or live < 1 or seed < 0:
        raise UserError(
            f"episodes = {episodes}, live = {live}, seed = {seed}: give 1 or more episodes, 1 or more live, a seed of 0 or more"
        )
    environment = make(environment) if isinstance(environment, str) else environment
    waiting, ended = list(range(seed, seed + episodes))[::-1], []
    playing = [begin(agent, copy.deepcopy(environment), waiting.pop(), signals) for _ in range(min(live, episodes))]
    while playing:
        play_step(agent, playing, ask_human)
        over = [episode for episode in playing if episode.over]
        playing = [episode for episode in playing if not episode.over]
        for episode in over:
            ended.append(episode)
            if watch is not None:
                watch(episode)
            if waiting:
                playing.append(begin(agent, episode.environment, waiting.pop(), signals))
    return gathered(agent, ended)


def play_step(agent: Agent, playing: Sequence[Live], ask_human: AskHuman | None = None) -> None:
    """One step of every live episode, by one call of the model."""
    requests = [ask(agent, live, ask_human) for live in playing]
    began = time.perf_counter()
    completions = answers(agent, requests, playing[0].environment.actions)
    latency_s = time.perf_counter() - began
    for live, request, completion in zip(playing, requests, completions, strict=True):
        take(agent, live, request, completion, latency_s / len(playing), latency_s)


def answers(agent: Agent, requests: Sequence[Request], actions: Sequence[str]) -> list[Completion]:
    """What the model writes for these requests; it may stop at one of these actions."""
    able = agent.model.capabilities
    return agent.model.generate(
        [request.prompt for request in requests],
        max_tokens=[request.max_tokens for request in requests],
        stop=actions if able.stops else (),
        temperature=agent.temperature,
        top_p=agent.top_p,
        seed=[request.seed for request in requests],
        force=[request.force for request in requests] if able.force else None,
        forbid=[request.forbid for request in requests] if able.forbid else None,
    )


def gathered(agent: Agent, ended: Sequence[Live]) -> Episodes:
    """The recordings of these episodes, in the order of their seeds.

    Raises:
        UserError: none of them has a step.
    """
    ended = sorted(ended, key=lambda live: live.seed)
    lost = [live for live in ended if not live.record]
    if lost and len(lost) < len(ended):
        seeds = ", ".join(str(live.seed) for live in lost)
        warnings.warn(f"episodes without any answer are left out (seeds {seeds}): {lost[0].error}", stacklevel=3)
    said = {"model": agent.model.name, "schedule": str(agent.when)}
    recorded = [
        as_episode(live, {"seed": live.seed, "environment": live.environment.name, **_limits(agent, live), **said, "error": live.error})
        for live in ended
        if live.record
    ]
    if not recorded:
        raise UserError(f"no episode got a first answer from {agent.model.name!r}: {ended[0].error}")
    for optional in ("tokens", "behaviour_log_probability"):
        if not all(optional in episode for episode in recorded):  # a model may tell its tokens now and then
            for episode in recorded:
                episode.pop(optional, None)
    return Episodes.from_list(recorded)


def _limits(agent: Agent, live: Live) -> dict[str, int]:
    """What a state is made of besides what is seen: how much stays in the window, and when time is up."""
    return {"history": agent.history, "max_steps": live.environment.max_steps}
