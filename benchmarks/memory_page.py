"""The results page of the memory suite: reference scores, what a GRU agent learns, and speed, from the data beside it.

    python benchmarks/memory_page.py

Reads `references.json` of the package, `docs/results/speed/memory_suite.json` and `docs/results/memory/`; writes
`docs/results/memory.md` and `docs/results/memory-learning.png`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from unseen.environments.memory_suite.scores import table
from unseen.environments.memory_suite.suite import TASKS

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
PLAYERS = ("random", "memoryless", "perfect_memory", "oracle")

LEARNT_ON = "On one NVIDIA H100, several tasks at a time; those with fewer than 6 million steps were stopped after two and a half minutes."

HEAD = """# The memory suite, measured

What the tasks look like and how their levels differ is in the [gallery](../memory-suite.md); this page is written by
`python benchmarks/memory_page.py` from data that the commands below make.
"""


def speed() -> list[str]:
    """The benchmark's table."""
    path = RESULTS / "speed" / "memory_suite.json"
    if not path.exists():
        return []
    figures = json.loads(path.read_text())
    machine = json.loads((path.parent / "machines.json").read_text()).get("memory_suite", "")
    lines = [
        "## Speed",
        "",
        "`python benchmarks/memory_suite.py --json docs/results/speed/memory_suite.json`: random actions, 1,024 copies,",
    ]
    lines += [f"every entry of every observation added up, episodes from a pool. {machine}.", ""]
    lines += ["| task | compact, steps/s | first person, 96 × 72 pictures/s |", "| --- | --- | --- |"]
    for task in TASKS:
        name = task.replace("-", "_")
        lines.append(f"| {task} | {figures[f'compact_{name}']:,.0f} | {figures[f'firstperson_{name}']:,.0f} |")
    lines.append(f"| **slowest** | **{figures['min_compact_steps_per_s']:,.0f}** | **{figures['min_firstperson_frames_per_s']:,.0f}** |")
    if "ratio_memory_maze" in figures:
        peer, ratio = figures["peer_memory_maze_frames_per_s"], figures["ratio_memory_maze"]
        lines += ["", f"memory-maze's 9x9 maze, 64 × 64, rendered in software in the same run: {peer:,.0f} pictures/s; ratio {ratio:,.0f}."]
    return [*lines, ""]


def references() -> list[str]:
    """All players on all levels."""
    found = table()
    if not found:
        return []
    lines = ["## Reference scores", "", "Mean return of whole episodes ± its standard error, `python benchmarks/memory_references.py`."]
    lines += ["*Perfect memory* remembers only what it observed; in the arenas and mazes it is told where it is. *Oracle* sees the state."]
    lines += ["A score is normalised as 100 · (score − random) / (perfect memory − random), level by level.", ""]
    for name, levels in found.items():
        extra = sorted({player for scores in levels.values() for player in scores} - set(PLAYERS))
        columns = [*PLAYERS, *extra]
        lines += [f"### `{name}`", "", "| level | " + " | ".join(c.replace("_", " ") for c in columns) + " |"]
        lines += ["| --- |" + " --- |" * len(columns)]
        for level, scores in levels.items():
            cells = [f"{scores[c]['mean']:.2f} ± {scores[c]['standard_error']:.2f}" if c in scores else "–" for c in columns]
            lines.append(f"| `{level}` | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


def learning() -> list[str]:
    """Curves of the GRU agent against the reference lines, and how far it came."""
    folder = RESULTS / "memory"
    done = [task for task in TASKS if (folder / f"{task}.parquet").exists()]
    if not done:
        return []
    _figure(folder, done).savefig(RESULTS / "memory-learning.png", dpi=110)
    lines = ["## What a GRU agent learns in a few minutes", ""]
    lines += ["`python benchmarks/memory_learning.py`: PPO, GRU of 128, one setting for all tasks, two seeds, trained on the training"]
    lines += [f"level only. {LEARNT_ON}", "", "![Learning curves against the reference players](memory-learning.png)", ""]
    lines += [
        "Mean return of the last tenth of training, each seed, and where that lies between the players (random 0, perfect memory 100):"
    ]
    lines += ["", "| task | million steps | seeds | random | memoryless | perfect memory | normalised |", "| --- |" + " --- |" * 6]
    for task in done:
        marks = {player: table()[f"memory/{task}"]["train"][player]["mean"] for player in PLAYERS}
        steps, last = _last(folder / f"{task}.parquet")
        low, high = marks["random"], marks["perfect_memory"]
        between = [100 * (value - low) / (high - low) for value in last]
        cells = [f"{steps / 1e6:.1f}", ", ".join(f"{value:.1f}" for value in last)]
        cells += [f"{marks[player]:.1f}" for player in ("random", "memoryless", "perfect_memory")]
        lines.append(f"| {task} | " + " | ".join(cells) + f" | {', '.join(f'{value:.0f}' for value in between)} |")
    return [*lines, "", *_levels(folder)]


def _last(path: Path) -> tuple[int, list[float]]:
    """How many steps there were, and each seed's mean return over the last tenth of them."""
    returns = pl.read_parquet(path).filter(pl.col("metric") == "return").drop_nans("value")
    steps = int(returns["env_steps"].max())  # type: ignore[arg-type]
    late = returns.filter(pl.col("env_steps") > 0.9 * steps).group_by("seed").agg(pl.col("value").mean()).sort("seed")
    return steps, late["value"].to_list()


def _levels(folder: Path) -> list[str]:
    """Normalised scores of the last policies on the three main levels, where they were evaluated."""
    scored = [task for task in TASKS if (folder / f"{task}.json").exists()]
    if not scored:
        return []
    lines = ["Normalised scores of the last policies on other levels (mean over seeds, lowest and highest seed):", ""]
    levels = ("train", "holdout_interpolate", "holdout_extrapolate")
    lines += ["| task | " + " | ".join(levels) + " |", "| --- |" + " --- |" * len(levels)]
    for task in scored:
        scores, marks = json.loads((folder / f"{task}.json").read_text()), table()[f"memory/{task}"]
        cells = []
        for level in levels:
            low, high = marks[level]["random"]["mean"], marks[level]["perfect_memory"]["mean"]
            normalised = [100 * (score - low) / (high - low) for score in scores[level]]
            cells.append(f"{np.mean(normalised):.0f} [{min(normalised):.0f}, {max(normalised):.0f}]")
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _figure(folder: Path, done: list[str]) -> Any:
    """One panel a task: each seed's curve, the three reference lines told apart by their dashes."""
    from matplotlib.figure import Figure

    rows = -(-len(done) // 4)
    figure = Figure(figsize=(13, 2.7 * rows), layout="constrained")
    lines = {"perfect_memory": (0, ()), "memoryless": (0, (5, 2)), "random": (0, (1, 2))}
    for k, task in enumerate(done):
        axes = figure.add_subplot(rows, 4, k + 1)
        curves = pl.read_parquet(folder / f"{task}.parquet").filter(pl.col("metric") == "return").drop_nans("value")
        for _, curve in curves.group_by("seed"):
            ordered = curve.sort("env_steps")
            axes.plot(ordered["env_steps"] / 1e6, ordered["value"], color="0.1", linewidth=1.1)
        for player, dashes in lines.items():
            mark = table()[f"memory/{task}"]["train"][player]["mean"]
            axes.axhline(mark, color="0.45", linestyle=dashes, linewidth=1.2, label=player.replace("_", " "))
        axes.set_title(task, fontsize=9)
        axes.set_xlabel("million steps", fontsize=8)
        axes.set_ylabel("return", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0)
        if k == 0:
            axes.legend(fontsize=7, loc="center right")
    return figure


def main() -> None:
    lines = [HEAD, *learning(), *speed(), *references()]
    (RESULTS / "memory.md").write_text("\n".join(lines).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()
