import contextlib
import json
import os

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import recordings, simple

from unseen.data import Episodes
from unseen.data.parquet import KEY
from unseen.errors import UserError


@given(recordings(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_read_identically(tmp_path_factory, recorded, none):
    episodes = Episodes.from_list(recorded).select([] if none else range(len(recorded)))
    path = tmp_path_factory.mktemp("episodes") / "e.parquet"
    episodes.write(path)
    assert Episodes.read(path).identical(episodes)


def test_signed_zeros_subnormals_and_large_integers_survive(tmp_path):
    episode = simple(4)[0] | {"rewards": np.array([0.0, -0.0, 5e-324, -0.0]), "info": {"seed": 2**63 - 1}}
    episode["observations"] = np.array([-(2**63), 2**63 - 1, 2**53 + 1, 0, -1])
    episodes = Episodes.from_list([episode])
    episodes.write(tmp_path / "e.parquet")
    back = Episodes.read(tmp_path / "e.parquet")
    assert back.identical(episodes)
    assert np.signbit(back.rewards).tolist() == [False, True, False, True]
    back.rewards[0] = 1.0  # what is read may be written to


def test_the_file_is_an_ordinary_table(tmp_path):
    Episodes.from_list(simple(2, 1)).write(tmp_path / "e.parquet")
    table = pl.read_parquet(tmp_path / "e.parquet")
    assert table["episode"].to_list() == [0, 0, 0, 1, 1]
    assert table["t"].to_list() == [0, 1, 2, 0, 1]
    assert table["observation"].to_list() == [0, 1, 2, 100, 101]
    assert table["reward"].to_list() == [0.0, 0.1, None, 1.0, None]
    assert table["signal.twice[1]"].to_list() == [0, 2, 4, 0, 2]
    assert table["info.seed"].to_list() == [0, 0, 0, 7, 7]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "e.parquet"
    episodes = simple(5, 3, 9)
    for episode in episodes:
        steps = len(episode["rewards"])
        episode["observations"] = {"image": np.arange((steps + 1) * 12, dtype=np.uint8).reshape(-1, 2, 2, 3), "word": ["w"] * (steps + 1)}
        episode["tokens"] = {"completion": [[1, 2]] * steps}
    Episodes.from_list(episodes).write(path)
    return path, Episodes.read(path)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_bit_is_never_read_as_something_else(written, tmp_path_factory, data):
    path, original = written
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    changed = tmp_path_factory.getbasetemp() / "flipped.parquet"
    changed.write_bytes(content)
    with contextlib.suppress(UserError):  # anything else that is raised fails the test
        assert Episodes.read(changed).identical(original)  # padding or a writer's name may change; the contents may not


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_truncated_file_is_refused(written, tmp_path_factory, data):
    path, _ = written
    content = path.read_bytes()
    changed = tmp_path_factory.getbasetemp() / "short.parquet"
    changed.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(UserError, match="damaged"):
        Episodes.read(changed)


def rewritten(path, target, change):
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[KEY])
    table, metadata = change(table, metadata)
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(metadata).encode()}), target)
    return target


def doubled(table, metadata):
    index = table.column_names.index("reward")
    return table.set_column(index, "reward", pa.compute.multiply(table["reward"], 2.0)), metadata


TAMPERED = {
    "a value": (doubled, "SHA-256"),
    "a missing column": (lambda t, m: (t.drop_columns(["action"]), m), "damaged"),
    "a missing row": (lambda t, m: (t.slice(1), m), "damaged"),
    "rows in another order": (lambda t, m: (t.take(list(range(len(t)))[::-1]), m), "damaged"),
    "more episodes": (lambda t, m: (t, m | {"episodes": 4}), "damaged"),
    "a huge count": (lambda t, m: (t, m | {"episodes": 10**15}), "damaged"),
    "a newer version": (lambda t, m: (t, m | {"version": 2}), "update unseen"),
    "another field": (lambda t, m: (t, m | {"columns": [c | {"field": "__class__"} for c in m["columns"]]}), "malformed"),
    "a dtype of objects": (lambda t, m: (t, m | {"columns": [c | {"dtype": "object"} for c in m["columns"]]}), "malformed"),
    "a wrong shape": (lambda t, m: (t, m | {"columns": [c | {"shape": [7]} for c in m["columns"]]}), "damaged"),
    "a negative shape": (lambda t, m: (t, m | {"columns": [c | {"shape": [-1]} for c in m["columns"]]}), "malformed"),
    "columns of another type": (lambda t, m: (t, m | {"columns": 3}), "damaged"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_file_is_refused(written, tmp_path, name):
    change, message = TAMPERED[name]
    with pytest.raises(UserError, match=message):
        Episodes.read(rewritten(written[0], tmp_path / "t.parquet", change))


def test_foreign_and_missing_files_are_told_apart(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match=r"Transitions\.from_table"):
        Episodes.read(tmp_path / "foreign.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(UserError, match="damaged"):
        Episodes.read(tmp_path / "text.parquet")
    with pytest.raises(UserError, match="no file"):
        Episodes.read(tmp_path / "none.parquet")


def test_writing_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "e.parquet"
    first = Episodes.from_list(simple(2))
    first.write(path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        Episodes.from_list(simple(3)).write(path)
    assert os.listdir(tmp_path) == ["e.parquet"]
    assert Episodes.read(path).identical(first)
    with pytest.raises(UserError, match="cannot write"):
        first.write(tmp_path / "nowhere" / "e.parquet")
