"""The numbered Parquet files that metrics lie in: which of them count, reading one, merging many, cutting one short.

    part-000003-000003-step-4000.parquet      one flush: part 3, rows up to step 4000
    part-000000-000031-step-40000.parquet     parts 0 to 31 merged into one

A part that lies within another is superseded by it. So a merge writes the wide part first and deletes the narrow
ones later, and a kill in between neither loses nor doubles a row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from unseen.runs.files import write_atomic

SCHEMA = pa.schema(
    {"seed": pa.int64(), "env_steps": pa.int64(), "wall_s": pa.float64(), "metric": pa.string(), "value": pa.float64(), "step": pa.int64()}
)

_NAME = re.compile(r"part-(\d{6,12})-(\d{6,12})-step-(\d{1,18})\.parquet")
_MAX_ROWS = 10**9  # a small malicious file can claim any number of rows


@dataclass(frozen=True)
class Part:
    """Parts `first` to `last` in one file, whose rows reach up to `step`."""

    first: int
    last: int
    step: int
    path: Path


def path_of(directory: Path, first: int, last: int, step: int) -> Path:
    return directory / f"part-{first:06d}-{last:06d}-step-{step}.parquet"


def find(directory: Path) -> tuple[list[Part], list[Part]]:
    """Parts that count, in order, and those superseded; of two with the same range the shorter one, written by a cut, counts."""
    if not directory.is_dir():
        return [], []
    parts = [
        Part(int(match[1]), int(match[2]), int(match[3]), entry)
        for entry in directory.iterdir()
        if (match := _NAME.fullmatch(entry.name)) and int(match[1]) <= int(match[2])
    ]
    parts.sort(key=lambda part: (part.first, -part.last, part.step))
    counting: list[Part] = []
    superseded: list[Part] = []
    for part in parts:
        (superseded if counting and part.last <= counting[-1].last else counting).append(part)
    return counting, superseded


def read(path: Path) -> pa.Table:
    """Every row of one part.

    Raises:
        ValueError: when it is torn, damaged or no file of metrics.
        FileNotFoundError: when it has just been merged away.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if file.schema_arrow.remove_metadata() != SCHEMA:
                raise ValueError("its columns are not those of metrics")
            if file.metadata.num_rows > _MAX_ROWS:
                raise ValueError(f"it claims {file.metadata.num_rows} rows")
            return file.read()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def write(path: Path, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    write_atomic(path, buffer.getvalue())


def merge(directory: Path, parts: Sequence[Part]) -> bool:
    """Put consecutive parts into one file; False, and nothing happens, when one of them cannot be read."""
    try:
        table = pa.concat_tables([read(part.path) for part in parts])
    except ValueError:
        return False
    write(path_of(directory, parts[0].first, parts[-1].last, max(part.step for part in parts)), table)
    for part in parts:
        part.path.unlink(missing_ok=True)
    return True


def cut(part: Part, step: int) -> None:
    """Drop a part's rows after `step`; a merged part that cannot be read is left as it is, for a person to look at."""
    if part.first != part.last:  # a single flush is all before or all after
        try:
            table = read(part.path)
        except ValueError:
            return
        rest = table.filter(pc.field("step") <= step)
        if rest.num_rows:
            write(path_of(part.path.parent, part.first, part.last, step), rest)
    part.path.unlink()
