"""Digits 0 to 4, one exemplar a class for training and one held out: drawn strokes, or the exemplars of MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from unseen.environments.memory_suite.stimuli import glyphs, mnist
from unseen.environments.memory_suite.stimuli.catalogue import require_disjoint

CLASSES = 5
SLANTS, WIDTHS = 3, 3
FEATURES = (CLASSES + 1, SLANTS + 1, WIDTHS + 1)  # category 0: no digit
FEATURE_NAMES = ("digit", "slant", "width")
# (slant, width) of each class's exemplar in the compact embodiment; every value occurs in both sets, no exemplar in both.
TRAIN = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2))
HOLDOUT = ((1, 2), (2, 0), (0, 1), (2, 2), (0, 0))
require_disjoint("digits", list(enumerate(TRAIN)), list(enumerate(HOLDOUT)))


def categories(digit: Int[Array, "n"], holdout: Bool[Array, ""]) -> Int[Array, "n 3"]:
    """Class, slant and width of each digit's exemplar, counted from 1."""
    styles = jnp.where(holdout, jnp.asarray(HOLDOUT, jnp.int32), jnp.asarray(TRAIN, jnp.int32))
    return jnp.concatenate([digit[:, None], styles.at[digit].get(mode="clip")], axis=-1) + 1


@runtime_checkable
class Exemplars(Protocol):
    """Pictures of digits."""

    def picture(self, digit: Int[Array, ""], holdout: Bool[Array, ""], side: int) -> UInt8[Array, "side side"]:
        """White strokes (255) on black."""
        ...


@dataclass(frozen=True)
class Drawn:
    """Stroke-drawn glyphs."""

    def picture(self, digit: Int[Array, ""], holdout: Bool[Array, ""], side: int) -> UInt8[Array, "side side"]:
        return _chosen(glyphs.sheet("train", side), glyphs.sheet("holdout", side), digit, holdout)


@dataclass(frozen=True)
class Mnist:
    """The exemplars of the released levels, from a copy of MNIST's training images.

    Args:
        path: the file `train-images-idx3-ubyte` (or its .gz), or the folder that holds it.
    """

    path: str

    def __post_init__(self) -> None:
        mnist.load(self.path, 1)  # refused now and not when the first picture is painted

    @cached_property
    def _sheets(self) -> dict[int, dict[str, np.ndarray]]:
        return {}

    def picture(self, digit: Int[Array, ""], holdout: Bool[Array, ""], side: int) -> UInt8[Array, "side side"]:
        if side not in self._sheets:
            self._sheets[side] = dict(mnist.load(Path(self.path), side))
        sheets = self._sheets[side]
        return _chosen(sheets["train"], sheets["holdout"], digit, holdout)


DRAWN = Drawn()


def _chosen(train: np.ndarray, holdout: np.ndarray, digit: Int[Array, ""], held_out: Bool[Array, ""]) -> UInt8[Array, "s s"]:
    sheets = jnp.concatenate([jnp.asarray(train), jnp.asarray(holdout)])
    return sheets.at[digit + CLASSES * held_out.astype(jnp.int32)].get(mode="clip")
