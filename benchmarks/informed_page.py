"""docs/results/informed.md and its figures, from what `unseen reproduce informed` left in a directory.

    unseen reproduce informed --scale laptop --out docs/results/informed    # stop it and start it as you like
    python benchmarks/informed_page.py docs/results/informed

Curves of finished cells and the criteria's results are kept there, beside each cell's settings; run directories are not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from figures import machine, markdown
from unseen.experiments.reproduce.informed import CRITERIA, Results, baseline, gathered
from unseen.experiments.reproduce.informed_grid import SCALES
from unseen.reports import informed as report
from unseen.reports.blocks import Table
from unseen.reports.curves import band
from unseen.reports.figures import learning_curves, png
from unseen.reports.text import number

REMARKS = Path(__file__).resolve().parents[1] / "docs" / "results" / "informed" / "remarks.md"


def page(results: Results, folder: Path) -> str:
    """The page; its figures are written beside it."""
    out = folder.parent
    scale = SCALES[results.scale]
    done = sum(outcome.metrics is not None for outcome in results.outcomes)
    lines = ["# Informed actor-critic, reproduced", ""]
    lines += [
        f"`unseen reproduce informed --scale {results.scale} --out docs/results/informed`, then `python benchmarks/informed_page.py`."
    ]
    lines += [f"{'; '.join(machine(['jax', 'scikit-learn']))}."]
    lines += [
        f"{scale.seeds} seeds x {number(scale.env_steps)} steps a cell; {done} of {len(results.outcomes)} cells are finished, "
        "the others read *not run* and are trained when the command is given again.",
        "",
    ]
    lines += [REMARKS.read_text(encoding="utf-8"), ""] if REMARKS.exists() else []
    lines += ["## The criteria before, the gain after", ""]
    for section in (report.criteria_section(results), report.overview_section(results)):
        tables = [block for block in section.blocks if isinstance(block, Table)]
        if section.title != report.OVERVIEW:
            for criterion in CRITERIA:
                found = report.points(results, criterion)
                if len(found) >= 2:
                    (out / f"informed-{criterion}.png").write_bytes(png(report.scatter(found)))
                    lines += [f"![{report.NAMES[criterion]}: effects against gains](informed-{criterion}.png)", ""]
        else:
            lines += ["## All cells", ""]
        for block in tables:
            lines += [f"{block.caption}.", "", *markdown(block.columns, block.rows), ""]
    lines += ["## Learning curves", "", "Interquartile mean over seeds, 95 % bootstrap interval shaded.", ""]
    for task in dict.fromkeys(outcome.cell.task.environment for outcome in results.outcomes):
        if baseline(results, task) is None:
            continue
        curves = report.curves_of(results, task)
        drawn = learning_curves({label: band(each) for label, each in curves.items()}, references=report.references_of(task))
        (out / f"informed-{task}.png").write_bytes(png(drawn))
        lines += [f"### {task}", "", f"![Learning curves on {task}: {', '.join(curves)}](informed-{task}.png)", ""]
    return "\n".join(lines)


def main() -> None:
    folder = Path(sys.argv[1])
    results = gathered(folder, (folder / "scale.txt").read_text(encoding="utf-8").strip())
    (folder.parent / "informed.md").write_text(page(results, folder), encoding="utf-8")


if __name__ == "__main__":
    main()
