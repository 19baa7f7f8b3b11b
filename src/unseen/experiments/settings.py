"""An experiment: one frozen tree of settings that says everything needed to run it again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from unseen.agents.settings import Agent
from unseen.errors import UserError
from unseen.learning.settings import A2C, Algorithm


@dataclass(frozen=True)
class Experiment:
    """What learns, where, how, for how long and how often; imports nothing but the standard library."""

    environment: str
    """A registered name, the path of a .pomdp file, "gymnax:NAME" or "gym:ID"."""

    agent: Agent = field(default_factory=Agent)
    """Encoder, memory and critic."""

    algorithm: Algorithm = field(default_factory=A2C)
    """A2C or PPO, with their settings."""

    env_steps: int = 1_000_000
    """Environment steps of each seed; real steps only."""

    seeds: int = 1
    """Independent runs, numbered from `first_seed`, trained together."""

    first_seed: int = 0
    """Number of the first seed."""

    level: str = "train"
    """The mixture of levels to train on."""

    report_every: int = 0
    """Environment steps between two rows of metrics; 0: a hundredth of the budget, rounded up."""

    reset_pool: int = 0
    """0: a new level for every episode; n: deal from n levels made beforehand (4,096 or more where resets are expensive)."""

    environment_options: dict[str, Any] = field(default_factory=dict)
    """Options for the environment's constructor."""

    @property
    def interval(self) -> int:
        """Environment steps between two rows of metrics."""
        return self.report_every or max(1, math.ceil(self.env_steps / 100))

    def check(self) -> None:
        """Refuse what cannot be run, before anything is compiled.

        Raises:
            UserError: naming the field, its value and what is allowed.
        """
        limits = {"env_steps": (1, 2**31 - 1), "seeds": (1, 100_000), "first_seed": (0, 2**31 - 1), "report_every": (0, 2**31 - 1)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise UserError(f"{name} = {value!r}; it must be a whole number from {low:,} to {high:,}")
        if self.reset_pool and (not isinstance(self.reset_pool, int) or self.reset_pool < 64):
            raise UserError(f"reset_pool = {self.reset_pool!r}; it must be 0 (none) or a whole number of at least 64")
        if self.agent.embedding < 1:
            raise UserError(f"agent.embedding = {self.agent.embedding}; it must be at least 1")
        if getattr(self.agent.memory, "size", 1) < 1:
            raise UserError(f"agent.memory.size = {self.agent.memory.size}; it must be at least 1")  # type: ignore[union-attr]
