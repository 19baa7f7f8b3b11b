"""Columns as numbers: what becomes a category, what a number, and what is refused."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unseen.errors import UserError
from unseen.signals.coding import MOST_LEVELS, WIDEST, coding, untestable

Discrete, MultiDiscrete, Box = gymnasium.spaces.Discrete, gymnasium.spaces.MultiDiscrete, gymnasium.spaces.Box


def coded(values, space=None, **options):
    return coding(values, space, **options)(values)


def test_categories_become_a_column_a_level():
    values = np.array([2, 5, 9, 5])
    np.testing.assert_array_equal(coded(values, Discrete(10)), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(coded(values), coded(values, Discrete(10)))  # few whole numbers are categories without a space too
    np.testing.assert_array_equal(coded(np.array(["red", "green", "blue", "red"]))[:, 2], [1, 0, 0, 1])


def test_two_levels_are_one_column():
    np.testing.assert_array_equal(coded(np.array([3, 7, 7, 3])), [[0], [1], [1], [0]])
    np.testing.assert_array_equal(coded(np.array([True, False])), [[1], [0]])


def test_a_component_that_never_changes_has_no_column():
    values = np.array([[0, 4, 1], [1, 4, 2], [0, 4, 3]])
    np.testing.assert_array_equal(coded(values, MultiDiscrete([2, 5, 4])), [[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    assert coded(np.array([4, 4]), Discrete(5)).shape == (2, 0)


def test_numbers_are_standardised():
    values = np.random.default_rng(0).normal(3.0, [2.0, 0.1, 5.0], (50, 3))
    values[:, 2] = 7.0
    np.testing.assert_allclose(coded(values).mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(coded(values).std(axis=0), [1.0, 1.0, 0.0], atol=1e-12)
    made = coding(values)
    np.testing.assert_allclose(made(values + 1.0) - made(values), np.tile(1.0 / made.scale, (50, 1)), atol=1e-9)  # the scale stays


def test_many_whole_numbers_are_numbers_unless_a_space_says_otherwise():
    values = np.arange(MOST_LEVELS + 1)
    assert coded(values).shape == (MOST_LEVELS + 1, 1)
    assert coded(values[:-1]).shape == (MOST_LEVELS, MOST_LEVELS)
    assert coded(values, Discrete(100), widest=None).shape == (MOST_LEVELS + 1, MOST_LEVELS + 1)
    assert coded(np.array([0.0, 1.0, 2.0])).shape == (3, 1)  # floats are numbers
    assert coded(np.arange(3), Box(0, 9, (), np.int64)).shape == (3, 3)


def test_pictures_are_flattened():
    assert coded(np.random.default_rng(0).normal(size=(5, 2, 3, 1))).shape == (5, 6)


def test_wide_codes_are_projected_and_keep_their_distances():
    values = np.random.default_rng(0).normal(size=(30, 400))
    narrow, wide = coded(values), coded(values, widest=None)
    assert narrow.shape == (30, WIDEST)
    assert wide.shape == (30, 400)

    def distances(rows):
        return np.array([np.linalg.norm(rows[i] - rows[j]) for i in range(30) for j in range(i)])

    ratio = distances(narrow) / distances(wide)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.05)
    assert np.std(ratio) < 1.5 / np.sqrt(2 * WIDEST)  # a chi with 64 degrees of freedom: 0.088
    np.testing.assert_array_equal(narrow, coded(values))  # the same directions every time
    assert coded(np.arange(100), Discrete(100)).shape == (100, WIDEST)


def test_a_level_that_was_not_there_is_named():
    made = coding(np.array([1, 2, 4]), Discrete(9))
    with pytest.raises(
        UserError, match=r"^signal 'door' has the level 3, which was not there before; levels known: 1, 2, 4; leave those steps out$"
    ):
        made(np.array([1, 3]), "signal 'door'")
    with pytest.raises(UserError, match="has the level 'd', which was not there before; levels known: a, b, c"):
        coding(np.array(["a", "b", "c"]))(np.array(["d"]))
    with pytest.raises(UserError, match=r"levels known: 0, 1, 2, 3, 4, 5, 6, 7, …; leave those steps out$"):
        coding(np.arange(20))(np.array([-1]))


def test_errors_are_one_line():
    with pytest.raises(UserError) as error:
        coding(np.arange(20))(np.array([99]), "signal 'room'")
    assert "\n" not in str(error.value)
    assert "has the level 99," in str(error.value)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.full(6, 3), "it is constant"),
        (np.full((6, 2), 0.5), "it is constant"),
        (np.array(["a"] * 4), "it is constant"),
        (np.array([1.0, np.nan, 2.0, np.inf]), "2 of 4 steps have missing or infinite values"),
        (np.array([[1.0, np.nan], [np.nan, np.nan], [1.0, 2.0]]), "2 of 3 steps have missing or infinite values"),
        (np.array([1, 2]), None),
        (np.array([[0.0, 1.0], [0.0, 2.0]]), None),
        (np.array([True, False]), None),
    ],
)
def test_what_cannot_be_tested_has_a_reason(values, why):
    assert untestable(values) == why


columns = st.integers(1, 12).flatmap(lambda n: arrays(np.int64, (n, 2), elements=st.integers(0, 5)))


@given(columns)
def test_codes_are_equal_where_rows_are_and_only_there(values):
    codes = coded(values)
    for i in range(len(values)):
        for j in range(len(values)):
            assert np.array_equal(values[i], values[j]) == np.array_equal(codes[i], codes[j])


@given(columns)
def test_the_number_of_columns_follows_from_the_levels(values):
    levels = [len(set(values[:, k].tolist())) for k in range(2)]
    assert coded(values).shape[1] == sum({1: 0, 2: 1}.get(n, n) for n in levels)


@given(arrays(float, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_codes_of_numbers_are_finite_and_of_unit_scale(values):
    codes = coded(values)
    assert np.isfinite(codes).all()
    assert (codes.std(axis=0) < 1 + 1e-6).all()
