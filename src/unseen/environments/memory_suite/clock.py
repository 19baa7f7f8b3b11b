"""Time in the suite: frames of a sixtieth of a second, agent steps of four, compact steps of eight.

The PsychLab frame counts are those of the released levels; action repeat and the compact clock are *proposed* (specification §1.3
and §1.5).
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Int

FRAMES_PER_SECOND = 60
ACTION_REPEAT = 4  # frames an agent's action lasts in the first-person embodiment
COMPACT_FRAMES = 8  # frames of one compact step


def frames(seconds: int | float) -> int:
    """Frames in so many seconds."""
    return round(seconds * FRAMES_PER_SECOND)


def agent_steps(frames: int) -> int:
    """Agent steps that cover so many frames, rounded up."""
    return -(-frames // ACTION_REPEAT)


def compact_steps(frames: Int[Array, "*n"]) -> Int[Array, "*n"]:
    """Compact steps that cover so many frames, rounded up, one at least."""
    return jnp.maximum((frames + COMPACT_FRAMES - 1) // COMPACT_FRAMES, 1)
