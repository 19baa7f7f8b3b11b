"""What a run was made with: versions, machine, devices and flags, so that a difference in results can be explained."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_ALSO = ("jaxlib", "ml-dtypes", "torch")  # decide numbers without being listed as requirements


def collect(devices: Sequence[str] = (), flags: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Versions and machine as JSON values.

    Args:
        devices: what the caller computes on, as in `[str(d) for d in jax.devices()]`; asking here would import JAX.
        flags: settings that change numbers, as in `{"jax_enable_x64": False}`.
    """
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": packages(),
        "git": git_commit(),
        "devices": list(devices),
        "flags": dict(flags or {}),
        "arguments": [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else [],
    }


def packages() -> dict[str, str]:
    """Installed versions of unseen and of everything it may require, extras included."""
    try:
        required = metadata.requires("unseen") or []
    except metadata.PackageNotFoundError:  # run from a source tree without installing it
        required = ["jax", "equinox", "optax", "numpy", "gymnasium", "polars", "pyarrow", "safetensors", "scikit-learn"]
    names = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in required} | {"unseen", *_ALSO}
    found = {}
    for name in sorted(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit(directory: str | os.PathLike[str] = ".") -> dict[str, Any] | None:
    """The commit checked out in a directory and whether tracked files differ from it; None outside a repository."""
    commit = _git(directory, "rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "changed": bool(_git(directory, "status", "--porcelain", "--untracked-files=no"))}


def _git(directory: str | os.PathLike[str], *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", os.fspath(directory), *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
