"""`unseen plan`: language-model agents that decide when to plan; each subcommand's settings and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unseen.commands.planning.played import evaluate, obey, steer, sweep, worth
from unseen.commands.planning.settings import Collect, Evaluate, Obey, Reinforce, Steer, Sweep, Teach, Worth
from unseen.commands.planning.trained import collect, learn, teach

COMMANDS: Mapping[str, tuple[type, Callable[[Any], int]]] = {
    "evaluate": (Evaluate, evaluate),
    "sweep": (Sweep, sweep),
    "worth": (Worth, worth),
    "collect": (Collect, collect),
    "sft": (Teach, teach),
    "rl": (Reinforce, learn),
    "steer": (Steer, steer),
    "obey": (Obey, obey),
}
