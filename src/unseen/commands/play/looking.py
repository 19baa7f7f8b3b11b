"""What the page is told: once, how the game is played; after every step, what the player may see."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from unseen.commands.play.keys import bindings, idle_action
from unseen.commands.play.observed import data_url, observed
from unseen.commands.play.scores import known
from unseen.commands.play.session import Session

_FOR_PROGRAMMERS = ("Args:", "Attributes:", "Raises:", "Signals:", "Source:")


def game(session: Session) -> dict[str, Any]:
    """What does not change while playing: names, keys, the clock, the reference players."""
    environment, settings = session.environment, session.settings
    names = getattr(environment, "action_names", None)
    idle = getattr(environment, "idle_action", idle_action(names))
    return {
        "environment": environment.name,
        "level": settings.level,
        "player": settings.player,
        "about": about(environment),
        "actions": [binding._asdict() for binding in bindings(names, session.actions, session.first_action)],
        "idle": None if idle is None else int(idle),
        "framesPerSecond": session.frames_per_second,
        "episodes": settings.episodes,
        "reveal": settings.reveal,
        "references": [
            {"player": player, "mean": score.mean, "error": score.standard_error} for player, score in known(session.references).items()
        ],
    }


def view(session: Session) -> dict[str, Any]:
    """What a person may see now: the observation, the score, what is legal; of the state nothing, unless it is to be revealed."""
    shown: dict[str, Any] = {
        "stage": session.stage.value,
        "episode": session.begun,
        "step": 0,
        "score": 0.0,
        "summary": _without_nan(session.summary._asdict()),
    }
    if (now := session.running) is None:
        return shown
    params = session.levels.entries[now.entry]
    return shown | {
        "step": now.step,
        "horizon": now.horizon,
        "score": now.score,
        "reward": float(now.rewards[-1]) if now.rewards else None,
        "terminated": now.terminated,
        "truncated": now.truncated,
        "legal": None if now.mask is None else [bool(legal) for legal in now.mask],
        "observation": observed(session.environment, now.observations[-1], params),
        "state": _drawn(session.environment, now.state, params) if session.settings.reveal else None,
    }


def about(environment: Any) -> list[str]:
    """What the descriptions say to a player, of the task where there is one, then of the environment: their paragraphs up to the first
    that is for programmers."""
    inner = getattr(environment, "environment", environment)  # what a wrapper such as NoisySignals holds
    of_task = _told_by(type(inner.task)) if hasattr(inner, "task") else []
    return [*of_task, *_told_by(type(inner))]


def _told_by(kind: type) -> list[str]:
    text = inspect.cleandoc(kind.__doc__ or "")
    if text.startswith(f"{kind.__name__}("):
        return []  # the signature that a dataclass gives itself
    paragraphs = [" ".join(paragraph.split()).replace("`", "") for paragraph in text.split("\n\n")]
    end = next((k for k, paragraph in enumerate(paragraphs) if paragraph.startswith(_FOR_PROGRAMMERS)), None)
    return [paragraph for paragraph in paragraphs[:end] if paragraph]


def _drawn(environment: Any, state: Any, params: Any) -> str:
    return data_url(np.asarray(environment.draw(jax.tree.map(np.asarray, state), params)))


def _without_nan(numbers: Mapping[str, int | float]) -> dict[str, int | float | None]:
    """JSON has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}
