"""Prompts as data: the wordings, and the conversation that is built from them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from string import Template
from typing import NamedTuple

from unseen.environments.text.contract import TextObservation
from unseen.errors import UserError, unknown
from unseen.planning.grammar import harmless
from unseen.planning.models.contract import Message, Prompt
from unseen.planning.schedules import Mode


class Turn(NamedTuple):
    """A step of the past: what was seen, and what the agent answered."""

    observation: str
    answer: str


@dataclass(frozen=True)
class Prompts:
    """The wordings of a conversation, with $names to be filled in.

    Attributes:
        task: the first message; $instructions. Empty: none.
        observation: a past observation; $observation.
        current: the last message; $observation, $held, $instruction.
        held: the held plan, as it stands in `current`; $plan. Nothing stands there where none is held.
        act: the instruction to act on the held plan.
        act_without: the same where no plan is held; it does not speak of plans.
        plan: the instruction to plan and act.
        choose: the instruction to plan if need be, and act.
    """

    task: str
    observation: str
    current: str
    held: str
    act: str
    act_without: str
    plan: str
    choose: str

    @classmethod
    def named(cls, name: str) -> Prompts:
        """The wordings called "standard" or "compact", or those of a file of one's own with the same fields, whose name ends in .toml.

        Raises:
            UserError: no such wordings or file, a field that is missing or unknown, a $name that stands for nothing, or a dollar sign that
                begins no name (a dollar sign itself is written $$).
        """
        if name.endswith(".toml"):
            try:
                return cls._read(Path(name).read_text(encoding="utf-8"), name)
            except OSError as error:
                raise UserError(f"the file of prompts {name!r} cannot be read: {error.strerror}") from None
            except UnicodeDecodeError as error:
                raise UserError(f"prompts {name!r} are not UTF-8: {error}") from None
        folder = resources.files(__name__)
        shipped = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
        if name not in shipped:
            raise unknown("prompts", name, [*shipped, "FILE.toml"])
        return cls._read((folder / f"{name}.toml").read_text(encoding="utf-8"), name)

    @classmethod
    def _read(cls, text: str, name: str) -> Prompts:
        try:
            found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"prompts {name!r} are not TOML: {error}") from None
        for field, allowed in FILLED.items():
            if not isinstance(found.get(field), str):
                raise UserError(f"prompts {name!r} need a text called {field!r}")
            wording = Template(found[field])
            if not wording.is_valid():
                raise UserError(f"{field!r} of prompts {name!r} holds a dollar sign that begins no name; write $$ for a dollar sign")
            for each in set(wording.get_identifiers()) - set(allowed):
                raise unknown(f"name in {field!r} of prompts {name!r}", f"${each}", [f"${a}" for a in allowed])
        for field in found.keys() - FILLED.keys():
            raise unknown(f"text of prompts {name!r}", field, FILLED)
        return cls(**found)

    def conversation(self, instructions: str, past: Sequence[Turn], now: TextObservation, plan: str | None, mode: Mode) -> list[Message]:
        """The prompt for a step.

        Two turns of one side that follow each other are joined: some models insist that the sides alternate. Tags in a plan or in an answer
        are shown as other signs, so that nothing that was written can pass for the grammar.

        Args:
            instructions: of the environment.
            past: the steps that are still in the window, oldest first; only what stays of an observation is shown of them.
            now: what is seen.
            plan: that is held.
            mode: what is asked for; who is asked for a plan elsewhere acts.
        """
        instruction = {"plan": self.plan, "choose": self.choose}.get(mode, self.act if plan is not None else self.act_without)
        held = "" if plan is None else Template(self.held).substitute(plan=harmless(plan))
        turns: list[Message] = []
        if self.task:
            turns.append(Message("user", Template(self.task).substitute(instructions=instructions)))
        for turn in past:
            turns.append(Message("user", Template(self.observation).substitute(observation=turn.observation)))
            turns.append(Message("assistant", harmless(turn.answer)))
        asked = Template(instruction).substitute()
        current = Template(self.current).substitute(observation=now.text, held=held, instruction=asked)
        return _alternating([*turns, Message("user", current)])


FILLED: dict[str, tuple[str, ...]] = {field.name: () for field in fields(Prompts)} | {
    "task": ("instructions",),
    "observation": ("observation",),
    "current": ("observation", "held", "instruction"),
    "held": ("plan",),
}


def _alternating(turns: Prompt) -> list[Message]:
    joined: list[Message] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role:
            turn = Message(turn.role, f"{joined.pop().content}\n\n{turn.content}")
        joined.append(turn)
    return joined
