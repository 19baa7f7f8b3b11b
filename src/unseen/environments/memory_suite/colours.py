"""The two disjoint sets of five colours (§3.3), as RGB and as amounts of red, green and blue in steps."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from unseen.environments.memory_suite.stimuli import things

SET = 5
STEPS = 3  # amounts of red, green and blue in the compact embodiment: few enough that holdout colours are made of familiar ones
RGB = things.COLOURS  # ten rows, training first
AMOUNTS = np.rint(RGB.astype(np.float64) / 255 * (STEPS - 1)).astype(np.int32)


def rgb(colour: Int[Array, "*n"], holdout: Bool[Array, ""]) -> UInt8[Array, "*n 3"]:
    """RGB of colour 0 to 4 of a set."""
    return jnp.asarray(RGB).at[colour + SET * holdout.astype(jnp.int32)].get(mode="clip")


def amounts(colour: Int[Array, "*n"], holdout: Bool[Array, ""]) -> Int[Array, "*n 3"]:
    """Red, green and blue of colour 0 to 4 of a set, each from 0 to STEPS - 1."""
    return jnp.asarray(AMOUNTS).at[colour + SET * holdout.astype(jnp.int32)].get(mode="clip")
