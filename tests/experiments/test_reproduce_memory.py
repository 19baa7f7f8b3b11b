"""`reproduce memory`: what the matrix holds, equal parameters, what the choice of a learning rate may see, and a tiny one run twice."""

from __future__ import annotations

import dataclasses
import json
import time

import polars as pl
import pytest

import unseen
from unseen.environments.memory_suite.suite import TASKS as SUITE
from unseen.errors import UserError
from unseen.experiments.reproduce import memory
from unseen.experiments.reproduce.memory_grid import AGENTS, INFORMED, MRA, SCALES, TASKS, WORKING, cells, counted, experiment
from unseen.reports import memory as page_of
from unseen.reports.page import html

LAPTOP = SCALES["laptop"]


def test_every_task_is_there_with_slots_and_signals_that_exist():
    assert {task.name for task in TASKS} == set(SUITE)
    for task in TASKS:
        environment = unseen.make(f"memory/{task.name}")
        assert task.told in environment.signal_spaces(environment.levels["train"][0][1]), task.name


def test_a_row_of_the_matrix_differs_from_the_next_in_its_own_setting_only():
    usual = experiment(TASKS[0], WORKING, 0, LAPTOP)
    for agent, row in AGENTS.items():
        e = experiment(TASKS[0], agent, 0, LAPTOP)
        e.check()
        changed = {f.name for f in dataclasses.fields(e.agent) if getattr(e.agent, f.name) != getattr(usual.agent, f.name)}
        expected = set() if agent == WORKING else {"memory"} if "MEM" in agent or agent == MRA or row.equal else set()
        expected |= {"auxiliary"} if row.auxiliary is not None else set()
        expected |= {"critic", "memory"} if row.informed else set()
        expected |= {"memory"} if agent == "feed-forward" else set()
        assert changed == expected, agent
        assert dataclasses.replace(e, agent=usual.agent) == usual


def test_the_ablations_named_by_the_specification_are_rows():
    e = {agent: experiment(TASKS[0], agent, 0, LAPTOP).agent for agent in AGENTS}
    assert e[MRA].memory.gradient == "jumpy"
    assert isinstance(e[MRA].auxiliary, unseen.CPC)
    assert e["LSTM + MEM, no jumpy gradient"].memory == dataclasses.replace(e["LSTM + MEM"].memory, gradient="query")
    assert isinstance(e["LSTM + MEM + REC"].auxiliary, unseen.Reconstruction)
    assert e[INFORMED].critic.signals == ("answer",)
    assert {type(a.memory).__name__ for a in e.values()} == {"FeedForward", "LSTM", "MEM", "GRU", "LRU", "GTrXL"}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_other_memories_have_as_many_parameters_as_the_lstm(scale):
    target = counted(experiment(TASKS[0], WORKING, 0, SCALES[scale]))["memory"]
    size = SCALES[scale].size
    inputs = (target - 4 * size * size - 4 * size) // (4 * size)  # an LSTM: 4 H (I + H + 1)
    assert target == 4 * size * (inputs + size + 1)
    for agent in ("GRU", "LRU", "GTrXL"):
        assert counted(experiment(TASKS[0], agent, 0, SCALES[scale]))["memory"] == pytest.approx(target, rel=0.05), agent


def test_a_cut_run_compares_all_agents():
    order = cells(LAPTOP)
    assert len(order) == len({cell.name for cell in order}) == 4 * 5 * 3
    first = order[: 4 * 5]
    assert {cell.seed for cell in first} == {0}
    assert {(cell.task.name, cell.agent) for cell in first} == {(t.name, a) for t in LAPTOP.tasks for a in LAPTOP.agents}
    assert LAPTOP.env_steps >= 5_000_000
    assert LAPTOP.seeds >= 3


def test_a_learning_rate_is_chosen_among_training_scores_and_nothing_else():
    found = [memory.TrainScore(1e-3, 5.0), memory.TrainScore(2e-4, 7.0), memory.TrainScore(5e-4, 7.0)]
    assert memory.chosen(found) == 2e-4
    for wrong in ([], [pl.DataFrame({"role": ["interpolate"], "normalised": [90.0]})], [(1e-3, 5.0)]):
        with pytest.raises(UserError, match="chosen among training scores only"):
            memory.chosen(wrong)
    rows = [(0, s, 0.0, m, v) for s, m, v in ((10, "return", 1.0), (95, "return", 3.0), (100, "return", 5.0), (100, "length", 99.0))]
    metrics = pl.DataFrame(rows, schema=["seed", "env_steps", "wall_s", "metric", "value"], orient="row")
    assert memory.train_score(metrics) == 4.0
    assert memory.train_score(metrics.filter(pl.col("metric") == "length")) == -float("inf")


@pytest.fixture
def tiny(monkeypatch):
    """A scale of one task and two agents that chooses between two learning rates."""
    algorithm = unseen.PPO(environments=4, rollout=16, minibatches=1, epochs=1, normalise_returns=True)
    scale = memory.Scale(1, 2_000, 9.0, (TASKS[0],), (WORKING, MRA), 8, 3, algorithm, rates=(1e-3, 1e-4))
    small = dataclasses.replace(TASKS[0], capacity=32)
    scale = dataclasses.replace(scale, tasks=(small,))
    monkeypatch.setitem(SCALES, "tiny", scale)
    return scale


@pytest.mark.slow
def test_a_tiny_matrix_is_run_once_and_reported(tmp_path, tiny):
    said: list[str] = []
    results = memory.run(tmp_path, "tiny", say=said.append)
    assert all(o.metrics is not None and o.scores is not None for o in results.outcomes), said
    assert {o.cell.experiment.algorithm.learning_rate for o in results.outcomes} <= {1e-3, 1e-4}
    assert len(list((tmp_path / "curves").glob("*pilot*.toml"))) == 4
    table = results.table()
    assert set(table["role"]) == {"train", "interpolate", "extrapolate", "stimulus", "scale"}
    begun = time.monotonic()
    again = memory.run(tmp_path, "tiny", say=said.append)
    assert time.monotonic() - begun < 20.0
    assert again.table().equals(table)
    text = html(page_of.page(results))
    assert "Hypotheses, stated beforehand" in text
    assert "not run" in text  # hypotheses about tasks that are not in this scale
    figures = page_of.as_json(results)
    json.dumps(figures, allow_nan=False)
    assert [cell["status"] for cell in figures["cells"]] == ["finished", "finished"]
    assert figures["parameters"]["MRA"]["memory"] > figures["parameters"]["LSTM"]["memory"]


@pytest.mark.slow
@pytest.mark.parametrize("at", ["training", "scoring", "keeping"])
def test_what_is_interrupted_is_taken_up_again(at, tmp_path, tiny, monkeypatch):
    monkeypatch.setitem(SCALES, "tiny", dataclasses.replace(tiny, agents=(WORKING,), rates=()))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        if at == "training":
            broken.setattr("unseen.experiments.train._next_mark", lambda e, done: interrupt() if done.min() > 500 else 600)
        elif at == "scoring":
            broken.setattr(memory, "scores", interrupt)
        else:
            broken.setattr("unseen.experiments.reproduce.cells.write_atomic", interrupt)
        with pytest.raises(KeyboardInterrupt):
            memory.run(tmp_path, "tiny")
    assert memory.gathered(tmp_path, "tiny").outcomes[0].scores is None
    assert memory.run(tmp_path, "tiny").outcomes[0].scores is not None


@pytest.mark.slow
def test_scores_under_other_settings_are_made_anew_and_a_cell_that_fails_holds_up_nothing(tmp_path, tiny, monkeypatch):
    few = dataclasses.replace(tiny, agents=(WORKING, MRA), rates=())
    monkeypatch.setitem(SCALES, "tiny", few)
    real = memory.scores

    def failing(run, **how):
        if isinstance(run.experiment.agent.memory, unseen.LSTM):
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nand more")
        return real(run, **how)

    with monkeypatch.context() as broken:
        broken.setattr(memory, "scores", failing)
        results = memory.run(tmp_path, "tiny")
    assert results.outcomes[0].failure == "RESOURCE_EXHAUSTED: out of memory"
    assert results.outcomes[1].scores is not None
    assert "RESOURCE_EXHAUSTED" in html(page_of.page(results))
    monkeypatch.setitem(SCALES, "tiny", dataclasses.replace(few, episodes=4))
    assert memory.gathered(tmp_path, "tiny").outcomes[1].scores is None
    assert set(memory.run(tmp_path, "tiny").outcomes[1].scores["episodes"]) == {4}


def test_in_first_person_slots_hold_an_episode():
    scale = SCALES["paper-first-person"]
    for task in (TASKS[0], TASKS[2]):
        memory_settings = experiment(task, MRA, 0, scale).agent.memory
        environment = unseen.make(f"memory-fp/{task.name}")
        longest = max(environment.horizon(params) for _, params in environment.levels["train"])
        assert memory_settings.capacity == 1_024
        assert memory_settings.capacity * memory_settings.every >= longest
        assert memory_settings.capacity * (memory_settings.every - 1) < longest


@pytest.mark.slow
def test_out_of_time_says_so_and_goes_on(tmp_path, tiny):
    results = memory.run(tmp_path, "tiny", minutes=1e-4)
    assert all(o.metrics is None for o in results.outcomes)
    text = html(page_of.page(results))
    assert "Not run: LSTM (1 of 1 seeds)" in text
    assert memory.run(tmp_path, "tiny").outcomes[0].metrics is not None
