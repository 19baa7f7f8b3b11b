"""The first difference between two settings is a real one, and none is reported where there is none."""

import copy
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from unseen.runs.differences import first_difference

KEYS = st.text("abcxyz_-", min_size=1, max_size=3)
LEAVES = st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=True, width=32) | st.text("ab\n", max_size=3)
TREES = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8),
    max_size=4,
)


def leaves(tree, path=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        yield path, tree
    else:
        for key, value in items:
            yield from leaves(value, (*path, key))


def dotted(path):
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


@given(tree=TREES)
def test_a_document_does_not_differ_from_itself_read_back(tree):
    assert first_difference(tree, json.loads(json.dumps(tree))) is None


@given(tree=TREES, data=st.data())
def test_one_changed_value_is_found_where_it_is(tree, data):
    places = list(leaves(tree))
    if not places:
        return
    path, old = data.draw(st.sampled_from(places))
    changed = copy.deepcopy(tree)
    spot = changed
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = "something else entirely"
    assert first_difference(tree, changed) == (dotted(path), repr(old), "'something else entirely'")
    assert first_difference(changed, tree) == (dotted(path), "'something else entirely'", repr(old))
    assert first_difference(tree, changed, ignore=[dotted(path)]) is None


def test_the_first_in_order_of_writing_is_named():
    assert first_difference({"b": 1, "a": 1}, {"a": 2, "b": 2}) == ("b", "1", "2")


def test_a_whole_table_can_be_ignored_but_not_its_namesake():
    there, here = {"a": {"b": 1}, "ab": 1, "l": [1]}, {"a": {"b": 2, "c": 3}, "ab": 2, "l": [2]}
    assert first_difference(there, here, ignore=["a"]) == ("ab", "1", "2")
    assert first_difference(there, here, ignore=["a", "ab", "l"]) is None


def test_truth_is_not_the_number_one_and_one_is_one_point_zero():
    assert first_difference({"x": True}, {"x": 1}) == ("x", "True", "1")
    assert first_difference({"x": 1}, {"x": 1.0}) is None
    assert first_difference({"x": math.nan}, {"x": math.nan}) is None


def test_a_table_in_place_of_a_value():
    assert first_difference({"x": 1}, {"x": {"y": 1}}) == ("x", "1", "{'y': 1}")
