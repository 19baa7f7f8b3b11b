"""Checkpoints return exactly what was saved, keep what they should, and fit only the experiment they belong to."""

import os

import hypothesis.extra.numpy as hnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.runs import checkpoints
from unseen.runs.tensors import CheckpointError

DTYPES = st.sampled_from(
    [np.dtype(name) for name in ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", ">f4", ">i8"]]
    + [np.dtype(ml_dtypes.bfloat16)]
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="/\\"), min_size=1, max_size=20).filter(
    lambda name: name not in ("..", "__metadata__")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def arrays(draw):
    """An array of any storable dtype, from random bytes, so that NaN payloads and negative zeros occur."""
    dtype, shape = draw(DTYPES), draw(SHAPES)
    count = int(np.prod(shape))
    if dtype.kind == "b":
        return draw(hnp.arrays(bool, shape))
    data = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


@settings(max_examples=150, deadline=None)
@given(
    saved=st.dictionaries(NAMES, arrays(), max_size=5),
    meta=st.dictionaries(st.text(max_size=5), JSON, max_size=4),
    step=st.integers(0, 10**15),
)
def test_everything_comes_back_to_the_bit(tmp_path_factory, saved, meta, step):
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoints.save(folder, step, saved, meta)
    loaded = checkpoints.load(folder)
    assert (loaded.step, loaded.meta, loaded.skipped) == (step, meta, ())
    assert list(loaded.arrays) == list(saved)
    for name, array in saved.items():
        back = loaded.arrays[name]
        assert back.dtype == array.dtype.newbyteorder("=") if array.dtype.byteorder == ">" else back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.astype(back.dtype).tobytes()
        assert back.flags.writeable


def test_key_data_of_a_random_generator_continues_the_same_stream(tmp_path):
    import jax

    key = jax.random.key(7)
    checkpoints.save(tmp_path, 0, {"key": np.asarray(jax.random.key_data(key))})
    restored = jax.random.wrap_key_data(checkpoints.load(tmp_path).arrays["key"])
    assert (jax.random.normal(restored, (5,)) == jax.random.normal(key, (5,))).all()


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([None]), np.zeros(2, np.complex128), np.zeros(2, "datetime64[s]")])
def test_what_cannot_be_stored_is_refused_before_anything_is_written(tmp_path, value):
    with pytest.raises(UserError, match="array 'x' has dtype"):
        checkpoints.save(tmp_path / "new", 0, {"x": value})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["", "__metadata__", "../w", "/w", "a\nb"])
def test_names_that_loading_would_refuse_are_refused_when_saving(tmp_path, name):
    with pytest.raises(UserError, match="bad array name"):
        checkpoints.save(tmp_path / "new", 0, {name: np.zeros(1)})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("step", "keep"), [(-1, 3), (0, 0)])
def test_impossible_steps_and_retention_are_refused(tmp_path, step, keep):
    with pytest.raises(UserError, match="at least"):
        checkpoints.save(tmp_path, step, {}, keep=keep)


@given(order=st.lists(st.integers(0, 20), min_size=1, max_size=12), keep=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_newest_stay_and_the_one_just_saved_always_does(tmp_path_factory, order, keep):
    folder = tmp_path_factory.mktemp("checkpoints")
    expected: set[int] = set()
    for i, step in enumerate(order):
        checkpoints.save(folder, step, {"i": np.array(i)}, keep=keep)
        assert checkpoints.load(folder, step).arrays["i"] == i
        later = {other for other in expected if other > step}  # of an abandoned future: not ours to delete
        expected = later | set(sorted((expected | {step}) - later)[-keep:])
        assert checkpoints.steps(folder) == sorted(expected, reverse=True)


def test_ascending_steps_keep_exactly_three(tmp_path):
    for step in range(0, 700, 100):
        checkpoints.save(tmp_path, step, {"w": np.zeros(3)})
    assert sorted(os.listdir(tmp_path)) == ["400", "500", "600"]
    assert checkpoints.latest(tmp_path) == 600


def test_saving_a_step_again_replaces_it(tmp_path):
    for value in range(4):
        checkpoints.save(tmp_path, 5, {"w": np.array(value)})
    assert checkpoints.load(tmp_path).arrays["w"] == 3
    assert checkpoints.steps(tmp_path) == [5]
    assert len(os.listdir(tmp_path)) == 1


def test_leftovers_of_a_killed_save_are_ignored_then_removed(tmp_path):
    checkpoints.save(tmp_path, 1, {"w": np.array(1)})
    leftover = tmp_path / ".unfinished-2-deadbeef"
    leftover.mkdir()
    (leftover / "arrays.safetensors").write_bytes(b"half")
    assert checkpoints.load(tmp_path).skipped == ()
    checkpoints.save(tmp_path, 2, {"w": np.array(2)})
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_none_saved_is_a_typed_error_and_latest_is_none(tmp_path):
    assert checkpoints.latest(tmp_path / "nowhere") is None
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        checkpoints.load(tmp_path / "nowhere")
    checkpoints.save(tmp_path, 4, {})
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3 in .*; there: 4"):
        checkpoints.load(tmp_path, 3)


def test_discarding_sets_later_ones_aside(tmp_path):
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, step, {})
    checkpoints.discard_after(tmp_path, 1)
    assert checkpoints.steps(tmp_path) == [1]
    assert sorted(os.listdir(tmp_path)) == ["1", "2.discarded", "3.discarded"]
    checkpoints.save(tmp_path, 2, {})
    checkpoints.discard_after(tmp_path, 1)
    assert sorted(os.listdir(tmp_path)) == ["1", "2.discarded", "3.discarded"]


def test_everything_is_forced_to_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """The order that survives a power cut: files, their folder, the rename, the folder that holds the new name."""
    log = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (log.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd))[1])
    monkeypatch.setattr(os, "rename", lambda a, b: (log.append("rename"), rename(a, b))[1])
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    checkpoints.save(folder, 7, {"w": np.zeros(2)})
    temporary = log[2]
    assert temporary.startswith(".unfinished-7-")
    assert log == ["arrays.safetensors", "manifest.json", temporary, "rename", "checkpoints"]


def test_restore_accepts_what_fits_in_the_template_order():
    import jax

    loaded = {"b": np.zeros(3, np.float32), "a": np.zeros((), np.uint32)}
    template = {"a": jax.ShapeDtypeStruct((), np.uint32), "b": jax.ShapeDtypeStruct((3,), np.float32)}
    assert list(checkpoints.restore_into(template, loaded)) == ["a", "b"]


def test_restore_lists_every_kind_of_difference_and_stops_at_ten():
    template = {"gone": np.zeros(1), "shape": np.zeros((2, 3)), "dtype": np.zeros(2, np.float32), "same": np.zeros(2)}
    loaded = {"new": np.zeros(1), "shape": np.zeros((3, 2)), "dtype": np.zeros(2, np.int32), "same": np.zeros(2)}
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore_into(template, loaded)
    message = str(caught.value)
    assert "'gone' is missing; 'new' is extra; 'shape' has shape (3, 2) instead of (2, 3); " in message
    assert "'dtype' has dtype int32 instead of float32" in message
    assert "'same'" not in message
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore_into({f"w{i}": np.zeros(1) for i in range(25)}, {})
    assert str(caught.value).count("is missing") == 10
    assert str(caught.value).endswith("and 15 more")
    assert "\n" not in str(caught.value)
