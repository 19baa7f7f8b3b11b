"""docs/results/gpu.md and its figure, from benchmarks/gpu.py's figures and the paper-scale cells that are finished.

python benchmarks/gpu.py --json docs/results/speed/gpu.json                   # on a machine with a GPU
unseen reproduce informed --scale paper --out docs/results/informed-paper     # likewise; resumes
python benchmarks/gpu_page.py docs/results
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl

from figures import markdown
from unseen.experiments.reproduce.informed import Results, gathered
from unseen.reports import informed as report
from unseen.reports.blocks import Table
from unseen.reports.curves import band
from unseen.reports.figures import learning_curves, png

HARDWARE = "One NVIDIA H200 (driver 580.159), 16 cores; Python 3.12.3, jax 0.11.2 (CUDA 13), equinox 0.13.8, optax 0.2.8."
TASK = "repeat-first-easy"
A2C = {"heavenhell_3": "heaven-hell-3, GRU-128, told heaven", "repeat_first_easy": "repeat-first, GRU-256, told the first card"}
PPO = {
    "ppo_feedforward_4096": ("no memory, heads 64-64, 4,096 environments", "≥ 5 M"),
    "ppo_feedforward_32768": ("no memory, heads 64-64, 32,768 environments", "≥ 20 M"),
    "ppo_gru_4096": ("GRU-128 twice, heads 128, 4,096 environments", "≥ 5 M"),
    "ppo_gru_32768": ("GRU-128 twice, heads 128, 32,768 environments", "≥ 20 M"),
    "ppo_gru_bf16_4096": ("the same in bfloat16, 4,096 environments", "≥ 5 M"),
    "ppo_gru_bf16_32768": ("the same in bfloat16, 32,768 environments", "≥ 20 M"),
}
MEMORY_HARDWARE = "One NVIDIA H100 80GB (driver 580.159), 16 cores; Python 3.12.3, jax 0.11.2 (CUDA 13)."
AGENTS_HARDWARE = "One NVIDIA H200 (driver 580.159), 16 cores; Python 3.12.3, jax 0.11.2 (CUDA 13), equinox 0.13.8."
ENVIRONMENTS = ("heavenhell_3", "position_cartpole_easy", "memory_four_rooms_7x7", "concentration_easy")


def page(figures: dict[str, float], paper: Results) -> list[str]:
    yes = {1.0: "yes", 0.0: "no"}
    lines = ["# On a GPU", "", HARDWARE, "", "## Training, A2C", ""]
    lines += ["20 seeds under one `vmap`, two whole episodes an update, the paper's networks; compilation apart.", ""]
    a2c = [
        [
            what,
            f"{figures[f'a2c_{name}_steps_per_s']:,.0f}",
            f"{figures[f'a2c_{name}_compile_s']:.0f}",
            f"{figures[f'a2c_{name}_mib']:,.0f}",
            f"{figures[f'a2c_{name}_paper_cell_minutes']:.1f}",
        ]
        for name, what in A2C.items()
    ]
    lines += markdown(["task", "steps/s", "compiling, s", "memory, MiB", "minutes for 20 seeds x 2,000,000"], a2c)
    lines += ["", "The same on two CPU cores: see [speed](speed.md).", "", "## Training, PPO", ""]
    lines += ["Cart-pole without velocities, rollouts of 64 steps, 4 epochs of 4 minibatches, learning included.", ""]
    ppo = [[what, f"{figures[f'{name}_steps_per_s'] / 1e6:.1f} M", aim] for name, (what, aim) in PPO.items()]
    lines += markdown(["agent", "steps/s", "aim"], ppo)
    lines += ["", "## Environments", "", "Random actions; every leaf of what is shown is read.", ""]
    walks = [[name, *(f"{figures[f'{name}_{n}'] / 1e6:,.0f} M" for n in (4_096, 262_144))] for name in ENVIRONMENTS]
    lines += markdown(["environment", "steps/s, 4,096 copies", "262,144 copies"], walks)
    lines += ["", "## The same twice", ""]
    lines += [f"Two runs of one experiment (4 seeds x 4,000 steps) are equal bit for bit: {yes[figures['same_run_twice']]}. "]
    lines += [f"Random walks on heaven-hell-3 are the CPU's, step for step: {yes[figures['same_walk_as_on_a_cpu']]}.", ""]
    return [*lines, *reproduction(paper)]


def memory_suite(figures: dict[str, float]) -> list[str]:
    """Rates of the memory suite by environment and number of copies."""
    rates = {(key.split()[0], key.split()[1]): rate for key, rate in figures.items()}
    copies = sorted({int(count) for _, count in rates})
    names = list(dict.fromkeys(name for name, _ in rates))
    cells = [[f"{rates[name, str(n)]:,.0f}" if (name, str(n)) in rates else "not run" for n in copies] for name in names]
    lines = ["## The memory suite", "", MEMORY_HARDWARE, ""]
    lines += ["`python benchmarks/memory_suite.py --only NAME --copies N`: random actions, every byte of every picture added up.", ""]
    lines += markdown(["environment", *(f"{n:,} copies" for n in copies)], [[f"`{n}`", *row] for n, row in zip(names, cells, strict=True)])
    return [*lines, "", "What agents learned of the tasks on it in one to two and a half minutes: [memory](memory.md).", ""]


def memory_agents(figures: dict[str, float]) -> list[str]:
    """Trained steps per second of agents of the memory suite."""
    lines = ["", "### Training on it", "", AGENTS_HARDWARE, ""]
    lines += [
        "`python benchmarks/memory_gpu.py`: `memory/arbitrary-visuomotor-mapping`, one trunk for actor and critic, rollouts of 64 steps,"
    ]
    lines += ["2 epochs of 4 minibatches, learning included, compilation apart; median of three turns, slowest and fastest.", ""]
    rows = []
    for name, what, aim in (("gru", "GRU-128", "≥ 5 M at 4,096"), ("mem", "LSTM-128 + MEM, 256 slots", "")):
        for copies in (1_024, 4_096, 32_768):
            key = f"{name}_{copies}"
            if f"{key}_steps_per_s" in figures:
                slowest, rate, fastest = (figures[f"{key}_{turn}"] / 1e6 for turn in ("slowest_turn", "steps_per_s", "fastest_turn"))
                rows.append([what, f"{copies:,}", f"{rate:.2f} M [{slowest:.2f}, {fastest:.2f}]", aim if copies == 4_096 else ""])
    return [*lines, *markdown(["agent", "environments", "steps/s", "aim"], rows), ""]


def reproduction(paper: Results) -> list[str]:
    """The finished cells of the paper-scale grid."""
    done = [outcome for outcome in paper.outcomes if outcome.metrics is not None]
    minutes = [float(pl.DataFrame(outcome.metrics)["wall_s"].max()) / 60 for outcome in done]  # type: ignore[arg-type]
    lines = ["## `unseen reproduce informed --scale paper`", ""]
    lines += [
        f"{len(done)} of {len(paper.outcomes)} cells are finished (20 seeds x 2,000,000 steps, {min(minutes):.1f} to "
        f"{max(minutes):.1f} minutes each); the command goes on with the others.",
        "",
        f"![Learning curves on {TASK}: {', '.join(report.curves_of(paper, TASK))}](gpu-{TASK}.png)",
        "",
    ]
    for block in report.overview_section(paper).blocks:
        if isinstance(block, Table):
            rows = [row for row in block.rows if str(row[0]).startswith(TASK) and "not run" not in row]
            lines += [f"{block.caption}.", "", *markdown(block.columns, rows), ""]
    return lines


def main() -> None:
    results = Path(sys.argv[1])
    paper = gathered(results / "informed-paper", "paper")
    curves = report.curves_of(paper, TASK)
    drawn = learning_curves({label: band(each) for label, each in curves.items()}, references=report.references_of(TASK))
    (results / f"gpu-{TASK}.png").write_bytes(png(drawn))
    figures = json.loads((results / "speed" / "gpu.json").read_text(encoding="utf-8"))
    suite = json.loads((results / "speed" / "gpu_memory.json").read_text(encoding="utf-8"))
    agents = json.loads((results / "speed" / "gpu_memory_agents.json").read_text(encoding="utf-8"))
    (results / "gpu.md").write_text("\n".join([*page(figures, paper), *memory_suite(suite), *memory_agents(agents)]), encoding="utf-8")


if __name__ == "__main__":
    main()
