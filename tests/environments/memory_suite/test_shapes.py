"""Outlines of objects: areas in closed form, and told apart at a size of 8 by 8 pixels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from unseen.environments.memory_suite.shapes import SHAPES, outline_mask
from unseen.errors import UserError

AREAS = {  # as shares of the rectangle
    "box": 1.0,
    "ball": math.pi / 4,
    "cone": 0.5,
    "diamond": 0.5,
    "cross": 1 - 0.66 * 0.66,
    "hourglass": 0.5,
    "ring": math.pi / 4 * 0.75,
    "tee": 1 - 0.7 * 0.68,
    "arch": 1 - 0.5 * 0.66,
    "cup": 1 - 0.5 * 0.66,
    "bow": 0.5,
    "ell": 1 - 0.625 * 0.66,
}


@pytest.mark.parametrize("name", SHAPES)
def test_areas(name: str) -> None:
    mask = outline_mask(name, 400)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}
    assert (mask > 0).mean() == pytest.approx(AREAS[name], abs=0.006)


def test_shapes_are_told_apart_at_eight_by_eight() -> None:
    """No two differ in fewer than 8 of the 64 pixels."""
    masks = {name: outline_mask(name, 8) > 0 for name in SHAPES}
    assert len(masks) >= 8
    for one, other in itertools.combinations(SHAPES, 2):
        assert (masks[one] != masks[other]).sum() >= 8, (one, other)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "ell"])
def test_all_but_the_ell_are_the_same_from_left_and_right(name: str) -> None:
    mask = outline_mask(name, 16)
    np.testing.assert_array_equal(mask, mask[:, ::-1])


def test_cones_stand_on_their_base_and_an_ell_has_its_stem_on_the_left() -> None:
    cone, ell, cup, arch = (outline_mask(name, 16) > 0 for name in ("cone", "ell", "cup", "arch"))
    assert cone[-1].sum() > cone[0].sum()
    assert ell[:, 0].all()
    assert not ell[0, -1]
    assert not cup[0, 8]
    assert not arch[-1, 8]


def test_a_shape_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'ball'"):
        outline_mask("bal", 8)
