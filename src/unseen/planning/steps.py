"""One step of a live episode: what is asked of the model, and what becomes of its answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from unseen.environments.text.contract import TextEnvironment, TextObservation, TextStep
from unseen.errors import UserError, unknown
from unseen.planning.agent import Agent
from unseen.planning.grammar import OPEN, parse
from unseen.planning.models.contract import Completion, Message
from unseen.planning.prompts import Turn
from unseen.planning.schedules import Decision, Situation
from unseen.planning.slot import EMPTY, Slot
from unseen.planning.tokens import Spent, cut, spent

NO_ACTION = "(no action)"  # what history shows of an output without one: some endpoints refuse an empty turn

DECIDING = 1  # marks the draws of a step: no seed of an environment or a teacher gives the same

AskHuman = Callable[[Situation, TextObservation], "str | None"]
"""(what is known, what is seen) -> a plan, or None to go on with the one that is held."""


@dataclass
class Live:
    """An episode that goes on.

    Attributes:
        environment: a copy of its own.
        seed: of the episode; draws of the model and of the schedule follow from it, the step and `replicate`.
        now: what is seen.
        past: what is still in the window.
        slot: the held plan.
        events, illegal: of the step before.
        plan_tokens: spent in this episode.
        over: whether it has ended.
        error: why it ended without an end.
        replicate: which continuation of the episode this is.
        record: a row for every step; see `unseen.planning.accounting`.
        observations: every one so far.
        hidden: what is recorded of the environment's signals, by name: a text for every observation so far.
    """

    environment: TextEnvironment
    seed: int
    now: TextObservation
    past: deque[Turn]
    slot: Slot = EMPTY
    step: int = 0
    events: tuple[str, ...] = ()
    illegal: bool = False
    plan_tokens: int = 0
    over: bool = False
    error: str = ""
    replicate: int = 0
    record: list[Mapping[str, Any]] = field(default_factory=list)
    observations: list[TextObservation] = field(default_factory=list)
    hidden: dict[str, list[str]] = field(default_factory=dict)

    def see(self, now: TextObservation) -> None:
        """Take in what is seen, and record what is hidden."""
        self.now = now
        self.observations.append(now)
        if self.hidden:
            known = self.environment.signals()
            for name, texts in self.hidden.items():
                texts.append(known[name])


class Request(NamedTuple):
    """What is asked of the model in a step.

    Attributes:
        decision: of the schedule, after the slot had its say.
        features: that were logged.
        prompt: the conversation.
        limit: tokens that a plan may have; 0 where none may be written.
        max_tokens: that may be written.
        seed: of the model's draws.
        force, forbid: the opening tag, or nothing.
    """

    decision: Decision
    features: Mapping[str, float]
    prompt: list[Message]
    limit: int
    max_tokens: int
    seed: int
    force: str | None
    forbid: str | None


def begin(agent: Agent, environment: TextEnvironment, seed: int, signals: Sequence[str] = ()) -> Live:
    """An episode at its first observation.

    Raises:
        UserError: a signal that the environment does not have.
    """
    now = environment.reset(seed)
    for name in signals:
        if name not in environment.signals():
            raise unknown(f"signal of {environment.name}", name, environment.signals())
    live = Live(environment, seed, now, deque(maxlen=agent.history - 1), hidden={name: [] for name in signals})
    live.see(now)
    return live


def ask(agent: Agent, live: Live, ask_human: AskHuman | None = None) -> Request:
    """Decide whether to plan, and build the prompt.

    Raises:
        UserError: a person is to be asked and there is nobody, or a plan is to be held by a model that cannot be kept from replacing it.
    """
    draws = np.random.default_rng((live.seed, live.step, live.replicate, DECIDING))
    uniform, seed = float(draws.random()), int(draws.integers(2**31))
    features = _features(agent, live)
    now = Situation(live.step, live.slot.age(live.step), live.events, live.plan_tokens, features, uniform)
    decision = agent.when.decide(now)
    if decision.mode == "ask":
        if ask_human is None:
            raise UserError(f"schedule {str(agent.when)!r} asks a person for plans; give evaluate(ask_human=…), or use `unseen plan steer`")
        plan = ask_human(now, live.now)
        if plan is not None and plan.strip():
            live.slot = live.slot.replaced(plan, "human", live.step)
    if live.slot.locked(live.step):
        if not agent.can_hold:
            raise UserError(f"model {agent.model.name!r} cannot be kept from replacing a plan; suggest the plan instead of holding it")
        decision = decision._replace(mode="act", probability=None)
    may_plan = decision.mode in ("plan", "choose")
    able = agent.model.capabilities
    limit = 0 if not may_plan else agent.max_plan_tokens if decision.tokens is None else min(agent.max_plan_tokens, decision.tokens)
    return Request(
        decision,
        features,
        agent.wording.conversation(live.environment.instructions, list(live.past), live.now, live.slot.plan, decision.mode),
        limit,
        limit + agent.max_action_tokens,
        seed,
        force=OPEN if agent.impose and able.force and decision.mode == "plan" else None,
        forbid=OPEN if agent.impose and able.forbid and not may_plan else None,
    )


def _features(agent: Agent, live: Live) -> dict[str, float]:
    age = live.slot.age(live.step)
    own = {
        "step": float(live.step),
        "age": -1.0 if age is None else float(age),
        "event": float(bool(live.events)),
        "illegal": float(live.illegal),
    }
    return own if agent.features is None else own | {name: float(value) for name, value in agent.features(live.environment).items()}


class Reading(NamedTuple):
    """What an output means under the rules of the slot.

    Attributes:
        plan: to be held from now on; None: the held one stays.
        action: for the environment; "" where there is none.
        truncated: whether the plan was cut at its limit.
        disobeyed: whether there was a plan that was not asked for, or none where one was.
        unclosed, untidy: see `Written`.
    """

    plan: str | None
    action: str
    truncated: bool
    disobeyed: bool
    unclosed: bool
    untidy: bool


def read(completion: Completion, request: Request) -> Reading:
    """Read an output: an over-long plan is cut, its tag closed, and no action taken; an unclosed plan is not held."""
    written = parse(completion.text)
    planned = written.plan is not None or written.unclosed
    if not request.limit:
        return Reading(None, written.action, False, planned, written.unclosed, written.untidy)
    tokens = spent(completion).plan
    if planned and tokens > request.limit:
        return Reading(cut(completion, request.limit) or None, "", True, False, written.unclosed, written.untidy)
    missing = request.decision.mode == "plan" and written.plan is None
    return Reading(written.plan, written.action, False, missing, written.unclosed, written.untidy)


def take(agent: Agent, live: Live, request: Request, completion: Completion, seconds: float, latency_s: float) -> TextStep | None:
    """Act on an answer and log everything; None where there was none, and the episode stays unfinished.

    Args:
        seconds: this prompt's share of the call's time.
        latency_s: all of it, which a world that does not wait would have waited.

    Raises:
        UserError: the agent's features have other names than in the steps before.
    """
    if completion.finish_reason == "failed":
        live.over, live.error = True, completion.error or "no reason was given"
        return None
    completion = completion._replace(text=_storable(completion.text))
    reading, tokens = read(completion, request), spent(completion, request.limit or None)
    before = live.slot
    if reading.plan is not None:
        live.slot = before.replaced(reading.plan, "model", live.step)
    step = live.environment.step(reading.action)
    row = _logged(agent, live, request, completion, reading, tokens, before, step, seconds, latency_s)
    if live.record and row["accounts"].keys() != live.record[0]["accounts"].keys():
        raise UserError(f"features of an agent must have the same names in every step; in step {live.step} they are {[*request.features]}")
    live.record.append(row)
    live.plan_tokens += tokens.plan
    live.past.append(Turn(live.now.long_term, reading.action or NO_ACTION))
    live.events, live.illegal = step.events, step.illegal
    live.see(step.observation)
    live.step += 1
    live.over = step.terminated or step.truncated
    return step


def _storable(text: str) -> str:
    """With a question mark for every half of a character, which some endpoints send and no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _logged(
    agent: Agent,
    live: Live,
    request: Request,
    completion: Completion,
    reading: Reading,
    tokens: Spent,
    before: Slot,
    step: TextStep,
    seconds: float,
    latency_s: float,
) -> dict[str, Any]:
    """A row of `Episodes`: see `unseen.planning.accounting` for what each column says."""
    usage, slot = completion.usage, live.slot
    wrote, age = reading.plan is not None, before.age(live.step)
    held = slot.held_until - live.step if slot.locked(live.step) else 0.0
    parameters = agent.model.capabilities.parameters or 0
    decided = request.decision
    may_plan = decided.mode in ("plan", "choose")
    return {
        "action": reading.action,
        "reward": step.reward,
        "terminated": step.terminated,
        "truncated": step.truncated,
        "text": {
            "output": completion.text,
            "plan": slot.plan or "",
            "owner": slot.owner,
            "mode": decided.mode,
            "events": "; ".join(step.events),
        },
        "tokens": None if completion.token_ids is None else {"output": completion.token_ids, "prompt": completion.prompt_token_ids or ()},
        "logprob": None if completion.logprobs is None else float(np.sum(completion.logprobs)),
        "accounts": {
            "prompt_tokens": usage.prompt,
            "cached_tokens": usage.cached,
            "reasoning_tokens": usage.reasoning,
            "plan_tokens": tokens.plan,
            "action_tokens": tokens.action,
            "tokens_estimated": tokens.estimated or usage.estimated,
            "flops": 2.0 * parameters * (usage.prompt + usage.reasoning + usage.output),
            "seconds": seconds,
            "latency_s": latency_s,
            "planned": wrote,
            "plan_probability": float(may_plan) if decided.probability is None else decided.probability,
            "imposed": request.force is not None or request.forbid is not None,
            "disobeyed": reading.disobeyed,
            "changed": wrote and reading.plan != before.plan,
            "plan_age": -1 if slot.plan is None else live.step - slot.written,
            "replaced_age": -1 if not wrote or age is None else age,
            "held_for": -1 if held == float("inf") else int(held),
            "plan_truncated": reading.truncated,
            "unclosed": reading.unclosed,
            "untidy": reading.untidy,
            "illegal": step.illegal,
            "progression": step.progression,
            **{f"feature {name}": value for name, value in request.features.items()},
        },
    }


def as_episode(live: Live, info: Mapping[str, Any]) -> dict[str, Any]:
    """What `Episodes.from_list` takes, of an episode with at least one step."""
    rows = live.record
    episode: dict[str, Any] = {
        "observations": {name: [getattr(seen, name) for seen in live.observations] for name in TextObservation._fields},
        "actions": [row["action"] for row in rows],
        "rewards": np.array([row["reward"] for row in rows], np.float64),
        "terminated": rows[-1]["terminated"],
        "truncated": rows[-1]["truncated"],
        "text": {name: [row["text"][name] for row in rows] for name in rows[0]["text"]},
        "accounts": {name: np.array([row["accounts"][name] for row in rows]) for name in rows[0]["accounts"]},
        "signals": live.hidden,
        "info": dict(info),
    }
    if all(row["tokens"] is not None for row in rows):
        episode["tokens"] = {name: [list(row["tokens"][name]) for row in rows] for name in ("prompt", "output")}
    if all(row["logprob"] is not None for row in rows):
        episode["behaviour_log_probability"] = np.array([row["logprob"] for row in rows], np.float64)
    return episode
