"""What an import and `--help` cost: nobody waits for JAX who does not use it. Times are CPU seconds, the best of five."""

import os
import resource
import subprocess
import sys
import textwrap

import pytest


def _seconds(*command: str) -> float:
    """CPU seconds in user mode of a command, the best of five: what it costs on a machine that is busy with other things."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"COLUMNS": "100"})
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    return min(once() for _ in range(5))


def _imported_by(code: str) -> set[str]:
    printing = textwrap.dedent(code) + "\nimport sys; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    return set(subprocess.run([sys.executable, "-c", printing], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import unseen", {"jax", "torch", "matplotlib", "polars", "pandas", "gymnasium", "equinox", "numpy"}),
        ("import unseen.data, unseen.runs", {"jax", "equinox", "torch", "matplotlib"}),
        ("import unseen\nunseen.Experiment('heavenhell-3', unseen.Agent(memory=unseen.GRU(8)), unseen.PPO())", {"jax", "torch", "polars"}),
        ("import unseen.cli", {"jax", "torch", "matplotlib", "polars", "equinox"}),
    ],
)
def test_what_is_not_needed_is_not_imported(code: str, absent: set[str]):
    assert "unseen" in (found := _imported_by(code))
    assert not found & absent


def test_the_import_check_sees_what_is_imported():
    assert "numpy" in _imported_by("import numpy")


@pytest.mark.parametrize(
    ("command", "limit"),
    [
        (["-c", "import unseen"], 0.3),
        (["-m", "unseen.cli", "--help"], 0.5),
        (["-m", "unseen.cli", "train", "--help"], 0.6),
    ],
)
def test_nobody_waits(command: list[str], limit: float):
    assert _seconds(sys.executable, *command) < limit
