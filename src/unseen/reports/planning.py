"""What a page says about an agent that plans: what was reached against what was spent, when it planned, how long plans lasted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.planning.accounting import Estimate, column, estimate, frequency, goldilocks, paired, per_episode, survival, whole
from unseen.planning.models.prices import Price
from unseen.planning.paired_runs import Worth
from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.figures import SETTINGS, canvas, dots, style
from unseen.reports.statistics import Interval
from unseen.reports.text import number, plain

LABELS = {
    "return": "return of an episode",
    "success": "share of episodes that reached the goal",
    "progression": "share of the task done",
    "output_tokens": "tokens written in an episode",
    "plan_tokens": "tokens spent on plans in an episode",
    "dollars": "dollars for an episode",
    "flops": "floating-point operations of an episode",
}
RESULTS = ("return", "success", "progression", "steps", "planned", "plan_tokens", "output_tokens", "return_per_1000")
COSTS = ("dollars", "action_tokens", "reasoning_tokens", "prompt_tokens", "cached_tokens", "flops", "seconds")
FAULTS = ("illegal", "disobeyed", "plan_truncated", "unclosed", "untidy")
ALWAYS = ("return", "success", "planned")  # shown even where all are 0


def planning_sections(
    played: Mapping[str, Episodes], value: str = "success", cost: str = "output_tokens", price: Price | None = None
) -> list[Section]:
    """A comparison of schedules, from episodes by schedule.

    Args:
        played: schedule -> episodes, the same seeds for all of them.
        value, cost: columns of `unseen.planning.accounting.per_episode`.
        price: of the model's tokens; with it the page says what an episode cost.

    Raises:
        UserError: a cost that is 0 for all, as floating-point operations of a model whose size is not known; or a model that failed in
            every episode of a schedule.
    """
    failed = sum(bool(str(error)) for episodes in played.values() for error in episodes.info["error"])
    played = {name: whole(episodes) for name, episodes in played.items()}
    table = goldilocks(played, value, cost, price)
    if not table[f"{cost}_mean"].to_numpy().any():
        raise UserError(f"{cost} is 0 for every schedule: this model does not tell it; give another cost, such as output_tokens")
    described = "; ".join(
        f"{row['schedule']}: {number(row[f'{value}_mean'])} for {number(row[f'{cost}_mean'])}" for row in table.to_dicts()
    )
    counts = sorted({len(episodes) for episodes in played.values()})
    caption = f"Means over {' or '.join(map(str, counts))} episodes with 95 % intervals"
    caption += ", the same instances for every schedule." if not failed and len(counts) == 1 else "."
    drawn = Figure(
        draw_goldilocks(table, value, cost), caption, f"{LABELS.get(value, value)} against {LABELS.get(cost, cost)}. {described}."
    )
    blocks: list[Block] = []
    if failed:
        said = f"In {failed} episodes the model failed for good. They are left out of everything on this page; their recordings are kept."
        blocks.append(Text(said, "poor"))
    if len(played) > 1:
        best = _best(table, value, cost)
        blocks += [_verdict(played, table, value, best), drawn, _compared(played, value, best)]
    parts = {"What was reached": RESULTS, "What it cost": COSTS, "Faults": FAULTS}
    blocks += [accounts for title, figures in parts.items() for accounts in _accounts(played, figures, title, price)]
    return [Section("What was reached, and what it cost", blocks), *_when(played)]


def _best(table: pl.DataFrame, value: str, cost: str) -> str:
    """The schedule with the highest mean; of several the one that costs least."""
    return str(table.sort(f"{value}_mean", f"{cost}_mean", descending=[True, False])["schedule"][0])


def _verdict(played: Mapping[str, Episodes], table: pl.DataFrame, value: str, best: str) -> Text:
    gaps = {name: _paired(episodes, played[best], value) for name, episodes in played.items() if name != best}
    alike = [name for name, gap in gaps.items() if not (gap.exists and gap.low > 0)]
    row = table.filter(pl.col("schedule") == best).to_dicts()[0]
    said = f"{best} reached most: {LABELS.get(value, value)} {number(row[f'{value}_mean'])}, with a plan in {row['planned']:.0%} of steps. "
    if not alike:
        return Text(said + "Every other schedule is surely below it, instance by instance (95 %).", "good")
    return Text(said + f"Not to be told from it on these instances: {', '.join(alike)}.", "verdict")


def _compared(played: Mapping[str, Episodes], value: str, best: str) -> Table:
    rows: list[list[Cell]] = [[name, interval(_paired(episodes, played[best], value))] for name, episodes in played.items() if name != best]
    caption = f"How far {best} is above each, instance by instance ({value}). It was chosen as the highest of these, which flatters it."
    return Table(("schedule", f"{best} is above it by"), rows, caption)


def _paired(first: Episodes, second: Episodes, value: str) -> Estimate:
    common = set(first.info["seed"].tolist()) & set(second.info["seed"].tolist())
    return paired(first, second, value) if len(common) > 1 else Estimate(np.nan, np.nan, np.nan, np.nan)


def _accounts(played: Mapping[str, Episodes], figures: Sequence[str], title: str, price: Price | None) -> list[Table]:
    """Means per episode of the figures that are not 0 everywhere; no table where all are."""
    tables = {name: per_episode(episodes, price) for name, episodes in played.items()}
    figures = [figure for figure in figures if figure != "dollars" or price is not None]
    same = all((table["progression"] == table["success"]).all() for table in tables.values())
    shown = [f for f in figures if f in ALWAYS or any(table[f].to_numpy().any() for table in tables.values())]
    shown = [f for f in shown if f != "progression" or not same]
    if not shown:
        return []
    rows: list[list[Cell]] = [[name, *(interval(column(table, figure)) for figure in shown)] for name, table in tables.items()]
    told = {
        "What was reached": "means per episode; planned: share of steps with a new plan; return per 1000: for each 1,000 tokens written",
        "What it cost": "means per episode; seconds: an episode's share of its batches' time, in this run",
        "Faults": "shares of steps; disobeyed: a plan that was not asked for, or none where one was",
    }[title]
    estimated = title != "Faults" and any(episodes.accounts["tokens_estimated"].any() for episodes in played.values())
    note = "; tokens are estimated from characters where the model did not tell them" if estimated else ""
    return [Table(("schedule", *(figure.replace("_", " ") for figure in shown)), rows, f"{title}: {told}{note}.")]


def _when(played: Mapping[str, Episodes]) -> list[Section]:
    """When plans were written, and how long they were held."""
    blocks: list[Block] = []
    decided = {name: episodes for name, episodes in played.items() if 0 < float(episodes.accounts["planned"].mean()) < 1}
    if decided:
        tables = {name: frequency(episodes) for name, episodes in decided.items()}
        situations = list(dict.fromkeys(text for table in tables.values() for text in table["situation"]))
        rows: list[list[Cell]] = []
        for situation in situations:
            found = [table.filter(pl.col("situation") == situation).to_dicts() for table in tables.values()]
            rows.append([situation, *(interval(_estimate(each[0])) if each else None for each in found)])
        blocks.append(Table(("situation", *decided), rows, "Share of steps on which a plan was written, by what had just happened."))
    free = {name: episodes for name, episodes in decided.items() if not name.startswith("every:")}  # there it is no finding
    lives = {name: table for name, table in ((name, survival(episodes)) for name, episodes in free.items()) if len(table) > 1}
    if lives:
        described = "; ".join(f"{name}: half of its plans held beyond {_median(table)} steps" for name, table in lives.items())
        caption = "Share of plans still held, by steps since they were written; an episode's end cuts a plan off (Kaplan and Meier)."
        blocks.append(Figure(draw_survival(lives), caption, described))
    return [Section("When it planned, and how long plans lasted", blocks)] if blocks else []


def worth_section(worth: Worth) -> Section:
    """What a new plan was worth, by situation, measured by paired re-runs."""
    table, mean = worth.by_situation(), worth.mean()
    intervals = {row["situation"]: interval(_estimate(row)) for row in table.to_dicts()}
    drawn = {
        name: value if isinstance(value, Interval) else Interval(float(value or 0), np.nan, np.nan) for name, value in intervals.items()
    }
    rows: list[list[Cell]] = [[r["situation"], r["states"], intervals[r["situation"]], r["more_plan_tokens"]] for r in table.to_dicts()]
    surely = mean.exists and (mean.low > 0 or mean.high < 0)
    said = f"A new plan was worth {number(mean.mean)} of return, 95 % interval {number(mean.low)} to {number(mean.high)}."
    said += "" if surely else " That is not to be told from nothing."
    obeyed = float(worth.states["obeyed"].mean())  # type: ignore[arg-type]
    caption = f"{len(worth.states)} states, {worth.replicates} continuations with the old plan and with a new one, the same random numbers."
    blocks: list[Block] = [
        Text(said, "good" if mean.exists and mean.low > 0 else "poor" if mean.exists and mean.high < 0 else "verdict"),
        Figure(dots(drawn, x_label="worth of a new plan, in return", references={"nothing": 0.0}), caption, said),
        Table(
            ("situation", "states", "worth of a new plan", "more plan tokens"), rows, "Intervals take episodes as independent, not states."
        ),
    ]
    if obeyed < 1:
        blocks.append(Text(f"The model planned, or kept its plan, as it was told in {obeyed:.0%} of first steps only.", "poor"))
    return Section("What a new plan was worth", blocks)


def obedience_section(table: pl.DataFrame) -> Section:
    """Correct, wrong and shuffled plans at the same states."""
    rows: list[list[Cell]] = []
    for kind in ("none", "correct", "wrong", "shuffled"):
        part = table.filter(pl.col("kind") == kind)
        cells: list[Cell] = [kind]
        for name in ("obedience", "own", "reached", "return"):
            values = part[name].drop_nulls().to_numpy().astype(np.float64)
            cells.append(interval(estimate(values) if name == "return" else bounded(estimate(values), high=1.0)) if len(values) else None)
        rows.append(cells)
    heads = ("plan", "moves along the correct route", "moves along its own route", "share that reached the target", "return")
    states = table.select("seed", "step").unique().height
    return Section(
        "Does it obey a plan from outside?",
        [
            Table(
                heads, rows, f"Means over {states} states with 95 % intervals; a model that ignores its slot does the same with all plans."
            )
        ],
    )


def draw_goldilocks(table: pl.DataFrame, value: str, cost: str) -> Drawing:
    """Every schedule as a point with its two intervals; the legend is in the order of what they cost."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(3.1, len(table))
        ordered = table.sort(f"{cost}_mean")
        x = ordered[f"{cost}_mean"].to_numpy()
        handles = []
        for n, row in enumerate(ordered.to_dicts()):
            look = style(n)
            arms = [_arms(row, name) for name in (cost, value)]
            handles.append(
                axes.errorbar(
                    [row[f"{cost}_mean"]], [row[f"{value}_mean"]], xerr=arms[0], yerr=arms[1],
                    color=look.colour, marker=look.marker, markersize=7, capsize=3, linewidth=1.4, linestyle="none",
                )
            )  # fmt: skip
        names = [plain(word, 24) for word in ordered["schedule"]]
        figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), handlelength=1.5)
        if x.min() > 0 and x.max() / x.min() > 5:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.4g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(LABELS.get(cost, cost.replace("_", " ")))
        axes.set_ylabel(LABELS.get(value, value.replace("_", " ")))
        axes.margins(x=0.15, y=0.15)
    return figure


def draw_survival(tables: Mapping[str, pl.DataFrame]) -> Drawing:
    """Steps down, with shaded intervals."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(2.6, len(tables))
        handles = []
        for n, (name, table) in enumerate(tables.items()):
            look = style(n)
            age, share = table["age"].to_numpy(), table["survival"].to_numpy()
            (line,) = axes.step(age, share, where="post", color=look.colour, linestyle=look.line, marker=look.marker, markersize=3.5)
            axes.fill_between(
                age, table["low"].to_numpy(), table["high"].to_numpy(), step="post", color=look.colour, alpha=0.18, linewidth=0
            )
            handles.append((name, line))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("steps since the plan was written")
        axes.set_ylabel("share of plans still held")
        axes.set_ylim(-0.02, 1.02)
        figure.legend(
            [line for _, line in handles], [plain(name) for name, _ in handles], loc="outside lower center", ncols=min(3, len(handles))
        )
    return figure


def _arms(row: Mapping[str, Any], name: str) -> Sequence[Sequence[float]] | None:
    low, mean, high = (row[f"{name}_{part}"] for part in ("low", "mean", "high"))
    return [[max(0.0, mean - low)], [max(0.0, high - mean)]] if np.isfinite([low, high]).all() else None


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(*(row[name] for name in Estimate._fields))


def interval(found: Estimate) -> Cell:
    """An estimate as a cell: with its interval, where there is one."""
    return Interval(found.mean, found.low, found.high) if found.exists else found.mean


def bounded(found: Estimate, high: float = math.inf) -> Estimate:
    """An estimate of what lies between 0 and this; so does its interval then."""
    return found._replace(low=max(0.0, found.low), high=min(high, found.high))


def _median(table: pl.DataFrame) -> int | str:
    below = table.filter(pl.col("survival") < 0.5)
    return int(below["age"][0]) if len(below) else f"more than {int(table['age'][-1])}"
