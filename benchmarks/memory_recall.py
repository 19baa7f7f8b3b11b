"""The section of docs/results/memory.md about working and episodic memories, from what `unseen reproduce memory` left in a directory.

    unseen reproduce memory --scale laptop --out docs/results/memory-recall    # stop it and start it as you like
    python benchmarks/memory_page.py

Curves and scores of finished cells are kept there, beside each cell's settings; run directories are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from figures import markdown
from unseen.experiments.reproduce.memory import Results, gathered
from unseen.experiments.reproduce.memory_grid import slug
from unseen.reports.blocks import Block, Figure, Section, Table, Text
from unseen.reports.figures import png
from unseen.reports.memory import page

COMMAND = "unseen reproduce memory --scale laptop --out docs/results/memory-recall"


def results(folder: Path) -> Results | None:
    """What is on record; None where nothing is."""
    return gathered(folder, "laptop") if (folder / "curves").exists() else None


def section(found: Results, folder: Path) -> list[str]:
    """The report of the matrix in the page's own form."""
    whole = page(found)
    lines = [
        "## Which memory helps when, and does it carry over?",
        "",
        f"`{COMMAND}`, then `python benchmarks/memory_page.py`.",
        whole.lead,
        "",
    ]
    remarks = folder / "remarks.md"
    lines += [remarks.read_text(encoding="utf-8"), ""] if remarks.exists() else []
    for part in whole.sections:
        lines += [f"### {part.title}", ""]
        for block in part.blocks:
            lines += [*_lines(block, part), ""]
    return lines


def draw(found: Results, out: Path) -> None:
    """The figures that `section` names."""
    for name, figure in _figures(found):
        (out / name).write_bytes(png(figure.figure))


def _figures(found: Results) -> Iterator[tuple[str, Figure]]:
    for part in page(found).sections:
        for block in part.blocks:
            if isinstance(block, Figure):
                yield _file(part), block


def _file(part: Section) -> str:
    return f"memory-recall-{slug(part.title)}.png"


def _lines(block: Block, part: Section) -> list[str]:
    match block:
        case Text(text):
            return [text]
        case Table(columns, rows, caption):
            return [*([f"{caption}.", ""] if caption else []), *markdown(columns, rows)]
        case Figure(_, caption, alt):
            return [f"![{alt}]({_file(part)})", "", caption]
    raise TypeError(f"the page has no form for {type(block).__name__}")
