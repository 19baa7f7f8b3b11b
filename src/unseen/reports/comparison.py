"""What a page says about several runs on the same environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.curves import Curves, learning_curves, summary_interval
from unseen.reports.figures import dots
from unseen.reports.run_curves import RETURN, curves_figure, curves_of
from unseen.reports.statistics import probability_of_improvement
from unseen.reports.summary import RunSummary, score
from unseen.reports.text import number
from unseen.reports.verdict import beats, scale


def comparison(runs: Sequence[RunSummary], title: str = "") -> Section:
    """Several runs on one environment: their curves in one figure, final returns, and a table against the first of them.

    Args:
        runs: the first is the baseline; its reference scores are shown.
        title: of the section; made from the environment by default.
    """
    title = title or f"{runs[0].environment}: {len(runs)} runs compared"
    runs = distinct(runs)
    measured = [(run, curves) for run in runs if (curves := curves_of(run, RETURN)) is not None]
    silent = [run.label for run in runs if run.label not in {r.label for r, _ in measured}]
    blocks: list[Block] = [Text(f"No episode has finished yet in: {', '.join(silent)}.", "soft")] if silent else []
    if not measured:
        return Section(title, blocks)
    # One span for all: an area that leaves out the first steps of one run only would flatter that run.
    start = max(float(curves.env_steps[0]) for _, curves in measured)
    stop = min(float(curves.env_steps[-1]) for _, curves in measured)
    if start > stop:
        blocks.append(Text("These runs have no environment steps in common over which they could be compared."))
        return Section(title, blocks)
    curves = {run.label: learning_curves(run.metrics, RETURN, start=start, stop=stop) for run, _ in measured}
    first = measured[0][0]
    blocks.append(
        Text(
            f"All runs are judged at {number(stop)} environment steps, the most that every one of them has reached, "
            f"and their areas begin at {number(start)}, where the last of them has its first value."
        )
    )
    blocks.append(curves_figure(curves, "return", first.references, None))
    finals = {label: summary_interval(each.final()) for label, each in curves.items()}
    scores = {name: score(reference)[0] for name, reference in first.references.items()}
    described = "; ".join(f"{label}: {number(value.estimate)}" for label, value in finals.items())
    figure = dots(finals, x_label="final return", references=scores)
    blocks.append(Figure(figure, "Final return: interquartile mean over seeds with its 95 % interval.", f"Final return. {described}."))
    blocks.append(_scores(curves, first))
    if len(curves) == 1:
        return Section(title, blocks)
    blocks.append(_against_first(curves, first))
    blocks.append(Text(_meaning(first.label, min(len(each.seeds) for each in curves.values())), "soft"))
    return Section(title, blocks)


def _scores(curves: Mapping[str, Curves], first: RunSummary) -> Table:
    on = scale(first.references)
    rows: list[list[Cell]] = []
    for label, each in curves.items():
        final, auc = summary_interval(each.final()), summary_interval(each.auc())
        rows.append([label, final, auc, *([on.of(final)] if on else []), len(each.seeds)])
    columns = ["run", "final return", "AUC", *(["normalised final"] if on else []), "seeds"]
    normalised = f"; normalised: random is 0, {on.name} is 1" if on else ""
    return Table(columns, rows, f"Interquartile means over seeds with 95 % intervals; AUC is divided by its span{normalised}")


def _against_first(curves: Mapping[str, Curves], first: RunSummary) -> Table:
    base = curves[first.label]
    rows: list[list[Cell]] = []
    for label, each in curves.items():
        if label != first.label:
            chances = [probability_of_improvement([x], [y]) for x, y in ((each.final(), base.final()), (each.auc(), base.auc()))]
            rows.append([label, *chances, _reading(*map(beats, chances))])
    return Table(("run", "by final return", "by AUC", "reading"), rows, f"Probability of improvement over {first.label}")


def _meaning(first: str, seeds: int) -> str:
    few = "" if seeds >= 5 else f" With {seeds} seeds these intervals are too narrow: take no decision from them."
    return (
        f"This is the probability that a seed of the run scores above a seed of {first}, ties counted half. A run is called better "
        f"or worse where the 95 % interval excludes one half; 1 [1, 1] means that all of its seeds were above.{few}"
    )


def _reading(final: str, auc: str) -> str:
    return final if final == auc else f"final: {final}; AUC: {auc}"


def distinct(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs with short labels that differ.

    What all labels begin with, up to a " · ", is left out; equal ones get their directory's name, then a number.
    """
    parts = [run.label.split(" · ") for run in runs]
    while len({p[0] for p in parts}) == 1 and all(len(p) > 1 for p in parts):
        parts = [p[1:] for p in parts]
    short = [" · ".join(p) for p in parts]
    named = [f"{label} ({run.name})" if short.count(label) > 1 else label for label, run in zip(short, runs)]
    labels: list[str] = []
    for label in named:
        copy, k = label, 2
        while copy in labels:
            copy, k = f"{label} #{k}", k + 1
        labels.append(copy)
    return [replace(run, label=label) for run, label in zip(runs, labels)]
