"""The original digits of what-then-where, picked from MNIST's training images for those who have the file."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from unseen.environments import options
from unseen.environments.memory_suite.stimuli.catalogue import require_disjoint
from unseen.errors import UserError, unknown

# Which training image, counted from 1, stands for the classes 0 to 4: specification of the memory suite, 3.4.
EXEMPLARS: Mapping[str, tuple[int, ...]] = {
    "train": (39824, 41968, 1439, 40746, 56827),
    "holdout": (3454, 42499, 57610, 41348, 43831),
}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
_MAGIC = {IMAGES: 0x00000803, LABELS: 0x00000801}  # unsigned bytes along three axes, along one
PIXELS = 28  # of a side


def load(
    path: str | Path, side: int, exemplars: Mapping[str, tuple[int, ...]] = EXEMPLARS
) -> dict[str, UInt8[np.ndarray, "classes side side"]]:
    """The digits 0 to 4 of each split, white on black.

    Args:
        path: `train-images-idx3-ubyte`, as it is or in gzip (any name), or the folder it is in. If `train-labels-idx1-ubyte`
            (or with .gz) lies beside it, it is checked that the images picked are of the classes wanted.
        side: of the pictures returned, 1 to 1024 pixels; each pixel is the mean of the area it covers.
        exemplars: split -> for every class from 0 on, which image; counted from 1.

    Raises:
        UserError: no such file, a file of something else, cut off, or without the images wanted; labels that disagree.

    Source: specification of the memory suite, 3.4.
    """
    options.require_integer("mnist", "side", side, 1, 1024)
    require_disjoint("MNIST exemplars", exemplars["train"], exemplars["holdout"])
    file = _find(Path(path))
    images = _read(file, IMAGES)
    if images.shape[1:] != (PIXELS, PIXELS):
        raise UserError(f"{str(file)!r} holds images of {images.shape[2]} by {images.shape[1]} pixels; MNIST's are {PIXELS} by {PIXELS}")
    largest = max(max(picked) for picked in exemplars.values())
    if largest > len(images):
        raise UserError(f"{str(file)!r} holds {len(images)} images and number {largest} is wanted; give all of MNIST's training images")
    _check_labels(file.parent, len(images), exemplars)
    return {split: np.stack([_resized(images[number - 1], side) for number in picked]) for split, picked in exemplars.items()}


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        for name in (IMAGES, f"{IMAGES}.gz"):
            if (path / name).is_file():
                return path / name
        raise UserError(f"folder {str(path)!r} has no {IMAGES} or {IMAGES}.gz; give the folder or file with MNIST's training images")
    above = path.parent
    neighbours = [str(near) for near in above.iterdir()] if above.is_dir() else []
    raise unknown(f"file of MNIST images (there is nothing of that name in {str(above)!r})", str(path), neighbours)


def _read(file: Path, kind: str) -> UInt8[np.ndarray, "..."]:
    """An IDX file: a big-endian header (magic number, sizes), then bytes."""
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{str(file)!r} is damaged or cut off ({error}); copy it again") from error
    axes = _MAGIC[kind] & 0xFF
    magic, *sizes = (int.from_bytes(data[k : k + 4], "big") for k in range(0, 4 * (axes + 1), 4))
    if magic != _MAGIC[kind]:
        raise UserError(f"{str(file)!r} starts with the magic number {magic}, not {_MAGIC[kind]}; give {kind} or the same in gzip")
    body = len(data) - 4 * (axes + 1)
    if body != math.prod(sizes):
        raise UserError(f"{str(file)!r} promises {math.prod(sizes)} bytes ({sizes}) and holds {max(body, 0)}; copy it again")
    return np.frombuffer(data, np.uint8, offset=4 * (axes + 1)).reshape(sizes)


def _check_labels(folder: Path, count: int, exemplars: Mapping[str, tuple[int, ...]]) -> None:
    file = next((folder / name for name in (LABELS, f"{LABELS}.gz") if (folder / name).is_file()), None)
    if file is None:
        return
    labels = _read(file, LABELS)
    if len(labels) != count:
        raise UserError(f"{str(file)!r} labels {len(labels)} images and there are {count} beside it; give the two files of one set")
    for picked in exemplars.values():
        for digit, number in enumerate(picked):
            if labels[number - 1] != digit:
                raise UserError(f"{str(file)!r} says that image {number} is a {labels[number - 1]}, not a {digit}; give MNIST's own files")


def _resized(image: UInt8[np.ndarray, "28 28"], side: int) -> UInt8[np.ndarray, "side side"]:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))
