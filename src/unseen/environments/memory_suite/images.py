"""The object images of visuomotor mapping and recognition: drawn from shape, texture and two colours, or a folder of photographs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from unseen.environments.memory_suite.stimuli import catalogue, objects, photographs

FEATURE_NAMES = ("shape", "texture", "colour", "second colour")
FEATURES = tuple(n + 1 for n in (catalogue.SHAPES, catalogue.TEXTURES, catalogue.COLOURS, catalogue.SECONDS))  # category 0: no image
FILLS = 0.75  # of the screen


def categories(image: Int[Array, ""]) -> Int[Array, "4"]:
    """Shape, texture and colours of image number `image`, counted from 1."""
    return jnp.stack([jnp.asarray(part, jnp.int32) + 1 for part in catalogue.attributes(image)])


def different(key: PRNGKeyArray, count: int, holdout: Bool[Array, ""]) -> Int[Array, "count"]:
    """Numbers of `count` different images: even ones for training, odd ones held out."""
    half = catalogue.IMAGES // 2
    _, index = jax.lax.top_k(jax.random.uniform(key, (half,)), count)
    return 2 * (index.astype(jnp.int32) + 1) - holdout.astype(jnp.int32)


@runtime_checkable
class Pictures(Protocol):
    """Something that can paint image number n on a screen."""

    def paint(
        self, canvas: UInt8[Array, "h w 3"], image: Int[Array, ""], when: Bool[Array, ""], side: int, left: int, top: int
    ) -> UInt8[Array, "h w 3"]:
        """The canvas with the image in the middle of the screen of `side` pixels at (left, top), where `when` holds."""
        ...


@dataclass(frozen=True)
class Procedural:
    """Composed on the fly from small tables of outlines and textures."""

    def paint(
        self, canvas: UInt8[Array, "h w 3"], image: Int[Array, ""], when: Bool[Array, ""], side: int, left: int, top: int
    ) -> UInt8[Array, "h w 3"]:
        shape, texture, colour, second = catalogue.attributes(image)
        width = round(FILLS * side)
        outline = jnp.asarray(objects.shape_masks(width)).at[shape].get(mode="clip")
        marks = jnp.asarray(objects.texture_masks(width)).at[texture].get(mode="clip")
        main = jnp.asarray(objects.COLOURS).at[colour].get(mode="clip")
        other = jnp.asarray(objects.SECOND).at[second].get(mode="clip")
        return _placed(canvas, outline & when, jnp.where(marks[..., None], other, main), side, left, top)


@dataclass(frozen=True)
class Photographs:
    """The 2,400 object photographs of Brady, Konkle and Oliva (2008), for those who have them.

    Args:
        folder: where they are; sorted by name they are numbered from 1.
    """

    folder: str

    @cached_property
    def _sheets(self) -> dict[int, np.ndarray]:
        return {}

    def sheet(self, width: int) -> np.ndarray:
        """All photographs at one width, read once."""
        if width not in self._sheets:
            self._sheets[width] = photographs.load(Path(self.folder), width)
        return self._sheets[width]

    def paint(
        self, canvas: UInt8[Array, "h w 3"], image: Int[Array, ""], when: Bool[Array, ""], side: int, left: int, top: int
    ) -> UInt8[Array, "h w 3"]:
        picture = jnp.asarray(self.sheet(round(FILLS * side))).at[image - 1].get(mode="clip")
        return _placed(canvas, jnp.broadcast_to(when, picture.shape[:2]), picture, side, left, top)


PROCEDURAL = Procedural()


def _placed(
    canvas: UInt8[Array, "h w 3"], mask: Bool[Array, "s s"], picture: UInt8[Array, "s s 3"], side: int, left: int, top: int
) -> UInt8[Array, "h w 3"]:
    width = mask.shape[0]
    x, y = left + (side - width) // 2, top + (side - width) // 2
    around = ((y, canvas.shape[0] - y - width), (x, canvas.shape[1] - x - width))
    return jnp.where(jnp.pad(mask, around)[..., None], jnp.pad(picture, (*around, (0, 0))), canvas)
