"""Every table of the accounts against a plain count over hand-made episodes, and every interval against its formula."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.planning.accounting import (
    SHARES,
    SUMS,
    after_events,
    check,
    column,
    estimate,
    frequency,
    goldilocks,
    paired,
    per_episode,
    situations,
    summary,
    survival,
    whole,
)

Z = stats.norm.ppf(0.975)


def episode(length: int, seed: int, generator: np.random.Generator, **accounts: Any) -> dict[str, Any]:
    """An episode of random accounts, but for those given."""
    events = [["", "", "storm", "dead end", "storm; dead end"][k] for k in generator.integers(5, size=length)]
    drawn: dict[str, Any] = {name: generator.integers(0, 50, length) for name in SUMS}
    drawn |= {name: generator.random(length) < 0.4 for name in SHARES}
    drawn |= {"progression": generator.choice([0.25, 0.5, 1.0], length)}
    drawn |= {"plan_age": np.full(length, -1), "replaced_age": np.full(length, -1)}
    return {
        "observations": {"long_term": ["seen"] * (length + 1), "short_term": [""] * (length + 1)},
        "actions": ["go"] * length,
        "rewards": generator.integers(-2, 3, length).astype(np.float64),
        "terminated": bool(generator.random() < 0.5),
        "truncated": False,
        "text": {"events": accounts.pop("events", events)},
        "accounts": {name: np.array(accounts.get(name, values)) for name, values in drawn.items()},
        "info": {"seed": seed, "error": ["", "dead"][int(generator.integers(2))]},
    }


def made(lengths: list[int], seed: int = 0, first: int = 0, **accounts: Any) -> Episodes:
    generator = np.random.default_rng(seed)
    return Episodes.from_list([episode(length, first + k, generator, **accounts) for k, length in enumerate(lengths)])


LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@settings(max_examples=40)
@given(LENGTHS, st.integers(0, 1_000))
def test_an_episodes_figures_are_plain_counts(lengths, seed):
    episodes = made(lengths, seed, first=3)
    rows = per_episode(episodes).to_dicts()
    for row, one in zip(rows, episodes, strict=True):
        assert row["seed"] == one.info["seed"]
        assert row["return"] == sum(one.rewards.tolist())
        assert row["progression"] == one.accounts["progression"][-1]
        assert row["success"] == (one.accounts["progression"][-1] == 1.0)
        assert row["steps"] == len(one)
        assert row["failed"] == (one.info["error"] != "")
        for name in SUMS:
            assert row[name] == sum(one.accounts[name].tolist())
        for name in SHARES:
            assert row[name] == pytest.approx(sum(one.accounts[name].tolist()) / len(one))
        output = sum(sum(one.accounts[name].tolist()) for name in ("reasoning_tokens", "plan_tokens", "action_tokens"))
        assert row["output_tokens"] == output
        assert row["return_per_1000"] == pytest.approx(1_000 * row["return"] / output if output else 0.0)
    assert set(rows[0]) == {
        *SUMS,
        *SHARES,
        *("seed", "return", "progression", "success", "steps", "output_tokens", "return_per_1000", "failed"),
    }


def test_an_episode_without_tokens_has_no_return_per_token():
    none: dict[str, Any] = {name: [0, 0] for name in ("reasoning_tokens", "plan_tokens", "action_tokens")}
    assert per_episode(made([2], **none))["return_per_1000"].to_list() == [0.0]


# --- intervals


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_students_interval(values):
    found = estimate(np.array(values))
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), max(stats.sem(values), 1e-300))
    assert found.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert found.standard_error == pytest.approx(stats.sem(values), abs=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.exists


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval(counts):
    k, n = counts
    found = estimate(np.array([1.0] * k + [0.0] * (n - k)), proportion=True)
    p = k / n
    middle, reach = (p + Z**2 / (2 * n)) / (1 + Z**2 / n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n * n)) / (1 + Z**2 / n)
    assert (found.mean, found.low, found.high) == pytest.approx((p, middle - reach, middle + reach), abs=1e-9)


def test_one_value_has_no_interval_and_none_no_mean():
    one = estimate(np.array([3.0]))
    assert one.mean == 3.0
    assert not one.exists
    assert math.isnan(one.standard_error)
    with pytest.raises(UserError, match="nothing"):
        estimate(np.zeros(0))


def test_a_summary_is_the_estimate_of_every_column():
    episodes = made([3, 4, 2, 5])
    table = per_episode(episodes)
    rows = {row.pop("figure"): row for row in summary(episodes).to_dicts()}
    assert set(rows) == set(table.columns) - {"seed"}
    for name, row in rows.items():
        proportion = name in ("success", "failed")
        free = estimate(table[name].to_numpy().astype(float), proportion)._asdict()
        if name not in ("return", "return_per_1000"):  # an interval holds nothing that cannot be
            top = np.inf if "tokens" in name or name in ("steps", "flops", "seconds") else 1.0
            free |= {"low": min(max(free["low"], 0.0), top), "high": min(max(free["high"], 0.0), top)}
        assert row == pytest.approx(free)
    assert rows["success"]["low"] >= 0
    for wrong in ("sucess", "seed"):
        with pytest.raises(UserError, match="unknown column"):
            column(table, wrong)


# --- situations


def test_situations_by_hand():
    episodes = Episodes.concatenate(
        [
            made([4], events=["storm", "", "dead end; storm", ""], illegal=[False, True, False, True]),
            made([3], first=1, events=["", "dead end", "storm"], illegal=[False, False, True]),
        ]
    )
    assert {name: np.flatnonzero(mask).tolist() for name, mask in situations(episodes).items()} == {
        "first step": [0, 4],
        "after an event": [1, 3, 6],
        "after: dead end": [3, 6],
        "after: storm": [1, 3],
        "after an illegal action": [2],
        "elsewhere": [5],
    }
    assert np.flatnonzero(after_events(episodes)).tolist() == [1, 3, 6]


def test_events_that_are_too_many_are_not_told_apart():
    events = [f"event {k}" for k in range(7)] + [""]
    assert not any(name.startswith("after: ") for name in situations(made([8], events=events)))
    assert sum(name.startswith("after: ") for name in situations(made([7], events=[*events[:6], ""]))) == 6


@settings(max_examples=30)
@given(LENGTHS, st.integers(0, 1_000))
def test_frequencies_are_plain_shares(lengths, seed):
    episodes = made(lengths, seed)
    expected: dict[str, list[tuple[int, bool]]] = {}
    for e, one in enumerate(episodes):
        for t in range(len(one)):
            before = str(one.text["events"][t - 1]) if t else ""
            fits = ["first step"] if t == 0 else []
            fits += ["after an event", *(f"after: {name}" for name in before.split("; "))] if before else []
            fits += ["after an illegal action"] if t and one.accounts["illegal"][t - 1] else []
            for name in fits or ["elsewhere"]:
                expected.setdefault(name, []).append((e, bool(one.accounts["planned"][t])))
    rows = {row["situation"]: row for row in frequency(episodes).to_dicts()}
    assert set(rows) == set(expected)
    for name, steps in expected.items():
        assert rows[name]["steps"] == len(steps)
        assert rows[name]["mean"] == pytest.approx(sum(planned for _, planned in steps) / len(steps))
        if len({e for e, _ in steps}) < 2:
            assert math.isnan(rows[name]["low"])
        else:
            assert 0 <= rows[name]["low"] <= rows[name]["mean"] + 1e-12
            assert rows[name]["mean"] - 1e-12 <= rows[name]["high"] <= 1


def test_the_error_of_a_frequency_is_that_of_a_bootstrap_over_episodes():
    generator = np.random.default_rng(3)
    parts = []
    for k in range(80):  # steps of an episode are alike, and long episodes plan more
        length = int(generator.integers(1, 15))
        planned = generator.random(length) < length / 16
        parts.append(made([length], k, first=k, planned=planned, events=[""] * length, illegal=[False] * length))
    row = next(row for row in frequency(Episodes.concatenate(parts)).to_dicts() if row["situation"] == "elsewhere")
    counts = np.array([[part.accounts["planned"][1:].sum(), len(part.accounts["planned"]) - 1] for part in parts])
    drawn = counts[generator.integers(80, size=(4_000, 80))].sum(1)
    assert row["standard_error"] == pytest.approx(np.std(drawn[:, 0] / drawn[:, 1]), rel=0.1)
    steps = counts[:, 1].sum()
    assert row["standard_error"] > 1.2 * math.sqrt(row["mean"] * (1 - row["mean"]) / steps)  # steps are not independent
    reach = stats.t.ppf(0.975, 79) * row["standard_error"]
    assert (row["low"], row["high"]) == pytest.approx((row["mean"] - reach, row["mean"] + reach))


# --- survival


def plans(*ages: list[int]) -> Episodes:
    """Episodes with plans of these ages, step by step; who wrote them does not matter."""
    parts = [made([len(some)], k, first=k, plan_age=some, planned=[False] * len(some)) for k, some in enumerate(ages)]
    return Episodes.concatenate(parts)


def log_log(survived: float, summed: float) -> tuple[float, float]:
    """Greenwood's interval on the log-log scale, from Σ d / (n (n - d))."""
    reach = Z * math.sqrt(summed) / math.log(survived)
    return survived ** math.exp(-reach), survived ** math.exp(reach)


def test_survival_by_hand():
    """Lives of 2, 1 and 3 steps that ended with another plan, and of 3, 4 and 1 that the end of the episode cut."""
    table = survival(plans([0, 1, 0, 1, 2], [-1, 0, 0, 1, 2, 3], [0, 1, 2, 0]))
    assert table["age"].to_list() == [0, 1, 2, 3, 4]
    assert table["at_risk"].to_list() == [6, 6, 4, 3, 1]
    assert table["survival"].to_list() == pytest.approx([1, 5 / 6, 5 / 8, 5 / 12, 5 / 12])
    sums = np.cumsum([1 / (6 * 5), 1 / (4 * 3), 1 / (3 * 2)])
    bounds = [log_log(s, v) for s, v in zip([5 / 6, 5 / 8, 5 / 12], sums, strict=True)]
    bounds.append(bounds[-1])
    low, high = zip(*(sorted(pair) for pair in bounds), strict=True)
    assert table["low"].to_list()[1:] == pytest.approx(low)
    assert table["high"].to_list()[1:] == pytest.approx(high)


def test_a_plan_that_is_taken_away_is_not_replaced():
    assert survival(plans([0, 1, -1, -1, 0])).rows() == [(0, 1.0, 1.0, 1.0, 2)]
    table = survival(plans([0, 1, -1, 0, 1, 2, 0]))  # lives: 2 cut, 3 replaced, 1 cut
    assert table.select("age", "survival", "at_risk").rows() == [(0, 1.0, 3), (1, 1.0, 3), (2, 1.0, 2), (3, 0.0, 1)]
    assert table["low"].to_list() == [1.0, 1.0, 1.0, 0.0]


def test_nothing_survives_where_nothing_was_planned():
    assert survival(plans([-1, -1], [-1])).is_empty()
    assert survival(plans([0, 1, 2])).rows() == [(0, 1.0, 1.0, 1.0, 1)]
    always = survival(plans([0] * 5, [0] * 3))  # the last plan of each is cut by the end at the age at which the others are replaced
    assert always.select("age", "survival", "at_risk").rows() == [(0, 1.0, 8), (1, 0.25, 8)]


@settings(max_examples=40)
@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=8), min_size=1, max_size=5))
def test_survival_is_the_product_of_its_steps(written):
    ages, lives = [], []
    for some in written:
        age, row = -1, []
        for new in some:
            if new and age >= 0:
                lives.append((age + 1, True))
            age = 0 if new else age + 1 if age >= 0 else -1
            row.append(age)
        if age >= 0:
            lives.append((age + 1, False))
        ages.append(row)
    table = survival(plans(*ages))
    if not any(ended for _, ended in lives):
        assert len(table) == bool(lives)
        return
    for age, found, low, high, risk in table.rows():
        product = 1.0
        for k in range(1, age + 1):
            n = sum(life >= k for life, _ in lives)
            product *= 1 - sum(life == k and ended for life, ended in lives) / n if n else 1
        assert found == pytest.approx(product)
        assert risk == (sum(life >= age for life, _ in lives) if age else len(lives))
        assert low <= found <= high


# --- comparisons


def test_goldilocks_is_a_row_per_schedule():
    played = {"never": made([3, 4, 2], 1), "every:4": made([5, 1], 2)}
    rows = goldilocks(played, "success", "plan_tokens").to_dicts()
    assert [(row["schedule"], row["episodes"]) for row in rows] == [("never", 3), ("every:4", 2)]
    for row, episodes in zip(rows, played.values(), strict=True):
        table = per_episode(episodes)
        assert row["planned"] == pytest.approx(np.mean([episode.accounts["planned"].mean() for episode in episodes]))
        for name in ("success", "plan_tokens"):
            for part, value in column(table, name)._asdict().items():
                assert row[f"{name}_{part}"] == pytest.approx(value)
    with pytest.raises(UserError, match="unknown column"):
        goldilocks(played, "returns")


def test_whole_leaves_out_what_the_model_failed_in():
    def with_errors(*errors: str) -> Episodes:
        made_of = made([3, 4, 2])
        return Episodes.from_columns({**made_of.columns(), ("info", "error"): np.array(errors, np.dtypes.StringDType())}, made_of.offsets)

    assert whole(with_errors("", "the line is dead", "")).lengths.tolist() == [3, 2]
    clean = with_errors("", "", "")
    assert whole(clean) is clean
    with pytest.raises(UserError, match="failed in every episode: the line is dead"):
        whole(with_errors(*["the line is dead"] * 3))


def test_pairs_by_hand():
    first, second = made([3, 4, 2, 5], 1), made([2, 3, 6], 2, first=1)  # seeds 0 … 3 and 1 … 3
    for figure in ("return", "plan_tokens", "success"):
        a, b = (dict(zip(*per_episode(one).select("seed", figure), strict=True)) for one in (first, second))
        differences = [b[seed] - a[seed] for seed in (1, 2, 3)]
        found = paired(first, second, figure)
        assert found.mean == pytest.approx(np.mean(differences))
        assert found.standard_error == pytest.approx(stats.sem(differences))
        reach = 4.302652729911275 * stats.sem(differences)  # Student's with 2 degrees of freedom
        assert (found.low, found.high) == pytest.approx((found.mean - reach, found.mean + reach))
    shuffled = second.select([2, 0, 1])
    assert paired(first, shuffled, "return") == pytest.approx(paired(first, second, "return"))


def test_pairs_that_are_none():
    some = made([3, 4])
    with pytest.raises(UserError, match="only 1 seeds are in both"):
        paired(some, made([3, 4], first=1))
    with pytest.raises(UserError, match="more than once"):
        paired(some, some.select([0, 1, 1]))
    for wrong in ("retrun", "seed"):
        with pytest.raises(UserError, match="unknown column"):
            paired(some, some, wrong)


@pytest.mark.parametrize("name", [*SUMS, *SHARES, "progression", "plan_age", "replaced_age"])
def test_recordings_without_accounts_are_refused(name):
    columns = made([2]).columns()
    without = Episodes.from_columns({key: value for key, value in columns.items() if key != ("accounts", name)}, made([2]).offsets)
    for table in (check, per_episode, frequency, survival):
        with pytest.raises(UserError, match=f"no account '{name}'"):
            table(without)
