"""Names for run directories, made from what is unusual about an experiment."""

from __future__ import annotations

import re

from unseen.experiments.settings import Experiment


def directory_name(experiment: Experiment) -> str:
    """As in "heavenhell-3-a2c-gru-heaven": environment, algorithm, memory, and what the critic is told."""
    critic = experiment.agent.critic
    told = "-".join(critic.signals) if critic.signals else "symmetric"
    parts = [
        re.sub(r"\.pomdp$", "", experiment.environment.rsplit("/", 1)[-1]),
        type(experiment.algorithm).__name__,
        type(experiment.agent.memory).__name__,
        told if critic.history else f"{told}-only",
    ]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).lower()
