"""What a page says about outcomes estimated from logged decisions: the verdict first, then estimates, then why to trust them or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, NullFormatter

from unseen.outcomes.comparison import Comparison
from unseen.outcomes.estimates import Estimate
from unseen.outcomes.profiles import Profiles, profiles
from unseen.outcomes.recommendation import Recommendations
from unseen.outcomes.verdict import Verdict
from unseen.reports.blocks import Block, Cell, Details, Figure, Section, Table, Text
from unseen.reports.figures import GREY, INK, SETTINGS, canvas, style
from unseen.reports.statistics import Interval
from unseen.reports.text import interval, number, plain

_KIND = {"green": "good", "amber": "verdict", "red": "poor"}
_MEANS = {
    "green": "None of the checks below speaks against these intervals.",
    "amber": "Take these intervals with care.",
    "red": "Do not trust these estimates.",
}
MOST_BARS = 24
RETURN = "sum of discounted rewards"


def outcome_section(learner: Any, estimates: Mapping[str, Estimate], title: str, level: float = 0.95) -> Section:
    """One fitted learner: verdict, value, estimates by group, diagnostics with their pictures.

    Args:
        learner: fitted, with `diagnostics`.
        estimates: caption -> estimates that belong together, whose bands hold at once.
        title: of the section.
        level: of intervals.
    """
    blocks: list[Block] = [verdict_text(learner.diagnostics.verdict), _headline(learner, level)]
    for caption, estimate in estimates.items():
        contrast = " instead of " in caption
        blocks += estimate_blocks(estimate, caption, level, "difference of the sums of discounted rewards" if contrast else RETURN)
    blocks.append(diagnostics_section(learner))
    blocks.append(Details("Settings and data", [Text(line, "soft") for line in str(learner.summary(level)).splitlines()[:2]]))
    return Section(title, blocks)


def verdict_text(verdict: Verdict) -> Text:
    """The verdict with its reasons."""
    reasons = "".join(f" {reason[0].upper()}{reason[1:]}." for reason in verdict.reasons)
    return Text(f"Verdict: {verdict.colour}. {_MEANS[verdict.colour]}{reasons}", _KIND[verdict.colour])  # type: ignore[arg-type]


def _headline(learner: Any, level: float) -> Text:
    value = learner.value()
    low, high = value.interval(level)
    return Text(
        f"The policy is worth {interval(Interval(value.estimate, low, high))} ({100 * level:g} % interval), begun where the data begin."
    )


def estimate_blocks(estimate: Estimate, caption: str, level: float, x_label: str = RETURN) -> list[Block]:
    """A picture and a table of estimates that belong together."""
    table = estimate.table(level)
    rows: list[list[Cell]] = [
        [row["name"], Interval(row["estimate"], row["low"], row["high"]), row["standard_error"], row["band_low"], row["band_high"]]
        for row in table.iter_rows(named=True)
    ]
    shown = Table(("who", f"estimate [{100 * level:g} %]", "standard error", "all at once: from", "to"), rows, caption)
    told: list[Block] = [Text(f"Caution: {words}.", "poor") for words in estimate.cautions]
    if not 1 < len(estimate) <= MOST_BARS:
        return [shown, *told]
    said = "; ".join(f"{row[0]}: {number(row[1].estimate)}" for row in rows if isinstance(row[1], Interval))
    note = f"{caption}. Thick: {100 * level:g} % intervals, each by itself; thin: all at once."
    return [Figure(forest(estimate, level, x_label), note, f"Estimates with intervals. {said}."), *told, Details("In numbers", [shown])]


def forest(estimate: Estimate, level: float, x_label: str) -> Drawing:
    """Estimates as dots, their intervals thick, their simultaneous band thin."""
    table = estimate.table(level)
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(0.8 + 0.27 * len(estimate), 0)
        axes.grid(False, axis="y")
        colour = style(0).colour
        at = np.arange(len(estimate))
        axes.hlines(at, table["band_low"], table["band_high"], color=colour, linewidth=1.0)
        axes.hlines(at, table["low"], table["high"], color=colour, linewidth=3.4)
        axes.plot(table["estimate"], at, "o", color="white", markeredgecolor=INK, markersize=5, zorder=3)
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_yticks(at, [plain(name, 36) for name in estimate.names])
        axes.set_ylim(len(estimate) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x_label)
    return figure


def diagnostics_section(learner: Any) -> Section:
    """Overlap, tails, calibration and influence, drawn and in numbers."""
    d, shown = learner.diagnostics, profiles(learner)
    weights: list[list[Cell]] = [
        [name, w.ess, w.share, w.largest, *w.percentiles, w.hill, w.above_10, w.above_100] for name, w in d.weights.items()
    ]
    numbers: list[list[Cell]] = [
        ["trajectories", d.trajectories],
        ["decisions used", d.rows],
        ["decisions left out, since what followed is not known", d.dropped],
        ["share of actions taken that were given less than the floor", _or_dash(d.floored)],
        ["share of the policy's actions hardly ever taken", _or_dash(d.unsupported)],
        ["share of the policy's visits where the data have nothing", _or_dash(d.uncovered)],
        ["share of the value's weights below 0", d.negative],
        ["calibration error of the behaviour policy, beyond chance", _or_dash(d.calibration_error)],
        ["balance of the states between actions, standard errors off", _or_dash(d.balance)],
        ["residuals of the initial Q along products of features, standard errors", _or_dash(d.misfit)],
        ["moment check of the weights, standard errors off", _or_dash(d.moment)],
        ["mass of the pairwise ratio, relative error", _or_dash(d.ratio)],
        ["share of pairwise ratios cut", d.capped],
        ["largest share of one trajectory in the variance", d.contribution],
        ["correction of the first stage, standard errors", d.correction],
        *([name, score] for name, score in d.fits.items()),
    ]
    blocks: list[Block] = [
        Figure(
            tails_figure(shown),
            "How large weights get: the share of rows whose weight exceeds a multiple of the mean weight. Steep is good.",
            "Tails of the weights on logarithmic axes.",
        ),
        *_behaviour_figures(shown, learner.floor),
        Figure(
            ess_figure(shown),
            "What is left of the trajectories when whole histories are reweighted, as importance sampling does; this estimate does not.",
            "Effective number of trajectories by step.",
        ),
    ]
    columns = ("weights", "effective rows", "share", "largest", "95 %", "99 %", "99.9 %", "tail index", "above 10", "above 100")
    blocks += [
        Details("Weights in numbers", [Table(columns, weights, "Percentiles in units of the mean weight")]),
        Details("Diagnostics in numbers", [Table(("what", "value"), numbers)]),
    ]
    return Section("May this be trusted?", blocks)


def _behaviour_figures(shown: Profiles, floor: float) -> list[Block]:
    """Nothing where only the probabilities of the actions taken were logged: what the others had is not known then."""
    if not shown.calibration:
        return []
    return [
        Figure(
            calibration_figure(shown),
            "What was done against the probability it was given, in tenths of the rows, with 95 % intervals; the line is perfect.",
            "Calibration of the behaviour policy.",
        ),
        Figure(
            support_figure(shown, floor),
            "How probable the behaviour policy makes what the judged policy does: medians, quartiles and 5 to 95 %; dotted: the floor.",
            "Support of the policy's actions in the data.",
        ),
    ]


def tails_figure(shown: Profiles) -> Drawing:
    """Survival functions of the weights."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(2.4, 2)
        for n, (name, (share, size)) in enumerate(shown.tails.items()):
            positive = size > 0
            colour, line, marker = style(n)
            axes.plot(size[positive], share[positive], color=colour, linestyle=line, marker=marker, markersize=3.5, markevery=5, label=name)
        _logarithmic(axes.xaxis)
        _logarithmic(axes.yaxis)
        axes.set_xlabel("weight / mean weight")
        axes.set_ylabel("share of rows above")
        figure.legend(loc="outside lower center", ncols=3, handlelength=3)
    return figure


def _logarithmic(axis: Any) -> None:
    """Powers of ten as numbers: texts of a page are never typeset as formulas."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_formatter(FuncFormatter(lambda x, _: number(x)))
    axis.set_minor_formatter(NullFormatter())


def calibration_figure(shown: Profiles) -> Drawing:
    """Share taken against probability given, a line an action."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(2.6, 1 + len(shown.calibration) // 2)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.0)
        for n, one in enumerate(shown.calibration):
            colour, line, marker = style(n)
            label = plain(str(one.action), 24)
            axes.errorbar(
                one.given,
                one.taken,
                1.96 * one.error,
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=4,
                elinewidth=0.8,
                label=label,
            )
        top = 1.1 * max(float(np.max(one.taken + one.error)) for one in shown.calibration)
        axes.set_xlim(0, min(1.0, 1.1 * max(float(one.given.max()) for one in shown.calibration)))
        axes.set_ylim(0, min(1.05, top))
        axes.set_xlabel("probability given")
        axes.set_ylabel("share taken")
        figure.legend(loc="outside lower center", ncols=2, handlelength=3)
    return figure


def support_figure(shown: Profiles, floor: float) -> Drawing:
    """Median, quartiles and 5 to 95 % of behaviour probabilities where the policy acts."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(0.8 + 0.32 * len(shown.support), 0)
        axes.grid(False, axis="y")
        colour = style(0).colour
        for k, quantiles in enumerate(shown.support.values()):
            axes.hlines(k, quantiles[5], quantiles[95], color=colour, linewidth=1.2)
            axes.hlines(k, quantiles[25], quantiles[75], color=colour, linewidth=5)
            axes.plot(quantiles[50], k, "o", color="white", markeredgecolor=INK, markersize=5, zorder=3)
        axes.axvline(floor, color=INK, linestyle=":", linewidth=1.0)
        axes.set_yticks(range(len(shown.support)), [plain(str(label), 30) for label in shown.support])
        axes.set_ylim(len(shown.support) - 0.5, -0.5)
        axes.set_xlim(0, None)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("behaviour probability")
    return figure


def ess_figure(shown: Profiles) -> Drawing:
    """Effective number of trajectories of the cumulative ratios."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(2.0, 0)
        colour, line, marker = style(0)
        steps = np.arange(1, len(shown.ess_by_step) + 1)
        every = max(1, len(steps) // 12)
        axes.plot(steps, shown.ess_by_step, color=colour, linestyle=line, marker=marker, markersize=4, markevery=every)
        _logarithmic(axes.yaxis)
        axes.set_xlabel("step")
        axes.set_ylabel("effective trajectories")
    return figure


def comparison_section(found: Comparison, title: str = "Which policy is worth most") -> Section:
    """Policies ranked, with those that may be the best."""
    table = found.table()
    may = [str(row["policy"]) for row in table.iter_rows(named=True) if row["may_be_best"]]
    said = (
        f"{may[0]} is worth most: every other policy is worse by more than chance allows."
        if len(may) == 1
        else f"The data do not tell which of {', '.join(may)} is worth most."
    )
    rows: list[list[Cell]] = [
        [
            row["policy"],
            Interval(row["estimate"], row["low"], row["high"]),
            row["standard_error"],
            row["rank"],
            row["may_be_best"],
            row["verdict"],
        ]
        for row in table.iter_rows(named=True)
    ]
    differences = found.pairs()
    p = found.p_values()
    low, high = differences.band(found.level)
    paired: list[list[Cell]] = [
        [name, Interval(float(v), float(a), float(b)), p[name]] for name, v, a, b in zip(differences.names, differences.value, low, high)
    ]
    level = f"{100 * found.level:g} %"
    blocks: list[Block] = [
        Text(said, "good" if len(may) == 1 else "verdict"),
        Figure(
            forest(found.values, found.level, "value of the policy"), "Thick: each by itself; thin: all at once.", "Values of the policies."
        ),
        Table(("policy", f"value [{level}]", "standard error", "rank", "may be the best", "verdict"), rows),
        Table(("difference", f"paired [{level}, all at once]", "adjusted p"), paired, "All pairs, on the same trajectories"),
    ]
    return Section(title, blocks)


def recommendation_section(found: Recommendations, title: str = "What to do") -> Section:
    """Whom to recommend what, and why nothing where nothing is recommended."""
    rows: list[list[Cell]] = [
        [row["who"], row["recommended"], _or_dash(row["gain"]), _or_dash(row["gain_low"]), row["why_not"]]
        for row in found.table().iter_rows(named=True)
    ]
    said = Text(
        f"A recommendation for {found.share:.0%} of the groups. It is one step of improvement over the policy that was judged: what to do "
        "now if that policy is followed afterwards.",
        "good" if found.share > 0 else "verdict",
    )
    return Section(title, [said, Table(("who", "recommended", "gain over the next best", "at least", "why not"), rows)])


def _or_dash(value: float) -> float | None:
    return None if value != value else value
