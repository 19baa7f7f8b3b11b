"""The 2,400 procedural images: which number is which combination of attributes, and which numbers are held out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Int, Integer, Shaped

from unseen.errors import UserError, unknown

SHAPES, TEXTURES, COLOURS, SECONDS = 10, 8, 6, 5
IMAGES = SHAPES * TEXTURES * COLOURS * SECONDS  # as many as there are object photographs
SPLITS = ("train", "holdout")

Whole = int | np.integer[Any] | Integer[Any, "*shape"]  # a number, or an array of numpy or JAX


def attributes(image_id: Whole) -> tuple[Any, Any, Any, Any]:
    """What the image with this id is a picture of.

    image_id - 1 = ((shape 8 + texture) 6 + colour) 5 + second, so that an id is even just when colour + second is odd.

    Args:
        image_id: 1 to 2400, as the photographs are numbered; a number or an array of any shape. Not checked.

    Returns:
        shape (0 to 9), texture (0 to 7), colour (0 to 5), second colour (0 to 4), each of the type and shape of `image_id`.
    """
    rest, second = (image_id - 1) // SECONDS, (image_id - 1) % SECONDS
    rest, colour = rest // COLOURS, rest % COLOURS
    return rest // TEXTURES, rest % TEXTURES, colour, second


def image_ids(split: str) -> Int[np.ndarray, "1200"]:
    """Ids of a split, ascending: the even ones train, the odd ones are held out.

    No combination of attributes is in both; every shape, texture, colour and second colour is.

    Args:
        split: "train" or "holdout".

    Raises:
        UserError: unknown split.

    Source: specification of the memory suite, 3.1 for the parity (1-based ids); what an id shows is this project's own.
    """
    if split not in SPLITS:
        raise unknown("stimulus split", split, SPLITS)
    every = np.arange(1, IMAGES + 1, dtype=np.int32)
    halves = {"train": every[every % 2 == 0], "holdout": every[every % 2 == 1]}
    require_disjoint("image ids", halves["train"], halves["holdout"])
    return halves[split]


def require_disjoint(
    name: str, train: Iterable[Hashable] | Shaped[np.ndarray, "..."], holdout: Iterable[Hashable] | Shaped[np.ndarray, "..."]
) -> None:
    """Refuse a split that would show in training what is to be held out.

    Args:
        name: what the members are, as in "image ids".
        train, holdout: the members; the members of an array with two axes are its rows.

    Raises:
        UserError: something is in both; names up to five such members.
    """
    both = sorted(_members(train) & _members(holdout), key=repr)
    if both:
        shown = ", ".join(map(repr, both[:5])) + (f" and {len(both) - 5} more" if len(both) > 5 else "")
        raise UserError(f"{name}: in train and in holdout: {shown}; a stimulus split that would overlap: refused")


def _members(group: Iterable[Any] | Shaped[np.ndarray, "..."]) -> set[Any]:
    if isinstance(group, np.ndarray):
        return {tuple(row) if isinstance(row, list) else row for row in group.tolist()}
    return set(group)
