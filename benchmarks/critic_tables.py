"""The figure and the tables of benchmarks/critic_curves.py: finished cells only, every seed of a critic pooled."""

from __future__ import annotations

from pathlib import Path

import polars as pl

import unseen
from critic_curves import BLOCKS, CRITICS, TASKS, kept
from unseen.reports.blocks import interval
from unseen.reports.curves import Curves, band, learning_curves, summary_interval
from unseen.reports.figures import learning_curves as draw
from unseen.reports.figures import png

ABOUT = """A2C as published (`unseen.A2C(time_limit="terminate")`, learning rate 1e-3, two whole episodes an update, TD(0), a target copied
every 10,000 steps, separate GRU-128 encoders), {steps:,} environment steps for each seed, on two CPU cores; the published curves have
20 seeds and 2,000,000 steps. The entropy weight is in no source; it was chosen as `benchmarks/critic_curves.py` says. Which signal was
published for these two tasks was not found either; `heaven` and `item` are ours. Final return: interquartile mean over seeds of the
last 100 training episodes, with a 95 % bootstrap interval; AUC: area under that curve, divided by its span.

A cell that is not finished reads *not run*, and one whose second block of seeds is not finished has four seeds.

Made by `python benchmarks/critic_curves.py runs/critics` and, for this page, `python benchmarks/critic_curves.py --show`; the curves
of every finished cell lie in `docs/results/critics/`, so that the next run trains only what is missing."""


def finished(environment: str, critic: str, env_steps: int) -> pl.DataFrame | None:
    """The metrics of a critic's finished blocks, or None where there is none."""
    paths = [kept(environment, critic, first_seed, seeds, env_steps) for first_seed, seeds in BLOCKS]
    frames = [pl.read_parquet(path) for path in paths if path]
    return pl.concat(frames) if frames else None


def show(out: Path, env_steps: int) -> None:
    """Write OUT/critics-ENVIRONMENT.png and OUT/critics.md."""
    lines = ["# Four critics", "", ABOUT.format(steps=env_steps), ""]
    for environment in TASKS:
        found = {critic: finished(environment, critic, env_steps) for critic in CRITICS}
        curves: dict[str, Curves] = {c: learning_curves(m, "return") for c, m in found.items() if m is not None}
        lines += [f"## {environment}", ""]
        if curves:
            scores = unseen.make(environment).references("train")
            references = {n: s.mean for n, s in (("random", scores.random), ("perfect memory", scores.perfect_memory)) if s}
            figure = draw({c: band(curve) for c, curve in curves.items()}, references=references)
            (out / f"critics-{environment}.png").write_bytes(png(figure))
            lines += [f"![learning curves of the critics on {environment}](critics-{environment}.png)", ""]
        lines += ["| critic | final return | mean | AUC | seeds |", "|---|---|---|---|---|"]
        for critic, metrics in found.items():
            if metrics is None:
                lines.append(f"| {critic} | *not run* | | *not run* | 0 |")
                continue
            curve = curves[critic]
            final, auc = interval(summary_interval(curve.final())), interval(summary_interval(curve.auc()))
            lines.append(f"| {critic} | {final} | {curve.final().mean():.2f} | {auc} | {len(curve.seeds)} |")
        lines += ["", "Final returns by seed:", ""] if curves else [""]
        lines += [f"* {c}: {', '.join(f'{x:.2f}' for x in curve.final())}" for c, curve in curves.items()] + [""]
    (out / "critics.md").write_text("\n".join(lines), encoding="utf-8")
