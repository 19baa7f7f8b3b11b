"""docs/results/outcomes.md and its figures, from what `unseen reproduce outcomes` left in a directory.

    unseen reproduce outcomes --scale laptop --out docs/results/outcomes    # stop it and start it as you like
    python benchmarks/outcomes_page.py docs/results/outcomes

Every cell's rows are kept there beside its settings, a row for each data set and method.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from figures import machine, markdown
from unseen.experiments.reproduce.outcomes import Results, gathered
from unseen.reports import outcomes_reproduced as report
from unseen.reports.blocks import Figure, Section, Table, Text
from unseen.reports.figures import png


def page(results: Results, folder: Path) -> str:
    """The page; its figures are written beside it."""
    whole = report.page(results)
    remarks = folder / "remarks.md"
    lines = [
        f"# {whole.title}",
        "",
        f"`unseen reproduce outcomes --scale {results.scale} --out docs/results/outcomes`, then `python benchmarks/outcomes_page.py "
        f"docs/results/outcomes`. {'; '.join(machine(['numpy', 'scikit-learn', 'lightgbm']))}.",
        "",
        whole.lead,
        "",
        *([remarks.read_text(encoding="utf-8"), ""] if remarks.exists() else []),
    ]
    for section in report.sections(results):
        lines += of_section(section, folder.parent)
    return "\n".join(lines)


def of_section(section: Section, out: Path) -> Iterator[str]:
    """Heading, paragraphs, tables and figures."""
    yield from (f"## {section.title}", "")
    slug = "-".join("".join(c if c.isalnum() else " " for c in section.title.lower()).split()[:2])
    drawn = 0
    for block in section.blocks:
        match block:
            case Text(text):
                yield text
            case Table(columns, rows, caption):
                yield from (f"{caption}.", "", *markdown(columns, rows)) if caption else markdown(columns, rows)
            case Figure(figure, caption, alt):
                drawn += 1
                name = f"outcomes-{slug}-{drawn}.png"
                (out / name).write_bytes(png(figure))
                yield from (f"![{alt}]({name})", "", caption)
            case _:
                raise TypeError(f"no markdown for {type(block).__name__}")
        yield ""


def main() -> None:
    folder = Path(sys.argv[1])
    results = gathered(folder, (folder / "scale.txt").read_text(encoding="utf-8").strip())
    (folder.parent / "outcomes.md").write_text(page(results, folder), encoding="utf-8")


if __name__ == "__main__":
    main()
