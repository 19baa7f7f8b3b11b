"""Patterns of materials and the skyline of landmarks: what the tables say against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from unseen.environments.memory_suite.materials import PATTERNS, Material, grain, mean_colour, packed, pattern_words
from unseen.environments.memory_suite.panorama import ANGLES, LANDMARKS, Landmark, skyline
from unseen.errors import UserError


def test_words_hold_the_squares() -> None:
    materials = tuple(Material((0, 0, 0), (255, 255, 255), name) for name in PATTERNS)
    words = pattern_words(materials)
    for k, squares in enumerate(PATTERNS.values()):
        for x in range(16):
            assert [bool(words[k, x] >> y & 1) for y in range(16)] == squares[x].tolist()


@pytest.mark.parametrize(
    ("name", "sixteenths"), [("plain", 16), ("bricks", 1), ("windows", 4), ("bands", 4), ("checks", 4), ("stripes", 2)]
)
def test_grain_is_the_finest_part(name: str, sixteenths: int) -> None:
    assert grain(name) == sixteenths / 16


def test_patterns_are_all_different() -> None:
    assert len({squares.tobytes() for squares in PATTERNS.values()}) == len(PATTERNS)


def test_the_mean_colour_weighs_both() -> None:
    assert mean_colour(Material((0, 100, 200), (100, 100, 0), "checks")) == (50, 100, 100)
    assert mean_colour(Material((7, 8, 9), (100, 100, 0))) == (7, 8, 9)


def test_packed_colours() -> None:
    assert packed([(1, 2, 3), (255, 255, 255)]).tolist() == [1 + 256 * 2 + 65536 * 3, 2**24 - 1]


def test_landmarks_stand_in_their_directions() -> None:
    """In the middle of each, the skyline has its colour or its cap's; opposite, it has not."""
    line = skyline(LANDMARKS)
    for mark in LANDMARKS:
        colours = packed([mark.colour, mark.cap])
        middle = round(mark.direction / 360 * ANGLES) % ANGLES
        assert line.colour[middle] == colours[0]
        assert line.cap_colour[middle] == colours[1]
        assert line.colour[(middle + ANGLES // 2) % ANGLES] != colours[0]
    tallest = [skyline((mark,)).height.max() for mark in LANDMARKS]
    np.testing.assert_allclose(tallest, [mark.height for mark in LANDMARKS], rtol=0.1)


def test_the_four_compass_points_are_unmistakable() -> None:
    """Different outlines, and colours at least 60 apart in some channel."""
    marks = [next(mark for mark in LANDMARKS if mark.direction == 90 * k) for k in range(4)]
    assert len({mark.outline for mark in marks}) == 4
    for k, one in enumerate(marks):
        for other in marks[:k]:
            assert np.abs(np.subtract(one.colour, other.colour)).max() >= 60


def test_unknown_names_and_heights_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'bricks'"):
        Material((0, 0, 0), (0, 0, 0), "brick")
    with pytest.raises(UserError, match="height=0 of a material"):
        Material((0, 0, 0), (0, 0, 0), height=0)
    with pytest.raises(UserError, match="did you mean 'tower'"):
        Landmark("towr", 0, 10, 0.5, (0, 0, 0), (0, 0, 0))
