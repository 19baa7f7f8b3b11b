"""Learning curves on a common grid."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.reports.curves import band, learning_curves, metric_names, summary_interval
from unseen.reports.statistics import interquartile_mean


def frame(rows):
    """Rows of (seed, env_steps, value)."""
    return pl.DataFrame(
        [(seed, steps, 0.1 * steps, "return", float(value)) for seed, steps, value in rows],
        schema=["seed", "env_steps", "wall_s", "metric", "value"],
        orient="row",
    )


@given(
    st.lists(st.lists(st.integers(0, 10_000), min_size=2, max_size=20, unique=True), min_size=1, max_size=4),
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.randoms(use_true_random=False),
)
@settings(max_examples=50)
def test_lines_are_recovered_whatever_the_steps_and_the_order(steps, slope, level, random):
    rows = [(seed, s, slope * s + level) for seed, own in enumerate(steps) for s in own]
    random.shuffle(rows)
    curves = learning_curves(frame(rows), "return")
    first, last = max(min(own) for own in steps), min(max(own) for own in steps)
    if first <= last:  # all seeds overlap: the grid is their common span and interpolation of a line is exact
        assert curves.env_steps[0] == (first if first < last else last)
        np.testing.assert_allclose(curves.values, np.broadcast_to(slope * curves.env_steps + level, curves.values.shape), atol=1e-7)
    assert curves.env_steps[-1] == last
    assert np.all(np.diff(curves.env_steps) > 0)
    assert len(curves.env_steps) <= max(len(own) for own in steps)
    assert curves.seeds == tuple(range(len(steps)))


def test_nothing_is_extrapolated_beyond_the_shortest_seed():
    curves = learning_curves(frame([(0, 0, 0), (0, 100, 100), (1, 20, 20), (1, 60, 60)]), "return")
    assert (curves.env_steps[0], curves.env_steps[-1]) == (20, 60)
    np.testing.assert_allclose(curves.final(), [60, 60])
    np.testing.assert_allclose(curves.auc(), [40, 40])


def test_the_later_row_of_a_repeated_step_counts():
    curves = learning_curves(frame([(0, 10, 1), (0, 20, 99), (0, 20, 2), (0, 30, 3)]), "return")
    np.testing.assert_allclose(curves.values, [[1, 2, 3]])


def test_seeds_without_a_finite_value_are_named():
    curves = learning_curves(frame([(3, 10, np.nan), (3, 20, np.nan), (5, 10, np.nan), (5, 20, 1), (5, 30, 2)]), "return")
    assert (curves.seeds, curves.missing) == ((5,), (3,))
    np.testing.assert_allclose(curves.values, [[1, 2]])


def test_a_run_can_be_cut_to_the_span_of_another():
    curves = learning_curves(frame([(0, 0, 0), (0, 50, 5), (0, 100, 10)]), "return", stop=30)
    assert curves.env_steps[-1] == 30
    np.testing.assert_allclose(curves.final(), [3])


def test_a_run_can_begin_with_another_but_not_before_itself():
    rows = frame([(0, 10, 1), (0, 50, 5), (0, 100, 10)])
    assert [learning_curves(rows, "return", start=start).env_steps[0] for start in (0, 30, 200)] == [10, 30, 100]
    np.testing.assert_allclose(learning_curves(rows, "return", start=40, stop=60).auc(), [5])


def test_one_record_is_one_point():
    curves = learning_curves(frame([(0, 100, 4), (1, 100, 6)]), "return")
    np.testing.assert_allclose(curves.env_steps, [100])
    np.testing.assert_allclose(curves.auc(), [4, 6])


def test_the_band_holds_its_middle_and_is_flat_where_seeds_agree():
    rng = np.random.default_rng(0)
    rows = [(seed, step, 1.0 if step == 0 else rng.normal()) for seed in range(8) for step in range(0, 50, 10)]
    curves = learning_curves(frame(rows), "return")
    drawn = band(curves, resamples=200)
    np.testing.assert_allclose(drawn.middle, interquartile_mean(curves.values.T))
    assert (drawn.low[0], drawn.high[0]) == (1, 1)
    assert np.all(drawn.low[1:] < drawn.middle[1:])
    assert np.all(drawn.middle[1:] < drawn.high[1:])
    np.testing.assert_allclose(summary_interval(curves.final()).estimate, drawn.middle[-1])


def test_one_seed_has_no_band():
    drawn = band(learning_curves(frame([(0, 0, 1), (0, 10, 2)]), "return"))
    assert np.all(np.isnan(drawn.low))
    np.testing.assert_allclose(drawn.middle, [1, 2])


def test_mistakes_are_named():
    metrics = frame([(0, 0, np.nan)])
    with pytest.raises(UserError, match=r"unknown metric 'retrun'; did you mean 'return'\?"):
        learning_curves(metrics, "retrun")
    with pytest.raises(UserError, match="no finite value yet"):
        learning_curves(metrics, "return")
    with pytest.raises(UserError, match="no column 'wall_s'"):
        metric_names(metrics.drop("wall_s"))
