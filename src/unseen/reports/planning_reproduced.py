"""The page of `reproduce planning`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from unseen.data.episodes import Episodes
from unseen.experiments.reproduce.planning import Results, scale_named
from unseen.experiments.reproduce.planning_rl import Found
from unseen.planning.accounting import Estimate, column, paired, per_episode
from unseen.planning.lessons import WITHHELD
from unseen.reports.blocks import Cell, Section, Table, Text
from unseen.reports.page import Page
from unseen.reports.plain_data import finite
from unseen.reports.planning import interval, obedience_section, planning_sections, worth_section
from unseen.reports.planning_rl import reinforcement_json, reinforcement_sections
from unseen.reports.text import number

VALUES = {"graph-search": "success", "crafter": "progression"}


def page(results: Results, reinforced: Sequence[Found] = ()) -> Page:
    """The whole report, of the first stage and of the second where there is one."""
    scale = scale_named(results.scale)
    options = ", ".join(f"{name} {value}" for name, value in scale.options.items())
    lead = (
        f"How often should an agent plan? Scale {results.scale}: {scale.environment} ({options}); a student of {results.parameters:,} "
        f"parameters, taught by {scale.lessons:,} episodes of a scripted teacher in {scale.sft.updates:,} updates."
    )
    value = VALUES.get(scale.environment, "return")
    sections = [] if results.taught is None else [_teacher(results.taught, value)]
    if results.played:
        sections += planning_sections(results.played, value)
        sections.append(_against(results, value))
    if results.worth is not None:
        sections.append(worth_section(results.worth))
    if results.obeyed is not None:
        sections.append(obedience_section(results.obeyed))
    sections += reinforcement_sections(reinforced, value)
    missing = [word for word in scale.schedules if word not in results.played]
    if missing:
        sections.append(Section("Not run", [Text(f"The time was over before: {', '.join(missing)}.", "poor")]))
    return Page("Learning when to plan, reproduced", sections, lead)


def _teacher(taught: Episodes, value: str) -> Section:
    table = per_episode(taught)
    rows: list[list[Cell]] = [
        [name.replace("_", " "), interval(column(table, name))] for name in dict.fromkeys((value, "return", "steps", "planned"))
    ]
    reasons = pl.Series([str(reason) for reason in taught.text["reason"] if reason and reason != WITHHELD]).value_counts(sort=True)
    total = reasons["count"].sum()
    for reason, count in reasons.iter_rows():
        rows.append([f"plans because: {reason}", f"{count / total:.0%}"])
    return Section("The teacher", [Table(("figure", "mean per episode"), rows, f"{len(taught):,} recorded episodes.")])


def _against(results: Results, value: str) -> Section:
    """Schedules against never, and against the twin, instance by instance."""
    blocks: list[Any] = []
    if "never" in results.played:
        rows: list[list[Cell]] = [
            [word, interval(paired(results.played["never"], episodes, value))]
            for word, episodes in results.played.items()
            if word != "never"
        ]
        caption = f"Difference in {value}, same student, same instances, episode by episode."
        blocks.append(Table(("schedule", "better than never planning by"), rows, caption))
    if results.twin is not None:
        table = per_episode(results.twin)
        best = max(results.played, key=lambda word: column(per_episode(results.played[word]), value).mean)
        gap = paired(results.twin, results.played[best], value)
        said = (
            f"A twin that was taught the same trajectories without a word of plans reached {_words(column(table, value))}; the best "
            f"schedule, {best}, chosen among {len(results.played)} on these instances, is {_words(gap)} above it."
        )
        blocks.append(Text(said, "good" if gap.low > 0 else "verdict"))
    return Section("Is it the plans?", blocks)


def as_json(results: Results, reinforced: Sequence[Found] = ()) -> dict[str, Any]:
    """The figures of the report as plain data."""
    value = VALUES.get(scale_named(results.scale).environment, "return")
    figures: dict[str, Any] = {"scale": results.scale, "parameters": results.parameters, "value": value}
    tables = {word: per_episode(episodes) for word, episodes in results.played.items()}
    if results.taught is not None:
        tables["teacher"] = per_episode(results.taught)
    if results.twin is not None:
        tables["twin, never"] = per_episode(results.twin)
    figures["schedules"] = {
        word: {
            name: column(table, name)._asdict() for name in (value, "return", "steps", "planned", "output_tokens", "plan_tokens", "illegal")
        }
        for word, table in tables.items()
    }
    if results.worth is not None:
        figures["worth"] = results.worth.mean()._asdict()
        figures["worth_by_situation"] = results.worth.by_situation().to_dicts()
    if results.obeyed is not None:
        figures["obedience"] = results.obeyed.group_by("kind", maintain_order=True).mean().drop("seed", "step").to_dicts()
    if reinforced:
        figures["reinforced"] = reinforcement_json(reinforced)
    return finite(figures)


def _words(found: Estimate) -> str:
    return f"{number(found.mean)} ({number(found.low)} to {number(found.high)})" if found.exists else number(found.mean)
