"""The whole suite runs strictly: two host devices, no silent dtype or rank promotion. How fast an example is decides nothing.

Thousands of small programs are compiled, and most of the time goes there: they are compiled quickly rather than well. A test that compares
bits of different programs needs the compiler that users have, and is marked `optimised`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for torch: a worker of xdist has a core, and threads that wait for one another spin
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # workers and the processes that tests start inherit all three

import hypothesis
import jax
import pytest

hypothesis.settings.register_profile("unseen", deadline=None)
hypothesis.settings.load_profile("unseen")

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
QUICKLY = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"
jax.config.update("jax_disable_most_optimizations", QUICKLY)

MAPPINGS = Path("/proc/self/maps")
MANY = 20_000  # of the 65,530 that Linux allows a process by default; beyond them it dies with a segmentation fault


@pytest.fixture(autouse=True)
def optimised_where_a_test_asks_for_it(request: pytest.FixtureRequest) -> Iterator[None]:
    asked = request.node.get_closest_marker("optimised") is not None
    jax.config.update("jax_disable_most_optimizations", QUICKLY and not asked)
    yield
    jax.config.update("jax_disable_most_optimizations", QUICKLY)


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_are_let_go() -> Iterator[None]:
    """Every compiled program takes a few mappings of memory, and thousands of tests compile thousands of programs."""
    yield
    if MAPPINGS.exists() and MAPPINGS.read_text().count("\n") > MANY:
        jax.clear_caches()
