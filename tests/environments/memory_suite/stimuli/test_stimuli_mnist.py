"""The loader of MNIST on files made here: which images are picked, and every way in which a file can be another or be cut off."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unseen.environments.memory_suite.stimuli import mnist
from unseen.environments.memory_suite.stimuli.mnist import IMAGES, LABELS, load
from unseen.errors import UserError

FEW = {"train": (1, 2, 3, 4, 5), "holdout": (12, 11, 10, 9, 8)}
PICTURES = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
CLASSES = np.asarray([0, 1, 2, 3, 4, 9, 9, 4, 3, 2, 1, 0], np.uint8)


def images(pictures: np.ndarray = PICTURES) -> bytes:
    return struct.pack(">4I", 2051, *pictures.shape) + pictures.tobytes()


def labels(classes: np.ndarray = CLASSES) -> bytes:
    return struct.pack(">2I", 2049, len(classes)) + classes.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / IMAGES).write_bytes(images())
    return tmp_path


def test_the_images_of_the_table_are_picked_counted_from_one(folder: Path) -> None:
    for path in (folder, folder / IMAGES, str(folder)):
        loaded = load(path, 28, FEW)
        assert list(loaded) == ["train", "holdout"]
        np.testing.assert_array_equal(loaded["train"], PICTURES[[0, 1, 2, 3, 4]])
        np.testing.assert_array_equal(loaded["holdout"], PICTURES[[11, 10, 9, 8, 7]])
        assert loaded["train"].dtype == np.uint8


def test_gzip_gives_the_same(folder: Path, tmp_path: Path) -> None:
    plain = load(folder, 18, FEW)
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress((folder / IMAGES).read_bytes()))
    (folder / IMAGES).unlink()
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(labels()))
    for path in (folder, folder / f"{IMAGES}.gz"):
        for split, digits in load(path, 18, FEW).items():
            np.testing.assert_array_equal(digits, plain[split])


def test_the_table_is_the_specifications_and_what_is_used_by_default(tmp_path: Path) -> None:
    """All 60,000 images, each filled with its number in two bytes."""
    numbers = np.arange(1, 60_001)
    pictures = np.zeros((60_000, 28, 28), np.uint8)
    pictures[:, :, :14], pictures[:, :, 14:] = (numbers // 256)[:, None, None], (numbers % 256)[:, None, None]
    (tmp_path / IMAGES).write_bytes(images(pictures))
    told = {
        split: [int(digit[0, 0]) * 256 + int(digit[0, -1]) for digit in digits] for split, digits in load(tmp_path / IMAGES, 28).items()
    }
    assert told == {"train": [39824, 41968, 1439, 40746, 56827], "holdout": [3454, 42499, 57610, 41348, 43831]}
    (tmp_path / IMAGES).write_bytes(images(pictures[:10_000]))  # as many as MNIST has for testing
    with pytest.raises(UserError, match="holds 10000 images and number 57610 is wanted; give all of MNIST's training images"):
        load(tmp_path, 28)


def test_a_pixel_is_the_mean_of_the_area_it_covers(folder: Path) -> None:
    means = PICTURES[:5].reshape(5, 14, 2, 14, 2).mean((2, 4))
    assert np.abs(load(folder, 14, FEW)["train"] - means).max() <= 1.0  # rounded once along each axis


def test_labels_are_checked_where_they_are_there(folder: Path) -> None:
    (folder / LABELS).write_bytes(labels())
    np.testing.assert_array_equal(load(folder, 28, FEW)["train"], PICTURES[:5])
    wrong = CLASSES.copy()
    wrong[10] = 7
    (folder / LABELS).write_bytes(labels(wrong))
    with pytest.raises(UserError, match=rf"{LABELS}' says that image 11 is a 7, not a 1; give MNIST's own files"):
        load(folder, 28, FEW)
    (folder / LABELS).write_bytes(labels(CLASSES[:11]))
    with pytest.raises(UserError, match="labels 11 images and there are 12 beside it"):
        load(folder, 28, FEW)
    (folder / LABELS).write_bytes(images())
    with pytest.raises(UserError, match="magic number 2051, not 2049"):
        load(folder, 28, FEW)


def test_files_of_something_else_are_refused(folder: Path) -> None:
    for content, message in (
        (b"<html>moved</html>" * 9, "magic number 1013478509, not 2051; give train-images-idx3-ubyte or the same in gzip"),
        (labels(), "magic number 2049, not 2051"),
        (b"", "magic number 0, not 2051"),
        (images(np.zeros((12, 32, 28), np.uint8)), "holds images of 28 by 32 pixels; MNIST's are 28 by 28"),
        (images() + b"\0", r"promises 9408 bytes \(\[12, 28, 28\]\) and holds 9409; copy it again"),
        (gzip.compress(images())[:-400], "is damaged or cut off"),
        (b"\x1f\x8b" + bytes(40), "is damaged or cut off"),
    ):
        (folder / IMAGES).write_bytes(content)
        with pytest.raises(UserError, match=message):
            load(folder, 28, FEW)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(0, 16 + 12 * 784 - 1), st.booleans())
def test_a_file_cut_off_anywhere_is_refused_in_one_line(folder: Path, length: int, packed: bool) -> None:
    data = gzip.compress(images()) if packed else images()
    (folder / IMAGES).write_bytes(data[: min(length, len(data) - 1)])
    with pytest.raises(UserError) as refused:
        load(folder, 28, FEW)
    assert IMAGES in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_files_name_the_nearest(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"unknown file of MNIST images .*did you mean '.*{IMAGES}'\?"):
        load(folder / "train-images.idx3-ubyte", 28)
    (folder / IMAGES).rename(folder / "digits")
    with pytest.raises(UserError, match=rf"has no {IMAGES} or {IMAGES}\.gz"):
        load(folder, 28)
    np.testing.assert_array_equal(load(folder / "digits", 28, FEW)["train"], PICTURES[:5])  # a file may have any name


def test_an_exemplar_of_both_splits_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="MNIST exemplars: in train and in holdout: 3; a stimulus split that would overlap: refused"):
        load(folder, 28, {"train": (1, 2, 3), "holdout": (3, 4, 5)})
    assert not set(mnist.EXEMPLARS["train"]) & set(mnist.EXEMPLARS["holdout"])


@pytest.mark.parametrize("side", [0, 1025])
def test_other_sides_are_refused(folder: Path, side: int) -> None:
    with pytest.raises(UserError, match=f"side={side} is not allowed"):
        load(folder, side, FEW)
