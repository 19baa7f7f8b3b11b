"""What must not pass in silence: selection by outcome, actions nobody took, wrong ratios and propensities, looking before testing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from test_learners import transitions

from unseen.errors import UserError
from unseen.outcomes import (
    Always,
    Columns,
    DRQLearner,
    FromFunction,
    ImportanceSampling,
    QRegression,
    Transitions,
    Uniform,
    compare,
)
from unseen.outcomes.diagnostics import calibration_error
from unseen.outcomes.estimates import Estimate, stacked

NAMES = {"id": "id", "time": "t", "action": "a", "reward": "r", "terminated": "end"}


def one_step(n=400, seed=0, share=0.5, truth=1.0):
    """Independent decisions: reward x + truth * a."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    a = (rng.random(n) < share).astype(int)
    return {
        "id": np.arange(n),
        "t": np.zeros(n, int),
        "x": x,
        "a": a,
        "r": x + truth * a + rng.normal(0, 0.3, n),
        "end": np.ones(n, bool),
    }


def read(columns, state="x", **options):
    return Transitions.from_table(pl.DataFrame(columns), state=state, **NAMES, **options)


def test_records_that_stop_without_a_flag_are_not_green():
    """The last row of everybody who crossed the line is lost, and with it what crossing costs."""
    rng = np.random.default_rng(0)
    rows = {name: [] for name in ("id", "t", "x", "a", "r", "end")}
    for i in range(300):
        x = 0.0
        for t in range(10):
            a = int(rng.integers(2))
            after = x + rng.normal()
            crossed = after > 2
            for key, value in zip(rows, (i, t, x, a, -5.0 if crossed else 1.0, False)):
                rows[key].append(value)
            x = after
            if crossed:
                break
    fitted = DRQLearner(0.9).fit(read(rows), Uniform())
    assert fitted.diagnostics.left_out > 0.1
    assert fitted.diagnostics.verdict.colour != "green"


def test_an_action_never_taken_in_a_region_has_no_contrast():
    columns = one_step() | {"s": np.tile(["u", "v"], 200)}
    columns["a"] = np.where(columns["s"] == "v", 0, columns["a"])
    for state in (["s"], ["s", "x"]):
        fitted = DRQLearner(0.9).fit(read(columns, state=state), Uniform())
        with pytest.raises(UserError, match="1 was never taken in 'v'"):
            fitted.contrast({"v": lambda states: np.array([s == "v" for s in states["s"].to_list()])}, 1, 0)
    counted = DRQLearner(0.9).fit(read(columns, state=["s"]), Uniform())
    (caution,) = counted.contrast(None, 1, 0).cautions
    assert "in 50.0% of its decisions 1 was never taken in the state" in caution


def test_few_rows_of_an_action_are_told():
    columns = one_step(share=0.01, seed=3) | {"s": np.tile(["u", "v"], 200)}
    fitted = DRQLearner(0.9).fit(read(columns, state=["s"]), Always(0))
    assert any("too few for its interval to be trusted" in words for words in fitted.contrast(None, 1, 0).cautions)
    assert DRQLearner(0.9).fit(read(one_step()), Always(0)).contrast(None, 1, 0).cautions == ()


def test_a_wrong_ratio_is_red():
    class Fifty:
        def forward(self, queries, rows, values):
            return np.full((len(queries), 2), 50.0 * float(rows.share @ values))

    columns = one_step() | {"end": np.tile([False, True], 200), "id": np.repeat(np.arange(200), 2), "t": np.tile([0, 1], 200)}
    right = DRQLearner(0.9, ratio="linear").fit(read(columns), Uniform())
    wrong = DRQLearner(0.9, ratio=Fifty()).fit(read(columns), Uniform())
    assert right.diagnostics.ratio < 0.15
    assert wrong.diagnostics.ratio > 0.5
    assert wrong.diagnostics.verdict.colour == "red"


def test_wrong_propensities_are_told():
    """Half for everybody, though x decided: what was logged does not balance the states."""
    rng = np.random.default_rng(1)
    columns = one_step(2_000)
    columns["a"] = (rng.random(2_000) < 1 / (1 + np.exp(-1.5 * columns["x"]))).astype(int)
    fitted = DRQLearner(0.9).fit(read(columns | {"p": np.full(2_000, 0.5)}, propensity="p"), Uniform())
    assert fitted.diagnostics.balance > 8
    assert fitted.diagnostics.verdict.colour == "red"
    p = 1 / (1 + np.exp(-1.5 * columns["x"]))
    right = DRQLearner(0.9).fit(read(columns | {"p": np.where(columns["a"] == 1, p, 1 - p)}, propensity="p"), Uniform())
    assert right.diagnostics.balance < 4


def test_calibration_error_is_a_distance_beyond_chance():
    rng = np.random.default_rng(0)
    half = np.full((200, 2), 0.5)
    assert np.mean([calibration_error(half, rng.integers(0, 2, 200)) for _ in range(100)]) < 0.05
    many = np.full((2_000, 50), 1 / 50)
    assert calibration_error(many, np.zeros(2_000, int)) > 0.7  # always the same one of fifty: a distance of 0.98, less chance


def test_row_weights_weigh_the_starts_too():
    columns = one_step(200)
    weight = np.where(columns["x"] > 0, 9.0, 1.0)
    fitted = DRQLearner(0.5, folds=2).fit(read(columns), Always(1), sample_weight=weight)
    everywhere = np.average(columns["x"], weights=weight) + 1
    assert fitted.value().estimate == pytest.approx(everywhere, abs=0.1)
    assert fitted.value().estimate == pytest.approx(fitted.value("states").estimate, abs=0.05)


def estimate(influence, value=None, data=1):
    k = influence.shape[1]
    return Estimate(tuple(map(str, range(k))), np.zeros(k) if value is None else value, influence, data=data)


def test_no_difference_of_estimates_from_different_data():
    xi = np.random.default_rng(0).normal(size=(30, 1))
    with pytest.raises(UserError, match="different data"):
        estimate(xi) - estimate(xi, data=2)
    with pytest.raises(UserError, match="different data"):
        stacked([estimate(xi), estimate(xi, data=2)], ["a", "b"])
    with pytest.raises(UserError, match="different data"):
        compare({str(seed): DRQLearner(0.5, folds=2).fit(read(one_step(60, seed)), Uniform()) for seed in (1, 2)})


def test_a_band_is_never_narrower_than_an_interval():
    xi = np.random.default_rng(0).normal(size=(8, 1))
    e = estimate(xi)
    (low, high), (below, above) = e.interval(), e.band(draws=20_000)
    assert below[0] <= low + 0.05 * (high - low)
    assert above[0] >= high - 0.05 * (high - low)


def test_p_values_survive_the_choice_of_the_best():
    """Ten equal policies: the smallest p-value of all pairs is below 5 % in about one of twenty."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        xi = rng.normal(size=(200, 10))
        values = estimate(xi - xi.mean(axis=0), xi.mean(axis=0))
        pairs = np.array([(i, j) for i in range(10) for j in range(i)])
        weights = np.zeros((len(pairs), 10))
        weights[np.arange(len(pairs)), pairs[:, 0]], weights[np.arange(len(pairs)), pairs[:, 1]] = 1.0, -1.0
        hits += values.combined(weights, [str(k) for k in range(len(pairs))]).adjusted_p(draws=300).min() < 0.05
    assert hits <= 22  # the 99.9 % quantile of Binomial(200, 0.05) is 21


def test_a_given_initial_q_is_told():
    class Zero:
        def values(self, states):
            return np.zeros((len(states), 2))

    verdict = DRQLearner(0.5, initial_q=Zero()).fit(read(one_step()), Uniform()).diagnostics.verdict
    assert any("given ready-made" in reason for reason in verdict.reasons)


def test_dropped_decisions_belong_to_their_trajectories():
    columns = one_step(40) | {"end": np.arange(40) < 30}
    columns |= {"id": np.repeat(np.arange(20), 2), "t": np.tile([0, 1], 20), "end": np.tile([False, True], 20) & (np.arange(40) < 30)}
    data = read(columns)
    assert data.dropped == 5
    assert data.select(np.arange(15)).dropped == 0
    assert data.select([15, 15]).dropped == 2


def test_nothing_adds_up_for_ever():
    rows = {"id": [0, 0, 1, 1], "t": [0, 1, 0, 1], "s": ["a", "a", "a", "a"], "a": ["stay", "go", "stay", "go"], "r": [1.0] * 4}
    data = read(rows | {"end": [False, True, False, True]}, state="s")
    with pytest.raises(UserError, match="never left"):
        DRQLearner(1.0, folds=1).fit(data, Always("stay"))
    ends = DRQLearner(1.0, folds=1).fit(data, Always("go"))
    assert ends.value().estimate == pytest.approx(1.0)


@pytest.mark.parametrize("learner", [ImportanceSampling, QRegression])
def test_whole_histories_need_every_step(learner):
    rows = {"id": [0, 0, 0, 1, 1, 1], "t": [0, 1, 2] * 2, "x": [0.0, 1.0, 2.0] * 2, "a": [0, 1, 0, 1, 0, 1], "r": [0.0, 0.0, 1.0] * 2}
    rows |= {"end": [False, False, True] * 2, "y": [1.0, None, None, 1.0, 2.0, None]}
    data = read(rows, next_state="y")
    assert data.dropped == 1
    with pytest.raises(UserError, match="0 lacks step 1"):
        learner(0.5).fit(data, Uniform())


def test_a_policy_by_columns_is_compared_on_the_same_data():
    data = transitions()
    p = np.full((len(data), 3), 1 / 3)
    starts = np.full((data.n_trajectories, 3), 1 / 3)
    by_columns = DRQLearner(0.9).fit(data, Columns(p, p, starts))
    by_name = DRQLearner(0.9).fit(data, FromFunction(lambda states: np.full((len(states), 3), 1 / 3)))
    assert (by_columns.value() - by_name.value()).estimate == pytest.approx(0.0, abs=1e-9)
