"""Real runs on tables: their reference scores and bounds are exact, and their reports hold the return against them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from small import small

import unseen
from unseen.environments.tabular import format_pomdp, tiger
from unseen.reports.blocks import Section, Table, Text
from unseen.reports.summary import RunSummary, summarise
from unseen.reports.training import single

STEPS = 3  # listen, listen, open where both agree: every value below is a closed form
BLIND = -91 / 3  # of random actions, per step


def tiger_random(discount: float) -> float:
    return BLIND * sum(discount**t for t in range(STEPS))


def tiger_best(discount: float) -> float:
    agree = 0.85**2 + 0.15**2
    right = 0.85**2 / agree
    return -1 - discount + discount**2 * (agree * (10 * right - 100 * (1 - right)) - (1 - agree))


def blocks(section: Section, kind: type) -> list[Any]:
    found: list[Any] = []
    for block in section.blocks:
        found += [block] if isinstance(block, kind) else blocks(block, kind) if isinstance(block, Section) else []
    return found


def rows(summary: RunSummary, caption: str) -> dict[str, Any]:
    (table,) = [t for t in blocks(single(summary), Table) if caption in t.caption]
    return {row[0]: row[1:] for row in table.rows}


@pytest.fixture(scope="module", params=["reward", "cost"])
def tiger_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> unseen.Run:
    """On a file that declares discount 0.95, trained with the default, 0.99, and cut after three steps."""
    folder = tmp_path_factory.mktemp("tiger")
    path = folder / "tiger.pomdp"
    path.write_text(format_pomdp(replace(tiger(), values=request.param)), encoding="utf-8")
    assert f"values: {request.param}" in path.read_text(encoding="utf-8")
    experiment = small(seeds=2, env_steps=300, environment_options={"time_limit": STEPS})
    return unseen.train(replace(experiment, environment=str(path)), folder / "run")


@pytest.fixture(scope="module")
def maze_run(tmp_path_factory: pytest.TempPathFactory) -> unseen.Run:
    return unseen.train(small(seeds=2, env_steps=300), tmp_path_factory.mktemp("maze") / "run")


def with_discount(run: unseen.Run, discount: float) -> unseen.Run:
    """The run as if it had been trained with another discount: reference scores and bounds read nothing else."""
    other = unseen.load(run.directory)
    other.experiment = replace(run.experiment, algorithm=replace(run.experiment.algorithm, discount=discount))
    return other


@pytest.mark.parametrize("discount", [0.95, 0.99, 1.0])
def test_the_tiger_is_scored_under_the_discount_and_the_limit_of_the_run(tiger_run: unseen.Run, discount: float) -> None:
    run = with_discount(tiger_run, discount)
    references = run.references()
    assert references["random"] == pytest.approx((tiger_random(1.0), 0.0))
    assert references["perfect memory"] == pytest.approx((tiger_best(1.0), 0.0))
    assert references["oracle"] == pytest.approx((10.0 * STEPS, 0.0))
    assert references["discounted/random"] == pytest.approx((tiger_random(discount), 0.0))
    assert references["discounted/oracle"] == pytest.approx((10.0 * sum(discount**t for t in range(STEPS)), 0.0))
    assert run.bounds() == pytest.approx((tiger_best(discount), tiger_best(discount)))
    assert ("discounted/perfect memory" in references) == (discount == 0.95)  # the file's; nobody else's is measured


@pytest.mark.parametrize("discount", [0.9, 0.99])
def test_a_registered_maze_is_scored_by_its_table(maze_run: unseen.Run, discount: float) -> None:
    run = with_discount(maze_run, discount)
    references = run.references()
    assert references["random"] == (0.0, 0.0)
    assert references["perfect memory"] == (1.0, 0.0)
    assert references["discounted/random"] == pytest.approx((0.0, 0.0), abs=1e-12)
    assert references["discounted/oracle"] == pytest.approx((discount**2, 0.0))
    assert run.bounds() == pytest.approx((discount**6, discount**6))
    assert references.get("discounted/perfect memory") == (pytest.approx((0.99**6, 0.0)) if discount == 0.99 else None)


def test_a_maze_that_is_cut_before_the_end_can_be_reached_is_worth_nothing(maze_run: unseen.Run) -> None:
    short = unseen.load(maze_run.directory)
    short.experiment = replace(maze_run.experiment, environment_options={"time_limit": 6})
    assert short.bounds() == pytest.approx((0.0, 0.0), abs=1e-12)


def test_the_report_of_a_run_on_a_file_holds_its_return_against_the_optimum(tiger_run: unseen.Run) -> None:
    held_against(tiger_run, tiger_random(0.99), tiger_best(0.99))


def test_the_report_of_a_run_on_a_maze_holds_its_return_against_the_optimum(maze_run: unseen.Run) -> None:
    held_against(maze_run, 0.0, 0.99**6)


def held_against(run: unseen.Run, random: float, best: float) -> None:
    """Its report says where its discounted return lies between random play and the optimum, in numbers and in words."""
    summary = summarise(run)
    results = rows(summary, "Results")
    final = results["Final discounted return"][0].estimate
    metrics = run.metrics().filter(metric="discounted_return").sort("env_steps")
    assert metrics["value"].min() <= final <= metrics["value"].max()
    normalised, meaning = results["Normalised discounted return"]
    assert normalised.estimate == pytest.approx((final - random) / (best - random), abs=1e-9)
    assert meaning == "random = 0, the optimum = 1"
    references = rows(summary, "Reference")
    assert references["random"][2] == pytest.approx(random, abs=1e-12)
    assert float(references["optimum, lower bound"][2]) == pytest.approx(best, rel=1e-4)
    assert float(references["optimum, upper bound"][2]) == pytest.approx(best, rel=1e-4)
    (verdict,) = [t.text for t in blocks(single(summary), Text) if t.text.startswith("The final discounted return")]
    assert "On the scale from random (0\u00a0%) to the optimum (100\u00a0%) it reaches" in verdict
    page = unseen.report([run], run.directory / "report.html").read_text(encoding="utf-8")
    assert "Normalised discounted return" in page


def test_the_optimal_player_of_a_real_maze_is_called_optimal(maze_run: unseen.Run) -> None:
    """Held against a value without the step limit, or under another discount, it would be called below it."""
    from unseen.reports.statistics import Interval
    from unseen.reports.verdict import verdict

    summary = summarise(maze_run)
    told = verdict(Interval(0.99**6, 0.99**6, 0.99**6), 9, "final discounted return", summary.discounted_references, summary.bounds)
    assert "not distinguishable from the optimal value" in told.text
    assert "reaches 100\u00a0%" in told.text
