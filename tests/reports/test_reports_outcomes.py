"""The page of `reproduce outcomes`: its figures over data sets are right, and what was not run says so."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from unseen.experiments.reproduce.outcomes import SCHEMA, Outcome, Results
from unseen.experiments.reproduce.outcomes_grid import (
    DRQ,
    FITTED,
    MINIMAX,
    NO_SPLIT,
    QREG,
    SCALES,
    Scale,
    Setting,
    cells,
)
from unseen.reports import outcomes_reproduced as report
from unseen.reports.blocks import Figure, Table
from unseen.reports.outcomes_summaries import as_json, spread, value_of
from unseen.reports.page import html
from unseen.reports.panels import Panel, Spread, panels

TINY = Scale({"main": 4, "nuisances": 4}, None, Setting(), {"n": (2_000,), "epsilon_e": (0.1,)}, toys=("frozen-lake",), slow=(), tumour=())
LEVELS = {QREG: 0.8, FITTED: 0.2, MINIMAX: 0.4, DRQ: 0.1}


def made(cell, seeds=4):
    """Rows as a run leaves them, errors by method, falling with n, one failure."""
    rows = []
    for seed in range(seeds):
        for method in cell.methods:
            error = LEVELS.get(method.label, 0.3) * (1 + 0.1 * seed) * 4_000 / cell.setting.n
            valued = method.learner in ("DRQLearner", "ImportanceSampling")
            row = dict.fromkeys(SCHEMA) | {"seed": seed, "method": method.name, "failure": "", "true_value": 1.0, "episodes": 50.0}
            row |= {"seconds": 0.1, "value": 1.0 + 0.1 * (seed - 1), "low": 0.95 if valued else None, "high": 1.15 if valued else None}
            row |= {} if method.family == "value" else {"rmse": error, "visited": error / 2, "weighted": error / 3}
            row |= {"from_fqe": 1e-30 if method.label == NO_SPLIT else 0.01} if method.family == "saturated" else {}
            rows.append(row)
    rows[0] |= {"failure": "it went wrong", "rmse": None, "visited": None, "weighted": None}
    return pl.DataFrame(rows, SCHEMA)


@pytest.fixture
def results(monkeypatch):
    """Everything of a small scale was run but one setting and the nuisances."""
    monkeypatch.setitem(SCALES, "tiny", TINY)
    every = cells(TINY)
    left_out = {"frozen-lake-n4000-h10-e0.1-b0.8-main"} | {cell.name for cell in every if cell.group == "nuisances"}
    return Results("tiny", tuple(Outcome(c, pl.DataFrame(schema=SCHEMA) if c.name in left_out else made(c)) for c in every))


def test_a_spread_is_over_data_sets(results):
    found = spread(results.outcomes[0], f"saturated: {DRQ}")
    values = 0.1 * (1 + 0.1 * np.arange(4))
    assert found.median == pytest.approx(np.median(values))
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert found.seeds == 4
    assert spread(results.outcomes[0], f"saturated: {QREG}").seeds == 3  # one failed
    assert spread(None, "anything") is None


def test_a_value_counts_the_intervals_that_hold_the_truth(results):
    found = value_of(results.outcomes[0], f"saturated: {DRQ}")
    assert (found.covered, found.intervals, found.seeds) == (4, 4, 4)  # 0.95 to 1.15 around 1.0
    assert found.bias == pytest.approx(0.05)  # of -0.1, 0, 0.1, 0.2
    assert found.rmse == pytest.approx(np.sqrt((0.01 + 0 + 0.01 + 0.04) / 4))
    assert found.width == pytest.approx(0.2)
    assert value_of(results.outcomes[0], f"saturated: {FITTED}").intervals == 0
    moved = Outcome(results.outcomes[0].cell, results.outcomes[0].rows.with_columns(pl.col("low") + pl.col("seed") * 0.04))
    assert value_of(moved, f"saturated: {DRQ}").covered == 2  # lower ends 0.95, 0.99, 1.03, 1.07


def tables(section):
    return [block for block in section.blocks if isinstance(block, Table)]


def test_shapes_beside_the_published_ones(results):
    saturated, _ = tables(report.shapes_section(results))
    here = {row[0]: row[2] for row in saturated.rows}
    assert here["DRQ is the lowest of the four, settings"] == "2 of 2"  # the third setting was not run
    assert here["MQL is neither lowest nor highest, settings"] == "2 of 2"
    assert here["DRQ nearer than FQE on the same data, default"] == "4 of 4 data sets"
    assert here["DRQ's error, fewest to most transitions"] == "0.23 at 2000, 0.115 at 4000"
    assert here["FQE's error / DRQ's, likewise"] == "not run"


def test_where_fqe_and_drq_are_the_same_is_said_with_figures(results):
    section = report.identity_section(results)
    assert "exactly" in section.blocks[0].text
    by_task = {row[0]: row for row in tables(section)[0].rows}
    assert by_task["Frozen Lake, slippery"][1:4] == ["1e−30", "not run", "0.01 (4 data sets)"]
    assert by_task["Taxi"][1:] == ["not run"] * 4


def test_every_section_is_there_and_nothing_is_invented(results):
    page = report.page(results)
    text = html(page)
    assert "second hand" in text
    assert text.count("not run") > 3
    assert "it went wrong" in text
    assert len([b for s in page.sections for b in s.blocks if isinstance(b, Figure)]) == 2  # a task, two classes
    nothing = Results("tiny", tuple(Outcome(o.cell, pl.DataFrame(schema=SCHEMA)) for o in results.outcomes))
    assert "0 of 16 data sets" in html(report.page(nothing))


def test_the_json_has_every_cell_and_no_number_where_nothing_was_run(results):
    figures = json.loads(json.dumps(as_json(results), allow_nan=False))
    first, *_ = figures["cells"]
    by_name = {method["method"]: method for method in first["methods"]}
    assert by_name[f"saturated: {DRQ}"]["rmse"]["median"] == pytest.approx(0.115)
    assert by_name[f"saturated: {QREG}"]["failures"] == 1
    assert by_name[f"saturated: {FITTED}"]["value"]["width"] is None
    empty = [cell for cell in figures["cells"] if cell["seeds"] == 0]
    assert len(empty) == 2
    assert all(cell["methods"] == [] for cell in empty)


def test_panels_draw_every_line_where_it_was_run():
    one = Spread(1.0, 1.0, 0.5, 2.0, 3)
    lines = {"a": [one, None, one._replace(median=0.3, low=0.2)], "b": [None, None, None]}
    figure = panels([Panel("n", ["1", "2", "3"], lines), Panel("h", ["1"], {"a": [one]}, "title")], "error")
    left, right = figure.axes
    assert left.get_yscale() == "log"
    assert [container.lines[0].get_ydata().tolist() for container in left.containers] == [[1.0, 0.3]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a"]
    assert (left.get_xlabel(), right.get_title()) == ("n", "title")
    assert "$" not in "".join(label.get_text() for label in left.get_yticklabels())
