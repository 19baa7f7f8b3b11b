"""`unseen reproduce`: published experiments, run again at a chosen scale, into one page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from unseen.errors import unknown
from unseen.reports.page import Page, write
from unseen.runs.files import local_path, write_atomic

NAMES = ("informed", "memory", "outcomes", "planning")


def reproduce(name: str, scale: str, directory: Path, minutes: float | None = None) -> Path:
    """Run what is missing, and write `report.html` and `results.json`.

    Args:
        name: "informed", "memory", "outcomes" or "planning".
        scale: "smoke" (under two minutes, memory three, planning five), "laptop" (under 90 minutes on two cores, memory and planning four
            hours, outcomes 45 minutes) or "paper" (informed: 20 seeds, 2 M steps, a GPU; memory: all tasks and agents, a GPU; outcomes:
            50 data sets of everything; planning: Crafter, a GPU); memory has "paper-first-person" too.
        directory: where everything is kept; give the same one again to go on.
        minutes: another limit than the scale's own.

    Returns:
        The page.
    """
    if name not in NAMES:
        raise unknown("experiment", name, NAMES)
    folder = local_path(directory)
    page, figures = {"informed": _informed, "memory": _memory, "outcomes": _outcomes, "planning": _planning}[name](folder, scale, minutes)
    write_atomic(folder / "results.json", (json.dumps(figures, indent=1, allow_nan=False) + "\n").encode())
    return write(page, folder / "report.html")


def _informed(folder: Path, scale: str, minutes: float | None) -> tuple[Page, dict[str, Any]]:
    from unseen.experiments.reproduce import informed
    from unseen.reports.informed import as_json, page

    results = informed.run(folder, scale, minutes=minutes, say=_say)
    return page(results), as_json(results)


def _memory(folder: Path, scale: str, minutes: float | None) -> tuple[Page, dict[str, Any]]:
    from unseen.experiments.reproduce import memory
    from unseen.reports.memory import as_json, page

    results = memory.run(folder, scale, minutes=minutes, say=_say)
    return page(results), as_json(results)


def _outcomes(folder: Path, scale: str, minutes: float | None) -> tuple[Page, dict[str, Any]]:
    from unseen.experiments.reproduce import outcomes
    from unseen.reports.outcomes_reproduced import page
    from unseen.reports.outcomes_summaries import as_json

    results = outcomes.run(folder, scale, minutes=minutes, say=_say)
    return page(results), as_json(results)


def _planning(folder: Path, scale: str, minutes: float | None) -> tuple[Page, dict[str, Any]]:
    from unseen.experiments.reproduce import planning, planning_rl
    from unseen.reports.planning_reproduced import as_json, page

    begun = time.monotonic()
    results = planning.run(folder, scale, minutes=minutes, say=_say)
    left = None if minutes is None else max(minutes - (time.monotonic() - begun) / 60, 1e-6)
    reinforced = planning_rl.run(folder, scale, minutes=left, say=_say)
    return page(results, reinforced), as_json(results, reinforced)


def _say(line: str) -> None:
    print(line, flush=True)
