"""From runs to sections: summaries, verdicts, results and comparisons."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from watched_hall import vectors, watched

from unseen.reports import single as single_run
from unseen.reports.blocks import Details, Figure, Pictures, Player, Section, Table, Text, holds, render
from unseen.reports.comparison import distinct
from unseen.reports.page import report
from unseen.reports.statistics import Interval
from unseen.reports.summary import RunSummary, flat, summarise
from unseen.reports.training import comparison, pages_sections, single
from unseen.reports.verdict import beats, scale, standing, verdict


def metrics(levels, steps=1_000, name="return"):
    """Every seed's curve is a line from 0 to its level."""
    rows = [(seed, k * steps // 10, k / 5, name, level * k / 10) for seed, level in enumerate(levels) for k in range(11)]
    return pl.DataFrame(rows, schema=["seed", "env_steps", "wall_s", "metric", "value"], orient="row")


def summary(levels, label="run", **options):
    options = {"experiment": {"environment": "maze", "env_steps": 1_000, "seeds": len(levels)}, "name": label} | options
    return RunSummary(label=label, metrics=metrics(levels), **options)


def find(section, kind):
    """All blocks of a kind, at any depth."""
    found = []
    for block in section.blocks:
        found += [block] if isinstance(block, kind) else []
        found += find(block, kind) if isinstance(block, Section | Details) else []
    return found


def cells(section, caption):
    (table,) = [table for table in find(section, Table) if caption in table.caption]
    return {row[0]: row[1:] for row in table.rows}


LEVELS = [0.4, 0.5, 0.6, 0.5, 0.5]


def test_results_are_the_closed_form_of_lines():
    run = summary(LEVELS, references={"random": (-0.5, 0.01), "perfect memory": 1.5})
    rows = cells(single(run), "Results")
    assert rows["Final return"][0].estimate == pytest.approx(0.5)
    assert rows["AUC"][0].estimate == pytest.approx(0.25)  # the mean height of a line from 0
    assert rows["Normalised final return"][0].estimate == pytest.approx(0.5)  # half way from -0.5 to 1.5
    assert rows["Normalised AUC"][0].estimate == pytest.approx(0.375)
    assert rows["Environment steps per seed"] == (1_000, "")
    assert rows["Seeds"] == (5, "")
    assert rows["Wall time"][0] == "2 s"
    assert rows["Steps per second"][0] == 2_500
    assert cells(single(run), "Reference")["random"] == [-0.5, 0.01]


def test_discounted_return_is_held_against_the_bounds():
    both = pl.concat([metrics(LEVELS), metrics([level / 2 for level in LEVELS], name="discounted_return")])
    run = replace(summary(LEVELS, bounds=(0.4, 0.5)), metrics=both)
    rows = cells(single(run), "Results")
    assert rows["Discounted return / optimum"][0].estimate == pytest.approx(0.5)
    rows = cells(single(replace(run, discounted_references={"random": 0.0})), "Results")
    assert rows["Normalised discounted return"][0].estimate == pytest.approx(0.5)
    assert any("below the optimal value" in text.text for text in find(single(run), Text))
    assert len([f for f in find(single(run), Figure) if "discounted return" in f.caption]) == 1


def test_evaluations_and_unfinished_runs_are_shown():
    evaluated = metrics([0.7, 0.7, 0.7], name="evaluation/holdout_<extrapolate>/return")
    run = replace(
        summary([0.5] * 3, experiment={"environment": "maze", "env_steps": 4_000}), metrics=pl.concat([metrics([0.5] * 3), evaluated])
    )
    rows = cells(single(run), "Results")
    assert rows["Evaluation, holdout_<extrapolate>"][0].estimate == pytest.approx(0.7)
    assert rows["Environment steps per seed"] == (1_000, "unfinished: 4,000 asked for")


def test_a_run_without_a_finished_episode_is_still_a_page():
    run = summary([np.nan, np.nan])
    assert any("No episode has finished yet" in text.text for text in find(single(run), Text))
    empty = replace(run, metrics=run.metrics.clear())
    render(single(empty), "s")
    mixed = comparison([run, summary(LEVELS, "works")])
    assert any("No episode has finished yet in: run" in text.text for text in find(mixed, Text))
    assert not find(comparison([run, replace(run, label="other")]), Table)


def test_episode_is_shown_still_and_moving():
    run = summary(LEVELS, frames=[np.zeros((8, 8, 3), np.uint8)] * 3, captions=["a", "b", "c"])
    still, moving = find(single(run), Pictures)
    assert still.files[0].startswith(b"\x89PNG")
    assert moving.files[0].startswith(b"GIF89a")
    assert any(moving in details.blocks for details in find(single(run), Details))  # nothing moves unasked


def test_a_watched_episode_is_played_and_not_animated():
    frames = {"frames": [np.zeros((8, 8, 3), np.uint8)] * 3, "captions": ["a", "b", "c"]}
    run = summary(LEVELS, watched=watched(), **frames)
    (still,) = find(single(run), Pictures)
    assert still.files[0].startswith(b"\x89PNG")
    (player,) = find(single(run), Player)
    assert "weights add up to 1" in player.caption
    (player,) = find(single(replace(run, watched=vectors())), Player)
    assert "weights" not in player.caption
    assert holds([single(run)], Player)


def test_an_episode_with_too_many_numbers_is_animated(monkeypatch):
    monkeypatch.setattr(single_run, "fits", lambda episode: False)
    run = summary(LEVELS, watched=watched(), frames=[np.zeros((8, 8, 3), np.uint8)] * 3, captions=["a", "b", "c"])
    assert not find(single(run), Player)
    assert len(find(single(run), Pictures)) == 2


def test_comparison_judges_all_runs_at_the_same_step():
    slow = replace(summary(LEVELS, "short"), metrics=metrics(LEVELS, steps=500))  # at 500 steps it has reached its level
    section = comparison([summary(LEVELS, "long"), slow])
    rows = cells(section, "Interquartile means")
    assert rows["long"][0].estimate == pytest.approx(0.25)  # half way up at 500 of 1,000 steps
    assert rows["short"][0].estimate == pytest.approx(0.5)
    assert cells(section, "Probability")["short"] == [(1, 1, 1), (1, 1, 1), "better"]


def test_comparison_takes_all_areas_over_the_same_steps():
    """Both climb the same line, but one logs from the middle on: its area must not gain from the low part it never showed."""
    whole = summary(LEVELS, "whole")
    late = replace(whole, label="late", metrics=whole.metrics.filter(pl.col("env_steps") >= 500))
    rows = cells(comparison([whole, late]), "Interquartile means")
    assert rows["whole"][1].estimate == pytest.approx(0.375)  # from half way up to the top of 0.5
    assert rows["late"][1].estimate == pytest.approx(0.375)
    assert cells(comparison([whole, late]), "Probability")["late"][2] == "no clear difference"


def test_runs_without_a_common_step_are_not_compared():
    early = summary(LEVELS, "early")
    late = replace(early, label="late", metrics=early.metrics.with_columns(pl.col("env_steps") + 5_000))
    section = comparison([early, late])
    assert any("no environment steps in common" in text.text for text in find(section, Text))
    assert not find(section, Table)


def test_comparison_against_the_first_counts_ties_half():
    section = comparison([summary([1.0, 2, 3, 4], "first"), summary([1.0, 2, 3, 4], "same"), summary([0.1, 0.2, 0.3], "worse")])
    rows = cells(section, "Probability of improvement over first")
    assert rows["same"][0].estimate == 0.5
    assert rows["same"][2] == "no clear difference"
    assert rows["worse"][2] == "worse"
    assert list(rows) == ["same", "worse"]


def test_runs_are_compared_within_their_environment():
    maze, other = summary(LEVELS, "a"), summary(LEVELS, "c", experiment={"environment": "tiger"})
    titles = [section.title for section in pages_sections([maze, summary(LEVELS, "b"), other])]
    assert titles == ["maze: 2 runs compared", "a", "b", "c"]


@pytest.mark.parametrize(
    ("labels", "short"),
    [
        (["maze · critic: a", "maze · critic: b"], ["critic: a", "critic: b"]),
        (["same", "same"], ["same (one)", "same (two)"]),
        (["x", "y"], ["x", "y"]),
        (["maze", "maze · b"], ["maze", "maze · b"]),
    ],
)
def test_labels_are_short_and_differ(labels, short):
    runs = [summary(LEVELS, label, name=name) for label, name in zip(labels, ["one", "two"])]
    assert [run.label for run in distinct(runs)] == short
    twins = distinct([runs[0]] * 3)
    assert len({run.label for run in twins}) == 3


@pytest.mark.parametrize(
    ("low", "high", "relation"),
    [(0.5, 0.9, "above"), (-0.9, -0.5, "below"), (-0.1, 0.9, "not distinguishable from"), (0.15, 0.9, "not distinguishable from")],
)
def test_standing_allows_for_the_error_of_the_reference(low, high, relation):
    assert standing(Interval((low + high) / 2, low, high), (0.0, 0.1)) == relation


def test_verdicts():
    references = {"random": 0.0, "perfect memory": 1.0}
    good = verdict(Interval(0.5, 0.4, 0.6), 10, "final return", references)
    assert good.kind == "good"
    assert "above random actions" in good.text
    assert "below the perfect memory player" in good.text
    assert "reaches 50\u00a0%" in good.text
    assert verdict(Interval(0.1, -0.1, 0.3), 10, "final return", references).kind == "poor"
    assert "from one seed" in verdict(Interval(0.5, np.nan, np.nan), 1, "final return", references).text
    assert "too narrow" in verdict(Interval(0.5, 0.4, 0.6), 3, "final return", {}).text
    assert (
        "above the optimal value, which no player exceeds"
        in verdict(Interval(2, 1.5, 2.5), 9, "final discounted return", {}, (0.9, 1.0)).text
    )
    assert "not distinguishable from the optimal" in verdict(Interval(0.95, 0.9, 1), 9, "final discounted return", {}, (0.93, 0.99)).text


def test_a_return_is_held_against_both_ends_of_the_optimum():
    def words(low, high, bounds, random=0.0):
        return verdict(Interval((low + high) / 2, low, high), 9, "final discounted return", {"random": random}, bounds).text

    exact = words(0.6, 0.8, (1.0, 1.0))
    assert "below the optimal value" in exact
    assert "to the optimum (100\u00a0%) it reaches 70\u00a0%" in exact
    wide = words(3.9, 4.1, (4.0, 5.0))
    assert "Whether it is optimal is not known: the optimal value lies between 4 and 5." in wide
    assert "to the optimum (100\u00a0%), which lies between 4 and 5, it reaches 80 to 100\u00a0%" in wide
    assert "it reaches 20\u00a0% if the optimum is 5, more if it is less" in words(0.9, 1.1, (0.0, 5.0))
    assert "below the optimal value" in words(1.0, 2.0, (4.0, 5.0))
    costs = words(-5.1, -4.9, (-4.0, -3.0), random=-10.0)
    assert "below the optimal value" in costs
    assert "it reaches 71 to 83\u00a0%" in costs


def test_an_optimal_return_summed_in_single_precision_is_optimal():
    single = float(np.float32(0.99) ** 6) * (1 + 1e-7)
    for value in (single, 2 * 0.99**6 - single):
        text = verdict(Interval(value, value, value), 9, "final discounted return", {"random": 0.0}, (0.99**6, 0.99**6)).text
        assert "not distinguishable from the optimal value" in text
        assert "reaches 100\u00a0%" in text


def test_the_scale_says_where_the_lower_bound_is():
    on = scale({"random": -10.0}, (-4.0, -3.0))
    assert (on.best, on.least) == (-3.0, -4.0)
    assert on.name == "the optimum's upper bound (its lower bound is at 0.857)"
    assert scale({"random": -10.0}, (-3.0005, -3.0)).name == "the optimum"
    assert scale({"random": 1.0}, (1.0, 1.0 + 1e-9)) is None  # nothing to gain
    assert scale({}, (1.0, 2.0)) is None


def test_scale_needs_a_random_player_below_the_best():
    assert scale({"perfect memory": 1.0}) is None
    assert scale({"random": 0.0}) is None
    assert scale({"random": 1.0, "oracle": 1.0}) is None
    on = scale({"random": -1.0, "oracle": 3.0, "perfect memory": 1.0})
    assert (on.name, on.of(Interval(0, -1, 1))) == ("perfect memory", (0.5, 0, 1))
    assert scale({"random": 0.0}, (3.0, 4.0)).of(Interval(1, 0, 2)) == (0.25, 0, 0.5)


def test_beats():
    assert beats(Interval(0.9, 0.6, 1)) == "better"
    assert beats(Interval(0.1, 0, 0.4)) == "worse"
    assert beats(Interval(0.6, 0.4, 0.8)) == "no clear difference"
    assert beats(Interval(0.6, np.nan, np.nan)) == "needs two seeds"


@dataclass(frozen=True)
class Memory:
    size: int = 8


@dataclass(frozen=True)
class Settings:
    environment: str = "<b>maze</b>"
    memory: Memory = field(default_factory=Memory)
    env_steps: int = 1_000


class FakeRun:
    """Everything a run offers to a report, and nothing else."""

    experiment = Settings()
    label = "label <script>"

    def __init__(self, directory):
        self.directory = directory

    def metrics(self):
        return pl.concat([metrics(LEVELS), metrics(LEVELS, name="discounted_return"), metrics(LEVELS, name="<img src=x>")])

    def references(self):
        return {"random": (0, 0.0), "perfect_memory": 1, "discounted/random": -1.0}

    def bounds(self):
        return (0.9, 1)

    def frames(self):
        return [(np.zeros((8, 8, 3), np.uint8), "<caption>")] * 2

    def watched(self):
        return None

    def versions(self):
        return {"python": "3.11", "packages": {"jax": "0.10"}, "devices": ["cpu:0"], "earlier": [{"python": "3.10"}]}

    def notes(self):
        return ["a <note>"]


def test_a_run_object_is_summarised(tmp_path):
    run = summarise(FakeRun(tmp_path / "a run"))
    assert run.experiment == {"environment": "<b>maze</b>", "memory": "Memory", "memory.size": 8, "env_steps": 1_000}
    assert run.references == {"random": (0, 0.0), "perfect memory": 1}
    assert run.discounted_references == {"random": -1.0}
    assert run.versions == {"python": "3.11", "jax": "0.10", "devices": ["cpu:0"]}
    assert run.reproduce == "unseen train 'a run/experiment.toml' --out again"


def test_a_report_does_not_tell_where_its_author_keeps_things(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert summarise(FakeRun(Path("runs/maze"))).reproduce == "unseen train runs/maze/experiment.toml --out again"
    assert str(tmp_path) not in report([FakeRun(tmp_path / "runs" / "maze")], "one.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in report([FakeRun(tmp_path.parent / "elsewhere")], "two.html").read_text(encoding="utf-8")


def test_reports_of_one_and_of_several_runs(tmp_path):
    one = report([FakeRun(tmp_path / "maze")], tmp_path / "one.html").read_text(encoding="utf-8")
    several = report([FakeRun(tmp_path / "a"), FakeRun(tmp_path / "b")], tmp_path / "two.html", title="T & T").read_text(encoding="utf-8")
    assert "<title>T &amp; T</title>" in several
    assert "Probability of improvement over label &lt;script&gt; (a)" in several
    for page in (one, several):
        assert not re.search(r"<(script|b|note|caption|img src=x)>", page)
        assert "a &lt;note&gt;" in page
        assert "data:image/gif;base64" in page
        assert "unseen train" in page


def test_flat_names_nested_settings():
    assert flat({"a": {"b": 1, "c": {"d": (1, 2)}}, "m": Memory(3)}) == {"a.b": 1, "a.c.d": (1, 2), "m": "Memory", "m.size": 3}


def test_comparison_of_few_seeds_warns_and_of_many_does_not():
    def warned(runs):
        return any("too narrow" in text.text for text in find(comparison(runs), Text))

    assert warned([summary([1.0, 2, 3, 4], "a"), summary(LEVELS, "b")])
    assert not warned([summary(LEVELS, "a"), summary(LEVELS, "b")])
