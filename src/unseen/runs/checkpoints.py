"""Checkpoints: written whole or not at all, verified to the last bit when read, the newest good one wins.

    checkpoints/2000000/arrays.safetensors     every array
    checkpoints/2000000/manifest.json          step, metadata, and SHA-256 digests that cover every byte of both files

A checkpoint is written under a temporary name, forced to disk and then renamed, so a kill at any instant leaves
the previous ones as they were. Files hold numbers and text only: loading one from a stranger cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unseen.errors import UserError
from unseen.runs.files import (
    local_path,
    make_directory,
    read_regular,
    remove_directory,
    remove_leftovers,
    sync_directory,
    temporary_beside,
    write_synced,
    writing,
)
from unseen.runs.tensors import CheckpointError, Tensor, check_name, decode, encode, restore_into

__all__ = ["Checkpoint", "CheckpointError", "discard_after", "latest", "load", "restore_into", "save", "steps"]

FORMAT = 1
_ARRAYS = "arrays.safetensors"
_MANIFEST = "manifest.json"
_MAX_MANIFEST = 64 * 2**20
_NAME = re.compile(r"(\d{1,18})(?:-(\d{1,9}))?")  # "<step>", or "<step>-<n>" for the n-th rewrite of the same step


@dataclass(frozen=True)
class Checkpoint:
    """What a run was at one step.

    Attributes:
        step: the step it was saved at.
        arrays: name -> array, writable.
        meta: whatever JSON was saved with it.
        skipped: newer checkpoints that were damaged, as (step, what differs).
    """

    step: int
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    skipped: tuple[tuple[int, str], ...] = ()


def save(
    directory: str | os.PathLike[str], step: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None, *, keep: int = 3
) -> Path:
    """Save a checkpoint; when this returns, it is on disk and complete.

    Args:
        directory: the folder of checkpoints; made if need be. It has one writer at a time.
        step: at least 0. Saving a step again replaces it.
        arrays: name -> array of any shape; random keys as their uint32 key data.
        meta: JSON values that travel with the arrays.
        keep: how many checkpoints up to `step` stay, this one included.

    Returns:
        The checkpoint's own folder.

    Raises:
        DiskFull: earlier checkpoints are untouched.
        UserError: for a negative step, `keep` below 1, or a name or dtype that cannot be stored.
    """
    folder = local_path(directory)
    if step < 0 or keep < 1:
        raise UserError(f"step {step} and keep {keep} do not work; step is at least 0 and keep at least 1")
    data, header_sha256, tensors = encode(arrays)
    manifest = _render(
        {
            "format": FORMAT,
            "step": int(step),
            "bytes": len(data),
            "header_sha256": header_sha256,
            "tensors": {name: {"dtype": t.dtype, "shape": list(t.shape), "sha256": t.sha256} for name, t in tensors.items()},
            "meta": dict(meta or {}),
        }
    )
    make_directory(folder)
    remove_leftovers(folder)
    rewrites = [rewrite for other, rewrite, _ in _found(folder) if other == step]
    final = folder / (f"{step}-{max(rewrites) + 1}" if rewrites else str(step))
    temporary = temporary_beside(final)
    with writing(final):
        try:
            temporary.mkdir()
            write_synced(temporary / _ARRAYS, data)
            write_synced(temporary / _MANIFEST, manifest)
            sync_directory(temporary)
            os.rename(temporary, final)
            sync_directory(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    _prune(folder, step, keep)
    return final


def load(directory: str | os.PathLike[str], step: int | None = None, *, max_bytes: int | None = None) -> Checkpoint:
    """Load the newest checkpoint that is exactly what was saved.

    Args:
        directory: the folder of checkpoints.
        step: load this one or fail; by default damaged ones are passed over and told in `skipped`.
        max_bytes: refuse arrays larger than this; by default the machine's memory.

    Raises:
        CheckpointError: when there is none, or none is good; says what differs.
    """
    folder = local_path(directory)
    candidates = [entry for entry in _found(folder) if step is None or entry[0] == step]
    if not candidates:
        have = ", ".join(map(str, steps(folder))) or "none"
        raise CheckpointError(f"no checkpoint{'' if step is None else f' of step {step}'} in {folder}; there: {have}")
    limit = _memory() if max_bytes is None else max_bytes
    skipped: list[tuple[int, str]] = []
    for number, _, path in candidates:
        try:
            arrays, meta = _read(path, number, limit)
        except ValueError as error:
            skipped.append((number, str(error)))
        else:
            return Checkpoint(number, arrays, meta, tuple(skipped))
    reasons = " | ".join(f"step {number}: {reason}" for number, reason in skipped)
    raise CheckpointError(f"no good checkpoint in {folder}: {reasons}")


def steps(directory: str | os.PathLike[str]) -> list[int]:
    """Steps that have a checkpoint, newest first; nothing is verified."""
    return list(dict.fromkeys(number for number, _, _ in _found(local_path(directory))))


def latest(directory: str | os.PathLike[str]) -> int | None:
    """The newest step that has a checkpoint, or None; nothing is verified."""
    return next(iter(steps(directory)), None)


def discard_after(directory: str | os.PathLike[str], step: int) -> None:
    """Set checkpoints later than `step` aside as `<name>.discarded`: a run that resumed earlier will not pass through them."""
    folder = local_path(directory)
    for number, _, path in _found(folder):
        if number > step:
            aside = path.with_name(f"{path.name}.discarded")
            with writing(aside):
                if aside.exists():
                    remove_directory(aside)
                os.rename(path, aside)


def _found(folder: Path) -> list[tuple[int, int, Path]]:
    """(step, rewrite, folder) of every complete checkpoint, newest first."""
    if not folder.is_dir():
        return []
    matches = [(match, entry) for entry in folder.iterdir() if (match := _NAME.fullmatch(entry.name))]
    return sorted(((int(match[1]), int(match[2] or 0), entry) for match, entry in matches), reverse=True)


def _prune(folder: Path, step: int, keep: int) -> None:
    """Keep the newest `keep` steps up to `step`, each in its last rewrite; later ones are not this run's to judge."""
    kept: set[int] = set()
    for number, _, path in _found(folder):
        if number > step:
            continue
        if number in kept or len(kept) == keep:
            with suppress(OSError):  # the new checkpoint is safe; an old one too many harms nobody
                remove_directory(path)
        else:
            kept.add(number)


def _render(body: Mapping[str, Any]) -> bytes:
    """The manifest's only spelling; a reader that demands it notices every changed byte."""
    text = json.dumps(body, indent=1)
    return json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": json.loads(text)}, indent=1).encode()


def _read(path: Path, step: int, limit: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    raw = read_regular(path / _MANIFEST, _MAX_MANIFEST)
    try:
        body = json.loads(raw)["body"]
        intact = _render(body) == raw
    except (ValueError, TypeError, KeyError, RecursionError):
        intact = False
    if not intact:
        raise ValueError(f"{_MANIFEST} is damaged")
    if body.get("format") != FORMAT:
        raise ValueError(f"written in format {body.get('format')}; this version of unseen reads format {FORMAT}")
    if body.get("step") != step:
        raise ValueError(f"{_MANIFEST} belongs to step {body.get('step')}")
    expected, size = _expected(body)
    if size > limit:
        raise ValueError(f"{_ARRAYS} claims {size} bytes, more than the {limit} allowed")
    data = read_regular(path / _ARRAYS, size)
    if len(data) != size:
        raise ValueError(f"{_ARRAYS} has {len(data)} bytes instead of {size}")
    try:
        return decode(data, body["header_sha256"], expected), body["meta"]
    except ValueError as error:
        raise ValueError(f"{_ARRAYS}: {error}") from error


def _expected(body: Mapping[str, Any]) -> tuple[dict[str, Tensor], int]:
    """What the manifest says of the arrays; a stranger may have written it, so every type is checked."""
    try:
        expected = {name: Tensor(str(t["dtype"]), tuple(map(int, t["shape"])), str(t["sha256"])) for name, t in body["tensors"].items()}
        size = int(body["bytes"])
        well_formed = isinstance(body["meta"], dict) and isinstance(body["header_sha256"], str) and size >= 0
    except (ValueError, TypeError, KeyError, AttributeError):
        well_formed = False
    if not well_formed:
        raise ValueError(f"{_MANIFEST} has fields missing or of the wrong kind")
    for name in expected:
        check_name(name)
    return expected, size


def _memory() -> int:
    """Bytes of memory in this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not told on this system
        return 2**36
