import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.dtypes import StringDType

import unseen
from unseen.data.columns import Ragged, as_column, join, ranges, take
from unseen.errors import UserError

LISTS = st.lists(st.lists(st.integers(-5, 5), max_size=4), max_size=6)


@given(LISTS, st.data())
def test_ragged_behaves_like_a_list_of_lists(rows, data):
    ragged = Ragged.from_list(rows)
    assert [row.tolist() for row in ragged.to_list()] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else []
    assert [row.tolist() for row in take(ragged, np.array(indices, np.int64)).to_list()] == [rows[i] for i in indices]
    first, last = sorted(data.draw(st.tuples(st.integers(0, len(rows)), st.integers(0, len(rows)))))
    assert [row.tolist() for row in take(ragged, slice(first, last)).to_list()] == rows[first:last]


@given(LISTS, LISTS)
def test_join_of_ragged_is_concatenation(left, right):
    joined = join([Ragged.from_list(left, np.int64), Ragged.from_list(right, np.int64)])
    assert [row.tolist() for row in joined.to_list()] == left + right


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=8))
def test_ranges_equals_the_loop(pairs):
    starts, lengths = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
    assert ranges(starts, lengths).tolist() == [i for start, length in pairs for i in range(start, start + length)]


def test_ragged_rejects_what_is_not_one_dimensional():
    with pytest.raises(UserError, match="entry 1"):
        Ragged.from_list([[1], [[2, 3]]])
    with pytest.raises(IndexError):
        Ragged.from_list([[1]])[1]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1))
def test_text_is_kept_exactly_and_without_objects(words):
    for given_as in (words, tuple(words), np.array(words, StringDType())):
        column = as_column(given_as, "word")
        assert column.dtype == StringDType()
        assert column.tolist() == words


@given(hnp.arrays(st.sampled_from([">f4", ">i8", "<u2", "bool", "float16"]), hnp.array_shapes(max_dims=3)))
def test_numbers_are_kept_in_native_order(values):
    column = as_column(values, "x")
    assert column.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(column, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2], [3]], "unequal shapes"),
        (["a", 1], "not text"),
        ([object()], "not text"),
        ([1j], "complex128"),
        (np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
        (["\ud800"], "UTF-8"),
    ],
)
def test_unsupported_values_are_named(values, message):
    with pytest.raises(UserError, match=message):
        as_column(values, "x")


def test_the_data_room_never_imports_jax():
    imports = "from unseen.data import Episodes, Transitions; import unseen.data.frames, unseen.data.parquet, unseen.data.minari"
    code = f"import sys; {imports}; print('jax' in sys.modules)"
    source = str(Path(unseen.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
