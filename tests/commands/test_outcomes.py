"""`unseen outcomes`: from a table on disk to estimates, a saved learner and a page, and one line for every mistake."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from unseen.cli import main
from unseen.outcomes import load


def run(*words, code=0):
    with pytest.raises(SystemExit) as stop:
        main(["outcomes", *map(str, words)])
    assert stop.value.code == code


def table(path, trajectories=60, steps=5, **changes):
    rng = np.random.default_rng(0)
    n = trajectories * steps
    action, x = rng.integers(0, 2, n), rng.normal(size=n)
    columns = {
        "id": np.repeat(np.arange(trajectories), steps),
        "time": np.tile(np.arange(steps), trajectories),
        "x": x,
        "ward": rng.choice(["north", "south"], n),
        "action": action,
        "reward": x * (action - 0.5) + 0.5 * action + rng.normal(0, 0.3, n),
        "terminated": np.tile(np.arange(steps) == steps - 1, trajectories),
    }
    pl.DataFrame(columns | changes).write_parquet(path)
    return path


def test_fit_and_report(tmp_path, capsys):
    out = tmp_path / "out"
    run("fit", table(tmp_path / "t.parquet"), "--policy", "always:1", "--by", "ward", "x", "--discount", "0.5", "--out", out)
    said = capsys.readouterr().out
    assert "value of the policy" in said
    assert "1 instead of 0, then the policy: " in said
    assert "1 instead of 0, by ward, north, then the policy: " in said
    assert "verdict: " in said
    estimates = pl.read_parquet(out / "estimates.parquet")
    assert set(estimates["asked"]) >= {"value", "outcome of 0", "outcome of 1", "1 instead of 0", "1 instead of 0, by ward"}
    assert estimates.filter(pl.col("asked") == "1 instead of 0, by x").height == 4
    influence = pl.read_parquet(out / "influence.parquet")
    assert influence.height == 60
    # Every standard error follows from the influence table alone.
    for row in estimates.iter_rows(named=True):
        xi = influence[f"{row['asked']}: {row['name']}"].to_numpy()
        np.testing.assert_allclose(np.sqrt((xi**2).sum()) / 60, row["standard_error"])
    assert pl.read_parquet(out / "predictions.parquet").columns == ["id", "Q(0)", "Q(1)", "v"]
    learner = load(out / "learner.zip")
    assert learner.value().estimate == estimates["estimate"][0]
    page = (out / "report.html").read_text()
    assert "Verdict: " in page
    assert "What each action would bring instead of 0, by ward" in page
    run("report", out, "--by", "ward", "--out", tmp_path / "again.html")
    assert "by ward" in (tmp_path / "again.html").read_text()


def test_compare(tmp_path, capsys):
    run("compare", table(tmp_path / "t.parquet"), "--policies", "a=always:0", "always:1", "uniform", "--out", tmp_path / "c")
    assert "may_be_best" in capsys.readouterr().out
    found = pl.read_parquet(tmp_path / "c" / "estimates.parquet")
    assert set(found["policy"]) == {"a", "always:1", "uniform"}
    assert found.sort("rank")["policy"][0] == "always:1"
    assert "always:1 is worth most" in (tmp_path / "c" / "report.html").read_text()


def test_policies_from_files(tmp_path):
    path = table(tmp_path / "t.parquet", x=np.tile(np.arange(5) % 3, 60))
    (tmp_path / "rule.py").write_text(
        "def policy(states):\n    return [int(x > 1) for x in states['x']]\ndef never(states):\n    return [0] * len(states)\n"
    )
    states = pl.DataFrame({"x": [0, 1, 2] * 2, "ward": ["north"] * 3 + ["south"] * 3})
    states.with_columns(pl.Series("action", [0, 0, 1] * 2)).write_csv(tmp_path / "rule.csv")
    states.with_columns(pl.Series("0", [1.0, 1.0, 0.0] * 2), pl.Series("1", [0.0, 0.0, 1.0] * 2)).write_parquet(tmp_path / "rule.parquet")
    values = []
    for k, policy in enumerate(("rule.py", "rule.csv", "rule.parquet", "rule.py:never")):
        run("fit", path, "--policy", tmp_path / policy, "--categorical", "x", "--out", tmp_path / str(k))
        values.append(pl.read_parquet(tmp_path / str(k) / "estimates.parquet")["estimate"][0])
    assert values[0] == values[1] == values[2] != values[3]


def test_check(tmp_path, capsys):
    run("check", table(tmp_path / "t.parquet"))
    assert "nothing to complain of" in capsys.readouterr().out
    rewards = np.zeros(300)
    rewards[[3, 7]] = np.inf
    run("check", table(tmp_path / "t.parquet", reward=rewards), code=1)
    assert "column 'reward': the reward is infinite; write a number or drop the row (rows 3, 7)" in capsys.readouterr().out


def test_simulate_prints_the_command_that_fits(tmp_path, capsys):
    run("simulate", "frozen-lake", "--trajectories", "300", "--options", "epsilon_e", "0.5", "--out", tmp_path / "sim")
    lines = capsys.readouterr().out.splitlines()
    words = lines[-1].split()
    assert words[:3] == ["unseen", "outcomes", "fit"]
    run(*words[2:], "--out", tmp_path / "fitted")
    value = pl.read_parquet(tmp_path / "fitted" / "estimates.parquet").row(0, named=True)
    truth = float(lines[1].split("is worth ")[1].split()[0])
    assert abs(value["estimate"] - truth) < 4 * value["standard_error"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def policy(states):\n    return states['money']\n", "policy(states) fails with"),
        ("def policy(states)\n    return 1\n", "fails with SyntaxError"),
        ("import nothing_of_that_name\n", "fails with ModuleNotFoundError"),
        ("rule = 1\n", "unknown name in"),
    ],
)
def test_mistakes_in_a_policy_file_are_one_line(content, message, tmp_path, capsys):
    (tmp_path / "rule.py").write_text(content)
    run("fit", table(tmp_path / "t.parquet"), "--policy", tmp_path / "rule.py", "--out", tmp_path / "out", code=2)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_columns_that_are_hardly_a_state(tmp_path, capsys):
    run("fit", table(tmp_path / "t.parquet", truncated=np.zeros(300, bool)), "--out", tmp_path / "out", code=2)
    assert "column 'truncated' is hardly part of the state" in capsys.readouterr().err
    words = ["1.5"] * 299 + ["lots"]
    run("fit", table(tmp_path / "t.parquet", spend=words), "--out", tmp_path / "out", code=2)
    assert "column 'spend': 299 of 300 are numbers, these are not" in capsys.readouterr().err


def test_what_is_red_is_ranked_last(tmp_path, capsys):
    """Everybody was given 1 at x above 0 and nothing else: always 0 cannot be judged there."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    action = np.where(x > 0, 1, rng.integers(0, 2, 300))
    path = table(tmp_path / "t.parquet", x=x, action=action, reward=5.0 - 5.0 * action + rng.normal(size=300))
    run("compare", path, "--policies", "never=always:0", "always=always:1", "--out", tmp_path / "c")
    found = pl.read_parquet(tmp_path / "c" / "estimates.parquet")
    colours = dict(zip(found["policy"], found["verdict"]))
    if colours["never"] == "red" != colours["always"]:
        assert found["policy"].to_list() == ["always", "never"]
        assert found["may_be_best"].to_list() == [True, False]
    else:
        pytest.fail(f"never should be red, always not: {colours}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "T", "--policy", "always:9"], "unknown action '9'"),
        (["fit", "T", "--policy", "best"], "is none of uniform, always:ACTION"),
        (["fit", "T", "--policy", "none.py"], "no file"),
        (["fit", "T", "--by", "y"], "unknown column of --state or --modifiers (--by) 'y'"),
        (["fit", "T", "--reference", "7"], "unknown action '7'"),
        (["fit", "T", "--reward", "money"], "there is no such column"),
        (["fit", "T", "--categorical", "y"], "unknown state column (--categorical) 'y'"),
        (["fit", "none.parquet"], "no file 'none.parquet'"),
        (["compare", "T", "--policies", "uniform"], "cannot be compared"),
        (["compare", "T", "--policies", "uniform", "uniform"], "share a name"),
        (["report", "T"], "no saved learner"),
        (["simulate", "chess"], "unknown logged environment 'chess'"),
        (["simulate", "taxi", "--options", "speed", "3"], "unknown option 'speed'"),
        (["simulate", "taxi", "--options", "epsilon_e", "much"], "it must be a number"),
        (["guess"], "unknown command of unseen outcomes 'guess'"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = table(tmp_path / "t.parquet")
    run(*(path if word == "T" else word for word in words), code=2)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
