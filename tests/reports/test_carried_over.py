"""Scores on several kinds of level, from made-up tables whose answers are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from unseen.experiments.generalisation import GAPS, gaps
from unseen.reports.blocks import render
from unseen.reports.carried_over import by_task, common_tasks, difference, dots, gap_table, over_tasks, summary_table, task_table

ROLES = ("train", "interpolate", "extrapolate", "stimulus", "scale")


def made(scores, memoryless=20.0):
    """A table from {(task, agent): {role: (scores of the seeds)}}; `beyond_memoryless` follows from where the memoryless player is."""
    rows = []
    for (task, agent), by_role in scores.items():
        for role, values in by_role.items():
            for seed, value in enumerate(values):
                beyond = 100 * (value - memoryless) / (100 - memoryless)
                rows.append((task, agent, seed, role, role, value / 10, 0.05, float(value), beyond, 0.6, 0.5))
    columns = (
        "task",
        "agent",
        "seed",
        "role",
        "level",
        "return",
        "standard_error",
        "normalised",
        "beyond_memoryless",
        "beyond_error",
        "mark_error",
    )
    return pl.DataFrame(rows, schema=list(columns), orient="row")


TABLE = made(
    {
        ("a", "LSTM"): {"train": (60, 64), "interpolate": (50, 52), "extrapolate": (30, 36)},
        ("a", "MRA"): {"train": (90, 94), "interpolate": (88, 90), "extrapolate": (60, 66)},
        ("b", "LSTM"): {"train": (20, 22), "interpolate": (20, 22), "extrapolate": (10, 14)},
        ("b", "MRA"): {"train": (50, 52), "interpolate": (40, 42), "extrapolate": (20, 26)},
        ("c", "LSTM"): {"train": (99, 99), "interpolate": (99, 99), "extrapolate": (99, 99)},
    }
)


def test_rows_are_found_and_tasks_compared_only_where_both_are():
    np.testing.assert_array_equal(by_task(TABLE, "MRA", "train", ["a", "b"]), [[90, 94], [50, 52]])
    assert common_tasks(TABLE, ["LSTM", "MRA"]) == ["a", "b"]
    assert common_tasks(TABLE, ["LSTM"]) == ["a", "b", "c"]
    assert common_tasks(pl.DataFrame(), ["LSTM"]) == []


def test_a_difference_is_welchs_t_interval_on_one_task_and_a_paired_one_within_an_agent():
    value = difference(TABLE, ("MRA", ["train"]), ("LSTM", ["train"]), ["a"])
    theirs = stats.ttest_ind([90, 94], [60, 64], equal_var=False).confidence_interval()
    assert value.estimate == 30
    np.testing.assert_allclose((value.low, value.high), theirs)
    within = difference(TABLE, ("LSTM", ["train"]), ("LSTM", ["interpolate", "extrapolate"]), ["a"])
    lost = np.array([60 - 40, 64 - 44])
    assert (within.estimate, within.low, within.high) == (20, 20, 20)  # both runs lose the same
    assert lost.std() == 0
    one = difference(TABLE, ("LSTM", ["train"]), ("LSTM", ["interpolate"]), ["a"])
    np.testing.assert_allclose((one.low, one.high), stats.ttest_1samp([10, 12], 0).confidence_interval())
    alone = made({("a", "LSTM"): {"train": (60,)}, ("a", "MRA"): {"train": (90,)}})
    single = difference(alone, ("MRA", ["train"]), ("LSTM", ["train"]), ["a"])
    assert single.estimate == 30
    assert not single.exists
    assert np.isnan(difference(TABLE, ("MRA", ["train"]), ("LSTM", ["train"]), []).estimate)


def test_tasks_weigh_the_same_however_many_seeds_they_have():
    value = over_tasks([np.array([10.0, 20.0, 30.0, 40.0]), np.array([90.0, 110.0])])
    assert value.estimate == (25 + 100) / 2


def test_intervals_hold_their_level_with_three_seeds():
    """Four tasks, two agents of three seeds each, no difference: about one in twenty intervals may miss 0."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(1_000):
        draws = rng.normal(50, [[[5], [8], [3], [10]]], (2, 4, 3))
        table = made({(task, a): {"train": tuple(draws[n, k])} for k, task in enumerate("abcd") for n, a in enumerate(("x", "y"))})
        value = difference(table, ("x", ["train"]), ("y", ["train"]), list("abcd"))
        missed += value.low > 0 or value.high < 0
    assert 20 <= missed <= 80


def test_gaps_are_points_lost_from_training():
    lost = gaps(made({("a", "LSTM"): {role: (90 - 10 * k,) for k, role in enumerate(ROLES)}}))
    row = lost.to_dicts()[0]
    assert {name: row[name] for name in GAPS} == {"interpolation": 10, "extrapolation": 20, "stimuli": 30, "scale": 40}
    missing = gaps(made({("a", "LSTM"): {"train": (90,), "interpolate": (70,)}})).to_dicts()[0]
    assert missing["interpolation"] == 20
    assert missing["extrapolation"] is None


def test_tables_and_figure_show_what_they_are_given():
    summary = summary_table(TABLE, ["LSTM", "MRA"], "LSTM")
    by_agent = {row[0]: row for row in summary.rows}
    assert by_agent["MRA"][1].estimate == pytest.approx((92 + 51) / 2)
    assert by_agent["MRA"][5].estimate == (1.0 + 1.0 + 1.0 + 1.0) / 4  # each level of each task by itself
    assert by_agent["MRA"][4] == pytest.approx(np.mean([40, 42, 60, 66]))  # of 20, 26, 40, 42, 60, 66, 88, 90 the middle half
    assert by_agent["LSTM"][5] is None
    shown = task_table(TABLE, "a", ["LSTM", "MRA", "GRU"])
    assert "not run" in render(shown, "t")
    assert shown.rows[1][1] == "92 [90, 94]"
    lost = gap_table(TABLE, ["LSTM"])
    assert lost.rows[0][1].estimate == pytest.approx(np.mean([62 - 51, 0, 0]))
    both = gap_table(TABLE, ["LSTM", "MRA"])  # on the tasks of both
    assert both.rows[0][1].estimate == pytest.approx(np.mean([62 - 51, 0]))
    assert lost.rows[0][3] is None
    drawing, told = dots(TABLE, ["LSTM", "MRA"], ["a", "b"])
    axes = drawing.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["LSTM", "MRA"]
    assert "MRA, train: 71.5" in told
    marker = [line for line in axes.lines if line.get_xdata()[0] == pytest.approx(71.5)]
    assert marker
    dashed = [line for line in axes.lines if line.get_linestyle() == "--" or line.get_label().startswith("memoryless")]
    assert any(np.allclose(line.get_xdata(), 20.0) for line in axes.lines), dashed  # the memoryless mark, recovered from both scales
