"""Stroke-drawn digits: read by a classifier of real handwriting, measured against their parameters, apart between the splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from unseen.environments.memory_suite.stimuli.glyphs import glyph, hand, sheet
from unseen.errors import UserError


def as_handwriting(image: np.ndarray) -> np.ndarray:
    """As the recorded digits of scikit-learn are: cut out, 8 by 8 counts of ink up to 16."""
    rows, columns = np.nonzero(image > 64)
    cut = Image.fromarray(image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
    frame = Image.new("L", (max(height, width),) * 2)
    frame.paste(cut, ((max(height, width) - width) // 2, (max(height, width) - height) // 2))
    return np.asarray(frame.resize((8, 8), Image.Resampling.BOX), np.float64).reshape(-1) / 255 * 16


def pieces(mask: np.ndarray) -> int:
    """How many there are, where pixels that meet at a corner are of one piece."""
    labelled: Any = ndimage.label(mask, np.ones((3, 3)))
    return labelled[1]


@pytest.fixture(scope="module")
def reader() -> SVC:
    """Knows all ten digits from 1,797 that people wrote."""
    recorded: Any = load_digits()
    return SVC(C=10.0).fit(recorded.data, recorded.target)


@pytest.mark.parametrize("split", ["train", "holdout"])
@pytest.mark.parametrize("side", [18, 28])
def test_somebody_who_knows_handwriting_reads_them_right(reader: SVC, split: str, side: int) -> None:
    assert reader.predict([as_handwriting(image) for image in sheet(split, side)]).tolist() == [0, 1, 2, 3, 4]


def test_other_hands_are_mostly_read_right_too(reader: SVC) -> None:
    read = reader.predict([as_handwriting(glyph(digit, exemplar, 28)) for exemplar in range(40) for digit in range(5)])
    assert (read.reshape(40, 5) == np.arange(5)).mean() > 0.8


@pytest.mark.parametrize("side", [18, 28])
def test_the_held_out_exemplar_is_another_picture(side: int) -> None:
    """Ink at different places: at least 0.8 of the ink there is, for every class."""
    train, holdout = sheet("train", side).astype(np.float64), sheet("holdout", side).astype(np.float64)
    assert train.shape == (5, side, side)
    apart = np.abs(train - holdout).sum((1, 2)) / ((train + holdout).sum((1, 2)) / 2)
    assert (apart > 0.8).all()
    for digit in range(5):
        assert all(one != other for one, other in zip(hand(digit, 0), hand(digit, 1), strict=True))


def test_a_split_shows_exemplars_0_and_1_and_always_the_same() -> None:
    for split, exemplar in (("train", 0), ("holdout", 1)):
        np.testing.assert_array_equal(sheet(split, 28), [glyph(digit, exemplar, 28) for digit in range(5)])


@given(st.integers(0, 4), st.integers(0, 200))
def test_every_glyph_is_one_piece_of_ink_in_the_middle_with_the_holes_of_its_digit(digit: int, exemplar: int) -> None:
    side = 96
    image = glyph(digit, exemplar, side)
    assert image.dtype == np.uint8
    assert not np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).any()
    assert image.max() == 255
    ink = image > 127
    assert pieces(ink) == 1
    assert pieces(~ink) == (2 if digit == 0 else 1)  # the outside, and the hole of a zero; the 4 is open
    for axis in (0, 1):
        inked = np.nonzero(ink.any(axis))[0]
        assert abs(inked[0] + inked[-1] - (side - 1)) <= 2


@pytest.mark.parametrize("exemplar", range(6))
def test_strokes_have_the_width_and_height_that_the_hand_says(exemplar: int) -> None:
    """A 1: its stem, cut square to its direction, is `width` thick; from top to bottom it is `scale` and half a width at each end."""
    side, written = 300, hand(1, exemplar)
    share = glyph(1, exemplar, side).astype(np.float64) / 255
    rows = np.arange(int(0.5 * side), int(0.6 * side))  # below the flag
    middle = (share[rows] * np.arange(side)).sum(1) / share[rows].sum(1)
    tilt = np.arctan(np.polyfit(rows, middle, 1)[0])
    assert share[rows].sum(1).mean() * np.cos(tilt) == pytest.approx(written.width * side, rel=0.03)
    inked = np.nonzero((share > 0.5).any(1))[0]
    assert inked[-1] - inked[0] + 1 == pytest.approx((written.scale + written.width) * side, rel=0.03)


def test_hands_differ_and_lean_more_with_more_slant() -> None:
    hands = [hand(1, exemplar) for exemplar in range(30)]
    assert len(set(hands)) == 30
    leans = []
    for exemplar in range(30):
        share = glyph(1, exemplar, 100).astype(np.float64)
        columns = [(share[row] * np.arange(100)).sum() / share[row].sum() for row in (50, 75)]
        leans.append(columns[0] - columns[1])
    assert np.corrcoef(leans, [written.slant for written in hands])[0, 1] > 0.8  # the bend of the stem is the rest
    assert min(np.ptp(column) / abs(np.mean(column)) for column in zip(*hands, strict=True)) > 0.15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0, 28), "digit=5 is not allowed; give a whole number from 0 to 4"),
        ((-1, 0, 28), "digit=-1 is not allowed"),
        ((0, -1, 28), "exemplar=-1 is not allowed; give a whole number, 0 or more"),
        ((0, 0, 11), "side=11 is not allowed; give a whole number from 12 to 1024"),
    ],
)
def test_other_arguments_are_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        glyph(*arguments)


def test_unknown_splits_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown stimulus split 'test'"):
        sheet("test", 28)
