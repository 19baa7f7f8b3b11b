"""`reproduce informed`: what the grid holds, what is resumed, what the figures are made of."""

from __future__ import annotations

import json
import time

import numpy as np
import polars as pl
import pytest
from scipy import stats

import unseen
from unseen.errors import UserError
from unseen.experiments.reproduce import cells as training
from unseen.experiments.reproduce import informed
from unseen.experiments.reproduce.informed_grid import NONE, SCALES, STATE_ONLY, TASKS, Task, cells
from unseen.reports import informed as page_of
from unseen.reports.page import html

pytestmark = pytest.mark.optimised  # it trains for longer than it compiles


def test_every_task_of_the_paper_is_there_with_signals_that_exist():
    assert len(TASKS) == 14  # six navigation tasks (car-flag in both forms), six of POPGym's, the synthetic one
    for task in TASKS:
        environment = unseen.make(task.environment, **task.options)
        spaces = environment.signal_spaces(environment.levels["train"][0][1])
        assert set(task.told) <= set(spaces), task.environment
        assert next(iter(task.critics)) == NONE
        assert (STATE_ONLY in task.critics) == (task.family == "navigation")


def test_settings_of_the_published_networks():
    by_name = {cell.name: cell.experiment for cell in cells(SCALES["paper"])}
    assert len(by_name) == len(cells(SCALES["paper"]))
    maze, cards = by_name["heavenhell-3-heaven"], by_name["higher-lower-easy-previous"]
    assert (maze.agent.memory.size, maze.agent.head, maze.algorithm.learning_rate) == (128, (512, 256), 1e-3)
    assert (cards.agent.memory.size, cards.agent.head, cards.algorithm.learning_rate) == (256, (128, 128), 5e-4)
    assert cards.algorithm.entropy == 0.0
    assert (maze.seeds, maze.env_steps) == (20, 2_000_000)
    for cell in cells(SCALES["laptop"]):
        assert cell.experiment.seeds >= 3
        assert cell.experiment.env_steps >= 300_000
        cell.experiment.check()


def test_first_come_the_first_critics_of_every_task():
    order = cells(SCALES["laptop"])
    first = order[: 3 * len(TASKS)]
    assert {cell.task.environment for cell in first} == {task.environment for task in TASKS}
    assert {cell.critic for cell in first} >= {NONE, "state"}
    assert sorted(cell.name for cell in order) == sorted({cell.name for cell in order})


@pytest.fixture(scope="module")
def tiny():
    """A scale of one task and two critics."""
    task = Task("synthetic", "synthetic", ("1245",), 0.1)
    return SCALES["smoke"].__class__(2, 600, 5.0, (task,), small=True, episodes=30, prediction_episodes=30, permutations=39)


@pytest.mark.slow
def test_a_run_out_of_time_goes_on_and_a_finished_one_trains_nothing(tmp_path, monkeypatch, tiny):
    monkeypatch.setitem(SCALES, "tiny", tiny)
    said: list[str] = []
    with pytest.raises(UserError, match="give a positive number"):
        informed.run(tmp_path, "tiny", minutes=0.0)
    results = informed.run(tmp_path, "tiny", minutes=2e-3, say=said.append)  # they begin within that, and take longer
    assert [outcome.metrics for outcome in results.outcomes] == [None, None]
    assert {effect.criterion for effect in results.effects} == set(informed.CRITERIA)
    page = html(page_of.page(results))
    assert page.count("not run") >= 2

    results = informed.run(tmp_path, "tiny", say=said.append)
    assert all(outcome.metrics is not None for outcome in results.outcomes)
    begun = time.monotonic()
    again = informed.run(tmp_path, "tiny", say=said.append)
    assert time.monotonic() - begun < 5.0
    assert all(a.metrics.equals(b.metrics) for a, b in zip(again.outcomes, results.outcomes, strict=True))

    figures = page_of.as_json(results)
    json.dumps(figures, allow_nan=False)
    base, told = figures["cells"]
    assert base["status"] == told["status"] == "finished"
    assert base["relative_wall_clock"] == pytest.approx(1.0)
    curves = pl.read_parquet(tmp_path / "curves" / "synthetic-none.parquet")
    last = curves.filter(metric="return").sort("env_steps").group_by("seed", maintain_order=True).last().sort("seed")["value"].to_list()
    np.testing.assert_allclose(base["final"], last)
    (point,) = page_of.points(results, "kci")
    references = unseen.make("synthetic").references("train")
    distance = references.perfect_memory.mean - references.random.mean
    assert point.gain == pytest.approx((np.mean(told["auc"]) - np.mean(base["auc"])) / distance)

    with pytest.raises(UserError, match="holds scale 'tiny'"):
        informed.run(tmp_path, "smoke")


def test_rank_correlation_is_spearmans_and_needs_four_points():
    rng = np.random.default_rng(0)
    found = [page_of.Point("abcde"[k % 5], str(k), x, x + 0.5 * rng.normal()) for k, x in enumerate(rng.normal(size=20))]
    value = page_of.correlation(found)
    assert value.estimate == pytest.approx(stats.spearmanr([p.effect for p in found], [p.gain for p in found]).statistic)
    assert value.low < value.estimate < value.high
    assert np.isnan(page_of.correlation(found[:3]).estimate)


def test_constant_effects_have_no_correlation():
    found = [page_of.Point("a", str(k), 0.0, float(k)) for k in range(6)]
    assert np.isnan(page_of.correlation(found).estimate)
    assert np.isnan(page_of.within_tasks(found))


def test_correlation_within_tasks_forgets_what_tasks_have_in_common():
    found = [page_of.Point(task, str(k), at + k, at - k) for task, at in (("a", 0.0), ("b", 10.0), ("c", 20.0)) for k in range(3)]
    assert page_of.correlation(found).estimate > 0.7  # larger tasks, larger gains
    assert page_of.within_tasks(found) == -1.0


@pytest.mark.slow
def test_changed_settings_are_computed_anew_and_a_failure_does_not_stop_the_rest(tmp_path, monkeypatch, tiny):
    from dataclasses import replace

    from unseen.experiments.train import NotFinite

    few = replace(tiny, env_steps=200, episodes=24, prediction_episodes=24)
    monkeypatch.setitem(SCALES, "tiny", few)
    whole = training.train

    def failing(experiment, directory, **options):
        run = whole(experiment, directory, **options)
        if experiment.agent.critic.signals:
            raise NotFinite("the gradient is not finite")
        return run

    monkeypatch.setattr(training, "train", failing)
    results = informed.run(tmp_path, "tiny", say=lambda line: None)
    assert [bool(outcome.failure) for outcome in results.outcomes] == [False, True]
    assert "failed" in html(page_of.page(results))
    monkeypatch.setitem(SCALES, "tiny", replace(few, episodes=26))
    assert informed.gathered(tmp_path, "tiny").effects == ()  # told under other settings
    monkeypatch.setattr(training, "train", whole)
    monkeypatch.setitem(SCALES, "tiny", replace(few, env_steps=250))
    again = informed.run(tmp_path, "tiny", say=lambda line: None)
    assert all(outcome.metrics is not None for outcome in again.outcomes)


def test_an_unknown_scale_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'laptop'"):
        informed.run("nowhere", "labtop")
