"""What to set up before JAX starts: one host device per core, the compilation cache, and how much memory there is."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import jax
import psutil

from unseen.errors import UserError


def prepare() -> None:
    """Use every core as a device of its own, and keep compiled programs between runs. Safe to call again, or too late."""
    if "XLA_FLAGS" not in os.environ or "host_platform_device_count" not in os.environ["XLA_FLAGS"]:
        with contextlib.suppress(RuntimeError, AttributeError):  # JAX has already started: go on with the devices there are
            jax.config.update("jax_num_cpu_devices", available_cores())
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", str(cache_directory()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def available_cores(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores this process may use: those it is bound to, and no more than a container's quota."""
    bound = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # version 2: "200000 100000"; "max 100000" is no quota
        allowed, period = (int(word) for word in (cgroups / "cpu.max").read_text().split())
        bound = min(bound, math.ceil(allowed / period))
    with contextlib.suppress(OSError, ValueError):  # version 1; -1 is no quota
        allowed, period = (int((cgroups / "cpu" / f"cpu.cfs_{what}_us").read_text()) for what in ("quota", "period"))
        bound = min(bound, math.ceil(allowed / period)) if allowed > 0 else bound
    return max(1, bound)


SHARING = 8  # devices that share a seed at most: all of them play its episodes, which bounds the gain


def spare_devices(used: int) -> int:
    """Devices that each of `used` may have for itself. 1 on an accelerator, where sharing is not measured."""
    if jax.default_backend() != "cpu":
        return 1
    return max(1, min(SHARING, min(len(jax.devices()), available_cores()) // used))


def cache_directory() -> Path:
    """Where compiled programs are kept: UNSEEN_CACHE, or the user's cache directory."""
    chosen = os.environ.get("UNSEEN_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unseen" / "compiled"


def peak_memory(compiled: object) -> int | None:
    """Bytes a compiled program needs at once, by the compiler's own account; None where it gives none."""
    analysis = compiled.memory_analysis()  # type: ignore[attr-defined]
    if analysis is None:
        return None
    return analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes - analysis.alias_size_in_bytes


def too_large(needed: int | None) -> bool:
    """Whether a program needs more memory than is free; False where that is not known."""
    return needed is not None and jax.default_backend() == "cpu" and needed > psutil.virtual_memory().available


def refuse_too_large(needed: int | None) -> None:
    """Refuse a program that does not fit into memory.

    Raises:
        UserError: with both figures and what to make smaller.
    """
    if needed is not None and too_large(needed):
        free = psutil.virtual_memory().available
        raise UserError(
            f"training needs about {needed / 2**30:.1f} GiB at once and {free / 2**30:.1f} GiB are free; "
            "lower algorithm.environments, algorithm.rollout, the memory's size, or seeds"
        )
