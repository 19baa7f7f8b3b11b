"""The documents say what is there: the README's Python runs, every public name is in the reference, every command exists."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from unseen.cli import _COMMANDS

ROOT = Path(__file__).parents[2]
ROOMS = (
    "",
    ".data",
    ".runs",
    ".environments",
    ".environments.tabular",
    ".environments.navigation",
    ".environments.adapters",
    ".signals",
    ".outcomes",
    ".environments.clinical",
    ".environments.text",
    ".planning",
    ".environments.memory_suite",
    ".reports",
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_reference(room: str):
    reference = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    package = importlib.import_module(f"unseen{room}")
    missing = [name for name, home in package._HOMES.items() if home and f"::: {home}.{name}\n" not in reference]
    assert not missing


def test_every_command_shown_exists():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {word for page in pages for word in re.findall(r"(?:^|`|&& )unseen ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert {"quickstart", "train", "report"} <= shown
    assert shown <= set(_COMMANDS)


def test_every_file_and_test_in_the_paper_index_exists():
    text = (ROOT / "docs" / "paper_index.md").read_text()
    named = re.findall(r"`([\w/]+\.py)`", text)
    there = {str(path.relative_to(base)) for base in (ROOT, ROOT / "src" / "unseen") for path in base.rglob("*.py")}
    there |= {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert len(named) > 30
    assert not [name for name in named if name not in there]


@pytest.mark.slow
def test_the_python_in_the_readme_runs(tmp_path: Path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=300)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert len(list((tmp_path / "runs" / "heavenhell-informed" / "metrics").iterdir())) > 0
