"""What a page says about training runs: each on its own, and several on one environment against each other."""

from __future__ import annotations

from collections.abc import Sequence

from unseen.reports.blocks import Section
from unseen.reports.comparison import comparison
from unseen.reports.single import single
from unseen.reports.summary import ReportableRun, RunSummary, summarise

__all__ = ["ReportableRun", "RunSummary", "comparison", "pages_sections", "single", "summarise"]


def pages_sections(runs: Sequence[RunSummary]) -> list[Section]:
    """The sections of a page: a comparison for each environment with several runs, then each run."""
    groups: dict[str, list[RunSummary]] = {}
    for run in runs:
        groups.setdefault(run.environment, []).append(run)
    compared = [comparison(group) for group in groups.values() if len(group) > 1]
    return compared + [single(run) for run in runs]
