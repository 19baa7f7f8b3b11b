"""A world whose plans go stale, and a model that says what its plan says: what a plan is worth is known in every state."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from unseen.environments.text.contract import TextObservation, TextStep
from unseen.planning.agent import Agent
from unseen.planning.models.scripted import ScriptedModel


class Stale:
    """The code to say changes every `fresh` steps; saying it pays 1. With noise, chance pays too."""

    name = "stale"
    instructions = ""

    def __init__(self, steps: int = 12, fresh: int = 3, noise: float = 0.0):
        self.max_steps, self.fresh, self.noise = steps, fresh, noise
        self.actions = (*map(str, range(steps)), "none")
        self.chance = np.random.default_rng(0)
        self.t, self.seed = 0, 0

    def reset(self, seed: int) -> TextObservation:
        self.t, self.seed, self.chance = 0, seed, np.random.default_rng(seed)
        return self.seen()

    def seen(self) -> TextObservation:
        return TextObservation(f"code {self.t // self.fresh} clock {self.t} seed {self.seed}")

    def step(self, action: str) -> TextStep:
        reward = float(action == str(self.t // self.fresh)) + self.noise * float(self.chance.standard_normal())
        self.t += 1
        changed = ("changed",) if self.t % self.fresh == 0 else ()
        return TextStep(self.seen(), reward, False, self.t == self.max_steps, action not in self.actions, changed, self.t / self.max_steps)

    def legal(self) -> tuple[str, ...]:
        return self.actions

    def snapshot(self) -> Any:
        return self.t, self.seed, copy.deepcopy(self.chance.bit_generator.state)

    def restore(self, snapshot: Any) -> TextObservation:
        self.t, self.seed, self.chance = snapshot[0], snapshot[1], np.random.default_rng()
        self.chance.bit_generator.state = copy.deepcopy(snapshot[2])
        return self.seen()

    def signals(self) -> Mapping[str, str]:
        return {}


def write(prompt, force, forbid, generator) -> str:
    """Plans the code of the moment where it must, and says what its plan says."""
    now = prompt[-1].content
    if force:
        code = re.search(r"code (\d+)", now)
        assert code is not None
        return f"<plan>say {code[1]}</plan>\n{code[1]}"
    held = re.search(r"held: say (\d+)", now)
    return "none" if held is None else held[1]


def agent(schedule: str, model=None) -> Agent:
    return Agent(model or ScriptedModel(write), schedule, "compact", history=1)
