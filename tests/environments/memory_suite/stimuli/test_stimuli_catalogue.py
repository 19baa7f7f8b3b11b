"""Which number is which image: against counting in plain Python, and what the two splits share and do not share."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.environments.memory_suite.stimuli.catalogue import attributes, image_ids, require_disjoint
from unseen.errors import UserError

EVERY = list(itertools.product(range(10), range(8), range(6), range(5)))  # shape, texture, colour, second, the last fastest


def test_ids_count_through_the_combinations() -> None:
    assert len(EVERY) == 2400
    assert [attributes(number) for number in range(1, 2401)] == EVERY
    assert all(isinstance(value, int) for value in attributes(777))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_arrays_of_numpy_give_what_numbers_give(dtype: type) -> None:
    ids = np.arange(1, 2401, dtype=dtype).reshape(40, 60)
    parts = attributes(ids)
    assert all(part.dtype == dtype and part.shape == (40, 60) for part in parts)
    np.testing.assert_array_equal(np.stack(parts, axis=-1).reshape(-1, 4), EVERY)


def test_compiled_arrays_give_what_numbers_give() -> None:
    parts = jax.jit(jax.vmap(attributes))(jnp.arange(1, 2401, dtype=jnp.int32))
    assert all(part.dtype == jnp.int32 for part in parts)
    np.testing.assert_array_equal(np.stack(parts, axis=-1), EVERY)


def test_even_ids_train_and_odd_ids_are_held_out() -> None:
    train, holdout = image_ids("train"), image_ids("holdout")
    assert train.tolist() == [number for number in range(1, 2401) if number % 2 == 0]
    assert holdout.tolist() == [number for number in range(1, 2401) if number % 2 == 1]
    # As attributes: a picture trains just when the numbers of its two colours add up to something odd.
    for split, odd in ((train, 1), (holdout, 0)):
        assert {(attributes(int(i))[2] + attributes(int(i))[3]) % 2 for i in split} == {odd}


def test_combinations_are_of_one_split_and_single_attributes_of_both() -> None:
    seen = {split: {attributes(int(number)) for number in image_ids(split)} for split in ("train", "holdout")}
    assert len(seen["train"]) == len(seen["holdout"]) == 1200
    assert not seen["train"] & seen["holdout"]
    for members in seen.values():
        for axis, count in enumerate((10, 8, 6, 5)):
            assert {combination[axis] for combination in members} == set(range(count))
        # Shape and texture say nothing about the split: all 80 pairs occur, each as often.
        pairs = [combination[:2] for combination in members]
        assert {pairs.count(pair) for pair in set(pairs)} == {15}
        assert len(set(pairs)) == 80


def test_unknown_splits_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown stimulus split 'hold-out'; did you mean 'holdout'\?"):
        image_ids("hold-out")


def test_an_overlap_is_named_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^digits: in train and in holdout: 3, 4; a stimulus split that would overlap: refused$"):
        require_disjoint("digits", [1, 2, 3, 4], (4, 3, 9))
    rows = np.asarray([(0, 1), (2, 3)], np.int32)
    with pytest.raises(UserError, match=r"^objects: in train and in holdout: \(2, 3\); "):
        require_disjoint("objects", rows, rows[1:])
    require_disjoint("objects", rows, rows[:, ::-1])
    with pytest.raises(UserError, match="and 3 more; a stimulus split"):
        require_disjoint("numbers", np.arange(8), np.arange(8))


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_a_split_is_refused_just_when_it_overlaps(train: set[int], holdout: set[int]) -> None:
    if any(member in holdout for member in train):
        with pytest.raises(UserError, match="refused"):
            require_disjoint("numbers", train, holdout)
    else:
        require_disjoint("numbers", train, holdout)
