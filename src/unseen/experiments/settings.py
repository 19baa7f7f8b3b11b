"""An experiment: one frozen tree of settings that says everything needed to run it again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from unseen.agents.settings import Agent
from unseen.learning.guard import NOT_EMPTY, RANGES, Range, refuse_impossible, refuse_values, whole
from unseen.learning.settings import A2C, Algorithm

_RANGES = {
    **dict.fromkeys(("environment", "level"), NOT_EMPTY),
    "env_steps": whole(1, 2_000_000_000),  # counted in 32 bits, and the last update may go past it
    "seeds": whole(1, 100_000),
    **dict.fromkeys(("first_seed", "report_every"), whole(0)),
    "reset_pool": Range("0 (none) or a whole number from 64 to 10,000,000", lambda x: x == 0 or 64 <= x <= 10_000_000),
}


@dataclass(frozen=True)
class Experiment:
    """What learns, where, how, for how long and how often; imports nothing but the standard library."""

    environment: str
    """A registered name, the path of a .pomdp file, "gymnax:NAME" or "gym:ID"."""

    agent: Agent = field(default_factory=Agent)
    """Encoder, memory and critic."""

    algorithm: Algorithm = field(default_factory=A2C)
    """A2C, PPO or VTrace, with their settings."""

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
    """n: deal from n levels made beforehand; 0: as many as the environment asks for (4,096 in the memory suite), else none."""

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
        refuse_values(self, ranges=RANGES | _RANGES)
        refuse_impossible(self.algorithm, self.agent)
