"""The whole suite runs strictly: two host devices, no silent dtype or rank promotion. How fast an example is decides nothing."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

hypothesis.settings.register_profile("unseen", deadline=None)
hypothesis.settings.load_profile("unseen")

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

MAPPINGS = Path("/proc/self/maps")
MANY = 20_000  # of the 65,530 that Linux allows a process by default; beyond them it dies with a segmentation fault


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_are_let_go() -> Iterator[None]:
    """Every compiled program takes a few mappings of memory, and thousands of tests compile thousands of programs."""
    yield
    if MAPPINGS.exists() and MAPPINGS.read_text().count("\n") > MANY:
        jax.clear_caches()
