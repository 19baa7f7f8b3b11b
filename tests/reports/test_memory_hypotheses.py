"""Hypotheses about memories: each verdict on scores made so that it is known."""

from __future__ import annotations

import polars as pl
import pytest
from test_carried_over import made

from unseen.reports.memory_hypotheses import HELD, NOT_HELD, NOT_RUN, UNDECIDED, judged, tasks_that_count

AGENTS = ("feed-forward", "LSTM", "LSTM + MEM", "MRA")


def seeds(value, spread=1.0):
    return (value - spread, value, value + spread)


def scores(task, by_agent):
    """{agent: (train, interpolate, extrapolate)}, three seeds each."""
    roles = ("train", "interpolate", "extrapolate")
    return {(task, a): {r: seeds(v) for r, v in zip(roles, values, strict=True)} for a, values in by_agent.items()}


AS_EXPECTED = made(
    scores("change-detection", {"feed-forward": (20, 20, 18), "LSTM": (40, 35, 25), "LSTM + MEM": (60, 58, 50), "MRA": (85, 80, 70)})
    | scores("spot-diff", {"feed-forward": (20, 20, 18), "LSTM": (30, 25, 20), "LSTM + MEM": (40, 38, 33), "MRA": (60, 55, 50)})
)
THE_OTHER_WAY = made(
    scores("change-detection", {"feed-forward": (60, 62, 64), "LSTM": (50, 55, 60), "LSTM + MEM": (45, 40, 35), "MRA": (40, 45, 90)})
)


def verdicts(table, agents=AGENTS):
    return {j.claim: j.verdict for j in judged(table, agents)}


def test_all_hold_where_scores_are_as_expected():
    found = verdicts(AS_EXPECTED)
    assert set(found.values()) == {HELD}, found
    assert tasks_that_count(AS_EXPECTED, AGENTS) == ["change-detection", "spot-diff"]


def test_none_holds_the_other_way_round():
    found = verdicts(THE_OTHER_WAY)
    held = {claim for claim, verdict in found.items() if verdict == HELD}
    assert held == {"Some tasks are solved (a mean of 90 or more on training) by none of the agents."}, found
    assert found["Spot the difference is harder than change detection, its counterpart on a screen."] == NOT_RUN
    assert found["A feed-forward agent is not beyond the memoryless player by more than 5 points on any screen task."] == NOT_HELD


def test_a_single_seed_decides_no_contrast_and_noise_none_either():
    noisy = made({("change-detection", a): dict.fromkeys(("train", "interpolate", "extrapolate"), (70.0, 80.0, 90.0)) for a in AGENTS})
    found = verdicts(noisy)
    assert found["Episodic memory helps the LSTM, on held-out levels."] == UNDECIDED
    assert found["MRA has the best mean over training and held-out levels."] == UNDECIDED
    one = made({("change-detection", a): dict.fromkeys(("train", "interpolate", "extrapolate"), (60.0 + k,)) for k, a in enumerate(AGENTS)})
    assert set(verdicts(one).values()) <= {UNDECIDED, NOT_RUN}


def test_a_task_on_which_nobody_is_beyond_the_memoryless_player_counts_for_nothing():
    table = made(scores("change-detection", dict.fromkeys(AGENTS, (20, 20, 20))), memoryless=20.0)
    assert tasks_that_count(table, AGENTS) == []
    found = {j.claim: j for j in judged(table, AGENTS)}["Episodic memory helps the LSTM, on training levels."]
    assert found.verdict == UNDECIDED
    assert "no task" in found.evidence


@pytest.mark.parametrize("table", [pl.DataFrame(), made(scores("change-detection", {"LSTM": (40, 35, 25)}))], ids=["empty", "one agent"])
def test_what_was_not_run_is_said_so(table):
    assert verdicts(table)["Episodic memory helps the LSTM, on training levels."] == NOT_RUN
    assert verdicts(table)["MRA has the best mean over training and held-out levels."] == NOT_RUN
