"""`reproduce outcomes`: what the grid holds, that the truths are true, what is resumed, and what failures leave behind."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from unseen.errors import UserError
from unseen.experiments.reproduce import outcomes, outcomes_fits
from unseen.experiments.reproduce.outcomes_fits import filled, fitted, known, visited
from unseen.experiments.reproduce.outcomes_grid import (
    DRQ,
    FITTED,
    GROUPS,
    INITIAL,
    MAIN,
    NEAREST,
    NO_SPLIT,
    NUISANCES,
    SCALES,
    SWEEPS,
    TOYS,
    TRUTH,
    Cell,
    Method,
    Scale,
    Setting,
    cells,
    nuisance,
)
from unseen.outcomes.problem import problem

SMALL = Setting(n=400)
QUICK = tuple(m for m in MAIN if m.name in {f"saturated: {FITTED}", f"saturated: {DRQ}", f"saturated: {NO_SPLIT}", f"linear: {DRQ}"})


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


def test_the_grid_is_the_specifications():
    laptop = SCALES["laptop"]
    assert SWEEPS["n"] == (2_000, 3_000, 4_000, 5_000, 6_000)
    assert [round(1 / (1 - s.discount)) for s in laptop.swept("horizon").values()] == [3, 5, 10, 20]
    assert laptop.settings[0] == Setting(4_000, 10, 0.3, 0.8)
    assert len(laptop.settings) == 5 + 4 + 5 + 3 - 3  # the default is in every sweep
    every = cells(SCALES["paper"])
    assert len({cell.name for cell in every}) == len(every)
    assert {cell.group for cell in every} == set(GROUPS)
    assert all(cell.seeds == 50 for cell in every)
    for task in TOYS:
        assert sum(cell.task == task and cell.group == "main" for cell in every) == len(laptop.settings)
    for methods in GROUPS.values():
        assert len({m.name for m in methods}) == len(methods)


def test_every_kind_of_cell_is_in_the_smoke_test_but_the_slowest():
    assert set(GROUPS) - {cell.group for cell in cells(SCALES["smoke"])} == {"tumour-networks"}


def test_settings_tell_cells_apart():
    cell = Cell("frozen-lake", SMALL, "main", MAIN, 5)
    assert json.loads(cell.settings)["setting"]["n"] == 400
    assert cell.settings == replace(cell, seeds=50).settings  # more of the same
    assert cell.settings != replace(cell, methods=MAIN[1:]).settings
    assert cell.settings != replace(cell, setting=replace(SMALL, horizon=3)).settings


@pytest.mark.parametrize("task", ["taxi-125", "frozen-lake"])
def test_the_true_nuisances_are_those_of_simulated_episodes(task):
    """The density against visits of many episodes, and the ratio against its own moment: E_pb[w f] = gamma E[F(S~)]."""
    of = known(task, replace(SMALL, n=60_000))
    data = of.data(0)
    visits = np.bincount(of.state_of[of.seen.number(data.states)], minlength=of.mdp.states) / len(data)
    assert np.abs(visits - of.density).max() < 0.01
    np.testing.assert_allclose(visits.sum(), 1.0)
    f = np.random.default_rng(0).normal(size=of.mdp.states)
    every = of.truths()["ratio"]
    p = problem(of.data(0), of.judged(), of.discount)
    exact = replace(p.rows.take(np.zeros(of.queries.number.size, np.int64)), states=of.queries.states, weight=of.queries.weight.sum(axis=1))
    numbers = of.state_of[of.queries.number]
    found = every.forward(of.queries.states, exact, f[numbers])
    alive = np.where(of.mdp.terminal, 0.0, f)
    value = np.linalg.solve(
        np.eye(of.mdp.states) - of.discount * (of._choose(of.policy) @ of.mdp.onward).toarray(), np.where(of.density > 0, alive, 0.0)
    )
    expected = of.discount * (of.mdp.onward @ value).reshape(of.q.shape)[numbers]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_queries_are_states_that_are_not_terminal_with_their_exact_q():
    of = known("frozen-lake", SMALL)
    assert len(of.queries.states) == 11  # 16 less four holes and the goal
    np.testing.assert_allclose(of.queries.truth, of.q[~of.mdp.terminal])
    assert of.queries.weight.sum() == pytest.approx(1.0)
    v = (of.policy * of.q).sum(axis=1)
    assert of.value == pytest.approx(v[0])


def test_hiding_something_of_sepsis_changes_neither_policy_nor_value():
    setting = Setting(n=300, epsilon_e=0.1, epsilon_b=0.5)
    full, hidden, aliased = (known(task, setting) for task in ("sepsis-full", "sepsis-no-diabetes", "sepsis-no-glucose"))
    assert full.value == hidden.value == aliased.value
    by_all, by_some = full.queries, hidden.queries
    assert (by_all.states.shape[1], by_some.states.shape[1], aliased.queries.states.shape[1]) == (8, 7, 7)
    assert by_all.weight.sum() == pytest.approx(by_some.weight.sum()) == pytest.approx(1.0)
    # The mean of Q under p_b is the same, seen or not.
    for other in (by_some, aliased.queries):
        assert (by_all.weight * by_all.truth).sum() == pytest.approx((other.weight * other.truth).sum())
    diabetes = full.seen.names.index("diabetes")
    table = full.behaviour.reshape(*full.seen.levels, 8)
    assert np.ptp(table, axis=diabetes).max() > 0  # confounds
    assert np.ptp(table, axis=full.seen.names.index("glucose")).max() == 0  # does not
    data = aliased.data(0)
    assert data.starts.shape[1] == 7
    assert np.array_equal(data.actions, full.data(0).actions)


def test_pairs_without_data_get_the_mean_of_their_states_rows():
    q, visits = np.array([[1.0, 5.0, 9.0], [2.0, 2.0, 2.0]]), np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(filled(q, visits), [[1.0, 5.0, 2.0], [2.0, 2.0, 2.0]])


def test_visits_count_the_datas_rows():
    of = known("frozen-lake", SMALL)
    data = of.data(3)
    visits = visited(data, of.queries)
    assert visits.sum() == len(data)
    s, a = int(of.queries.number[0]), int(data.actions[0])
    assert visits[0, a] == ((data.state_index == s) & (data.actions == a)).sum()


@pytest.fixture(scope="module")
def rows():
    """Every main method on one data set."""
    with threadpool_limits(1):
        return {row["method"]: row for row in fitted(Cell("taxi-125", SMALL, "main", MAIN, 1), 0)}


def test_every_method_is_measured(rows):
    assert set(rows) == {m.name for m in MAIN}
    assert not any(row["failure"] for row in rows.values())
    for method in MAIN:
        row = rows[method.name]
        assert (row["rmse"] is None) == (method.family == "value")
        assert row["true_value"] == pytest.approx(known("taxi-125", SMALL).value)
        assert (row["value"] is None) == (method.learner == "Nearest")
        if row["low"] is not None:
            assert row["low"] < row["value"] < row["high"]


def test_in_sample_drq_is_fqe_and_all_true_is_exact_where_it_was_visited(rows):
    assert rows[f"saturated: {NO_SPLIT}"]["from_fqe"] < 1e-20
    assert rows["saturated: model-based"]["from_fqe"] < 1e-20
    assert rows[f"saturated: {DRQ}"]["from_fqe"] > 1e-8
    assert rows["saturated: DRQ, all true"]["visited"] < 1e-20  # Taxi is deterministic: nothing is left to correct
    assert rows["value: double reinforcement learning"]["value"] == pytest.approx(rows[f"saturated: {DRQ}"]["value"])


def test_nothing_linear_is_nearer_than_the_nearest(rows):
    least = rows[f"linear: {NEAREST}"]["rmse"]
    assert all(row["rmse"] >= least - 1e-12 for name, row in rows.items() if name.startswith("linear"))


def test_whatever_the_initial_q_in_sample_drq_is_fqe():
    some = tuple(m for m in NUISANCES if m.label in {nuisance(q, 1) for q in INITIAL} or "itself" in m.label)
    found = {row["method"]: row for row in fitted(Cell("frozen-lake", SMALL, "nuisances", some, 1), 0)}
    assert all(found[f"saturated: {nuisance(q, 1)}"]["from_fqe"] < 1e-20 for q in INITIAL if q != "linear")
    assert found[f"saturated: {nuisance('1 sweep', 1, 'Q1 itself')}"]["rmse"] > 0.1


def test_what_cannot_be_fitted_says_why_and_the_rest_goes_on():
    methods = (Method("impossible", "linear", "DRQLearner", {"folds": 0}), Method(FITTED, "saturated", "FQE", {}))
    bad, good = fitted(Cell("frozen-lake", SMALL, "main", methods, 1), 0)
    assert "folds = 0" in bad["failure"]
    assert bad["rmse"] is None
    assert good["rmse"] > 0


def test_true_nuisances_are_asked_for_by_name_only():
    assert all(TRUTH not in m.options.values() for m in GROUPS["sepsis"])


@pytest.fixture
def tiny(monkeypatch):
    """Four quick methods, two settings, two data sets."""
    monkeypatch.setitem(GROUPS, "main", QUICK)
    scale = Scale({"main": 2}, 5.0, SMALL, {"n": (200,)}, toys=("frozen-lake",), slow=(), sepsis=(), tumour=())
    monkeypatch.setitem(SCALES, "tiny", scale)
    return scale


def test_a_run_out_of_time_goes_on_and_a_finished_one_computes_nothing(tmp_path, monkeypatch, tiny):
    said: list[str] = []
    with pytest.raises(UserError, match="give a positive number"):
        outcomes.run(tmp_path, "tiny", minutes=0.0)
    cut = outcomes.run(tmp_path, "tiny", minutes=1e-9, say=said.append, workers=1)
    assert [outcome.seeds for outcome in cut.outcomes] == [0, 0]
    assert "goes on" in said[-1]
    whole = outcomes.run(tmp_path, "tiny", say=said.append, workers=1)
    assert [outcome.seeds for outcome in whole.outcomes] == [2, 2]
    assert (tmp_path / "scale.txt").read_text() == "tiny\n"

    def never(*unit):
        raise AssertionError("computed again")

    monkeypatch.setattr(outcomes, "fitted", never)
    again = outcomes.run(tmp_path, "tiny", say=said.append, workers=1)
    assert all(a.rows.equals(b.rows) for a, b in zip(again.outcomes, whole.outcomes, strict=True))
    with pytest.raises(UserError, match="holds scale 'tiny'"):
        outcomes.run(tmp_path, "smoke")


def test_other_settings_are_begun_anew_and_more_seeds_are_added(tmp_path, monkeypatch, tiny):
    first = outcomes.run(tmp_path, "tiny", say=lambda line: None, workers=1)
    monkeypatch.setitem(SCALES, "tiny", replace(tiny, seeds={"main": 3}))
    more = outcomes.run(tmp_path, "tiny", say=lambda line: None, workers=1)
    assert [outcome.seeds for outcome in more.outcomes] == [3, 3]
    kept = more.outcomes[0].rows.filter(pl.col("seed") < 2)
    assert kept.equals(first.outcomes[0].rows)
    monkeypatch.setitem(GROUPS, "main", QUICK[:1])
    assert [outcome.seeds for outcome in outcomes.gathered(tmp_path, "tiny").outcomes] == [0, 0]


@pytest.mark.slow
def test_processes_give_what_one_process_gives(tmp_path, monkeypatch, tiny):
    small = replace(tiny, sweeps={}, seeds={"main": 2})
    monkeypatch.setitem(SCALES, "tiny", small)
    here = outcomes.run(tmp_path / "here", "tiny", say=lambda line: None, workers=1)
    there = outcomes.run(tmp_path / "there", "tiny", say=lambda line: None, workers=2)
    a, b = (results.outcomes[0].rows.drop("seconds") for results in (here, there))
    assert a.equals(b)


def test_an_unknown_scale_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'laptop'"):
        outcomes.run("nowhere", "labtop")


def test_lightgbm_that_is_missing_is_said_once_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "tiny", Scale({"trees": 1}, 5.0, SMALL, {}, toys=(), slow=("frozen-lake",), sepsis=(), tumour=()))
    monkeypatch.setitem(SCALES, "tiny", replace(SCALES["tiny"], seeds={"trees": 1, "main": 1}, toys=("frozen-lake",)))
    monkeypatch.setitem(GROUPS, "main", QUICK[:1])
    monkeypatch.setattr(outcomes, "find_spec", lambda name: None)
    said: list[str] = []
    results = outcomes.run(tmp_path, "tiny", say=said.append, workers=1)
    assert sum("LightGBM is not installed" in line for line in said) == 1
    assert {outcome.cell.group: outcome.seeds for outcome in results.outcomes} == {"main": 1, "trees": 0}


@pytest.mark.slow
def test_tumours_have_a_truth_and_no_cells():
    setting = Setting(n=12, epsilon_b=0.1)
    of = known("tumour", setting)
    assert visited(of.data(0), of.queries) is None
    few = tuple(m for m in GROUPS["tumour"] if m.label in (FITTED, "per-decision importance sampling"))
    found = fitted(Cell("tumour", setting, "tumour", few, 1), 0)
    assert [row["failure"] for row in found] == ["", ""]
    assert found[0]["rmse"] > 0
    assert found[0]["visited"] is None
    assert outcomes_fits.known("tumour", setting) is of
