"""Planning as a treatment: do intervals from logs hold the measured truth, and is the schedule that follows any good?

    python benchmarks/planning_worth.py runs/planning-worth            # stop and start it as you like; finished parts are kept
    nohup python benchmarks/planning_worth.py runs/planning-worth > runs/planning-worth.log &

The scripted player of graph search, which forgets all that is not in its window or its plan, on trees of 12 nodes of which two edges are
seen: it shows whether the estimator is right, and says nothing about language models. 20 independent logs under softened:0.25:age:4; for
each, the worth of planning in seven situations with its interval. The truth is measured on decisions of other episodes under the same
logging policy, each played on with a plan and without; besides, as the protocol says, in 200 states of the first log, 64 times each.

Two figures decide: the share of logs and situations whose interval holds the truth (at least 0.9), and how far the schedules that follow
from logs are above the best mixture of fixed schedules at equal tokens. Schedules are learnt in rounds, each from a fresh log around the
one before: one round from age:2, and two from age:4, whose plans are held for twice as long as they last. One step from so bad a schedule
cannot be enough.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from figures import machine, show
from unseen.data.episodes import Episodes
from unseen.environments.text.graph_search import GraphSearch
from unseen.planning.accounting import per_episode
from unseen.planning.agent import Agent
from unseen.planning.equal_tokens import at_equal_tokens
from unseen.planning.estimand import Estimand
from unseen.planning.features import graph_search_features
from unseen.planning.logged_worth import worth_from_logs
from unseen.planning.measured_truth import Truth, truth
from unseen.planning.models.reader import reader
from unseen.planning.play import evaluate
from unseen.planning.regions import GRAPH_SEARCH
from unseen.planning.schedules import Situation, Softened, schedule
from unseen.planning.when_worth_it import WhenWorthIt

RESULT = Path(__file__).resolve().parents[1] / "docs" / "results" / "planning" / "worth.json"
ESTIMAND = Estimand("age:4", discount=0.95, price=0.3)
LOGGING = "softened:0.25:age:4"
FIXED = ("never", "every:8", "every:6", "every:4", "every:3", "every:2", "always", *(f"budget:{n}" for n in (15, 30, 45, 60, 90)))
ADAPTIVE = ("age:4", "age:3", "age:2", "dynamic")  # no fixed schedules; told beside them
ROUNDS = {"age:2": 1, "age:4": 2}  # of improvement, each from a fresh log
LOGS, FRESH, TRUTHS, LEARNING = 1_000_000, 50_000_000, 90_000_000, 200_000_000  # where seeds of each kind begin


def world() -> GraphSearch:
    return GraphSearch(12, 2, 24, 1, form="compact")


def player(schedule: Any) -> Agent:
    return Agent(reader(), schedule, "compact", history=2, features=graph_search_features)


def kept(path: Path, make: Callable[[Path], object]) -> Path:
    """A file that is made where it is missing, whole or not at all."""
    if not path.exists():
        part = path.with_name(f"part-{path.name}")
        make(part)
        part.replace(path)
    return path


def log(folder: Path, k: int, episodes: int) -> Path:
    def make(path: Path) -> None:
        evaluate(player(LOGGING), world(), episodes, LOGS + k * 100_000, signals=["graph"], live=64).write(path)

    return kept(folder / f"log-{k}.parquet", make)


def estimated(folder: Path, k: int, episodes: int) -> None:
    """The estimate from log k, and the schedule that follows."""

    def make(path: Path) -> None:
        began = time.perf_counter()
        recorded = Episodes.read(log(folder, k, episodes))
        played = time.perf_counter()
        found = worth_from_logs(recorded, ESTIMAND)
        by_state = {
            name: [value, error] for name, value, error in zip(found.by_state.names, found.by_state.value, found.by_state.deviations)
        }
        seconds = {"play": played - began, "estimate": time.perf_counter() - played}
        path.write_text(json.dumps(found.said() | {"by_state": by_state, "seconds": seconds}))

    kept(folder / f"estimate-{k}.json", make)


def measured(folder: Path, k: int, episodes: int, states: int) -> None:
    """A part of the truth: many states, two continuations of each arm."""

    def make(path: Path) -> None:
        recorded = evaluate(player(LOGGING), world(), episodes, TRUTHS + k * 100_000, live=64)
        truth(player(LOGGING), world(), recorded, ESTIMAND, states=states, replicates=2, seed=k, live=256).states.write_parquet(path)

    kept(folder / f"truth-{k}.parquet", make)


def by_protocol(folder: Path, episodes: int, states: int, replicates: int) -> None:
    """States of the first log, and many continuations of each."""

    def make(path: Path) -> None:
        recorded = Episodes.read(log(folder, 0, episodes))
        found = truth(player(LOGGING), world(), recorded, ESTIMAND, states=states, replicates=replicates, live=256)
        found.states.write_parquet(path)

    kept(folder / "protocol.parquet", make)


def played(folder: Path, word: str, episodes: int) -> None:
    """Fresh instances under a schedule."""

    def make(path: Path) -> None:
        evaluate(player(word), world(), episodes, FRESH, live=64).write(path)

    kept(folder / f"played-{_file(word)}.parquet", make)


def _file(word: str) -> str:
    return Path(word).stem if word.startswith("when-worth-it") else word.replace(":", "-")


def learnt(folder: Path, base: str, k: int, episodes: int) -> None:
    """Rounds of logs around a schedule, each followed by the schedule that the log speaks for; a red one ends them."""
    current, words = schedule(base), []
    for r in range(ROUNDS[base]):

        def make(path: Path, current: Any = current, r: int = r) -> None:
            seed = LEARNING + (10 * k + r) * 100_000 + 50_000_000 * list(ROUNDS).index(base)
            recorded = evaluate(player(Softened(0.25, current)), world(), episodes, seed, signals=["graph"], live=64)
            found = worth_from_logs(recorded, replace(ESTIMAND, policy=current))
            if found.verdict.colour == "red":
                path.write_text(json.dumps({"red": found.verdict.reasons}))
            else:
                WhenWorthIt.of(found).write(path)

        path = kept(folder / f"learnt-{_file(base)}-{k}-{r}.json", make)
        if "red" in json.loads(path.read_text()):
            break
        current = schedule(f"when-worth-it:{path}")
        words.append(str(current))
    kept(folder / f"words-{_file(base)}-{k}.json", lambda path: path.write_text(json.dumps(words)))


def distinct(folder: Path, base: str, logs: int) -> list[dict[int, str]]:
    """Of every round, the schedules by log; those that decide alike in all that they meet are played once."""
    seen: dict[Any, str] = {}
    rounds: list[dict[int, str]] = [{} for _ in range(ROUNDS[base])]
    for k in range(logs):
        words = json.loads((folder / f"words-{_file(base)}-{k}.json").read_text())
        for found, word in zip(rounds, words, strict=False):
            found[k] = seen.setdefault(tuple(decisions(schedule(word)).items()), word)
    return rounds


def decisions(learnt: Any) -> dict[str, str]:
    """What a schedule does in each situation, at the ages that tell fixed and learnt ones apart."""
    said = {}
    for region in GRAPH_SEARCH:
        (low, high), does = region.within["age"], []
        for age in range(int(low), int(min(high, 4)) + 1):
            features = {"age": float(age), "target in sight": 0.0, "event": 0.0, "step": 1.0}
            features |= {name: ends[0] for name, ends in region.within.items() if name != "age"}
            does.append(learnt.decide(Situation(1, None if age < 0 else age, features=features)).mode)
        said[region.name] = does[0] if len(set(does)) == 1 else f"plan from age {int(low) + does.index('plan')}"
    return said


def coverage(folder: Path, logs: int, parts: int) -> dict[str, Any]:
    """Estimates of all logs against the truth."""
    states = pl.concat([pl.read_parquet(folder / f"truth-{k}.parquet") for k in range(parts)])
    known = Truth(states, dict.fromkeys(states["situation"].unique(maintain_order=True), 1.0), 2, ESTIMAND).by_region()
    found = [json.loads((folder / f"estimate-{k}.json").read_text()) for k in range(logs)]
    rows = []
    for row in known.to_dicts():
        each = [next(r for r in one["situations"] if r["situation"] == row["situation"]) for one in found]
        worth, error = (np.array([r[name] for r in each]) for name in ("worth", "standard_error"))
        low, high = (np.array([r[name] for r in each]) for name in ("low", "high"))
        inside = (low <= row["mean"]) & (row["mean"] <= high)
        # The truth is known up to its own error, which all logs share; what is asked is whether the difference is explained.
        explained = np.abs(worth - row["mean"]) <= 1.96 * np.sqrt(error**2 + row["standard_error"] ** 2)
        alone = np.array([one["by_state"][row["situation"]] for one in found])
        checked = [r["check_low"] <= row["mean"] <= r["check_high"] for r in each]
        rows.append(
            {
                "situation": row["situation"],
                "truth": row["mean"],
                "truth_error": row["standard_error"],
                "truth_states": row["states"],
                "mean_estimate": float(worth.mean()),
                "spread_of_estimates": float(worth.std(ddof=1)) if logs > 1 else 0.0,
                "mean_standard_error": float(error.mean()),
                "coverage": float(inside.mean()),
                "coverage_with_truth_error": float(explained.mean()),
                "check_coverage": float(np.mean(checked)),
                "check_standard_error": float(np.mean([(r["check_high"] - r["check_low"]) / 3.92 for r in each])),
                "by_state_alone": {
                    "mean_estimate": float(alone[:, 0].mean()),
                    "mean_standard_error": float(alone[:, 1].mean()),
                    "coverage": float(np.mean(np.abs(alone[:, 0] - row["mean"]) <= 1.96 * alone[:, 1])),
                },
                "advice": {name: sum(r["advice"] == name for r in each) for name in {r["advice"] for r in each}},
            }
        )
    verdicts = [one["verdict"]["colour"] for one in found]
    return {
        "situations": rows,
        "coverage": float(np.mean([row["coverage"] for row in rows])),
        "coverage_with_truth_error": float(np.mean([row["coverage_with_truth_error"] for row in rows])),
        "check_coverage": float(np.mean([row["check_coverage"] for row in rows])),
        "coverage_by_state_alone": float(np.mean([row["by_state_alone"]["coverage"] for row in rows])),
        "verdicts": {colour: verdicts.count(colour) for colour in ("green", "amber", "red")},
        "seconds_per_estimate": float(np.mean([one["seconds"]["estimate"] for one in found])),
    }


def compared(folder: Path, logs: int) -> dict[str, Any]:
    """The schedules that follow, against mixtures of fixed ones at equal tokens."""
    every = {word: Episodes.read(folder / f"played-{_file(word)}.parquet") for word in (*FIXED, *ADAPTIVE)}
    fixed = {word: every[word] for word in FIXED}
    result: dict[str, Any] = {"others": {word: _reached(episodes) for word, episodes in every.items()}}
    for base in ROUNDS:
        result[base] = [_judged(folder, words, fixed, every) for words in distinct(folder, base, logs)]
    return result


def _judged(folder: Path, words: dict[int, str], fixed: dict[str, Episodes], every: dict[str, Episodes]) -> dict[str, Any]:
    """The schedules of one round, against mixtures of fixed ones, and of adaptive ones too, at equal tokens."""
    rows = []
    for word in dict.fromkeys(words.values()):
        episodes = Episodes.read(folder / f"played-{_file(word)}.parquet")
        gaps = {
            name: at_equal_tokens(_discounted(episodes, by), {w: _discounted(e, by) for w, e in rivals.items()}, "return").gap._asdict()
            for name, by, rivals in (
                ("discounted_return", ESTIMAND.discount, fixed),
                ("return", 1.0, fixed),
                ("discounted_return_with_adaptive", ESTIMAND.discount, every),
            )
        }
        count = list(words.values()).count(word)
        rows.append({"logs": count, "decides": decisions(schedule(word)), **_reached(episodes), "above_fixed_at_equal_tokens": gaps})
    total = sum(row["logs"] for row in rows)
    mean = {
        name: sum(row["logs"] * row["above_fixed_at_equal_tokens"][name]["mean"] for row in rows) / max(total, 1)
        for name in ("discounted_return", "return", "discounted_return_with_adaptive")
    }
    return {"logs_with_a_schedule": total, "mean_above_fixed": mean, "schedules": rows}


def _discounted(episodes: Episodes, discount: float) -> Episodes:
    """With rewards whose sum is the discounted return."""
    return replace(episodes, rewards=episodes.rewards * discount**episodes.time_of_step)


def _reached(episodes: Episodes) -> dict[str, float]:
    table = per_episode(episodes)
    price = ESTIMAND.price * episodes.accounts["plan_tokens"]
    net = np.add.reduceat(ESTIMAND.discount**episodes.time_of_step * (episodes.rewards - price), episodes.offsets[:-1])
    return {
        "success": float(table["success"].to_numpy().mean()),
        "discounted_return": float(episodes.returns(ESTIMAND.discount).mean()),
        "net_of_price": float(net.mean()),
        "plan_tokens": float(table["plan_tokens"].to_numpy().mean()),
        "output_tokens": float(table["output_tokens"].to_numpy().mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for finished parts")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--quick", action="store_true", help="a tiny configuration that only shows that everything runs")
    parser.add_argument("--json", type=Path, help="write the result here; default: docs/results/planning/worth.json, unless --quick")
    asked = parser.parse_args()
    logs, episodes, parts, states, fresh, protocol = (
        (2, 60, 2, 40, 40, (20, 4)) if asked.quick else (20, 1_500, 12, 6_000, 3_000, (200, 64))
    )
    folder = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    # Forked processes would inherit locks of polars' threads.
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        first: list[Any] = [pool.submit(estimated, folder, k, episodes) for k in range(logs)]
        first += [pool.submit(measured, folder, k, max(episodes, states // 4), states) for k in range(parts)]
        first += [pool.submit(by_protocol, folder, episodes, *protocol)]
        first += [pool.submit(played, folder, word, fresh) for word in (*FIXED, *ADAPTIVE)]
        learning = 2 if asked.quick else 6
        first += [pool.submit(learnt, folder, base, k, episodes) for base in ROUNDS for k in range(learning)]
        for done in first:
            done.result()
        words = sorted({word for base in ROUNDS for found in distinct(folder, base, learning) for word in found.values()})
        for done in [pool.submit(played, folder, word, fresh) for word in words]:
            done.result()
    states_64 = pl.read_parquet(folder / "protocol.parquet")
    regions = list(states_64["situation"].unique(maintain_order=True))
    result = {
        "player": "reader, a script; graph search with 12 nodes, radius 2, 24 steps, 1 backtrack, a window of 2",
        "estimand": dict(ESTIMAND.said()),
        "logging": LOGGING,
        "logs": logs,
        "episodes_per_log": episodes,
        "fresh_episodes": fresh,
        **coverage(folder, logs, parts),
        "protocol_truth_on_log_0": Truth(states_64, dict.fromkeys(regions, 1.0), protocol[1], ESTIMAND)
        .by_region()
        .drop("share")
        .to_dicts(),
        "schedules": compared(folder, learning),
        "seconds_of_this_call": time.perf_counter() - began,
        "machine": "; ".join(machine(["numpy"])),
    }
    path = asked.json or (None if asked.quick else RESULT)
    if path is not None:
        path.write_text(json.dumps(result, indent=1) + "\n")
    told(result)


def told(result: dict[str, Any]) -> None:
    """Print what the file holds."""
    columns = ("situation", "truth", "mean estimate", "spread", "its error", "coverage", "with truth's error", "check")
    rows = [
        [row["situation"], f"{row['truth']:.2f} ± {row['truth_error']:.2f}",
         *(f"{row[name]:.2f}" for name in ("mean_estimate", "spread_of_estimates", "mean_standard_error", "coverage",
                                           "coverage_with_truth_error", "check_coverage"))]
        for row in result["situations"]
    ]  # fmt: skip
    show(f"coverage {result['coverage']:.3f} ({result['coverage_with_truth_error']:.3f}); verdicts {result['verdicts']}", columns, rows)
    for base, rounds in ROUNDS.items():
        for r in range(rounds):
            rows = []
            for row in result["schedules"][base][r]["schedules"]:
                decides = "; ".join(f"{name}: {what}" for name, what in row["decides"].items() if what != "act")
                gap = "{mean:+.2f} ({low:+.2f} to {high:+.2f})".format(**row["above_fixed_at_equal_tokens"]["discounted_return"])
                rows.append([str(row["logs"]), decides, f"{row['discounted_return']:.2f}", f"{row['output_tokens']:.1f}", gap])
            heads = ("logs", "decides (acts elsewhere)", "return", "tokens", "above fixed at equal tokens")
            show(f"from {base}, round {r + 1}", heads, rows)


if __name__ == "__main__":
    main()
