"""`unseen signals`: which signal is worth telling the critic, printed and as a page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from unseen.data import Episodes
from unseen.environments.registry import make
from unseen.errors import UserError
from unseen.reports.blocks import Section
from unseen.reports.page import Page, write
from unseen.reports.ranking import leaks_section, ranking_section
from unseen.signals import leak_test, rank
from unseen.signals.prediction import Prediction
from unseen.signals.residual import Residual

METHODS = {
    "kci": "Criterion A: conditional independence given the history",
    "standardised": "Criterion A: independence of standardised residuals",
    "plain": "Criterion A as published: independence of residuals",
    "hscic": "Criterion A of the first version: HSCIC",
    "prediction": "Criterion B: gain in predicting returns",
}


def signals(
    source: str,
    methods: Sequence[str],
    *,
    names: Sequence[str] = (),
    regressor: str = "forest",
    draws: int = 1_000,
    leaks: bool = False,
    out: Path | None = None,
    options: dict[str, Any] | None = None,
    **common: Any,
) -> list[Any]:
    """Rank by each method, print what was found, and write a page where asked.

    Args:
        source: an environment, or the path of recorded episodes (.parquet).
        methods: keys of `METHODS`, in order.
        names: of signals; all by default.
        regressor, draws: of criterion A.
        leaks: test too whether a signal knows the action.
        out: of the page.
        options: of the environment.
        common: discount, episodes, steps, alpha, seed of `unseen.signals.rank`.
    """
    console = Console(highlight=False)
    recording: Any = source
    if out is not None and (out.is_dir() or not os.access(_existing(out), os.W_OK)):
        raise UserError(f"--out {str(out)!r} cannot be written; name a file, as in signals.html")
    if source.endswith((".csv", ".parq", ".json")):
        raise UserError(
            f"{source} is no recording: those are .parquet files that Episodes.write made (Episodes.from_frame reads dataframes)"
        )
    if source.endswith(".parquet"):
        recording = Episodes.read(source)
        if options or common.get("episodes") is not None:
            raise UserError(f"{source} is recorded already: leave --episodes and --environment-options out")
    elif options and source.startswith("gym:"):
        raise UserError("environment options do not go with an external environment here; register it with them in a module of yours")
    elif not source.startswith("gym:"):
        recording = make(source, **(options or {}))
    rankings, sections = [], []
    for method in methods:
        seed = int(common.get("seed", 0))
        if method == "prediction":
            settings: Any = Prediction(seed=seed)
        else:
            settings = Residual(variant=method, regressor=regressor, draws=draws, seed=seed)  # type: ignore[arg-type]
        with console.status(f"{METHODS[method]} …"):
            kind = "prediction" if method == "prediction" else "residual"
            ranking = rank(recording, tuple(names) or None, kind, settings=settings, **common)
        console.print(f"[bold]{METHODS[method]}[/bold]")
        console.print(str(ranking), markup=False, soft_wrap=True)
        console.print(f"({ranking.facts['seconds']:.0f} s)\n")
        rankings.append(ranking)
        sections.append(ranking_section(ranking, METHODS[method]))
    if len(rankings) > 1:
        console.print(together(rankings), markup=False, soft_wrap=True)
    if leaks:
        recorded = {name: common[name] for name in ("episodes", "steps", "seed") if common.get(name) is not None}
        settings = Residual(regressor=regressor, draws=draws, seed=int(common.get("seed", 0)))
        found = leak_test(recording, tuple(names) or None, settings=settings, **recorded)
        for leak in found:
            console.print(f"{leak.signal}: {leak.verdict}" + (f" (p {leak.p:.2g})" if leak.leaks is not None else ""), markup=False)
        sections.append(leaks_section(found))
    if out is not None:
        lead = together(rankings) if len(rankings) > 1 else ""
        console.print(f"report: {_page(source, sections, out, lead)}", soft_wrap=True)
    return rankings


def together(rankings: Sequence[Any]) -> str:
    """What several methods say together, in a sentence."""
    chosen = [set(ranking.chosen) for ranking in rankings]
    if not any(chosen):
        return "No method found a signal that helps."
    if all(each == chosen[0] for each in chosen):
        return f"All methods choose the same: {', '.join(rankings[0].chosen)}."
    common = set.intersection(*chosen)
    agreed = f"All methods choose {', '.join(sorted(common))}; beyond that they differ. " if common else "The methods differ. "
    return agreed + "What one of them finds at a small p is there; what another misses may be there all the same."


def _existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    folder = path.resolve().parent
    while not folder.exists():
        folder = folder.parent
    return folder


def _page(source: str, sections: list[Section], out: Path, lead: str) -> Path:
    return write(Page(f"Which signals of {source} are worth telling", sections, lead), out)
