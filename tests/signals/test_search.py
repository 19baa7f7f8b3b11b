"""Sets of signals, false discoveries, forward selection with a criterion made up for it, and every sentence of the advice."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.signals import search
from unseen.signals.ranking import Ranking
from unseen.signals.search import Row, Stage


class Result(NamedTuple):
    effect: float
    normalised: float
    p: float


class Known:
    """A criterion whose answers are written down: what is given -> set of signals -> (effect, p)."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def __call__(self, given):
        self.asked.append(given)
        answers = self.answers[given]

        class Told:
            def test(self, subsets):
                return [Result(10 * answers[s][0], *answers[s]) for s in subsets]

        return Told()


def adjusted_plainly(ps):
    """Benjamini & Hochberg: the least level at which the step-up procedure rejects, by trying each of them."""
    m = len(ps)
    order = sorted(ps)
    return [min(order[k] * m / (k + 1) for k in range(m) if order[k] >= p) for p in ps]


def test_every_subset_of_a_few_signals_is_tested():
    assert search.subsets("ab") == [("a",), ("b",), ("a", "b")]
    assert len(search.subsets("abcd")) == 15
    assert search.subsets("abcde") == [("a",), ("b",), ("c",), ("d",), ("e",)]
    assert search.subsets("ab", ["state"]) == [("a",), ("b",), ("a", "b"), ("state",)]
    assert search.subsets([]) == []


def test_adjusted_p_values_by_hand():
    criterion = Known({(): {("a",): (0.1, 0.01), ("b",): (0.2, 0.04), ("c",): (0.3, 0.03), ("d",): (0.0, 0.8)}})
    rows = search.tested(criterion(()), [("a",), ("b",), ("c",), ("d",)], 0.05)
    # 0.01 * 4 / 1, 0.03 * 4 / 2 and 0.04 * 4 / 3; the last two share the smaller.
    assert [row.adjusted for row in rows] == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.8])
    assert [row.verdict for row in rows] == ["informative", "nothing found", "nothing found", "nothing found"]
    assert rows[1] == Row(("b",), 2.0, 0.2, 0.04, rows[1].adjusted, "nothing found")
    assert search.tested(criterion(()), [], 0.05) == []


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12))
def test_adjusted_p_values_are_those_of_the_step_up_procedure(ps):
    sets = [(f"s{k}",) for k in range(len(ps))]
    rows = search.tested(Known({(): dict(zip(sets, [(0.0, p) for p in ps], strict=True))})(()), sets, 0.05)
    assert [row.adjusted for row in rows] == pytest.approx([min(1.0, q) for q in adjusted_plainly(ps)])


ANSWERS = {
    (): {("a",): (0.2, 0.001), ("b",): (0.5, 0.001), ("c",): (0.9, 0.6)},
    ("b",): {("a",): (0.1, 0.004), ("c",): (0.3, 0.5)},
    ("b", "a"): {("c",): (0.2, 0.4)},
}


def forward(answers, most=3, alpha=0.05):
    criterion = Known(answers)
    first = search.tested(criterion(()), list(answers[()]), alpha)
    criterion.asked.clear()
    return search.forward(criterion, first, alpha, most), criterion.asked


def test_forward_selection_takes_the_largest_effect_and_conditions_on_it():
    stages, asked = forward(ANSWERS)
    assert [stage.given for stage in stages] == [(), ("b",), ("b", "a")]  # c has the largest effect, and no evidence for it
    assert asked == [("b",), ("b", "a")]
    assert [row.signals for row in stages[1].rows] == [("a",), ("c",)]
    assert stages[1].rows[0].adjusted == pytest.approx(0.008)


def test_forward_selection_stops_after_so_many_signals():
    stages, _ = forward(ANSWERS, most=1)
    assert stages[-1].given == ("b",)
    assert stages[-1].rows[0].verdict == "informative"  # the last stage still says what would come next


def test_forward_selection_stops_where_nothing_is_informative():
    stages, asked = forward({(): {("a",): (0.2, 0.3), ("b",): (0.5, 0.2)}})
    assert [stage.given for stage in stages] == [()]
    assert asked == []


def test_forward_selection_stops_where_nothing_is_left():
    stages, asked = forward({(): {("a",): (0.2, 0.001)}})
    assert stages[-1] == Stage(("a",), ())
    assert asked == []


def test_forward_selection_keeps_the_adjustment_among_all_sets():
    criterion = Known({(): {("a",): (0.2, 0.03), ("b",): (0.1, 0.9), ("a", "b"): (0.3, 0.9)}, ("a",): {("b",): (0.1, 0.9)}})
    rows = search.tested(criterion(()), [("a",), ("b",), ("a", "b")], 0.08)
    assert rows[0].adjusted == pytest.approx(0.09)
    stages = search.forward(criterion, rows, 0.08, 3)
    assert stages[0].rows[0].adjusted == pytest.approx(0.09)
    assert stages[-1].given == ()  # what the table calls nothing is not chosen


def test_draws_that_could_never_reject_are_refused():
    search.require_draws(19, 1, 0.05)
    search.require_draws(159, 8, 0.05)
    with pytest.raises(UserError, match=r"8 tests at a false-discovery rate of 0\.05 need at least 159"):
        search.require_draws(158, 8, 0.05)


def row(*signals, effect=0.1, p=0.5, adjusted=None, verdict=None):
    adjusted = p if adjusted is None else adjusted
    return Row(signals, 10 * effect, effect, p, adjusted, verdict or ("informative" if adjusted <= 0.05 else "nothing found"))


def hopeless(name, why="it is constant"):
    return Row((name,), math.nan, math.nan, math.nan, math.nan, f"not testable: {why}")


def test_rows_are_ordered():
    rows = [hopeless("x"), row("a", effect=0.5), row("b", effect=0.1, p=0.01), row("c", effect=0.2, p=0.01), row("d", effect=0.6)]
    assert [r.signals[0] for r in search.ordered(rows)] == ["c", "b", "d", "a", "x"]


def ranking(rows, stages=(), chosen_effect=0.0):
    chosen = stages[-1].given if stages else ()
    return Ranking(tuple(rows), tuple(stages), chosen, "residual", "somewhere: a test", 0.05, {"chosen_effect": chosen_effect})


def test_advice_where_nothing_helps():
    said = ranking([row("a", p=0.31), row("b", p=0.7)]).recommendation
    assert said == (
        "Nothing here helps, as far as these episodes tell: no signal was found to tell about the return what history and action do not "
        "(smallest adjusted p 0.31); more episodes see smaller effects."
    )


def test_advice_where_nothing_could_be_tested():
    said = ranking([hopeless("a"), hopeless("b", "3 of 9 steps have missing or infinite values")]).recommendation
    assert said == (
        "No signal could be tested. `a` was not testable: it is constant. "
        "`b` was not testable: 3 of 9 steps have missing or infinite values."
    )


def test_advice_where_signals_count_only_together():
    singles = (row("a", p=0.31), row("b", p=0.7))
    said = ranking([row("a", "b", effect=0.3, p=0.001), *singles], [Stage((), singles)]).recommendation
    assert said == "By itself no signal was found to help; together `a` and `b` do (effect 0.3, adjusted p 0.001)."


def test_advice_where_only_the_state_informs():
    singles = (row("a", p=0.31),)
    said = ranking([row("state", effect=0.3, p=0.001), *singles], [Stage((), singles)]).recommendation
    assert said.startswith("No single signal was found to help, but `state` does (effect 0.3, adjusted p 0.001)")


def test_advice_without_a_search():
    said = ranking([row("a", effect=0.3, p=0.001), row("b", p=0.7)]).recommendation
    assert said == "Informative: `a` (effect 0.3, adjusted p 0.001)."


def test_advice_about_what_was_chosen_and_what_was_not():
    singles = (row("a", effect=0.4, p=0.001), row("b", effect=0.2, p=0.002), row("c", p=0.6), row("d", effect=0.3, p=0.003))
    second = (row("b", effect=0.15, p=0.004), row("c", p=0.9), row("d", p=0.44))
    stages = [Stage((), singles), Stage(("a",), second)]
    assert ranking([*singles, hopeless("e")], stages).recommendation == (
        "Tell the critic `a`: `a` effect 0.4, adjusted p 0.001. "
        "`b` adds to that (effect 0.15, adjusted p 0.004), but no more were asked for. "
        "`c`: nothing found that the agent does not already remember (p 0.6). "
        "Beside `a` nothing was found that `d` adds (p 0.44). "
        "`e` was not testable: it is constant."
    )
    stages.append(Stage(("a", "b"), (row("c", p=0.9), row("d", p=0.2))))
    said = ranking(singles, stages).recommendation
    assert said.startswith("Tell the critic `a` and `b`: `a` effect 0.4, adjusted p 0.001; `b` beside `a` effect 0.15, adjusted p 0.004.")
    assert "Beside `a` and `b` nothing was found that `d` adds (p 0.2)." in said


@pytest.mark.parametrize(("effect", "words"), [(0.9, "a larger"), (0.2, "no larger")])
def test_advice_compares_with_the_full_state(effect, words):
    singles = (row("a", effect=0.4, p=0.001),)
    stages = [Stage((), singles), Stage(("a",), ())]
    said = ranking([*singles, row("state", effect=effect, p=0.001)], stages, chosen_effect=0.4).recommendation
    assert said.endswith(f"The full state has {words} effect ({effect}).")
    assert "full state" not in ranking([*singles, row("state", effect=effect, p=0.9)], stages, 0.4).recommendation


def test_what_is_printed_is_the_table_and_the_advice():
    found = ranking([row("a", "bee", effect=0.3, p=0.25), hopeless("c")])
    about, header, first, second, blank, advice = str(found).split("\n")
    assert about == "somewhere: a test"
    assert header.split() == ["signals", "effect", "norm.", "p", "adjusted", "verdict"]
    assert first.split() == ["a", "+", "bee", "3", "0.3000", "0.2500", "0.2500", "nothing", "found"]
    assert second.split() == ["c", "not", "testable:", "it", "is", "constant"]
    assert first.index("nothing") == second.index("not") == header.index("verdict")
    assert blank == ""
    assert advice == found.recommendation
    assert repr(found) == str(found)


def test_the_table_as_a_frame():
    table = ranking([row("a", "b", effect=0.3, p=0.25), hopeless("c")]).table()
    assert table.columns == ["signals", "effect", "normalised", "p", "adjusted", "verdict"]
    assert table["signals"].to_list() == ["a + b", "c"]
    assert table["p"].to_list()[0] == 0.25
    assert math.isnan(table["p"].to_list()[1])


def test_a_row_is_found_by_its_signals_in_any_order():
    found = ranking([row("a", "b", p=0.25), row("a")])
    assert found.row("b", "a").p == 0.25
    with pytest.raises(KeyError, match="the set b was not tested"):
        found.row("b")
