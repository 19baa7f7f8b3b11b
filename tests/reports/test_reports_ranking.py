"""What a page says about signals: words, bars and tables for every kind of ranking."""

from __future__ import annotations

import math

from unseen.reports.page import Page, html
from unseen.reports.ranking import draw, leaks_section, ranking_section
from unseen.signals.leaks import Leak
from unseen.signals.ranking import Ranking
from unseen.signals.search import Row, Stage

GOOD = Row(("velocity",), 0.02, 0.1, 0.001, 0.002, "informative")
NOTHING = Row(("heat",), 0.001, -0.001, 0.7, 0.7, "nothing found")
HOPELESS = Row(("<dead>",), math.nan, math.nan, math.nan, math.nan, "not testable: it is constant")


def ranking(rows, stages, chosen):
    return Ranking(tuple(rows), tuple(stages), chosen, "residual", "somewhere", 0.05, {"chosen_effect": 0.1})


def shown(section):
    return html(Page("signals", [section]))


def test_a_choice_is_shown_with_its_evidence_and_what_was_left():
    stages = [Stage((), (GOOD, NOTHING)), Stage(("velocity",), (NOTHING,))]
    page = shown(ranking_section(ranking([GOOD, NOTHING, HOPELESS], stages, ("velocity",))))
    assert "Tell the critic `velocity`" in page
    assert "nothing found that the agent does not already remember" in page
    assert "was not testable: it is constant" in page
    assert "&lt;dead&gt;" in page
    assert "What each signal adds to those already chosen" in page
    assert "nan" not in page


def test_nothing_helps_is_said():
    page = shown(ranking_section(ranking([NOTHING], [Stage((), (NOTHING,))], ())))
    assert "Nothing here helps" in page


def test_a_page_without_anything_testable_has_no_figure():
    page = shown(ranking_section(ranking([HOPELESS], [], ())))
    assert "No signal could be tested" in page
    assert "<svg" not in page


def test_informative_bars_are_filled_and_others_hatched():
    bars = draw([GOOD, NOTHING], "effect").axes[0].patches
    assert [bar.get_width() for bar in bars] == [0.1, -0.001]
    assert bars[0].get_hatch() is None
    assert bars[1].get_hatch() == "///"


def test_leaks_are_named():
    leaky = Leak("late", 0.4, 0.001, 0.001, True, "knows the action: is it recorded one step late?")
    fair = Leak("fair", 0.0, 0.5, 0.5, False, "no sign that it knows the action")
    assert "Do not tell a critic late" in shown(leaks_section([leaky, fair]))
    assert "No sign was found that a signal knows the action" in shown(leaks_section([fair]))
