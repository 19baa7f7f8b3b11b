"""What an import and `--help` bring along: nobody waits for JAX who does not use it. Seconds are in benchmarks/start_up.py."""

import subprocess
import sys
import textwrap

import pytest

HEAVY = {"jax", "equinox", "optax", "torch", "matplotlib", "polars", "pyarrow", "pandas", "sklearn", "scipy", "gymnasium"}


def _imported_by(code: str) -> set[str]:
    printing = textwrap.dedent(code) + "\nimport sys; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", printing], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def _command(arguments: list[str]) -> str:
    return f"from unseen.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert not stop.code"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import unseen", HEAVY | {"numpy", "tyro", "rich"}),
        ("import unseen.data, unseen.runs", {"jax", "equinox", "torch", "matplotlib"}),
        ("import unseen\nunseen.Experiment('heavenhell-3', unseen.Agent(memory=unseen.GRU(8)), unseen.PPO()).check()", HEAVY | {"numpy"}),
        ("import unseen.cli", HEAVY),
        (_command(["--help"]), HEAVY),
        (_command(["--version"]), HEAVY),
        (_command(["train", "--help"]), HEAVY),
        (_command(["train", "--algorithm", "ppo", "--help"]), HEAVY),
        (_command(["evaluate", "--help"]), HEAVY),
        ("import unseen.planning", HEAVY | {"transformers", "httpx"}),
        ("from unseen.planning import Agent, EndpointModel, ScriptedModel, evaluate", {"jax", "torch", "transformers"}),
        (_command(["plan", "--help"]), {"jax", "torch", "transformers", "httpx", "matplotlib"}),
        (_command(["plan", "sweep", "--help"]), {"torch", "transformers", "httpx", "matplotlib"}),
    ],
)
def test_what_is_not_needed_is_not_imported(code: str, absent: set[str]):
    assert "unseen" in (found := _imported_by(code))
    assert not found & absent


def test_the_import_check_sees_what_is_imported():
    assert "numpy" in _imported_by("import numpy")
    assert "tyro" in _imported_by(_command(["train", "--help"]))
