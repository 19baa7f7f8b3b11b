"""Episodes as one Parquet file that reads back identically, and that is refused when anything in it was changed.

The table has one row per observation: `episode`, `t`, every observation and signal, and the step chosen on it; in the row of a final
observation the step's columns are null. Vectors up to 64 wide are a column per component; larger arrays are the bytes of each row,
little-endian. The metadata key `unseen.episodes` holds version, dtypes, shapes and the SHA-256 of all values.
"""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportArgumentType=false
from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.dtypes import StringDType

from unseen.data.columns import NUMBERS, Column, Ragged
from unseen.data.episodes import Episodes
from unseen.data.layout import FIELDS, GROUPS, ColumnName, Rows, split, table_name
from unseen.errors import UserError

KEY = b"unseen.episodes"
VERSION = 1
GROUP_BYTES = 64 * 2**20
LISTS = (pa.types.is_list, pa.types.is_large_list)
TEXTS = (pa.types.is_string, pa.types.is_large_string)
BYTES = (pa.types.is_binary, pa.types.is_large_binary)


# --- writing


def write(episodes: Episodes, path: str | os.PathLike[str]) -> None:
    """Write `path` whole or not at all: a temporary file beside it, flushed to disk, then renamed."""
    path = Path(path)
    table = _to_table(episodes)
    rows_per_group = max(1, GROUP_BYTES // max(1, table.nbytes // max(1, len(table))))
    values = [name for name in table.column_names if pa.types.is_integer(table.schema.field(name).type) or name in ("episode", "t")]
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise UserError(f"cannot write {str(path)!r}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            pq.write_table(
                table,
                file,
                row_group_size=rows_per_group,
                compression="zstd",
                write_page_checksum=True,
                write_statistics=["episode", "t"],
                use_dictionary=values,  # not for floats: a dictionary would take -0.0 for 0.0
            )
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _to_table(episodes: Episodes) -> Any:
    rows = episodes.steps + len(episodes)
    episode_of_row = np.repeat(np.arange(len(episodes), dtype=np.int64), episodes.lengths + 1)
    is_step = np.ones(rows, np.bool_)
    is_step[episodes.final_rows] = False
    first = episodes.offsets[:-1] + np.arange(len(episodes))
    arrays = {"episode": pa.array(episode_of_row), "t": pa.array(np.arange(rows) - first[episode_of_row])}
    described: list[dict[str, Any]] = []
    for column, values in episodes.columns().items():
        described.append(_describe(column, values))
        name = table_name(column)
        if isinstance(values, Ragged):
            arrays[name] = _ragged_array(values, is_step)
            continue
        valid = is_step if FIELDS[column[0]] == Rows.STEP else None
        if FIELDS[column[0]] == Rows.EPISODE:
            values = values[episode_of_row]
        if split(values.shape[1:]):
            arrays.update({f"{name}[{i}]": _scalar_array(values[:, i], valid) for i in range(values.shape[1])})
        elif values.ndim > 1:
            arrays[name] = _bytes_array(values, valid)
        else:
            arrays[name] = _scalar_array(values, valid)
    metadata = {"version": VERSION, "episodes": len(episodes), "columns": described, "sha256": _digest(episodes)}
    return pa.table(arrays).replace_schema_metadata({KEY: json.dumps(metadata).encode()})


def _describe(column: ColumnName, values: Column) -> dict[str, Any]:
    array = values.values if isinstance(values, Ragged) else values
    dtype = "text" if array.dtype.kind == "T" else array.dtype.name
    return {"field": column[0], "name": column[1], "dtype": dtype, "shape": list(array.shape[1:]), "ragged": isinstance(values, Ragged)}


def _scalar_array(values: np.ndarray, valid: np.ndarray | None) -> Any:
    """An Arrow column; where `valid` is given, values go to its true rows and the others are null."""
    if values.dtype.kind == "T":
        if valid is None:
            return pa.array(values.tolist(), pa.string())
        padded = np.full(len(valid), None, object)
        padded[valid] = values.tolist()
        return pa.array(padded, pa.string())
    if valid is None:
        return pa.array(np.ascontiguousarray(values))
    spread = np.zeros(len(valid), values.dtype)
    spread[valid] = values
    return pa.array(spread, mask=~valid)


def _bytes_array(values: np.ndarray, valid: np.ndarray | None) -> Any:
    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    present = np.ones(len(values), np.bool_) if valid is None else valid
    width = int(np.prod(values.shape[1:])) * values.dtype.itemsize
    offsets = np.concatenate([[0], np.cumsum(present * width)]).astype(np.int64)
    bitmap = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.large_binary(), len(present), [bitmap, pa.py_buffer(offsets), pa.py_buffer(data)])


def _ragged_array(values: Ragged, is_step: np.ndarray) -> Any:
    offsets = np.zeros(len(is_step) + 1, np.int64)
    lengths = np.zeros(len(is_step), np.int64)
    lengths[is_step] = values.lengths
    np.cumsum(lengths, out=offsets[1:])
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values.values), mask=pa.array(~is_step))


def _digest(episodes: Episodes) -> str:
    """SHA-256 over names, dtypes, shapes and little-endian values of every column."""
    digest = hashlib.sha256(np.ascontiguousarray(episodes.offsets, "<i8").tobytes())
    for column, values in episodes.columns().items():
        digest.update(json.dumps(_describe(column, values)).encode())
        for array in (values.values, values.offsets) if isinstance(values, Ragged) else (values,):
            if array.dtype.kind == "T":
                digest.update(json.dumps(array.tolist()).encode())
            else:
                digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data.cast("B") if array.size else b"")
    return digest.hexdigest()


# --- reading


def read(path: str | os.PathLike[str]) -> Episodes:
    """Read a file of `write`; raises `UserError` where the file is not exactly what was written."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file {str(path)!r}")
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        with file:
            metadata = _metadata(path, file)
            table = file.read(use_threads=True)
        episodes = _from_table(table, metadata)
        digest = _digest(episodes)
    except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        if isinstance(error, UserError) and str(path) in str(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{str(path)!r} is damaged or no Parquet file of episodes: {reason}; restore it from a copy") from None
    if digest != metadata["sha256"]:
        raise UserError(f"{str(path)!r} was changed after it was written: its contents do not match its SHA-256; restore it from a copy")
    return episodes


def _metadata(path: Path, file: Any) -> dict[str, Any]:
    text = (file.schema_arrow.metadata or {}).get(KEY)
    if text is None:
        raise UserError(f"{str(path)!r} was not written by Episodes.write; for a table of logged decisions use Transitions.from_table")
    metadata = json.loads(text)
    if not isinstance(metadata.get("version"), int) or metadata["version"] > VERSION:
        raise UserError(f"{str(path)!r} has episodes format {metadata.get('version')!r}; this version reads up to {VERSION}: update unseen")
    if not isinstance(metadata["episodes"], int) or not isinstance(metadata["sha256"], str):
        raise ValueError("its metadata is malformed")
    for entry in metadata["columns"]:
        sound = entry["field"] in FIELDS and entry["dtype"] in ("text", *NUMBERS) and isinstance(entry["ragged"], bool)
        sound = sound and isinstance(entry["name"], str if entry["field"] in GROUPS else type(None))
        if not sound or not all(isinstance(size, int) and size > 0 for size in entry["shape"]):
            raise ValueError("its metadata is malformed")
    return metadata


def _from_table(table: Any, metadata: dict[str, Any]) -> Episodes:
    episode_of_row = _numbers(_rows(table, "episode", None), "int64")
    t = _numbers(_rows(table, "t", None), "int64")
    count = metadata["episodes"]
    if len(episode_of_row) and (episode_of_row.min() < 0 or episode_of_row.max() >= count):
        raise ValueError("an episode number is out of range")
    lengths = np.bincount(episode_of_row, minlength=count) - 1
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = offsets[:-1] + np.arange(count)
    if not np.array_equal(episode_of_row, np.repeat(np.arange(count), lengths + 1)) or not np.array_equal(
        t, np.arange(len(t)) - first[episode_of_row]
    ):
        raise ValueError("its rows are not in order of episode and t")
    is_step = np.ones(len(t), np.bool_)
    is_step[offsets[1:] + np.arange(count)] = False
    where = {Rows.STEP: np.flatnonzero(is_step), Rows.OBSERVATION: None, Rows.EPISODE: first}
    columns = {(e["field"], e["name"]): _from_arrow(table, e, where[FIELDS[e["field"]]]) for e in metadata["columns"]}
    return Episodes.from_columns(columns, offsets)


def _from_arrow(table: Any, entry: dict[str, Any], rows: np.ndarray | None) -> Column:
    name, shape = table_name((entry["field"], entry["name"])), tuple(entry["shape"])
    if entry["ragged"]:
        lists = _typed(_rows(table, name, rows), LISTS).combine_chunks()
        lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
        return Ragged(_numbers(lists.flatten(), entry["dtype"]), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    if entry["dtype"] == "text":
        return np.array(_typed(_rows(table, name, rows), TEXTS).to_pylist(), dtype=StringDType())
    if split(shape):
        return np.stack([_numbers(_rows(table, f"{name}[{i}]", rows), entry["dtype"]) for i in range(shape[0])], axis=1)
    if shape:
        array = _typed(_rows(table, name, rows), BYTES)
        data = bytearray().join(value.as_py() for value in array)  # a bytearray, so that the array can be written to
        dtype = np.dtype(entry["dtype"])
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(len(array), *shape)
    return _numbers(_rows(table, name, rows), entry["dtype"])


def _rows(table: Any, name: str, rows: np.ndarray | None) -> Any:
    array = table.column(name) if rows is None else table.column(name).take(pa.array(rows))
    if array.null_count:
        raise ValueError(f"column {name!r} has missing values")
    return array


def _typed(array: Any, allowed: tuple[Any, ...]) -> Any:
    if not any(is_one(array.type) for is_one in allowed):  # what a flipped bit in the schema can make of it
        raise ValueError(f"a column has type {array.type}, which its metadata does not say")
    return array


def _numbers(array: Any, dtype: str) -> np.ndarray:
    if array.type != pa.from_numpy_dtype(np.dtype(dtype)):
        raise ValueError(f"a column has type {array.type}, but its metadata says {dtype}")
    values = array.to_numpy() if isinstance(array, pa.ChunkedArray) else array.to_numpy(zero_copy_only=False)
    return np.array(values, dtype)  # a writable copy of our own
