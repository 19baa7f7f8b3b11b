"""When an agent is asked for a plan: never, always, every k steps, by age, when it likes, on events, at random, within a budget, or learnt.

A schedule is a word, as in "every:4"; `schedule` reads it. Source: never, always and every k: Paglieri et al. 2025; the others are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from unseen.errors import UserError, unknown

Mode = Literal["plan", "act", "choose", "ask"]


class Situation(NamedTuple):
    """What a schedule may look at before a step.

    Attributes:
        step: of the episode, from 0.
        age: steps since the held plan was written; None where none is held.
        events: of the step before.
        plan_tokens: spent on plans in this episode so far.
        features: numbers that are logged, by name.
        uniform: a draw from [0, 1), for who decides at random.
    """

    step: int
    age: int | None
    events: Sequence[str] = ()
    plan_tokens: int = 0
    features: Mapping[str, float] = {}
    uniform: float = 0.0


class Decision(NamedTuple):
    """What is asked for in a step.

    Attributes:
        mode: "plan": a plan and an action; "act": an action only; "choose": as the model likes; "ask": a person is asked for a plan.
        probability: of a plan, where the schedule drew it; None where nothing was drawn, or the model decides.
        tokens: how many the plan may have; None: as many as the agent allows.
    """

    mode: Mode
    probability: float | None = None
    tokens: int | None = None


@runtime_checkable
class Schedule(Protocol):
    """Decides before every step."""

    def decide(self, now: Situation) -> Decision: ...

    def __str__(self) -> str:
        """The word for it."""
        ...


@dataclass(frozen=True)
class Never:
    """No plan at all."""

    def decide(self, now: Situation) -> Decision:
        return Decision("act")

    def __str__(self) -> str:
        return "never"


@dataclass(frozen=True)
class Always:
    """A plan in every step."""

    def decide(self, now: Situation) -> Decision:
        return Decision("plan")

    def __str__(self) -> str:
        return "always"


@dataclass(frozen=True)
class Every:
    """A plan in the steps 0, k, 2k, …"""

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserError(f"every:{self.k} is no schedule; k must be 1 or more")

    def decide(self, now: Situation) -> Decision:
        return Decision("act" if now.step % self.k else "plan")

    def __str__(self) -> str:
        return f"every:{self.k}"


@dataclass(frozen=True)
class Dynamic:
    """As the model likes."""

    def decide(self, now: Situation) -> Decision:
        return Decision("choose")

    def __str__(self) -> str:
        return "dynamic"


@dataclass(frozen=True)
class OnEvent:
    """A plan where none is held, and after a step with one of these events; with no names, any event.

    A name stands for every event that begins with it: "unlocked" for "unlocked collect wood".
    """

    names: tuple[str, ...] = ()

    def decide(self, now: Situation) -> Decision:
        happened = any(event.startswith(name) for event in now.events for name in self.names or ("",))
        return Decision("plan" if now.age is None or happened else "act")

    def __str__(self) -> str:
        return f"on-event:{','.join(self.names)}" if self.names else "on-event"


@dataclass(frozen=True)
class Random:
    """A plan with probability p, a number or a function of what is logged: the logging policy that causal questions need."""

    p: float | Callable[[Mapping[str, float]], float]
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not callable(self.p):
            _probability(self.p)

    def decide(self, now: Situation) -> Decision:
        p = _probability(self.p(now.features) if callable(self.p) else self.p)
        return Decision("plan" if now.uniform < p else "act", p)

    def __str__(self) -> str:
        return f"random:{self.name or 'function'}" if callable(self.p) else f"random:{self.p:g}"


@dataclass(frozen=True)
class Aged:
    """A plan where none is held, and where the held one is k steps old."""

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserError(f"age:{self.k} is no schedule; k must be 1 or more")

    def decide(self, now: Situation) -> Decision:
        return Decision("plan" if now.age is None or now.age >= self.k else "act")

    def __str__(self) -> str:
        return f"age:{self.k}"


@dataclass(frozen=True)
class Softened:
    """What another schedule does with probability 1 - least, and the other thing with probability least.

    The log of choice for judging that schedule: everything is tried everywhere, and most of it where the schedule goes.
    """

    least: float
    of: Schedule

    def __post_init__(self) -> None:
        if not 0 < self.least <= 0.5:
            raise UserError(f"softened:{self.least:g} is no schedule; the smaller probability lies above 0 and is at most 0.5")

    def decide(self, now: Situation) -> Decision:
        decided = self.of.decide(now)
        if decided.mode not in ("plan", "act") or decided.probability is not None:
            raise UserError(f"{str(self)!r}: only a schedule that says itself when to plan can be softened, and {str(self.of)!r} does not")
        p = 1 - self.least if decided.mode == "plan" else self.least
        return Decision("plan" if now.uniform < p else "act", p)

    def __str__(self) -> str:
        return f"softened:{self.least:g}:{self.of}"


@dataclass(frozen=True)
class Budget:
    """As the model likes, until plans have taken this many tokens of an episode; the last plan may have what is left."""

    tokens: int

    def __post_init__(self) -> None:
        if self.tokens < 0:
            raise UserError(f"budget:{self.tokens} is no schedule; give 0 tokens or more")

    def decide(self, now: Situation) -> Decision:
        left = self.tokens - now.plan_tokens
        return Decision("choose", tokens=left) if left > 0 else Decision("act")

    def __str__(self) -> str:
        return f"budget:{self.tokens}"


@dataclass(frozen=True)
class AskHuman:
    """A person is asked where no plan is held, and every k steps after one was written; k = 0: never again."""

    k: int = 0

    def __post_init__(self) -> None:
        if self.k < 0:
            raise UserError(f"ask-human:{self.k} is no schedule; k must be 0 or more")

    def decide(self, now: Situation) -> Decision:
        due = now.age is None or (self.k > 0 and now.age >= self.k)
        return Decision("ask" if due else "act")

    def __str__(self) -> str:
        return f"ask-human:{self.k}" if self.k else "ask-human"


WORDS = (
    "never",
    "always",
    "every:K",
    "age:K",
    "dynamic",
    "on-event",
    "on-event:NAME,…",
    "random:P",
    "softened:P:SCHEDULE",
    "budget:TOKENS",
    "when-worth-it:FILE",
    "ask-human",
    "ask-human:K",
)


def schedule(word: str) -> Schedule:
    """The schedule that a word names.

    Args:
        word: one of `WORDS`, as in "every:4", "random:0.3" or "on-event:dead end,target seen".

    Raises:
        UserError: an unknown word, a number that is none or not allowed, or a file that is no schedule.
    """
    kind, colon, rest = word.strip().partition(":")
    plain: dict[str, Schedule] = {
        "never": Never(),
        "always": Always(),
        "dynamic": Dynamic(),
        "on-event": OnEvent(),
        "ask-human": AskHuman(),
    }
    if not colon and kind in plain:
        return plain[kind]
    match kind:
        case "every":
            return Every(_whole(word, rest))
        case "age":
            return Aged(_whole(word, rest))
        case "softened" if ":" in rest:
            least, _, of = rest.partition(":")
            return Softened(_number(word, least), schedule(of))
        case "when-worth-it":
            from unseen.planning.when_worth_it import WhenWorthIt

            return WhenWorthIt.read(rest)
        case "budget":
            return Budget(_whole(word, rest))
        case "ask-human":
            return AskHuman(_whole(word, rest))
        case "random":
            return Random(_number(word, rest))
        case "on-event" if all(name.strip() for name in rest.split(",")):
            return OnEvent(tuple(name.strip() for name in rest.split(",")))
    raise unknown("schedule", word, WORDS)


def _whole(word: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"schedule {word!r} needs a whole number behind the colon, as in {word.partition(':')[0]}:4") from None


def _number(word: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"schedule {word!r} needs a probability behind the colon, as in random:0.3") from None


def _probability(p: float) -> float:
    if not (math.isfinite(p) and 0 <= p <= 1):
        raise UserError(f"a plan with probability {p:g} is not possible; give a number from 0 to 1")
    return float(p)
