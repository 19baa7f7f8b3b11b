"""The page about planning: every schedule in it, numbers that agree with the accounts, nothing that a model wrote read as markup."""

import re

import numpy as np
import polars as pl
import pytest

from unseen.data import Episodes
from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning.accounting import column, goldilocks, per_episode
from unseen.planning.agent import Agent
from unseen.planning.models.reader import reader
from unseen.planning.models.scripted import ScriptedModel
from unseen.planning.paired_runs import Worth
from unseen.planning.play import evaluate
from unseen.reports.blocks import Table
from unseen.reports.page import Page, html
from unseen.reports.planning import draw_goldilocks, obedience_section, planning_sections, worth_section
from unseen.reports.statistics import Interval

WORLD = GraphSearch(8, 2, 12, 0)
SCHEDULES = ("never", "every:2", "always", "dynamic")


@pytest.fixture(scope="module")
def played():
    return {word: evaluate(Agent(reader(), word, history=2), WORLD, 12) for word in SCHEDULES}


def test_every_schedule_has_its_row_and_its_numbers(played):
    cost, when = planning_sections(played)
    table = next(block for block in cost.blocks if isinstance(block, Table) and "return" in block.columns)
    assert [row[0] for row in table.rows] == list(SCHEDULES)
    at = table.columns.index("return")
    for row, episodes in zip(table.rows, played.values(), strict=True):
        expected = column(per_episode(episodes), "return")
        cell = row[at]
        assert (cell.estimate if isinstance(cell, Interval) else cell) == pytest.approx(expected.mean)
    frequencies = next(block for block in when.blocks if isinstance(block, Table))
    assert list(frequencies.columns) == ["situation", "every:2", "dynamic"]  # never and always decide nothing


def test_the_figure_has_readable_ticks_and_every_point(played):
    figure = draw_goldilocks(goldilocks(played, "success"), "success", "output_tokens")
    figure.canvas.draw()
    (axes,) = figure.axes
    shown = [tick.get_text() for tick in axes.get_xticklabels() if tick.get_text()]
    assert shown
    assert all(re.fullmatch(r"[\d,.]+", text) for text in shown), shown
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == set(SCHEDULES)
    markers = [handle.get_marker() for handle in axes.get_lines() if handle.get_marker() not in ("|", "_", "None")]
    assert len(set(markers)) == len(SCHEDULES)  # told apart without colour
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def test_the_verdict_names_who_reached_most_and_who_is_not_to_be_told_from_it(played):
    text = planning_sections(played)[0].blocks[0].text
    success = {word: float(per_episode(episodes)["success"].mean()) for word, episodes in played.items()}
    best = text.partition(" ")[0]
    assert success[best] == max(success.values())
    for word in SCHEDULES:
        if word != best and success[word] == success[best]:
            assert word in text.partition("Not to be told from it")[2]


def failing(seeds_that_fail):
    def write(prompt, *_):
        return "1"

    episodes = evaluate(Agent(ScriptedModel(write), "never", history=1), WORLD, 4)
    errors = np.array(
        ["the line is dead" if int(seed) in seeds_that_fail else "" for seed in episodes.info["seed"]], np.dtypes.StringDType()
    )
    return Episodes.from_columns({**episodes.columns(), ("info", "error"): errors}, episodes.offsets)


def test_episodes_in_which_the_model_failed_are_left_out_and_said_to_be():
    section = planning_sections({"never": failing({1, 2}), "every:2": failing(())})[0]
    assert section.blocks[0].kind == "poor"
    assert "In 2 episodes" in section.blocks[0].text
    assert not any("the same instances for every schedule" in getattr(block, "caption", "") for block in section.blocks)
    with pytest.raises(UserError, match="failed in every episode"):
        planning_sections({"never": failing({0, 1, 2, 3})})


def test_a_cost_that_nobody_knows_is_refused(played):
    with pytest.raises(UserError, match="flops is 0"):
        planning_sections(played, "success", "flops")


def test_what_a_model_wrote_is_escaped():
    def write(prompt, force, forbid, generator):
        return "<plan><script>alert(1)</script></plan>\n<img src=x onerror=alert(2)>"

    agent = Agent(ScriptedModel(write, name="<b>evil</b>"), "dynamic", history=1)
    page = html(Page("Planning", planning_sections({"dynamic <i>": evaluate(agent, WORLD, 3)})))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "dynamic &lt;i&gt;" in page


def states(worth: np.ndarray) -> Worth:
    n = len(worth)
    return Worth(
        pl.DataFrame(
            {
                "seed": np.arange(n) // 2,
                "step": np.ones(n, int),
                "plan_age": np.arange(n) % 5 + 1,
                "after_event": np.arange(n) % 2 == 0,
                "events": ["dead end" if k % 2 == 0 else "" for k in range(n)],
                "new": worth,
                "old": np.zeros(n),
                "worth": worth,
                "standard_error": np.ones(n),
                "new_tokens": np.full(n, 5.0),
                "old_tokens": np.full(n, 2.0),
                "obeyed": np.ones(n),
            }
        ),
        4,
    )


@pytest.mark.parametrize(("shift", "kind"), [(5.0, "good"), (-5.0, "poor"), (0.0, "verdict")])
def test_the_verdict_on_worth_says_what_the_interval_says(shift: float, kind: str):
    noise = np.random.default_rng(0).normal(size=40)
    section = worth_section(states(noise - noise.mean() + shift))
    assert section.blocks[0].kind == kind
    assert ("not to be told" in section.blocks[0].text) == (kind == "verdict")


def test_shares_of_obedience_stay_between_0_and_1():
    rows = [
        {"seed": s, "step": 1, "kind": k, "obedience": v, "own": None if k == "none" else v, "reached": float(s > 0), "return": 100.0 * s}
        for s in range(5)
        for k, v in (("none", 0.5), ("correct", 1.0 - 0.1 * (s == 0)), ("wrong", 0.0), ("shuffled", 0.5))
    ]
    (table,) = obedience_section(pl.DataFrame(rows)).blocks
    for row in table.rows:
        for cell in row[1:4]:
            if isinstance(cell, Interval):
                assert 0 <= cell.low <= cell.estimate <= cell.high <= 1
    assert table.rows[0][2] is None
