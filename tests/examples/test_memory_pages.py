"""The pages about the memory suite say what the data beside them say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from unseen.environments import make
from unseen.environments.memory_suite.suite import TASKS

ROOT = Path(__file__).parents[2]


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script of benchmarks/ as a module; it finds the others beside it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_results_page_is_that_of_the_stored_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    page = benchmark("memory_page", monkeypatch).page()
    assert page == (ROOT / "docs" / "results" / "memory.md").read_text("utf-8")
    assert "## Speed" in page
    assert "## Reference scores" in page


def test_the_gallery_describes_every_task_and_level_as_the_code_does(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = benchmark("memory_gallery", monkeypatch)
    page = (ROOT / "docs" / "memory-suite.md").read_text("utf-8")
    for name in TASKS:
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for paragraph in gallery.paragraphs(name):
            assert paragraph in section
        for embodiment in ("memory", "memory-fp"):
            environment = make(f"{embodiment}/{name}")
            assert "\n".join(gallery.level_table(environment)) in section
            assert ", ".join(environment.action_names) in section
