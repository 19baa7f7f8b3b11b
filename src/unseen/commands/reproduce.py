"""`unseen reproduce`: published experiments, run again at a chosen scale, into one page."""

from __future__ import annotations

import json
from pathlib import Path

from unseen.errors import unknown
from unseen.reports.page import write
from unseen.runs.files import local_path, write_atomic

NAMES = ("informed",)


def reproduce(name: str, scale: str, directory: Path, minutes: float | None = None) -> Path:
    """Run what is missing, and write `report.html` and `results.json`.

    Args:
        name: "informed".
        scale: "smoke" (under two minutes), "laptop" (under 90 minutes on two cores) or "paper" (20 seeds, 2 M steps; a GPU).
        directory: where everything is kept; give the same one again to go on.
        minutes: another limit than the scale's own.

    Returns:
        The page.
    """
    if name not in NAMES:
        raise unknown("experiment", name, NAMES)
    from unseen.experiments.reproduce import informed
    from unseen.reports.informed import as_json, page

    results = informed.run(directory, scale, minutes=minutes, say=lambda line: print(line, flush=True))
    folder = local_path(directory)
    write_atomic(folder / "results.json", (json.dumps(as_json(results), indent=1, allow_nan=False) + "\n").encode())
    return write(page(results), folder / "report.html")
