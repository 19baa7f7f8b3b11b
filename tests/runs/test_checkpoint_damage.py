"""Damage of every kind is noticed, told, and passed over: bit flips, truncation, swapped and missing files."""

import random
import re
import shutil

import numpy as np
import pytest

from unseen.runs import checkpoints
from unseen.runs.tensors import CheckpointError

FILES = ("arrays.safetensors", "manifest.json")


def contents(step):
    rng = np.random.default_rng(step)
    return {
        "weights": rng.normal(size=(17, 9)).astype(np.float32),
        "key": rng.integers(0, 2**32, 2, dtype=np.uint32),
        "count": np.array(step),
        "empty": np.zeros((0, 4), np.int8),
        "mask": rng.random(11) < 0.5,
    }


def assert_holds(checkpoint, step):
    assert checkpoint.step == step
    assert checkpoint.meta == {"step": step, "note": "é"}
    expected = contents(step)
    assert checkpoint.arrays.keys() == expected.keys()
    assert all((checkpoint.arrays[name] == expected[name]).all() for name in expected)


@pytest.fixture
def folder(tmp_path):
    for step in (1, 2):
        checkpoints.save(tmp_path, step, contents(step), {"step": step, "note": "é"})
    return tmp_path


def flip(file, bit):
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(bytes(data))


def test_500_random_bit_flips_are_all_caught(folder):
    rng = random.Random(0)
    assert_holds(checkpoints.load(folder), 2)  # the undamaged one is accepted: refusing everything would not pass
    for i in range(500):
        file = folder / "2" / FILES[i % 2]
        bit = rng.randrange(8 * file.stat().st_size)
        flip(file, bit)
        loaded = checkpoints.load(folder)
        assert_holds(loaded, 1)
        assert [step for step, _ in loaded.skipped] == [2]
        flip(file, bit)
    assert_holds(checkpoints.load(folder), 2)


def test_every_single_bit_of_a_small_checkpoint_matters(tmp_path):
    checkpoints.save(tmp_path, 3, {"w": np.array([1.5, -2.0], np.float32)}, {"a": 0.1})
    for name in FILES:
        file = tmp_path / "3" / name
        for bit in range(8 * file.stat().st_size):
            flip(file, bit)
            with pytest.raises(CheckpointError):
                checkpoints.load(tmp_path)
            flip(file, bit)
    assert checkpoints.load(tmp_path).meta == {"a": 0.1}


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_and_any_extra_bytes_are_caught(folder, name):
    file = folder / "2" / name
    whole = file.read_bytes()
    for length in {*range(0, len(whole), 37), 1, 7, 8, 9, len(whole) - 1}:
        file.write_bytes(whole[:length])
        assert_holds(checkpoints.load(folder), 1)
    for tail in (b"\0", b" ", b"\n", whole):
        file.write_bytes(whole + tail)
        assert_holds(checkpoints.load(folder), 1)


@pytest.mark.parametrize("names", [FILES[:1], FILES[1:], FILES])
def test_files_of_another_checkpoint_are_caught(folder, names):
    for name in names:
        shutil.copy(folder / "1" / name, folder / "2" / name)
    assert_holds(checkpoints.load(folder), 1)


@pytest.mark.parametrize("name", FILES)
def test_missing_files_are_caught(folder, name):
    (folder / "2" / name).unlink()
    loaded = checkpoints.load(folder)
    assert_holds(loaded, 1)
    assert name in loaded.skipped[0][1]


def test_the_damaged_array_is_named(folder):
    file = folder / "2" / "arrays.safetensors"
    data = file.read_bytes()
    at = data.index(contents(2)["weights"].tobytes())
    flip(file, 8 * (at + 5))
    ((step, reason),) = checkpoints.load(folder).skipped
    assert step == 2
    assert reason == "arrays.safetensors: 'weights' has other contents than were saved (SHA-256)"


def test_a_header_that_says_the_same_in_other_words_is_caught(folder):
    """Every byte counts, not only those that change an array."""
    file = folder / "2" / "arrays.safetensors"
    data = file.read_bytes()
    respelt = re.sub(rb'("dtype":"F32"),("shape":\[17,9\])', rb"\2,\1", data)
    assert respelt != data
    file.write_bytes(respelt)
    loaded = checkpoints.load(folder)
    assert_holds(loaded, 1)
    assert loaded.skipped == ((2, "arrays.safetensors: the header differs from the saved one"),)


def test_an_explicit_step_does_not_fall_back(folder):
    flip(folder / "2" / "arrays.safetensors", 700)
    with pytest.raises(CheckpointError, match=r"step 2: arrays\.safetensors"):
        checkpoints.load(folder, 2)
    assert_holds(checkpoints.load(folder, 1), 1)


def test_none_good_is_an_error_that_tells_about_each(folder):
    flip(folder / "1" / "arrays.safetensors", 3000)
    (folder / "2" / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(folder)
    message = str(caught.value)
    assert "step 2: manifest.json is damaged | step 1: arrays.safetensors: " in message
    assert "\n" not in message


def test_saving_over_a_damaged_step_heals_it(folder):
    flip(folder / "2" / "manifest.json", 99)
    checkpoints.save(folder, 2, contents(2), {"step": 2, "note": "é"})
    loaded = checkpoints.load(folder)
    assert_holds(loaded, 2)
    assert loaded.skipped == ()
