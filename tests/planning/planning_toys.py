"""Worlds and models small enough to know everything about, for the tests of planning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextObservation, TextStep
from unseen.planning.models.contract import Capabilities, Completion, Prompt, Scored, Usage, seeds, spread
from unseen.planning.models.scripted import ScriptedModel, pieces

UNABLE = Capabilities()
TIMED = {("accounts", "seconds"), ("accounts", "latency_s")}


class Walk:
    """An episode of as many steps as its seed says; "go" pays 1, and what is no action costs 1 and is told so."""

    name = "walk"
    actions = ("go", "stay", "Move West")
    instructions = "Go on."

    def __init__(
        self, length: Callable[[int], int] = lambda seed: 5, events: Mapping[int, tuple[str, ...]] | None = None, cut: int = 1_000
    ):
        self.length, self.events, self.max_steps = length, events or {}, cut
        self.moment = (0, 0, "")

    def reset(self, seed: int) -> TextObservation:
        self.moment = (seed, 0, "")
        return self.seen()

    def seen(self) -> TextObservation:
        seed, t, feedback = self.moment
        return TextObservation(f"place {t} of {seed}{feedback}", f"hunger {t}")

    def step(self, action: str) -> TextStep:
        seed, t, _ = self.moment
        legal = action in self.actions
        self.moment = (seed, t + 1, "" if legal else ". What?")
        ended = t + 1 >= self.length(seed)
        reward = float(action == "go") - float(not legal)
        progression = (t + 1) / self.length(seed)
        return TextStep(
            self.seen(), reward, ended, not ended and t + 1 >= self.max_steps, not legal, self.events.get(t, ()), min(1.0, progression)
        )

    def legal(self) -> tuple[str, ...]:
        return self.actions

    def snapshot(self) -> Any:
        return self.moment

    def restore(self, snapshot: Any) -> TextObservation:
        self.moment = snapshot
        return self.seen()

    def signals(self) -> Mapping[str, str]:
        seed, t, _ = self.moment
        return {"secret": f"{seed}/{t}"}


class Custom:
    """A model with any capabilities, which writes what a function says; it keeps what it was asked."""

    name = "custom"

    def __init__(self, write: Callable[..., str | Completion], capabilities: Capabilities = UNABLE):
        self.write, self.capabilities = write, capabilities
        self.prompts: list[Prompt] = []
        self.asked: list[dict[str, Any]] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | Sequence[int] = 0,
        force: str | Sequence[str | None] | None = None,
        forbid: str | Sequence[str | None] | None = None,
    ) -> list[Completion]:
        n = len(prompts)
        self.prompts += prompts
        told = {"max_tokens": max_tokens, "stop": stop, "temperature": temperature, "top_p": top_p, "force": force, "forbid": forbid}
        self.asked.append(told)
        each = zip(prompts, spread(force, n, "force"), spread(forbid, n, "forbid"), seeds(seed, n), strict=True)
        return [complete(self.write(prompt, f, b, np.random.default_rng(s))) for prompt, f, b, s in each]

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], *, temperature: float = 1.0) -> list[Scored]:
        raise NotImplementedError


def complete(written: str | Completion) -> Completion:
    """A completion of words, where there is only a text."""
    if isinstance(written, Completion):
        return written
    return Completion(written, "stop", Usage(3, 0, 0, len(pieces(written))), pieces=pieces(written))


def failed(error: str = "the line is dead") -> Completion:
    return Completion("", "failed", Usage(0, 0, 0, 0), error=error)


def obedient(plan: str = "walk on", action: str = "go") -> ScriptedModel:
    """Plans where it is forced to, and only there."""
    return ScriptedModel(lambda prompt, force, forbid, generator: f"<plan>{plan}</plan>\n{action}" if force else action)


def same(first: Episodes, second: Episodes) -> bool:
    """Whether both are the same but for the time they took."""
    mine, theirs = ({name: value for name, value in one.columns().items() if name not in TIMED} for one in (first, second))
    return Episodes.from_columns(mine, first.offsets).identical(Episodes.from_columns(theirs, second.offsets))
