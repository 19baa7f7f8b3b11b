"""Checkpoints from a stranger: whatever they hold, loading either refuses in one line or gives plain arrays."""

import hashlib
import json
import os
import pickle
import struct
import time

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.runs import checkpoints
from unseen.runs.tensors import CheckpointError


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def forge(folder, data, tensors, **changes):
    """A checkpoint whose every digest is right, as an attacker who knows the format would write it."""
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "1" / "arrays.safetensors").write_bytes(data)
    length = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else 0
    header = sha256(data[: 8 + length])
    body = {"format": 1, "step": 1, "bytes": len(data), "header_sha256": header, "tensors": tensors, "meta": {}} | changes
    write_manifest(folder, body)


def write_manifest(folder, body):
    (folder / "1").mkdir(parents=True, exist_ok=True)
    digest = sha256(json.dumps(body, indent=1).encode())
    (folder / "1" / "manifest.json").write_text(json.dumps({"sha256": digest, "body": body}, indent=1))


def describe(arrays):
    return {name: {"dtype": a.dtype.name, "shape": list(a.shape), "sha256": sha256(a.tobytes())} for name, a in arrays.items()}


def refused(folder, match, **options):
    began = time.monotonic()
    with pytest.raises(CheckpointError, match=match) as caught:
        checkpoints.load(folder, **options)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 5


def test_an_honest_forgery_loads_so_the_refusals_below_mean_something(tmp_path):
    arrays = {"w": np.arange(3.0)}
    forge(tmp_path, safetensors.numpy.save(arrays), describe(arrays))
    assert (checkpoints.load(tmp_path).arrays["w"] == arrays["w"]).all()


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("name", ["arrays.safetensors", "manifest.json"])
def test_a_pickle_is_not_run(tmp_path, name):
    bomb = pickle.dumps(Bomb(tmp_path / "marker"))
    forge(tmp_path, bomb, {})
    (tmp_path / "1" / name).write_bytes(bomb)
    refused(tmp_path, "arrays.safetensors|manifest.json")
    assert not (tmp_path / "marker").exists()
    pickle.loads(bomb)
    assert (tmp_path / "marker").exists(), "the bomb is a dud"


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/passwd", "a/../b", "..\\x", "..", "", "a\0b", "a\nb", "\x1b[2J", "__metadata__", "x" * 5000]
)
def test_names_that_lead_out_or_deceive(tmp_path, name):
    arrays = {name: np.zeros(2)}
    data = safetensors.numpy.save({"w": np.zeros(2)})
    forge(tmp_path, data, describe(arrays))
    refused(tmp_path, "bad array name")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 200 * 2**20, 99])
def test_a_header_that_claims_to_be_huge(tmp_path, length):
    forge(tmp_path, struct.pack("<Q", length) + b"{}" + b" " * 80, {}, header_sha256="0" * 64)
    refused(tmp_path, "not a safetensors file")


def test_two_arrays_on_the_same_bytes(tmp_path):
    """The safetensors form of a zip bomb: a short file whose arrays overlap."""
    entries = {f"w{i}": {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]} for i in range(100)}
    header = json.dumps(entries).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(64)
    forge(tmp_path, data, describe({name: np.zeros(64, np.uint8) for name in entries}))
    refused(tmp_path, "not a safetensors file")


def test_sizes_are_compared_before_anything_is_read(tmp_path):
    arrays = {"w": np.zeros(4)}
    data = safetensors.numpy.save(arrays)
    forge(tmp_path, data, describe(arrays), bytes=2**60)
    refused(tmp_path, f"claims {2**60} bytes")
    forge(tmp_path, data, describe(arrays))
    refused(tmp_path, "more than the 10 allowed", max_bytes=10)
    os.truncate(tmp_path / "1" / "arrays.safetensors", 2**36)  # a sparse file: nothing on disk, 64 GiB to read
    refused(tmp_path, f"more than the {len(data)} allowed")
    os.truncate(tmp_path / "1" / "manifest.json", 2**36)
    refused(tmp_path, "manifest.json has")


@pytest.mark.parametrize("name", ["arrays.safetensors", "manifest.json"])
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_ordinary_file(tmp_path, name, kind):
    arrays = {"w": np.zeros(4)}
    forge(tmp_path, safetensors.numpy.save(arrays), describe(arrays))
    file = tmp_path / "1" / name
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    refused(tmp_path, f"{name} is not an ordinary file")


@pytest.mark.parametrize("text", ["[" * 10**6, '{"body":' * 10**5, "9" * 10**5, "", "null", "[]", '"body"', '{"body": 1e999}', "\ud800"])
def test_json_made_to_hurt_the_parser(tmp_path, text):
    forge(tmp_path, b"", {})
    (tmp_path / "1" / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(tmp_path, "manifest.json")


def test_a_dtype_of_objects(tmp_path):
    header = b'{"w":{"dtype":"O8","shape":[1],"data_offsets":[0,8]}}'
    forge(
        tmp_path, struct.pack("<Q", len(header)) + header + bytes(8), {"w": {"dtype": "object", "shape": [1], "sha256": sha256(bytes(8))}}
    )
    refused(tmp_path, "arrays.safetensors")


def test_a_newer_format_says_so(tmp_path):
    forge(tmp_path, b"", {}, format=2)
    refused(tmp_path, "written in format 2; this version of unseen reads format 1")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_well_signed_manifest_of_any_content_is_refused_cleanly(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("forged")
    tensor = st.fixed_dictionaries({"dtype": JUNK, "shape": JUNK, "sha256": JUNK})
    body = {"format": 1, "step": 1, "bytes": 0, "header_sha256": "", "tensors": {}, "meta": {}}
    field = data.draw(st.sampled_from(["format", "step", "bytes", "header_sha256", "tensors", "meta", "all"]))
    value = data.draw(JUNK if field != "tensors" else st.dictionaries(st.text(max_size=4), tensor | JUNK, min_size=1, max_size=3))
    forge(folder, b"", {})
    write_manifest(folder, value if field == "all" else body | {field: value})
    with pytest.raises(CheckpointError):
        checkpoints.load(folder)


@settings(max_examples=200, deadline=None)
@given(arrays=st.binary(max_size=200), manifest=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_cleanly(tmp_path_factory, arrays, manifest):
    folder = tmp_path_factory.mktemp("forged")
    forge(folder, arrays, {})
    with pytest.raises(CheckpointError):
        checkpoints.load(folder)
    (folder / "1" / "manifest.json").write_bytes(manifest)
    with pytest.raises(CheckpointError):
        checkpoints.load(folder)
