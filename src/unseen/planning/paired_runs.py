"""What a new plan was worth, measured: the same state played on with the old plan and with a new one.

A_plan(c_t) = E_{p ~ ψ(·|c_t)} [ V^π(c_t, p) − V^π(c_t, p_{t−1}) ]

Source: Paglieri et al. 2025 for the definition; they do not estimate it, the measurement is ours.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from unseen.environments.text.contract import TextEnvironment, TextObservation
from unseen.environments.text.registry import make
from unseen.errors import UserError
from unseen.planning.accounting import Estimate, ratio
from unseen.planning.agent import Agent
from unseen.planning.estimand import Estimand
from unseen.planning.play import play_step
from unseen.planning.prompts import Turn
from unseen.planning.schedules import Always, Never, Schedule, schedule
from unseen.planning.slot import Slot
from unseen.planning.steps import Live, begin

PICKING = 2  # of the draws that pick states


@dataclass(frozen=True)
class State:
    """A moment of an episode, to be played on from.

    Attributes:
        seed, step: which episode, and when.
        snapshot: of the environment.
        now, past, slot, events, illegal, plan_tokens: of the episode then; see `Live`.
    """

    seed: int
    step: int
    snapshot: Any
    now: TextObservation
    past: tuple[Turn, ...]
    slot: Slot
    events: tuple[str, ...]
    illegal: bool
    plan_tokens: int

    @classmethod
    def of(cls, live: Live) -> State:
        """This moment of an episode."""
        return cls(
            live.seed,
            live.step,
            live.environment.snapshot(),
            live.now,
            tuple(live.past),
            live.slot,
            live.events,
            live.illegal,
            live.plan_tokens,
        )

    def live(self, environment: TextEnvironment, history: int, replicate: int) -> Live:
        """The episode again, to be played on from here."""
        environment.restore(self.snapshot)
        past = deque(self.past, maxlen=history - 1)
        return Live(
            environment, self.seed, self.now, past, self.slot, self.step, self.events, self.illegal, self.plan_tokens, replicate=replicate
        )


def states(agent: Agent, environment: TextEnvironment, episodes: int, seed: int, *, each: int = 2, live: int = 32) -> list[State]:
    """Moments in which a plan of an earlier step was held, `each` drawn uniformly from every episode that the agent plays.

    Args:
        agent: who plays.
        environment: copied for each live episode.
        episodes: how many.
        seed: of the first.
        each: moments of an episode; fewer where it has fewer.
        live: at the same time.
    """
    found: list[State] = []
    for first in range(seed, seed + episodes, live):
        seeds = range(first, min(first + live, seed + episodes))
        playing = [begin(agent, copy.deepcopy(environment), number) for number in seeds]
        picked: dict[int, _Reservoir] = {number: _Reservoir(each, np.random.default_rng((number, PICKING))) for number in seeds}
        while playing:
            for one in playing:
                if one.slot.age(one.step) and picked[one.seed].wants():
                    picked[one.seed].put(State.of(one))
            play_step(agent, playing)
            playing = [one for one in playing if not one.over]
        for number in seeds:
            found += sorted(picked[number].kept, key=lambda state: state.step)
    return found


class _Reservoir:
    """So many of a stream, each as likely as any other, without keeping the stream."""

    def __init__(self, size: int, generator: np.random.Generator):
        self.kept: list[State] = []
        self._size, self._generator, self._seen, self._place = size, generator, 0, 0

    def wants(self) -> bool:
        """Whether the next one is to be put in."""
        self._seen += 1
        self._place = self._seen - 1 if self._seen <= self._size else int(self._generator.integers(self._seen))
        return self._place < self._size

    def put(self, state: State) -> None:
        self.kept[self._place : self._place + 1] = [state]


class Worth(NamedTuple):
    """What was measured.

    Attributes:
        states: a row per state: seed, step, plan_age, after_event, events, new and old (mean discounted returns of the two arms), worth
            (their difference), standard_error (over replicates), new_tokens and old_tokens (plan tokens from here on, means),
            obeyed (the share of replicates in which the first step planned, or did not, as it should).
        replicates: of each arm and state.
    """

    states: pl.DataFrame
    replicates: int

    def mean(self) -> Estimate:
        """Over all states, episodes taken as independent."""
        return _clustered(self.states)

    def by_situation(self) -> pl.DataFrame:
        """By situation: after an event and elsewhere, each event by itself, and by the plan's age."""
        table = self.states
        names = sorted({name for text in table["events"] for name in text.split("; ") if name})
        parts = {"everywhere": pl.lit(True), "after an event": pl.col("after_event"), "elsewhere": ~pl.col("after_event")}
        if len(names) <= 6:
            parts |= {f"after: {name}": pl.col("events").str.split("; ").list.contains(name) for name in names}
        parts |= {"plan of 1 or 2 steps": pl.col("plan_age") <= 2, "plan of 3 or 4": pl.col("plan_age").is_between(3, 4)}
        parts |= {"plan of 5 or more": pl.col("plan_age") >= 5}
        rows = []
        for name, condition in parts.items():
            chosen = table.filter(condition)
            if len(chosen):
                price = chosen["new_tokens"].mean() - chosen["old_tokens"].mean()  # type: ignore[operator]
                rows.append({"situation": name, "states": len(chosen), **_clustered(chosen)._asdict(), "more_plan_tokens": price})
        return pl.DataFrame(rows)


def worth(
    agent: Agent,
    environment: TextEnvironment | str,
    episodes: int = 100,
    seed: int = 0,
    *,
    each: int = 2,
    replicates: int = 8,
    then: Schedule | str | None = None,
    discount: float = 1.0,
    live: int = 64,
) -> Worth:
    """Measure A_plan by paired re-runs.

    From each state two arms are played, `replicates` times: one whose first step must plan, one whose first step must keep the held plan;
    afterwards both follow `then`. The k-th replicates of both arms draw from the same random numbers.

    Args:
        agent: whose plans; it plays the episodes from which the states are taken.
        environment: where; or its name. It must be forkable.
        episodes, seed: of the episodes.
        each: states of an episode.
        replicates: of each arm.
        then: the schedule after the first step; None: the agent's own.
        discount: of the returns, from the state on.
        live: continuations at the same time.

    Raises:
        UserError: numbers that are not allowed, or no episode in which a plan was held for a step.
    """
    if min(episodes, each, replicates, live) < 1 or not 0 <= discount <= 1:
        raise UserError("episodes, each, replicates and live of worth must be 1 or more, discount from 0 to 1")
    environment = make(environment) if isinstance(environment, str) else environment
    after = replace(agent, schedule=schedule(then) if isinstance(then, str) else then or agent.when)
    found = states(agent, environment, episodes, seed, each=each, live=live)
    if not found:
        raise UserError(
            f"under the schedule {str(agent.when)!r} no plan was held for a step: there is no old plan to compare a new one with"
        )
    rows = compared(agent, after, environment, found, replicates, live, lambda one: _return(one, discount))
    if not rows:
        raise UserError(f"the model {agent.model.name!r} failed in every continuation")
    return Worth(pl.DataFrame(rows), replicates)


def compared(
    agent: Agent,
    after: Agent,
    environment: TextEnvironment,
    found: Sequence[State],
    replicates: int,
    live: int,
    valued: Callable[[Live], float],
) -> list[dict[str, Any]]:
    """Two arms from every state, whose k-th replicates draw from the same random numbers: a plan now, and none now.

    Args:
        agent: who takes the first step, told to plan or not to.
        after: who goes on.
        environment: copied for each continuation.
        found: the states.
        replicates: of each arm and state.
        live: continuations at the same time.
        valued: what a continuation brought.

    Returns:
        A row per state in which no continuation failed; see `Worth.states`.
    """
    arms = {"new": replace(agent, schedule=Always()), "old": replace(agent, schedule=Never())}
    played = {name: _continued(first, after, environment, found, replicates, live) for name, first in arms.items()}
    rows = []
    for k, state in enumerate(found):
        new, old = ([one for one in played[name][k] if not one.error] for name in ("new", "old"))
        returns = [np.array([valued(one) for one in arm]) for arm in (new, old)]
        if min(map(len, returns)) < replicates:
            continue  # the model failed for good in one of them
        difference = returns[0] - returns[1]
        obeyed = [one.record[0]["accounts"]["planned"] for one in new] + [not one.record[0]["accounts"]["planned"] for one in old]
        rows.append(
            {
                "seed": state.seed,
                "step": state.step,
                "plan_age": state.slot.age(state.step),
                "after_event": bool(state.events),
                "events": "; ".join(state.events),
                "new": float(returns[0].mean()),
                "old": float(returns[1].mean()),
                "worth": float(difference.mean()),
                "standard_error": float(np.std(difference, ddof=1) / np.sqrt(replicates)) if replicates > 1 else None,
                "new_tokens": float(np.mean([one.plan_tokens - state.plan_tokens for one in new])),
                "old_tokens": float(np.mean([one.plan_tokens - state.plan_tokens for one in old])),
                "obeyed": float(np.mean(obeyed)),
            }
        )
    return rows


def _continued(
    first: Agent, then: Agent, environment: TextEnvironment, found: Sequence[State], replicates: int, live: int
) -> list[list[Live]]:
    """Every state played on to its end, `replicates` times: the first step by one agent, the others by another."""
    wanted = [(k, r) for k in range(len(found)) for r in range(replicates)]
    ended: list[list[Live]] = [[] for _ in found]
    for at in range(0, len(wanted), live):
        part = wanted[at : at + live]
        playing = [found[k].live(copy.deepcopy(environment), then.history, 1 + r) for k, r in part]
        for (k, _), one in zip(part, playing, strict=True):
            ended[k].append(one)
        play_step(first, playing)
        while going := [one for one in playing if not one.over]:
            play_step(then, going)
    return ended


def _return(live: Live, discount: float) -> float:
    return float(sum(discount**k * row["reward"] for k, row in enumerate(live.record)))


def net_return(live: Live, begun: int, estimand: Estimand) -> float:
    """Σ_k γ^k (R − λ n) of a continuation that was begun at a step, as far as steps lie within the horizon."""
    return float(
        sum(
            estimand.discount**k * estimand.paid(row["reward"], row["accounts"]["plan_tokens"])
            for k, row in enumerate(live.record)
            if estimand.counts(begun + k)
        )
    )


def _clustered(table: pl.DataFrame) -> Estimate:
    """The mean over states; states of one episode are not independent, episodes are."""
    groups = table.group_by("seed").agg(pl.col("worth").sum(), pl.len())
    return ratio(groups["worth"].to_numpy(), groups["len"].to_numpy().astype(np.float64))
