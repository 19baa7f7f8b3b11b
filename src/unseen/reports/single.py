"""What a page says about one training run."""

from __future__ import annotations

import polars as pl

from unseen.reports import episode
from unseen.reports.blocks import Block, Code, Details, Figure, Pictures, Player, Section, Table, Text
from unseen.reports.curves import Curves, band, metric_names, summary_interval
from unseen.reports.figures import learning_curves as draw_curves
from unseen.reports.player import fits
from unseen.reports.run_curves import DISCOUNTED, RETURN, curves_figure, curves_of
from unseen.reports.statistics import Interval
from unseen.reports.summary import Reference, RunSummary, score
from unseen.reports.text import duration, number
from unseen.reports.verdict import scale, verdict

DIAGNOSTICS = ("length", "policy_loss", "critic_loss", "entropy", "gradient_norm")
PLAYED = (
    "The same episode, step by step: slide, press ← and → (Home and End jump), or play it. What is pictured is the state that the agent "
    "acted in, which shows more than it sees. The critic's value is the discounted return it expects from there on."
)
CLIPPED = " It learned from rewards cut at ±{:g}, and expects those."
RECALLED = " Recalled pictures are of the steps whose records the episodic memory read; their weights add up to 1."
HEADLINES = ("agent.memory", "agent.critic.signals", "agent.critic.history", "algorithm", "env_steps", "seeds")


def single(run: RunSummary) -> Section:
    """One run: what was trained, the verdict, curves, results, an episode, settings and how to repeat it."""
    blocks: list[Block] = [Text(_headline(run)), *(Text(note, "soft") for note in run.notes)]
    returns = curves_of(run, RETURN)
    if returns is None:
        blocks.append(Text("No episode has finished yet, so there is nothing to judge.", "verdict"))
    else:
        blocks += _judged(run, returns)
    return Section(run.label, [*blocks, *_episode(run), *_diagnostics(run), *_small_print(run)])


def _headline(run: RunSummary) -> str:
    known = [(key, run.experiment[key]) for key in HEADLINES if key in run.experiment]
    return f"Environment {run.environment}; " + "; ".join(f"{_setting(key)} {_value(value)}" for key, value in known) + "."


def _judged(run: RunSummary, returns: Curves) -> list[Block]:
    final, discounted = summary_interval(returns.final()), curves_of(run, DISCOUNTED)
    blocks: list[Block] = [verdict(final, len(returns.seeds), "final return", run.references)]
    if discounted is not None and run.bounds is not None:
        optimum = (run.discounted_references, run.bounds)
        blocks.append(verdict(summary_interval(discounted.final()), len(discounted.seeds), "final discounted return", *optimum))
    blocks.append(curves_figure({"this run": returns}, "return", run.references, None))
    if discounted is not None and (run.bounds is not None or run.discounted_references):
        blocks.append(curves_figure({"this run": discounted}, "discounted return", run.discounted_references, run.bounds))
    return [*blocks, _results(run, returns, discounted), *_references(run)]


def _results(run: RunSummary, returns: Curves, discounted: Curves | None) -> Table:
    final, auc = summary_interval(returns.final()), summary_interval(returns.auc())
    rows: list[tuple] = [
        ("Final return", final, "last 100 training episodes"),
        ("AUC", auc, "area under the curve / its steps: return while learning"),
    ]
    if (on := scale(run.references)) is not None:
        rows += [("Normalised final return", on.of(final), f"random = 0, {on.name} = 1"), ("Normalised AUC", on.of(auc), "same scale")]
    if discounted is not None:
        final_discounted = summary_interval(discounted.final())
        rows.append(("Final discounted return", final_discounted, ""))
        if (on := scale(run.discounted_references, run.bounds)) is not None:
            rows.append(("Normalised discounted return", on.of(final_discounted), f"random = 0, {on.name} = 1"))
        elif run.bounds is not None and run.bounds[0] > 0:
            share = Interval(*(x / run.bounds[1] for x in final_discounted))
            rows.append(("Discounted return / optimum", share, "the optimum's upper bound"))
    for metric in metric_names(run.metrics):
        if metric.startswith("evaluation/") and metric.endswith("/return") and (curves := curves_of(run, metric)) is not None:
            level = metric.removeprefix("evaluation/").removesuffix("/return")
            rows.append((f"Evaluation, {level}", summary_interval(curves.final()), "return of the trained agent, separate episodes"))
    rows += _cost(run, returns)
    return Table(("", "value [95 % interval]", "what it is"), rows, f"Results over {len(returns.seeds)} seeds (interquartile means)")


def _cost(run: RunSummary, returns: Curves) -> list[tuple]:
    reached = run.metrics.group_by("seed").agg(pl.col("env_steps").max())["env_steps"]
    wall = float(run.metrics["wall_s"].max() or 0.0)  # type: ignore[arg-type]
    target = run.experiment.get("env_steps")
    unfinished = isinstance(target, int | float) and reached.min() < target  # type: ignore[operator]
    rows: list[tuple] = [
        ("Environment steps per seed", int(reached.min()), f"unfinished: {number(float(target))} asked for" if unfinished else ""),  # type: ignore[arg-type]
        ("Seeds", len(reached), f"without a finished episode: {', '.join(map(str, returns.missing))}" if returns.missing else ""),
        ("Wall time", duration(wall), "compilation included"),
    ]
    return rows + ([("Steps per second", round(int(reached.sum()) / wall), "all seeds together, compilation included")] if wall > 0 else [])


def _references(run: RunSummary) -> list[Block]:
    players = list(dict.fromkeys([*run.references, *run.discounted_references]))
    rows: list[tuple] = [(p, *_with_error(run.references.get(p)), *_with_error(run.discounted_references.get(p))) for p in players]
    if run.bounds is not None:
        rows += [(f"optimum, {side} bound", None, None, f"{bound:.5g}", None) for side, bound in zip(("lower", "upper"), run.bounds)]
    columns = ("player", "return", "standard error", "discounted return", "standard error")
    kept = [j for j in range(len(columns)) if j < 3 or any(row[j] is not None for row in rows)]
    table = Table([columns[j] for j in kept], [[row[j] for j in kept] for row in rows], "Reference scores")
    return [table] if rows else []


def _with_error(reference: Reference | None) -> tuple[float | None, float | None]:
    return (None, None) if reference is None else score(reference)


def _episode(run: RunSummary) -> list[Block]:
    if not len(run.frames):
        return []
    alt = "; ".join(run.captions[:: max(1, len(run.captions) // 8)]) or "pictures of one episode"
    still = episode.strip(run.frames, run.captions)
    strip = Pictures([still], "One episode of the trained agent, from left to right, evenly spaced.", f"Episode: {alt}")
    return [Section("An episode", [strip, _played(run) or _moving(run, alt)])]


def _moving(run: RunSummary, alt: str) -> Block:
    file = episode.animation(run.frames, run.captions)
    return Details("Play the episode", [Pictures([file], "The same episode, moving.", f"Animation of the episode: {alt}")])


def _played(run: RunSummary) -> Block | None:
    """The episode to step through; None where there are no numbers to its pictures, or far too many."""
    if run.watched is None or not fits(run.watched):
        return None
    clip = run.experiment.get("algorithm.reward_clip")
    clipped = "" if clip is None else CLIPPED.format(clip)
    return Player(run.watched, PLAYED + clipped + (RECALLED if run.watched.reads else ""))


def _diagnostics(run: RunSummary) -> list[Block]:
    figures: list[Block] = []
    for metric in DIAGNOSTICS:
        if (curves := curves_of(run, metric)) is not None:
            what = metric.replace("_", " ")
            drawn = draw_curves({"this run": band(curves, resamples=300)}, y_label=what)
            figures.append(Figure(drawn, f"{what.capitalize()}: interquartile mean over seeds.", f"{what} against environment steps"))
    return [Details("Losses, entropy and episode length", figures)] if figures else []


def _small_print(run: RunSummary) -> list[Block]:
    blocks: list[Block] = []
    if run.experiment:
        rows = [(key, _value(value)) for key, value in run.experiment.items()]
        blocks.append(Details("All settings", [Table(("setting", "value"), rows)]))
    if run.versions:
        blocks.append(Details("Versions and devices", [Table(("package", "version"), [(k, _value(v)) for k, v in run.versions.items()])]))
    if run.reproduce:
        blocks.append(Section("Repeat it", [Code(run.reproduce)]))
    return blocks


def _setting(key: str) -> str:
    return {
        "agent.memory": "memory",
        "agent.critic.signals": "critic told",
        "agent.critic.history": "critic remembers the history:",
        "algorithm": "algorithm",
        "env_steps": "environment steps",
        "seeds": "seeds",
    }[key]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if value is None or value == "":
        return "–"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_value(v) for v in value) or "nothing"
    return str(value)
