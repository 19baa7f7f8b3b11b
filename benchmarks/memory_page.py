"""The results page of the memory suite: which memory helps when, what a GRU agent learns, speed, reference scores, from the data beside it.

    python benchmarks/memory_page.py

Reads `references.json` of the package, `docs/results/speed/memory_suite.json`, `docs/results/memory-recall/` and
`docs/results/memory/`; writes `docs/results/memory.md`, `docs/results/memory-learning.png` and `docs/results/memory-recall-*.png`.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import memory_recall
from unseen.environments.memory_suite.scores import table
from unseen.environments.memory_suite.suite import TASKS

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
RECALL = RESULTS / "memory-recall"
SHOWN = 10  # of 100 between the memoryless and the perfect-memory player
PLAYERS = ("random", "memoryless", "perfect_memory", "oracle")

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
    lines += ["*Memoryless*: the best player known that sees only the current observation. *Perfect memory* remembers what it observed and"]
    lines += [
        "acts by a stated rule; it knows the level's own rules (where goals may lie, which motions there are), in arenas, mazes and rooms"
    ]
    lines += ["where it stands and what it was paid. *Oracle* sees the state. All but the oracle are told what is seen in the words of the"]
    lines += [
        "compact embodiment, in first person too, from the nearest cell and heading: they do not read pixels, which show more of what is"
    ]
    lines += ["far and less of what is beside, so that their first-person scores are marks to compare with and no bounds.", ""]
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


MEMORIES = {"": "GRU", "-shared": "GRU, one trunk", "-mem": "LSTM + MEM"}
LOOKS = {"": ("0.1", 1.1), "-shared": ("0.45", 1.7), "-mem": ("0.7", 2.2)}
IMITATION = "imitation.json"


def learning() -> list[str]:
    """Curves of agents without privileges against the reference lines, and how far they came."""
    folder, done = RESULTS / "memory", trained()
    if not done:
        return []
    lines = ["## What an agent learns in a few minutes", ""]
    lines += [
        "`python benchmarks/memory_learning.py`: PPO, one setting for all tasks, nothing tuned, trained on the training level only; a"
    ]
    lines += ["GRU of 128; where *one trunk* is said, actor and critic share it and 2,048 environments filled a GPU for two minutes (the"]
    lines += [
        "share of it that three runs at a time leave each); where *LSTM + MEM* is said there is an episodic memory too. Runs that were"
    ]
    lines += ["stopped before their budget say so.", ""]
    lines += ["![Learning curves against the reference players](memory-learning.png)", ""]
    lines += ["Mean return of the last tenth of training, by seed. Normalised: 0 is the random player, 100 perfect memory; beyond"]
    lines += ["memoryless: 0 is the best one known without memory, so that what is not clearly above 0 shows no use of memory.", ""]
    lines += ["| task | memory | million steps | seeds | random | memoryless | perfect memory | normalised | beyond memoryless |"]
    lines += ["| --- |" + " --- |" * 8]
    shown: dict[str, list[str]] = {}
    for task in done:
        marks = {player: table()[f"memory/{task}"]["train"][player]["mean"] for player in PLAYERS}
        for ending, memory in MEMORIES.items():
            if not (folder / f"{task}{ending}.json").exists():
                continue
            steps, wanted, last = _last(folder, f"{task}{ending}")
            top = marks["perfect_memory"]
            shares = [[100 * (value - marks[low]) / (top - marks[low]) for value in last] for low in ("random", "memoryless")]
            cells = [f"{steps / 1e6:.1f}" + ("" if steps >= wanted else f" of {wanted / 1e6:.0f}")]
            cells += [", ".join(f"{value:.1f}" for value in last)]
            cells += [f"{marks[player]:.1f}" for player in ("random", "memoryless", "perfect_memory")]
            cells += [", ".join(f"{value:.0f}" for value in share) for share in shares]
            lines.append(f"| {task} | {memory} | " + " | ".join(cells) + " |")
            how = "every seed" if min(shares[1]) >= SHOWN else "a seed" if max(shares[1]) >= SHOWN else ""
            shown[task] = max(shown.get(task, ""), how, key=["", "a seed", "every seed"].index)
    by = {how: [task for task in shown if shown[task] == how] for how in ("every seed", "a seed", "")}
    lines += [
        "",
        f"Use of memory is shown ({SHOWN} or more beyond memoryless, by every seed of some agent) on: {', '.join(by['every seed'])}.",
    ]
    if by["a seed"]:
        lines += [f"By one seed of two on: {', '.join(by['a seed'])}."]
    if by[""]:
        lines += [f"By none within these budgets on: {', '.join(by[''])}."]
        lines += ["That these can be solved from what is observed, the perfect-memory player shows; what stands in the way is asked below."]
    kept = [f"{task}{ending}" for task in done for ending in MEMORIES if (folder / f"{task}{ending}.json").exists()]
    devices = sorted({json.loads((folder / f"{name}.json").read_text())["device"] for name in kept})
    return [*lines, "", f"Trained on: {'; '.join(devices)}.", "", *_levels(folder, kept), *_imitation(folder)]


def trained() -> list[str]:
    """The tasks whose curves are on record."""
    return [task for task in TASKS if (RESULTS / "memory" / f"{task}.json").exists()]


def _imitation(folder: Path) -> list[str]:
    """Whether the same agents can hold what is asked of them, where rewards did not teach it."""
    if not (folder / IMITATION).exists():
        return []
    found = json.loads((folder / IMITATION).read_text())
    lines = ["### What stands in the way: memory, or reward?", ""]
    lines += [
        "`python benchmarks/memory_imitation.py`: the same agents are told at every step what perfect memory would do, and then play by",
        "themselves, whole episodes. Where imitation reaches what reward did not, the memory can hold it and the reward came too late or",
        "too seldom; where it does not, the memory itself has not learned to compare in so many steps.",
        "",
        "| task | memory | million steps | minutes | loss, first and last | beyond memoryless: train | interpolate | extrapolate |",
        "| --- |" + " --- |" * 7,
    ]
    for name, one in found.items():
        task = name.removesuffix("-mem")
        cells = [f"{one['steps'] / 1e6:.1f}", f"{one['seconds'] / 60:.0f}", f"{one['losses'][0]:.3f}, {one['losses'][-1]:.3f}"]
        for level, score in one["scores"].items():
            marks = table()[f"memory/{task}"][level]
            low, high = marks["memoryless"]["mean"], marks["perfect_memory"]["mean"]
            share, error = 100 * (score["mean"] - low) / (high - low), 100 * score["standard_error"] / (high - low)
            cells.append(f"{share:.0f} ± {error:.0f}")
        lines.append(f"| {task} | {'LSTM + MEM' if name != task else 'GRU'} | " + " | ".join(cells) + " |")
    devices = sorted({one["device"] for one in found.values()})
    return [*lines, "", f"± one standard error over {found[next(iter(found))]['how']['episodes']} episodes. {'; '.join(devices)}.", ""]


def _last(folder: Path, name: str) -> tuple[int, int, list[float]]:
    """How many steps there were and were wanted, and each seed's mean return over the last tenth of them."""
    returns = pl.read_parquet(folder / f"{name}.parquet").filter(pl.col("metric") == "return").drop_nans("value")
    steps = int(returns["env_steps"].max())  # type: ignore[arg-type]
    late = returns.filter(pl.col("env_steps") > 0.9 * steps).group_by("seed").agg(pl.col("value").mean()).sort("seed")
    wanted = tomllib.loads((folder / f"{name}.toml").read_text())["env_steps"]
    return steps, wanted, late["value"].to_list()


def _levels(folder: Path, kept: list[str]) -> list[str]:
    """Normalised scores of the last policies on the three main levels, where they were evaluated."""
    found = {name: json.loads((folder / f"{name}.json").read_text())["scores"] for name in kept}
    scored = {name: scores for name, scores in found.items() if scores}
    if not scored:
        return []
    lines = [
        "Normalised scores of the last policies on other levels (mean over seeds, lowest and highest seed), where they were evaluated:"
    ]
    levels = ("train", "holdout_interpolate", "holdout_extrapolate")
    lines += ["", "| task | memory | " + " | ".join(levels) + " |", "| --- | --- |" + " --- |" * len(levels)]
    for name, scores in scored.items():
        task = name.removesuffix("-mem").removesuffix("-shared")
        marks, cells = table()[f"memory/{task}"], []
        for level in levels:
            low, high = marks[level]["random"]["mean"], marks[level]["perfect_memory"]["mean"]
            normalised = [100 * (score - low) / (high - low) for score in scores[level]]
            cells.append(f"{np.mean(normalised):.0f} [{min(normalised):.0f}, {max(normalised):.0f}]")
        lines.append(f"| {task} | {MEMORIES[name.removeprefix(task)]} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _figure(folder: Path, done: list[str]) -> Any:
    """One panel a task: each seed's curve, the three reference lines told apart by their dashes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    rows = -(-len(done) // 4)
    figure = Figure(figsize=(13, 2.7 * rows), layout="constrained")
    lines = {"perfect_memory": (0, ()), "memoryless": (0, (5, 2)), "random": (0, (1, 2))}
    legend: dict[str, Any] = {}
    for k, task in enumerate(done):
        axes = figure.add_subplot(rows, 4, k + 1)
        for ending, memory in MEMORIES.items():
            if not (folder / f"{task}{ending}.parquet").exists():
                continue
            curves = pl.read_parquet(folder / f"{task}{ending}.parquet").filter(pl.col("metric") == "return").drop_nans("value")
            for n, (_, curve) in enumerate(curves.group_by("seed", maintain_order=True)):
                ordered = curve.sort("env_steps")
                colour, thick = LOOKS[ending]
                label = memory if n == 0 else None
                axes.plot(ordered["env_steps"] / 1e6, ordered["value"], color=colour, linewidth=thick, label=label)
        for player, dashes in lines.items():
            mark = table()[f"memory/{task}"]["train"][player]["mean"]
            axes.axhline(mark, color="0.45", linestyle=dashes, linewidth=1.2, label=player.replace("_", " "))
        axes.set_title(task, fontsize=9)
        axes.set_xlabel("million steps", fontsize=8)
        axes.set_ylabel("return", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0)
        axes.set_xscale("log")
        axes.set_xlim(0.1, 100)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            legend.setdefault(label, handle)
    figure.legend(list(legend.values()), list(legend), fontsize=8, loc="outside lower center", ncols=len(legend))
    return figure


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *recall(), *learning(), *speed(), *references()]).rstrip() + "\n"


def recall() -> list[str]:
    """The matrix of working and episodic memories, as far as it was run."""
    found = memory_recall.results(RECALL)
    return [] if found is None else memory_recall.section(found, RECALL)


def main() -> None:
    (RESULTS / "memory.md").write_text(page(), "utf-8")
    if trained():
        _figure(RESULTS / "memory", trained()).savefig(RESULTS / "memory-learning.png", dpi=110)
    found = memory_recall.results(RECALL)
    if found is not None:
        memory_recall.draw(found, RESULTS)


if __name__ == "__main__":
    main()
