"""The object images of visuomotor mapping and recognition: drawn from shape, texture and two colours, or a folder of photographs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite.canvas import UNIT, Canvas, Layout, bits, packed, patch, placed, stamped, words
from unseen.environments.memory_suite.stimuli import catalogue, objects, photographs

FEATURE_NAMES = ("shape", "texture", "colour", "second colour")
FEATURES = tuple(n + 1 for n in (catalogue.SHAPES, catalogue.TEXTURES, catalogue.COLOURS, catalogue.SECONDS))  # category 0: no image
FILLS = 0.75  # of the screen
MIDDLE = UNIT // 2


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

    def paint(self, canvas: Canvas, image: Int[Array, ""], when: Bool[Array, ""], layout: Layout) -> Canvas:
        """The canvas with the image in the middle of the screen, if `when`."""
        ...


@dataclass(frozen=True)
class Procedural:
    """Composed on the fly from small tables of outlines and textures."""

    def paint(self, canvas: Canvas, image: Int[Array, ""], when: Bool[Array, ""], layout: Layout) -> Canvas:
        shape, texture, colour, second = catalogue.attributes(image)
        width = round(FILLS * layout.side)
        outline = jnp.asarray(words(objects.shape_masks(width))).at[shape].get(mode="clip")
        marks = jnp.asarray(words(objects.texture_masks(width))).at[texture].get(mode="clip")
        main, other = (
            packed(jnp.asarray(objects.COLOURS)).at[colour].get(mode="clip"),
            packed(jnp.asarray(objects.SECOND)).at[second].get(mode="clip"),
        )
        x, y = placed(layout, (MIDDLE, MIDDLE), width)
        inside = bits(outline, width) & when
        sprite = jnp.where(inside, jnp.where(bits(marks, width), other, main), patch(canvas, x, y, width, width))
        return stamped(canvas, sprite, x, y)


@dataclass(frozen=True)
class Photographs:
    """The 2,400 object photographs of Brady, Konkle and Oliva (2008), for those who have them.

    Args:
        folder: where they are; sorted by name they are numbered from 1.
    """

    folder: str

    def __post_init__(self) -> None:
        photographs.listed(self.folder)  # refused now and not when the first picture is painted

    @cached_property
    def _sheets(self) -> dict[int, np.ndarray]:
        return {}

    def sheet(self, width: int) -> np.ndarray:
        """All photographs at one width, read once."""
        if width not in self._sheets:
            self._sheets[width] = photographs.load(Path(self.folder), width)
        return self._sheets[width]

    def paint(self, canvas: Canvas, image: Int[Array, ""], when: Bool[Array, ""], layout: Layout) -> Canvas:
        width = round(FILLS * layout.side)
        picture = packed(jnp.asarray(self.sheet(width)).at[image - 1].get(mode="clip"))
        x, y = placed(layout, (MIDDLE, MIDDLE), width)
        return stamped(canvas, jnp.where(when, picture, patch(canvas, x, y, width, width)), x, y)


PROCEDURAL = Procedural()
