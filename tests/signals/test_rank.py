"""From an environment or a recording to a ranking, what is refused on the way, and the test for leaks."""

from __future__ import annotations

import math
from dataclasses import replace

import gymnasium
import jax
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from pole import Pole

from unseen.data import Episodes
from unseen.environments import make
from unseen.errors import UserError
from unseen.signals import Prediction, Residual, leak_test, procedure, rank, record
from unseen.signals.histories import Reader, trained_reader

QUICK = Residual(regressor="linear", draws=99, landmarks=64)


def recording(episodes=40, steps=4, seed=0, **signals):
    """Episodes of equal length whose return is the hidden side, told by the signal of that name; more signals as functions of rng."""
    rng = np.random.default_rng(seed)
    listed = []
    for _ in range(episodes):
        side = int(rng.integers(2))
        ends = np.arange(steps) == steps - 1
        told = {"side": np.full(steps + 1, side), "coin": rng.integers(0, 2, steps + 1)}
        listed.append(
            {
                "observations": rng.normal(size=(steps + 1, 1)),
                "actions": rng.integers(0, 2, steps),
                "rewards": 2.0 * side - 1.0 + 0.1 * rng.normal(size=steps),
                "terminated": ends,
                "truncated": np.zeros(steps, bool),
                "signals": told | {name: draw(rng, steps + 1) for name, draw in signals.items()},
            }
        )
    return Episodes.from_list(listed)


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Histories are read by a network as it was drawn, which is enough for what is tested here and saves its training."""
    monkeypatch.setattr(procedure, "trained_reader", lambda data, seed: Reader(data.inputs.shape[-1], 8, key=jax.random.key(seed)))


@pytest.mark.slow
def test_an_environment(monkeypatch):
    monkeypatch.setattr(procedure, "trained_reader", trained_reader)
    found = rank("heavenhell-1", episodes=40, settings=QUICK, most=1)
    sets = {frozenset(row.signals) for row in found.rows}
    assert sets == {frozenset(s) for s in (("heaven",), ("position",), ("heaven", "position"), ("state",))}
    assert all(0.0 < row.p <= row.adjusted <= 1.0 for row in found.rows)
    assert len(found.chosen) <= 1
    assert "state" not in found.chosen  # compared with, not chosen from
    assert found.about.startswith("heavenhell-1: criterion A (residual independence, kci, 99 draws) on 40 episodes, ")
    assert set(found.facts) == {"episodes", "steps", "return_deviation", "seconds", "chosen_effect"}


def test_the_recording_of_an_environment(tmp_path):
    episodes = record(make("heavenhell-1"), 40).episodes
    episodes.write(tmp_path / "walks.parquet")
    found = rank(Episodes.read(tmp_path / "walks.parquet"), ["heaven", "state"], settings=QUICK, most=1)
    assert {row.signals for row in found.rows} == {("heaven",), ("state",)}
    assert found.about.startswith("recorded episodes: ")
    assert found.facts["episodes"] == 29  # two sevenths taught the reader


def test_the_hidden_side_is_found_and_the_coin_is_not():
    found = rank(recording(60), settings=QUICK)
    assert found.chosen == ("side",)
    assert found.row("side").verdict == "informative"
    assert found.row("coin").verdict == "nothing found"
    assert found.recommendation.startswith("Tell the critic `side`: `side` effect ")
    assert "`coin`: nothing found that the agent does not already remember" in found.recommendation
    assert rank(recording(60), settings=QUICK).rows == found.rows  # the same seed, the same result


def test_no_forward_selection():
    found = rank(recording(), settings=QUICK, most=0)
    assert found.stages == ()
    assert found.chosen == ()


def test_an_external_environment():
    gymnasium.register("RankPole-v0", Pole, max_episode_steps=4)
    try:
        found = rank("gym:RankPole-v0", episodes=40, settings=QUICK, most=1)
    finally:
        del gymnasium.registry["RankPole-v0"]
    assert found.chosen == ("side",)
    assert found.about.startswith("gym:RankPole-v0: ")
    assert found.row("coin").verdict == "nothing found"


@pytest.mark.parametrize(
    ("options", "message"), [({"silent": True}, r'RankPole-v0 has no signals.*info\["signals"\]'), ({"broken": True}, "coin.* is nan")]
)
def test_external_environments_without_usable_signals(options, message):
    gymnasium.register("RankPole-v0", lambda: Pole(**options), max_episode_steps=4)
    try:
        with pytest.raises(UserError, match=message):
            rank("gym:RankPole-v0", episodes=20, settings=QUICK)
    finally:
        del gymnasium.registry["RankPole-v0"]


@pytest.mark.slow
def test_the_other_method():
    found = rank(recording(100), ["side"], method="prediction", settings=Prediction(folds=2, updates=60, width=8, rate=1e-2), most=0)
    assert found.method == "prediction"
    assert found.row("side").verdict == "informative"
    assert found.facts["episodes"] == 100
    assert "criterion B (prediction gain, 2 folds)" in found.about


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signals": ["sidee"]}, "unknown signal of recorded episodes 'sidee'; did you mean 'side'"),
        ({"signals": []}, "give a sequence of names"),
        ({"signals": "side"}, "give a sequence of names"),
        ({"settings": Prediction()}, "settings = Prediction does not go with method='residual'; give Residual"),
        ({"method": "prediction", "settings": Residual()}, "settings = Residual does not go with method='prediction'"),
        ({"alpha": 0.0}, "alpha = 0.0; it must lie between 0 and 1"),
        ({"alpha": 1.5}, "alpha = 1.5"),
        ({"discount": 1.2}, "discount is 1.2; allowed: 0 to 1"),
    ],
)
def test_questions_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UserError, match=message) as error:
        rank(recording(8), **options)
    assert "\n" not in str(error.value)


def test_an_unknown_method_is_refused():
    with pytest.raises((UserError, TypeCheckError), match="'residuals'"):  # the suite checks types before `rank` names the nearest
        rank(recording(8), method="residuals")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("variant", "kernel", "variant = 'kernel'; allowed: plain, standardised, kci, hscic"),
        ("regressor", "tree", "regressor = 'tree'; allowed: forest"),
        ("draws", 10, "draws = 10; at least 19"),
        ("landmarks", 1, "landmarks = 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(option, value, message):
    settings = Residual()
    object.__setattr__(settings, option, value)  # past the suite's check of types
    with pytest.raises(UserError, match=message):
        settings.__post_init__()


def test_recordings_without_signals_or_too_short_are_refused():
    whole = recording(8)
    silent = Episodes(whole.observations, whole.actions, whole.rewards, whole.terminated, whole.truncated, whole.offsets)
    with pytest.raises(UserError, match=r"recorded episodes has no signals: .*columns signal\.NAME"):
        rank(silent)
    with pytest.raises(UserError, match="1 episode: some are needed to learn to read histories"):
        rank(whole.select([0]))
    with pytest.raises(UserError, match="1 episodes are too few to compare critics on"):
        rank(whole.select([0]), method="prediction")
    with pytest.raises(UserError, match="6 episodes cannot be split into 9 folds"):
        rank(whole, settings=Residual(regressor="linear", folds=9))
    with pytest.raises(UserError, match=r"episodes = -\d+; it must be at least 1"):
        rank("heavenhell-1", episodes=-200)
    with pytest.raises(UserError, match="steps = 0; it must be at least 1"):
        rank("heavenhell-1", steps=0)
    with pytest.raises(UserError, match="cannot rank signals of int"):
        rank(7)


def test_returns_that_are_all_the_same_are_refused():
    whole = recording(20)
    flat = Episodes(
        whole.observations,
        whole.actions,
        np.zeros_like(whole.rewards),
        whole.terminated,
        whole.truncated,
        whole.offsets,
        signals=whole.signals,
    )
    for method in ("residual", "prediction"):
        with pytest.raises(UserError, match="every return is 0: nothing can inform about it"):
            rank(flat, method=method)


def test_a_signal_that_cannot_be_tested_has_a_row_that_says_why():
    episodes = recording(still=lambda rng, n: np.full(n, 3))
    found = rank(episodes, settings=QUICK)
    assert found.row("still").verdict == "not testable: it is constant"
    assert math.isnan(found.row("still").p)
    assert found.rows[-1].signals == ("still",)
    assert found.recommendation.endswith("`still` was not testable: it is constant.")
    nothing = rank(episodes, ["still"], settings=QUICK)
    assert nothing.recommendation == "No signal could be tested. `still` was not testable: it is constant."
    assert nothing.chosen == ()
    str(nothing)


def test_recordings_hold_no_missing_signals():
    """They are refused where `Episodes` are made, with the place: no criterion ever sees them."""
    with pytest.raises(UserError, match=r"signals\['gap'\] is nan at episode 0, step 0"):
        recording(gap=lambda rng, n: np.full(n, np.nan))


def leaky(episodes=150, steps=5):
    """`fair` was there before the action; `late` is that column one step late, and the action moved it; `echo` is the action."""
    rng = np.random.default_rng(3)
    listed = []
    for _ in range(episodes):
        actions = rng.integers(0, 2, steps)
        place = np.concatenate([[0], np.cumsum(2 * actions - 1)]) + int(rng.integers(-1, 2))
        ends = np.arange(steps) == steps - 1
        told = {"fair": place, "late": np.append(place[1:], place[-1]), "echo": np.append(actions, 0)}
        listed.append(
            {
                "observations": rng.normal(size=(steps + 1, 1)),
                "actions": actions,
                "rewards": rng.normal(size=steps),
                "terminated": ends,
                "truncated": np.zeros(steps, bool),
                "signals": told | {"still": np.zeros(steps + 1)},
            }
        )
    return Episodes.from_list(listed)


def test_a_signal_that_knows_the_action_is_found():
    fair, late, echo, still = leak_test(leaky(), ["fair", "late", "echo", "still"], settings=replace(QUICK, draws=499))
    assert fair.leaks is False
    assert fair.verdict == "no sign that it knows the action"
    for leak in (late, echo):
        assert leak.leaks is True
        assert leak.verdict == "knows the action: is it recorded one step late, or does the policy remember what the code forgot?"
        assert leak.adjusted <= 0.01
    assert still.leaks is None
    assert still.verdict == "not testable: it is constant"
    assert echo.effect > late.effect > 0.1 > fair.effect


@pytest.mark.parametrize("uneven", [False, True])
def test_signals_that_cannot_be_tested_leak_nothing(uneven):
    episodes = leaky(20)
    if uneven:
        episodes = Episodes.concatenate([episodes, leaky(20, 3)])
    (still,) = leak_test(episodes, ["still"], settings=QUICK)
    assert still.leaks is None


def test_actions_that_are_all_the_same_tell_nothing():
    episodes = leaky(20)
    same = Episodes(
        episodes.observations, np.zeros_like(episodes.actions), episodes.rewards, episodes.terminated, episodes.truncated, episodes.offsets,
        signals=episodes.signals,
    )  # fmt: skip
    with pytest.raises(UserError, match="every action is the same: no signal can tell it"):
        leak_test(same, settings=QUICK, alpha=0.05)
    with pytest.raises(UserError, match="need at least 299: no smaller one can reject"):
        leak_test(same, settings=QUICK)
