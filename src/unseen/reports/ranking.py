"""What a page says about which signals are worth telling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure as Drawing

from unseen.reports.blocks import Block, Cell, Details, Figure, Section, Table, Text
from unseen.reports.figures import INK, SETTINGS, canvas, style
from unseen.reports.text import number, plain
from unseen.signals.leaks import Leak
from unseen.signals.ranking import Ranking
from unseen.signals.search import Row

_EFFECTS = {
    "residual": "share of the largest possible dependence,\nbeyond chance",
    "prediction": "further share of the returns' variance\nexplained",
}


def ranking_section(ranking: Ranking, title: str = "Which signal is worth telling the critic") -> Section:
    """The recommendation, the ranking as a figure and as a table, and the stages of the search."""
    tested = [row for row in ranking.rows if not math.isnan(row.p)]
    blocks: list[Block] = [Text(ranking.recommendation, "good" if ranking.chosen else "verdict"), Text(ranking.about, "soft")]
    if tested:
        described = "; ".join(f"{_name(row)}: {number(row.normalised)}, adjusted p {number(row.adjusted)}" for row in tested)
        caption = "Filled: informative at the stated false-discovery rate. Hatched: nothing found. Beside each bar its adjusted p."
        blocks.append(Figure(draw(tested, _EFFECTS[ranking.method]), caption, f"Effects of sets of signals. {described}."))
    blocks.append(
        _table(
            ranking.rows,
            "normalised: 0 is chance, 1 the most possible, smaller for wider sets; p is adjusted over all sets",
        )
    )
    stages: list[Block] = [
        _table(stage.rows, f"Given history, action{''.join(f' and {name}' for name in stage.given)}")
        for stage in ranking.stages
        if stage.rows
    ]
    if len(stages) > 1:
        blocks.append(Details("What each signal adds to those already chosen", stages))
    return Section(title, blocks)


def leaks_section(leaks: Sequence[Leak]) -> Section:
    """Which signals know the action they are told before."""
    rows: list[list[Cell]] = [
        [leak.signal, _or_dash(leak.effect), _or_dash(leak.p), _or_dash(leak.adjusted), leak.verdict] for leak in leaks
    ]
    bad = [leak.signal for leak in leaks if leak.leaks]
    silent = [leak.signal for leak in leaks if leak.leaks is None]
    said = (
        Text(f"Do not tell a critic {', '.join(bad)}: what depends on the action biases the policy gradient.", "poor")
        if bad
        else Text(
            "No sign was found that a signal knows the action that follows it." + (f" Not tested: {', '.join(silent)}." if silent else "")
        )
    )
    return Section("Leaks", [said, Table(("signal", "effect", "p", "adjusted p", "verdict"), rows)])


def draw(rows: Sequence[Row], x_label: str) -> Drawing:
    """One bar for each set of signals, longest on top as the rows come."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(1.05 + 0.28 * len(rows), 0)
        axes.grid(False, axis="y")
        colour = style(0).colour
        for k, row in enumerate(rows):
            found = row.verdict == "informative"
            axes.barh(k, row.normalised, color=colour if found else "none", edgecolor=colour, linewidth=1.2, hatch=None if found else "///")
            axes.annotate(
                f"p {row.adjusted:.2g}", (max(row.normalised, 0.0), k), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5
            )
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [plain(_name(row), 34) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.14)
        axes.set_xlabel(x_label)
    return figure


def _table(rows: Sequence[Row], caption: str) -> Table:
    cells: list[list[Cell]] = [
        [_name(row), _or_dash(row.effect), _or_dash(row.normalised), _or_dash(row.p), _or_dash(row.adjusted), row.verdict] for row in rows
    ]
    return Table(("signals", "effect", "normalised", "p", "adjusted p", "verdict"), cells, caption)


def _name(row: Row) -> str:
    return " + ".join(row.signals)


def _or_dash(value: float) -> float | None:
    return None if math.isnan(value) else value
