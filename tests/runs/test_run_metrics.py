"""Metrics come back in order and in full, whatever was merged, cut or torn in between."""

import os

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.runs import metrics, parts
from unseen.runs.metrics import MetricsWriter, TornFile


def add(writer, step):
    writer.append(seed=0, env_steps=step, wall_s=0.5, values={"return": float(step)})
    return writer.flush(step)


def test_one_row_per_seed_and_metric(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.append(
        seed=np.arange(2), env_steps=np.array([10, 20]), wall_s=1.5, values={"return": np.array([0.25, np.nan], np.float32), "loss": 3}
    )
    assert writer.flush(20) == tmp_path / "part-000000-000000-step-20.parquet"
    assert metrics.read(tmp_path).equals(
        pl.DataFrame(
            {
                "seed": [0, 1, 0, 1],
                "env_steps": [10, 20, 10, 20],
                "wall_s": [1.5] * 4,
                "metric": ["return", "return", "loss", "loss"],
                "value": [0.25, float("nan"), 3.0, 3.0],
            }
        )
    )


def test_jax_arrays_and_bfloat16_are_numbers_too(tmp_path):
    import jax.numpy as jnp

    writer = MetricsWriter(tmp_path)
    writer.append(seed=jnp.arange(2), env_steps=5, wall_s=0.0, values={"return": jnp.array([1.5, 2.5], jnp.bfloat16)})
    writer.flush(5)
    assert metrics.read(tmp_path)["value"].to_list() == [1.5, 2.5]


def test_values_are_copied_when_appended(tmp_path):
    """A caller may reuse its buffers before the flush."""
    writer, seed, steps, value = MetricsWriter(tmp_path), np.arange(2), np.array([3, 4]), np.array([1.0, 2.0])
    writer.append(seed=seed, env_steps=steps, wall_s=0.0, values={"return": value})
    seed[:], steps[:], value[:] = 9, 9, 9
    writer.flush(4)
    assert metrics.read(tmp_path).select("seed", "env_steps", "value").rows() == [(0, 3, 1.0), (1, 4, 2.0)]


@pytest.mark.parametrize("value", [np.zeros((2, 2)), np.zeros(3)])
def test_shapes_that_are_not_one_number_per_seed_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match="shape"):
        MetricsWriter(tmp_path).append(seed=np.arange(2), env_steps=0, wall_s=0.0, values={"return": value})


def test_nothing_collected_writes_nothing(tmp_path):
    assert MetricsWriter(tmp_path).flush(3) is None
    assert os.listdir(tmp_path) == []
    assert metrics.read(tmp_path).columns == ["seed", "env_steps", "wall_s", "metric", "value"]
    assert metrics.read(tmp_path).height == 0


def test_no_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="no metrics in"):
        metrics.read(tmp_path / "nowhere")


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(2, 4),
    plan=st.lists(st.one_of(st.just("flush"), st.just("restart"), st.integers(0, 60)), min_size=1, max_size=40),
)
def test_any_mix_of_flushing_resuming_and_restarting_leaves_what_a_list_would(tmp_path_factory, width, plan):
    """A number in the plan resumes from that step; the model is a plain list of the steps flushed."""
    folder = tmp_path_factory.mktemp("metrics")
    writer, expected, now = MetricsWriter(folder), [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_MERGE", width)
        for act in plan:
            if act == "flush":
                now += 1
                expected.append(now)
                add(writer, now)
            elif act == "restart":
                writer = MetricsWriter(folder)
            else:
                writer.append(seed=0, env_steps=0, wall_s=0.0, values={"lost": 1.0})  # not flushed: the kill takes it
                writer = MetricsWriter(folder)
                writer.discard_after(act)
                expected = [step for step in expected if step <= act]
                now = min(now, act)
            assert metrics.read(folder)["env_steps"].to_list() == expected if folder.exists() else not expected
        if len(expected) > width**2 and all(act == "flush" for act in plan):
            assert len(os.listdir(folder)) < len(expected) / 2


def test_many_flushes_leave_few_files(tmp_path):
    writer = MetricsWriter(tmp_path)
    for step in range(200):
        add(writer, step)
    assert len(os.listdir(tmp_path)) == 200 // 32 + 200 % 32
    assert metrics.read(tmp_path)["env_steps"].to_list() == list(range(200))


def test_unflushed_rows_are_forgotten_on_resume(tmp_path):
    writer = MetricsWriter(tmp_path)
    add(writer, 1)
    writer.append(seed=0, env_steps=2, wall_s=0.0, values={"return": 2.0})
    writer.discard_after(1)
    add(writer, 3)
    assert metrics.read(tmp_path)["env_steps"].to_list() == [1, 3]


def test_a_merge_that_was_killed_neither_loses_nor_doubles_rows(tmp_path):
    writer = MetricsWriter(tmp_path)
    narrow = [add(writer, step) for step in range(4)]
    before = {path: path.read_bytes() for path in narrow}
    assert parts.merge(tmp_path, parts.find(tmp_path)[0])
    for path in narrow[:3]:
        path.write_bytes(before[path])  # deleting had only got to the last
    (tmp_path / ".unfinished-part-x").write_bytes(b"half a file")
    assert metrics.read(tmp_path)["env_steps"].to_list() == [0, 1, 2, 3]
    add(MetricsWriter(tmp_path), 4)
    assert metrics.read(tmp_path)["env_steps"].to_list() == [0, 1, 2, 3, 4]
    assert sorted(os.listdir(tmp_path)) == ["part-000000-000003-step-3.parquet", "part-000004-000004-step-4.parquet"]


def test_a_cut_that_was_killed_is_finished_by_the_next_resume(tmp_path):
    writer = MetricsWriter(tmp_path)
    for step in range(4):
        add(writer, step)
    parts.merge(tmp_path, parts.find(tmp_path)[0])
    (wide,) = tmp_path.iterdir()
    whole = wide.read_bytes()
    MetricsWriter(tmp_path).discard_after(1)
    wide.write_bytes(whole)  # the shortened file was written, the long one not yet deleted
    assert metrics.read(tmp_path)["env_steps"].to_list() == [0, 1]
    MetricsWriter(tmp_path).discard_after(1)
    assert metrics.read(tmp_path)["env_steps"].to_list() == [0, 1]
    assert len(os.listdir(tmp_path)) == 1


def assert_left_out(folder, name, expected):
    with pytest.warns(TornFile, match=f"left out {name}"):
        frame = metrics.read(folder)
    assert frame["env_steps"].to_list() == expected


def test_torn_files_are_left_out_with_a_note_at_every_length(tmp_path):
    writer = MetricsWriter(tmp_path)
    paths = [add(writer, step) for step in range(3)]
    whole = paths[1].read_bytes()
    for length in [*range(0, len(whole), 61), len(whole) - 1]:
        paths[1].write_bytes(whole[:length])
        assert_left_out(tmp_path, paths[1].name, [0, 2])
    paths[1].write_bytes(whole)
    assert metrics.read(tmp_path)["env_steps"].to_list() == [0, 1, 2]


def test_a_flipped_bit_in_the_numbers_is_noticed(tmp_path):
    """Parquet readers do not look by default: page checksums are written, and asked for."""
    bits = np.random.default_rng(0).integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    writer, values = MetricsWriter(tmp_path), bits[np.isfinite(bits)]
    writer.append(seed=np.arange(len(values)), env_steps=1, wall_s=0.0, values={"return": values})
    path = writer.flush(1)
    whole = path.read_bytes()
    at = whole.index(values[1000:1002].tobytes())  # random bits do not compress: they lie in the file as they are
    damaged = bytearray(whole)
    damaged[at + 3] ^= 16
    path.write_bytes(bytes(damaged))
    assert (pq.read_table(path)["value"].to_numpy() != values).sum() == 1  # what a reader without the checksum would return
    assert_left_out(tmp_path, path.name, [])
    path.write_bytes(whole)
    assert metrics.read(tmp_path)["value"].to_list() == values.tolist()


def test_a_foreign_table_is_left_out(tmp_path):
    path = tmp_path / "part-000000-000000-step-0.parquet"
    pq.write_table(pa.table({"seed": [1]}), path)
    assert_left_out(tmp_path, path.name, [])


def test_a_torn_file_stops_no_later_flush_and_is_not_merged_away(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "_MERGE", 2)
    writer = MetricsWriter(tmp_path)
    path = add(writer, 0)
    path.write_bytes(b"torn")
    for step in (1, 2, 3):
        add(writer, step)
    assert path.read_bytes() == b"torn"
    assert_left_out(tmp_path, path.name, [1, 2, 3])


def test_other_files_in_the_folder_are_no_business_of_ours(tmp_path):
    for name in ("notes.txt", "part-1.parquet", "part-000002-000001-step-3.parquet"):
        (tmp_path / name).write_text("mine")
    add(MetricsWriter(tmp_path), 1)
    assert metrics.read(tmp_path)["env_steps"].to_list() == [1]
    assert len(os.listdir(tmp_path)) == 4


def test_reading_while_another_merges_looks_again(tmp_path, monkeypatch):
    writer = MetricsWriter(tmp_path)
    for step in range(3):
        add(writer, step)
    plain = parts.read

    def merge_under_the_reader(path):
        monkeypatch.setattr(parts, "read", plain)
        parts.merge(tmp_path, parts.find(tmp_path)[0])
        return plain(path)

    monkeypatch.setattr(parts, "read", merge_under_the_reader)
    assert metrics.read(tmp_path)["env_steps"].to_list() == [0, 1, 2]
