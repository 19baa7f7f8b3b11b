"""Figures for print and screen: drawn once, readable in greyscale, on white paper and on a dark page, without any global state."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from unseen.reports.curves import Band
from unseen.reports.statistics import Interval
from unseen.reports.text import Number, number, plain

# Mid-tones: each is at least 3:1 against white and against a dark page (WCAG 1.4.11), so one drawing serves both.
COLOURS = ("#2f7ed8", "#c9660a", "#2a9058", "#a25ddc", "#d9486e", "#1a8f96")
GREY = "#7d7d7d"
INK = "#1d2127"  # axes and text; an SVG has it replaced by the colour of the page's text
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REFERENCE_LINES = ((0, (6, 3)), (0, (1.5, 2)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5)), (0, (9, 2)))
SETTINGS: dict[Any, Any] = {
    "text.parse_math": False,  # names come from users: a dollar sign is a dollar sign
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "svg.hashsalt": "unseen",
}
LABEL = 28  # characters in a line of a row's label
WIDTH = 5.2  # inches; small on purpose, so that letters stay readable when a phone shrinks the figure
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)

Handles = list[tuple[str, Artist]]  # label, artist


class Style(NamedTuple):
    """How the n-th series is drawn: distinguishable by colour, by line and by marker alone."""

    colour: str
    line: str | tuple[float, tuple[float, ...]]
    marker: str


def style(n: int) -> Style:
    """The style of the n-th series; the three cycles have different lengths, so that combinations repeat late."""
    return Style(COLOURS[n % len(COLOURS)], LINES[n % len(LINES)], MARKERS[n % len(MARKERS)])


def learning_curves(
    curves: Mapping[str, Band],
    *,
    y_label: str = "return",
    references: Mapping[str, Number] | None = None,
    bounds: tuple[Number, Number] | None = None,
) -> Figure:
    """Learning curves of labelled runs, their intervals shaded, with reference scores and the optimum as horizontals.

    Args:
        curves: label -> band; at most 210 series before a style repeats, about six before nobody can read it.
        y_label: name and unit of what is on the y axis.
        references: player -> score, drawn as grey broken lines.
        bounds: lower and upper bound on the optimal value, drawn as a grey band.
    """
    references = references or {}
    with matplotlib.rc_context(SETTINGS):
        rows = len(curves) + len(references) + (bounds is not None)
        figure, axes = canvas(2.9, rows)
        handles: Handles = []
        for n, (label, curve) in enumerate(curves.items()):
            colour, line, marker = style(n)
            every = max(1, len(curve.env_steps) // 6)
            (handle,) = axes.plot(
                curve.env_steps,
                curve.middle,
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=4.5,
                markevery=((n * every // 3) % every, every),  # staggered, so that curves that coincide still show their markers
                linewidth=1.7,
            )
            if len(curve.env_steps) > 1:
                axes.fill_between(curve.env_steps, curve.low, curve.high, color=colour, alpha=0.22, linewidth=0)
            else:
                axes.errorbar(curve.env_steps, curve.middle, _arms(curve.middle, curve.low, curve.high), color=colour, capsize=3)
            handles.append((plain(label), handle))
        handles += _references(axes, references, bounds)
        axes.xaxis.set_major_formatter(EngFormatter(sep="\N{NARROW NO-BREAK SPACE}"))
        axes.set_xlabel("environment steps")
        axes.set_ylabel(plain(y_label))
        axes.margins(x=0.02)
        _legend(figure, handles)
    return figure


def dots(
    intervals: Mapping[str, Interval],
    *,
    x_label: str,
    references: Mapping[str, Number] | None = None,
    bounds: tuple[Number, Number] | None = None,
) -> Figure:
    """One row per run: its estimate as a marker, its interval as a bar, reference scores and the optimum as verticals.

    Args:
        intervals: label -> interval, drawn from top to bottom.
        x_label: name and unit of the estimate.
        references: player -> score.
        bounds: lower and upper bound on the optimal value.
    """
    references = references or {}
    with matplotlib.rc_context(SETTINGS):
        labels = [textwrap.fill(plain(label, 3 * LABEL), LABEL) for label in intervals]
        lines = max((label.count("\n") + 1 for label in labels), default=1)
        figure, axes = canvas(0.75 + (0.15 + 0.15 * lines) * len(intervals), len(references) + (bounds is not None))
        for n, interval in enumerate(intervals.values()):
            colour, _, marker = style(n)
            x = np.array([interval.estimate])
            arms = _arms(x, np.array([interval.low]), np.array([interval.high]))
            axes.errorbar(x, [n], xerr=arms, color=colour, marker=marker, markersize=6.5, capsize=3.5, linewidth=1.7)
        handles = _references(axes, references, bounds, vertical=True)
        axes.set_yticks(range(len(intervals)), labels)
        axes.set_ylim(len(intervals) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(plain(x_label))
        axes.margins(x=0.06)
        if handles:
            _legend(figure, handles)
    return figure


def svg(figure: Figure, prefix: str = "figure", alt: str = "") -> str:
    """The figure as an `<svg>` element for a page: ink takes the page's text colour, ids start with `prefix`.

    Args:
        figure: as drawn by this module.
        prefix: unique on the page, so that ids of several figures do not clash.
        alt: what the picture shows, for people who do not see it.
    """
    root = ElementTree.fromstring(_save(FigureCanvasSVG(figure), format="svg", metadata={"Date": None}))
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style")]:
            parent.remove(child)  # a style element inside a page would apply to the whole page
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                value = f"{prefix}-{value}"
            elif name == f"{{{XLINK}}}href" and value.startswith("#"):
                value = f"#{prefix}-{value[1:]}"
            element.set(name, value.replace("url(#", f"url(#{prefix}-").replace(INK, "currentColor"))
    del root.attrib["width"], root.attrib["height"]  # the page decides; viewBox keeps the proportions
    root.attrib |= {"role": "img", "aria-label": plain(alt, 2_000), "style": "stroke-linejoin: round; stroke-linecap: butt"}
    return ElementTree.tostring(root, encoding="unicode")


def png(figure: Figure, dpi: int = 160) -> bytes:
    """The figure as a PNG on white, for documents that cannot hold an SVG."""
    return _save(FigureCanvasAgg(figure), format="png", dpi=dpi, facecolor="white")


def canvas(height: float, legend_rows: int) -> tuple[Figure, Axes]:
    """An empty figure of the pages' width, on any background; call it inside `rc_context(SETTINGS)`."""
    figure = Figure(figsize=(WIDTH, height + 0.2 * ((legend_rows + 1) // 2)), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _references(axes: Axes, references: Mapping[str, Number], bounds: tuple[Number, Number] | None, vertical: bool = False) -> Handles:
    line, span = (axes.axvline, axes.axvspan) if vertical else (axes.axhline, axes.axhspan)
    players: dict[Number, list[str]] = {}
    for name, score in references.items():  # players with the same score share a line
        players.setdefault(score, []).append(name)
    handles: Handles = []
    for n, (score, names) in enumerate(players.items()):
        dashes = REFERENCE_LINES[n % len(REFERENCE_LINES)]
        label = f"{plain(', '.join(names))} ({number(score)})"
        handles.append((label, line(score, color=GREY, linestyle=dashes, linewidth=1.3, zorder=1.5)))
    if bounds is not None:
        # The edges are drawn too: exact bounds can be closer to each other than a pixel.
        optimum = span(*bounds, facecolor=(GREY, 0.35), edgecolor=GREY, linewidth=1.6, zorder=1.4)
        handles.append((f"optimum, {bounds[0]:.4g} to {bounds[1]:.4g}", optimum))
    return handles


def _arms(middle: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    if not np.all(np.isfinite([low, high])):
        return None
    return np.clip(np.stack([middle - low, high - middle]), 0, None)


def _legend(figure: Figure, handles: Handles) -> None:
    # Before 3.10 matplotlib drops labels that start with an underscore; a word joiner in front keeps them and does not show.
    labels = [f"\u2060{label}" if label.startswith("_") else label for label, _ in handles]
    columns = 2 if len(labels) > 1 and max(map(len, labels)) <= 30 else 1
    artists = [artist for _, artist in handles]
    figure.legend(artists, labels, loc="outside lower center", ncols=columns, handlelength=3.2, labelspacing=0.35)


def _save(canvas: FigureCanvasSVG | FigureCanvasAgg, **options: Any) -> bytes:
    stream = io.BytesIO()
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's reader has more fonts than this machine
        canvas.print_figure(stream, **options)
    return stream.getvalue()
