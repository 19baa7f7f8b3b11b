"""What a memory recalled: at which step of the episode each slot read was written, and what was seen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Int32, Int64

from unseen.agents.memory.contract import Recalling
from unseen.data import Episodes
from unseen.errors import UserError

OBSERVATION, AGE, LIVE = "recalled_observation", "recalled_age", "recalled_live"


def written_at(
    slot: Int[np.ndarray, "*n K"], live: Bool[np.ndarray, "*n K"], time: Int[np.ndarray, "*n"], *, capacity: int, every: int
) -> Int32[np.ndarray, "*n K"]:
    """The step of the episode that wrote what a slot holds when it is read at step `time`; -1 where it is not live.

    Steps 0, n, 2 n, … write, n = `every`, the w-th of them into slot w mod C of C = `capacity`, and a step reads before it writes. So
    W = ceil(time / n) writes are there, the newest is number W - 1, and the last one into slot s is

        w = (W - 1) - ((W - 1 - s) mod C), written at step n w.

    Args:
        slot: which slots were read.
        live: whether something had been written there.
        time: steps taken in the episode before the read.
        capacity: slots of the ring.
        every: steps between two writes.
    """
    newest = (-(-time.astype(np.int64) // every) - 1)[..., None]
    write = newest - (newest - slot.astype(np.int64)) % capacity
    return np.where(live, every * write, -1).astype(np.int32)


def reads(memory: Any, read: Mapping[str, np.ndarray] | None, time: Int[np.ndarray, "*n"]) -> dict[str, np.ndarray]:
    """The columns `reads` of `Episodes`: "step", which step wrote what was read (-1: nothing), and "weight"; (*n, K) each.

    Args:
        memory: an agent's; one that recalls nothing has no such columns.
        read: its records, as `BatchLoop(recalling=True)` and `Policy.recalled` give them.
        time: steps taken in the episode before each read.
    """
    if not read or not isinstance(memory, Recalling):
        return {}
    step = written_at(read["slot"], read["live"], time, capacity=memory.capacity, every=memory.every)
    return {"step": step, "weight": np.where(step >= 0, read["weight"], 0).astype(np.float32)}


def with_recalled(episodes: Episodes) -> Episodes:
    """The episodes with what was recalled as signals, so that `unseen.signals.rank` can ask whether it told about the return.

    At every step the read with the largest weight counts (of several, the first), written at step s of the same episode:

    - "recalled_observation": the observation of step s. Where observations have names, each is a signal of its own,
      "recalled_observation.NAME": kinds of numbers are not mixed, and `rank(sets=[(...)])` puts together what belongs together.
    - "recalled_age": t - s.
    - "recalled_live": whether anything was recalled; where not, observation and age are zeros, as at the final observation.

    Args:
        episodes: with `reads` "step" and "weight", as `run.episodes` records them of an agent whose memory recalls.

    Raises:
        UserError: no such reads, reads of steps that had not been yet, or signals that have these names already.
    """
    step, weight = _reads(episodes)
    best = np.argmax(np.where(step >= 0, weight, -np.inf), axis=1)
    source = np.take_along_axis(step, best[:, None], axis=1)[:, 0].astype(np.int64)
    live = source >= 0
    rows = episodes.rows_of_steps
    from_row = rows - episodes.time_of_step + np.maximum(source, 0)
    signals = {
        name: _at(rows[live], values[from_row[live]], len(values))
        for name, values in zip(_names(episodes), episodes.observations.values(), strict=True)
    }
    count = episodes.steps + len(episodes)
    signals[AGE] = _at(rows[live], (episodes.time_of_step - source)[live], count)
    signals[LIVE] = _at(rows, live, count)
    for name in signals:
        if name in episodes.signals:
            raise UserError(f"the episodes have a signal called {name!r} already; rename it, or use the episodes as they are")
    return replace(episodes, signals={**episodes.signals, **signals})


def _names(episodes: Episodes) -> list[str]:
    """A signal for each observation; the plain name where there is one that has no name of its own."""
    names = list(episodes.observations)
    return [OBSERVATION] if names == ["observation"] else [f"{OBSERVATION}.{name}" for name in names]


def _at(rows: Int64[np.ndarray, " m"], values: np.ndarray, count: int) -> np.ndarray:
    """(count, ...) with these values at these rows, and zeros (for text, nothing) elsewhere."""
    out = np.zeros((count, *values.shape[1:]), values.dtype)
    out[rows] = values
    return out


def _reads(episodes: Episodes) -> tuple[Int[np.ndarray, "N K"], np.ndarray]:
    if not {"step", "weight"} <= set(episodes.reads):
        raise UserError(
            "the episodes have no reads called 'step' and 'weight'; record them with run.episodes of an agent whose memory recalls, "
            "as unseen.MEM does"
        )
    step, weight = episodes.reads["step"], episodes.reads["weight"]
    if step.ndim != 2 or step.shape[1] < 1 or step.shape != weight.shape or step.dtype.kind not in "iu":
        raise UserError(
            f"reads['step'] is {step.dtype} {step.shape} and reads['weight'] {weight.shape}; both must be (steps, reads at each), "
            "the steps whole numbers"
        )
    time = episodes.time_of_step
    bad = np.flatnonzero(((step < -1) | (step >= time[:, None])).any(axis=1))
    if len(bad):
        found = ", ".join(map(str, step[bad[0]].tolist()))
        raise UserError(
            f"reads['step'] of episode {episodes.episode_of_step[bad[0]]}, step {time[bad[0]]} is {found}; a memory recalls "
            f"the past: allowed are -1 (nothing) and 0 to {time[bad[0]] - 1}"
        )
    return step, weight
