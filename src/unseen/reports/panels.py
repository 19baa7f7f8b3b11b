"""Small panels side by side with a logarithmic axis in common: medians over data sets with their percentiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from unseen.reports.figures import GREY, SETTINGS, WIDTH, style
from unseen.reports.text import number, plain


class Spread(NamedTuple):
    """A figure over data sets.

    Attributes:
        mean, median: over data sets.
        low, high: 2.5 and 97.5 percentiles over data sets; not an interval for the mean.
        seeds: data sets.
    """

    mean: float
    median: float
    low: float
    high: float
    seeds: int


class Panel(NamedTuple):
    """One axis.

    Attributes:
        x_label: its name.
        ticks: what is compared, from left to right.
        lines: label -> a spread for each tick; None where nothing was run.
        title: above it.
    """

    x_label: str
    ticks: Sequence[str]
    lines: Mapping[str, Sequence[Spread | None]]
    title: str = ""


def panels(found: Sequence[Panel], y_label: str) -> Figure:
    """Two panels a row; every line has its own colour, dash and marker, and is moved sideways so that none hides another."""
    rows = (len(found) + 1) // 2
    labels = list(dict.fromkeys(label for panel in found for label in panel.lines))
    with matplotlib.rc_context(SETTINGS):
        height = 2.1 * rows + 0.2 * ((len(labels) + 1) // 2) + 0.3
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        figure.patch.set_alpha(0)
        grid = np.atleast_1d(figure.subplots(rows, min(2, len(found)), sharey=True, squeeze=False).ravel())
        handles = {}
        for axes, panel in zip(grid, found):
            axes.patch.set_alpha(0)
            axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: number(y)))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.set_title(plain(panel.title), fontsize=9.5)
            for label, spreads in panel.lines.items():
                n = labels.index(label)
                at = [k for k, spread in enumerate(spreads) if spread is not None]
                if not at:
                    continue
                some = [spread for spread in spreads if spread is not None]
                middle, low, high = (np.array([getattr(s, name) for s in some]) for name in ("median", "low", "high"))
                colour, line, marker = style(n)
                handles[label] = axes.errorbar(
                    np.array(at) + 0.09 * (n - (len(labels) - 1) / 2),
                    middle,
                    np.clip(np.stack([middle - low, high - middle]), 0, None),
                    color=colour,
                    linestyle=line,
                    marker=marker,
                    markersize=4,
                    linewidth=1.3,
                    elinewidth=0.9,
                    capsize=2,
                )
            axes.set_xticks(range(len(panel.ticks)), list(panel.ticks))
            axes.set_xlim(-0.5, len(panel.ticks) - 0.5)
            axes.set_xlabel(plain(panel.x_label))
        low, high = grid[0].get_ylim()
        if high / low < 100:  # one label a decade would be too few
            for axes in grid:
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axes in grid[len(found) :]:
            axes.set_visible(False)
        figure.supylabel(plain(y_label), fontsize=9.5)
        shown = [label for label in labels if label in handles]
        figure.legend([handles[label] for label in shown], shown, loc="outside lower center", ncols=2, handlelength=3.2, labelspacing=0.35)
    return figure
