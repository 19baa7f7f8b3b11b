"""The results page of planning: how often a small model should plan, what a new plan was worth, and what the teachers can do.

    unseen reproduce planning --scale laptop --out runs/planning         # about four hours on two cores; resumes
    python benchmarks/planning_teachers.py --seeds 200 --json docs/results/planning/crafter_teacher.json
    python benchmarks/planning_page.py runs/planning                    # figures and figures' data into docs/results
    python benchmarks/planning_page.py                                  # the page again, from that data

Writes `docs/results/planning.md`; with a directory of `reproduce planning` also `docs/results/planning/results.json` and the pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from figures import machine

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
FOLDER = RESULTS / "planning"

HEAD = """# Learning when to plan, measured

This page is written by `python benchmarks/planning_page.py` from data that the commands below make. The paper (Paglieri et al. 2025) asks
models of 8 and 70 billion weights in Crafter and in graph search; here a transformer of less than a million weights, taught from scratch by
a scripted teacher, is asked the same questions in graph search. No number on this page is the paper's.
"""


def keep(directory: Path) -> None:
    """Figures of a finished or unfinished reproduction, and what they show as data."""
    from unseen.experiments.reproduce.planning import SCALES, run
    from unseen.planning.accounting import goldilocks, survival
    from unseen.reports.figures import png
    from unseen.reports.planning import draw_goldilocks, draw_survival
    from unseen.reports.planning_reproduced import as_json

    scale = (directory / "scale.txt").read_text(encoding="utf-8").strip()
    results = run(directory, scale, minutes=1e-9, say=lambda _: None)  # nothing new is begun
    FOLDER.mkdir(parents=True, exist_ok=True)
    options = dict(SCALES[scale].options)
    told = {"settings": options, "lessons": SCALES[scale].lessons, "updates": SCALES[scale].sft.updates, "machine": machine(["torch"])[0]}
    (FOLDER / "results.json").write_text(json.dumps(as_json(results) | told, indent=1) + "\n", encoding="utf-8")
    table = goldilocks(results.played, "success")
    (RESULTS / "planning-goldilocks.png").write_bytes(png(draw_goldilocks(table, "success", "output_tokens")))
    lives = {word: survival(results.played[word]) for word in ("dynamic", "on-event", "random:0.3") if word in results.played}
    (RESULTS / "planning-survival.png").write_bytes(png(draw_survival(lives)))


def interval(found: dict[str, Any], digits: int = 2) -> str:
    mean, low, high = (found[name] for name in ("mean", "low", "high"))
    return f"{mean:.{digits}f}" if low is None else f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def sweep(found: dict[str, Any]) -> list[str]:
    options = ", ".join(f"{name} {value}" for name, value in found["settings"].items())
    lines = ["## How often should it plan?", ""]
    lines += [f"`unseen reproduce planning --scale {found['scale']} --out runs/planning`: graph search"]
    lines += [f"({options});"]
    lines += [f"{found['lessons']:,} episodes of the teacher, {found['updates']:,} updates, {found['parameters']:,} parameters, one seed;"]
    lines += [f"the same instances for every schedule; 95 % intervals over episodes. {found['machine']}.", ""]
    lines += ["![Share of episodes that reached the target against tokens written](planning-goldilocks.png)", ""]
    lines += ["| schedule | reached the target | steps | share of steps with a plan | tokens written | illegal actions |"]
    lines += ["| --- |" + " --- |" * 5]
    for word, row in found["schedules"].items():
        cells = [interval(row[found["value"]]), interval(row["steps"], 1), interval(row["planned"])]
        cells += [interval(row["output_tokens"], 0), interval(row["illegal"], 3)]
        lines.append(f"| {word} | " + " | ".join(cells) + " |")
    lines += ["", "*Twin*: the same trajectories, the same size and updates, without a word of plans.", ""]
    return [*lines, "![Share of plans still held, by their age](planning-survival.png)", ""]


def worth(found: dict[str, Any]) -> list[str]:
    if "worth" not in found:
        return []
    lines = [
        "## What a new plan was worth",
        "",
        "The same states under `every:4`, played on with the old plan and with a new one, the same",
    ]
    lines += ["random numbers; return is 100 where the target is reached. Intervals take episodes as independent.", ""]
    lines += ["| situation | states | worth | more plan tokens |", "| --- | --- | --- | --- |"]
    for row in found["worth_by_situation"]:
        lines.append(f"| {row['situation']} | {row['states']} | {interval(row)} | {row['more_plan_tokens']:.1f} |")
    return [*lines, ""]


def obedience(found: dict[str, Any]) -> list[str]:
    if "obedience" not in found:
        return []
    lines = ["## Does it do what a plan says?", "", "Plans from outside at the same states, held for three steps; means over states.", ""]
    lines += ["| plan | moves along the correct route | along its own route | reached the target |", "| --- | --- | --- | --- |"]
    for row in found["obedience"]:
        own = "–" if row["own"] is None else f"{row['own']:.2f}"
        lines.append(f"| {row['kind']} | {row['obedience']:.2f} | {own} | {row['reached']:.2f} |")
    return [*lines, ""]


def teacher(found: dict[str, float]) -> list[str]:
    """What the scripted teacher of Crafter reaches."""
    lines = [
        "## The teacher of Crafter",
        "",
        "`python benchmarks/planning_teachers.py --seeds 200`: it sees what an agent is told, remembers it, and",
    ]
    lines += [
        "plays by a ladder of subgoals; 200 seeds that were not played while it was written, 2,000 steps at most, means ± standard errors.",
        "",
    ]
    lines += ["| figure | mean |", "| --- | --- |"]
    means = {name: value for name, value in found.items() if f"{name}_se" in found}
    return [*lines, *(f"| {name.replace('_', ' ')} | {value:.4g} ± {found[f'{name}_se']:.2g} |" for name, value in means.items()), ""]


def keep_reinforced(directory: Path) -> None:
    """Figures and pictures of the second stage, as far as it was run."""
    from unseen.experiments.reproduce.planning_rl import run
    from unseen.reports.blocks import Figure, Table
    from unseen.reports.figures import png
    from unseen.reports.planning_rl import reinforcement_json, reinforcement_sections

    scale = (directory / "scale.txt").read_text(encoding="utf-8").strip()
    found = [one for one in run(directory, scale, minutes=1e-9, say=lambda _: None) if any(o.after is not None for o in one.outcomes)]
    told = []
    for one, section, figures in zip(found, reinforcement_sections(found), reinforcement_json(found), strict=True):
        drawn = [block for block in section.blocks if isinstance(block, Figure)]
        place = (one.grid.name or "ten-nodes").replace("_", "-")
        names = [f"planning-rl-{place}-{what}.png" for what in ("return", "frequency")]
        for name, block in zip(names, drawn, strict=True):
            (RESULTS / name).write_bytes(png(block.figure))
        tables = [
            {"columns": list(t.columns), "rows": [[_cell(c) for c in row] for row in t.rows], "caption": t.caption}
            for t in section.blocks
            if isinstance(t, Table)
        ]
        texts = [block.text for block in section.blocks if hasattr(block, "text")]
        pictures = [{"file": n, "alt": b.alt, "caption": b.caption} for n, b in zip(names, drawn, strict=True)]
        told.append(figures | {"title": section.title, "tables": tables, "texts": texts, "pictures": pictures})
    said = {"scale": scale, "machine": machine(["torch"])[0], "grids": told}
    (FOLDER / "reinforced.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    """A cell of a report as text."""
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return f"{value[0]:.3g} [{value[1]:.3g}, {value[2]:.3g}]"
    return value if isinstance(value, str) else f"{value:.3g}"


def reinforced(found: dict[str, Any]) -> list[str]:
    """The second stage: tables and pictures of every grid."""
    lines = [
        "## Does reinforcement teach when to plan?",
        "",
        f"`unseen reproduce planning --scale {found['scale']} --out runs/planning`, second stage. {found['machine']}.",
        "",
    ]
    for grid in found["grids"]:
        lines += [f"### {grid['title']}", "", grid["texts"][0], ""]
        for picture in grid["pictures"]:
            lines += [f"![{picture['alt']}]({picture['file']})", "", picture["caption"], ""]
        for t in grid["tables"]:
            lines += ["| " + " | ".join(t["columns"]) + " |", "| --- |" + " --- |" * (len(t["columns"]) - 1)]
            lines += ["| " + " | ".join(row) + " |" for row in t["rows"]]
            lines += ["", t["caption"], ""]
        lines += [line for text in grid["texts"][1:] for line in (text, "")]
    return lines


def logged(found: dict[str, Any]) -> list[str]:
    """What planning was worth, from logs, beside the truth; and what schedules follow from it."""
    said = found["estimand"]
    lines = [
        "## What was planning worth, estimated from logs?",
        "",
        f"`python benchmarks/planning_worth.py runs/planning-worth`: {found['player']} (no language model: the truth can be had).",
        f"{found['logs']} independent logs of {found['episodes_per_log']:,} episodes under `{found['logging']}`; afterwards",
        f"`{said['policy']}`, discount {said['discount']}, price {said['price']} of a plan token, for estimate and truth alike.",
        f"Truth: forks of logged states, both arms played on. {found['machine']}.",
        "",
        "| situation | truth | mean estimate | its standard error, mean | spread over logs | coverage of 95 % | by the state alone | "
        "advice, logs |",
        "| --- |" + " --- |" * 7,
    ]
    for row in found["situations"]:
        advice = ", ".join(f"{word} {count}" for word, count in row["advice"].items())
        cells = [f"{row['truth']:.2f} ± {row['truth_error']:.2f}", f"{row['mean_estimate']:.2f}", f"{row['mean_standard_error']:.2f}"]
        cells += [f"{row['spread_of_estimates']:.2f}", f"{row['coverage']:.2f}", f"{row['by_state_alone']['coverage']:.2f}", advice]
        lines.append(f"| {row['situation']} | " + " | ".join(cells) + " |")
    verdicts = ", ".join(f"{count} {colour}" for colour, count in found["verdicts"].items())
    lines += [
        "",
        f"Coverage over logs and situations: {found['coverage']:.2f} (aim: at least 0.9); of importance sampling with the known",
        f"probabilities {found['check_coverage']:.2f}; of the doubly robust estimate on the encoded state alone",
        f"{found['coverage_by_state_alone']:.2f}. Verdicts: {verdicts}.",
        "",
        "**Schedules that follow from it** (`when-worth-it`, rule *interval*), on fresh instances, against the best mixture of fixed",
        "schedules that writes no more tokens; discounted return:",
        "",
        "| the log's policy | schedule decides | logs | reached | output tokens | above fixed schedules |",
        "| --- |" + " --- |" * 5,
    ]
    for policy, rounds in found["schedules"].items():
        if policy == "others":
            continue
        for k, of_round in enumerate(rounds):
            for one in of_round["schedules"]:
                gap = one["above_fixed_at_equal_tokens"]["discounted_return"]
                decides = "; ".join(f"{where}: {what}" for where, what in one["decides"].items())
                cells = [
                    f"`{policy}`" + (f", round {k + 1}" if len(rounds) > 1 else ""),
                    decides,
                    str(one["logs"]),
                    f"{one['success']:.2f}",
                ]
                cells += [f"{one['output_tokens']:.0f}", f"{gap['mean']:.2f} [{gap['low']:.2f}, {gap['high']:.2f}]"]
                lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def page() -> str:
    lines = [HEAD]
    if (FOLDER / "results.json").exists():
        found = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
        lines += [*sweep(found), *worth(found), *obedience(found)]
    if (FOLDER / "reinforced.json").exists():
        lines += reinforced(json.loads((FOLDER / "reinforced.json").read_text(encoding="utf-8")))
    if (FOLDER / "worth.json").exists():
        lines += logged(json.loads((FOLDER / "worth.json").read_text(encoding="utf-8")))
    if (FOLDER / "crafter_teacher.json").exists():
        lines += teacher(json.loads((FOLDER / "crafter_teacher.json").read_text(encoding="utf-8")))
    remarks = FOLDER / "remarks.md"
    if remarks.exists():
        lines.append(remarks.read_text(encoding="utf-8"))
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, nargs="?", help="of `unseen reproduce planning`")
    options = parser.parse_args()
    if options.directory is not None and (options.directory / "student" / "done.txt").exists():
        keep(options.directory)
    if options.directory is not None:
        keep_reinforced(options.directory)
    (RESULTS / "planning.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
