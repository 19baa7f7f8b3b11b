"""A session without a server: what is recorded is what the environment gives for the same keys, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from play_hall import Hall

import unseen
from unseen.commands.play.recording import Folder
from unseen.commands.play.session import Keys, Session, Settings, Stage
from unseen.data import Episodes
from unseen.errors import UserError

LEFT, RIGHT, STAY = range(3)


def replayed(environment: Any, params: Any, keys: Keys, actions: list[int]) -> dict[str, Any]:
    """The same episode, plainly: one call of the environment after the other."""
    reset, step, signals = (jax.jit(function) for function in (environment.reset, environment.step, environment.signals))
    observation, state = reset(keys.reset, params)
    seen, told = [observation], [signals(jax.random.fold_in(keys.signals, 0), state, params)]
    rewards, ends = [], []
    for t, action in enumerate(actions):
        after = step(jax.random.fold_in(keys.steps, t), state, jnp.int32(action), params)
        state = after.state
        seen.append(after.observation)
        told.append(signals(jax.random.fold_in(keys.signals, t + 1), state, params))
        rewards.append(float(after.reward))
        ends.append(bool(after.terminated))
    stacked = [jax.tree.map(lambda *rows: np.stack(rows), *each) for each in (seen, told)]
    return {"observations": stacked[0], "signals": stacked[1], "rewards": rewards, "ends": ends}


def played(session: Session, actions: list[int]) -> None:
    session.begin()
    for action in actions:
        session.act(action)


@pytest.mark.parametrize("seen", ["picture", "vector", "both"])
@pytest.mark.parametrize("actions", [[RIGHT, RIGHT], [LEFT, RIGHT, STAY, RIGHT, LEFT, STAY]])
def test_what_is_recorded_is_what_the_environment_gives(seen: str, actions: list[int]) -> None:
    environment = Hall(seen)
    session = Session(environment, Settings(seed=5))
    for number in range(2):
        played(session, actions)
        (params,) = session.levels.entries
        expected = replayed(environment, params, Keys.of(5, number), actions)
        episode = session.finished[number][0]
        observations = expected["observations"] if seen == "both" else {"observation": expected["observations"]}
        assert episode.observations.keys() == observations.keys()
        for name, values in observations.items():
            assert len(values) == len(actions) + 1
            assert episode.observations[name].dtype == values.dtype
            np.testing.assert_array_equal(episode.observations[name], values)
        np.testing.assert_array_equal(episode.signals["prize"], expected["signals"]["prize"])
        np.testing.assert_array_equal(episode.actions, actions)
        np.testing.assert_array_equal(episode.rewards, np.asarray(expected["rewards"], np.float32))
        np.testing.assert_array_equal(episode.terminated, expected["ends"])
        assert session.scores[number] == sum(expected["rewards"])  # eighths: exact
    lights = [session.finished[n][0].observations for n in range(2)]
    assert seen == "vector" or not np.array_equal(*(light["eye" if seen == "both" else "observation"] for light in lights))


def test_an_end_is_terminated_and_a_time_limit_truncated() -> None:
    session = Session(Hall(), Settings())
    played(session, [RIGHT, RIGHT])
    assert session.stage == Stage.ENDED
    played(session, [RIGHT, LEFT] * 3)  # the limit is 6
    played(session, [RIGHT, LEFT] * 2 + [LEFT, LEFT])  # the end, at the limit
    flags = [(bool(e.terminated[-1]), bool(e.truncated[-1]), len(e)) for (e,) in session.finished]
    assert flags == [(True, False, 2), (False, True, 6), (True, False, 6)]
    assert not any(e.terminated[:-1].any() or e.truncated[:-1].any() for (e,) in session.finished)


@pytest.mark.parametrize("name", ["heavenhell-3", "repeat-first-easy"])
def test_environments_of_the_package_too(name: str) -> None:
    environment = unseen.make(name)
    session = Session(environment, Settings(seed=1))
    actions = np.random.default_rng(0).integers(0, 4, 100).tolist()
    session.begin()
    while session.stage == Stage.PLAYING:
        session.act(actions[session.running.step])
    episode = session.finished[0][0]
    expected = replayed(environment, (), Keys.of(1, 0), actions[: len(episode)])
    np.testing.assert_array_equal(episode.observation, expected["observations"])
    np.testing.assert_array_equal(episode.rewards, np.asarray(expected["rewards"], np.float32))
    np.testing.assert_array_equal(episode.terminated, expected["ends"])
    assert episode.signals.keys() == environment.signal_spaces().keys() == expected["signals"].keys()
    for signal, values in expected["signals"].items():
        np.testing.assert_array_equal(episode.signals[signal], values)


def test_a_mixed_level_is_mixed_and_each_entry_has_its_horizon() -> None:
    session = Session(Hall(), Settings(level="mixed"))
    lengths = {}
    for _ in range(12):
        session.begin()
        while session.stage == Stage.PLAYING:
            session.act([RIGHT, LEFT][session.running.step % 2])
        (episode,) = session.finished[-1]
        lengths.setdefault(int(episode.info["entry"]), set()).add(len(episode))
    assert lengths == {0: {3}, 1: {6}}


def test_an_action_that_is_not_legal_is_no_step() -> None:
    session = Session(Hall(), Settings())
    played(session, [LEFT])
    before = session.running.score, session.running.step
    with pytest.raises(UserError, match="action 2 is not legal now"):
        session.act(STAY)
    for action in (-1, 3):
        with pytest.raises(UserError, match="does not exist; there are 3, counted from 0"):
            session.act(action)
    assert (session.running.score, session.running.step) == before
    session.act(RIGHT)
    session.act(STAY)


def test_what_comes_out_of_order_is_refused() -> None:
    session = Session(Hall(), Settings(episodes=1))
    with pytest.raises(UserError, match="begin one"):
        session.act(0)
    session.begin()
    with pytest.raises(UserError, match="is being played"):
        session.begin()
    session.act(RIGHT)
    session.act(RIGHT)
    assert session.stage == Stage.OVER
    with pytest.raises(UserError, match="all episodes have been played"):
        session.begin()
    with pytest.raises(UserError, match="begin one"):
        session.act(0)


class FromOne(Hall):
    """Counts its actions from 1."""

    def action_space(self, params: Any) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(3, start=1)

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return super().step(key, state, action - 1, params)


def test_actions_that_do_not_count_from_zero_keep_their_numbers() -> None:
    ours, theirs = Session(FromOne(), Settings()), Session(Hall(), Settings())
    for session in (ours, theirs):
        played(session, [RIGHT, RIGHT])
    assert ours.finished[0][0].actions.tolist() == [2, 2]
    assert theirs.finished[0][0].actions.tolist() == [1, 1]
    assert ours.scores == theirs.scores


class Other(Hall):
    space: gymnasium.Space[Any]

    def action_space(self, params: Any) -> Any:
        return self.space


@pytest.mark.parametrize(
    "space", [gymnasium.spaces.MultiDiscrete(np.full((3, 20), 2)), gymnasium.spaces.Box(-1, 1, (30,), np.float32)], ids=["many", "box"]
)
def test_actions_that_keys_cannot_play_are_refused_in_one_line(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Other, "space", space, raising=False)
    with pytest.raises(UserError, match=rf"play needs Discrete actions, and those of hall are {type(space).__name__}\(") as refused:
        Session(Other(), Settings())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"episodes": 0}, "episodes = 0 is not allowed"),
        ({"episodes": -2}, "episodes = -2 is not allowed"),
        ({"frames_per_second": -1.0}, "frames_per_second = -1.0 is not allowed; give a number up to 60"),
        ({"frames_per_second": float("nan")}, "frames_per_second = nan"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_settings_that_are_not_allowed(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Settings(**setting)


def test_levels_that_do_not_exist_are_named() -> None:
    with pytest.raises(UserError, match="unknown level of hall 'mixd'; did you mean 'mixed'"):
        Session(Hall(), Settings(level="mixd"))


def test_the_clock_is_the_options_or_the_environments_or_stands() -> None:
    def rate(clock: float | None, asked: float | None) -> float:
        return Session(Hall(clock=clock), Settings(frames_per_second=asked)).frames_per_second

    assert [rate(None, None), rate(15.0, None), rate(15.0, 0.0), rate(None, 7.5)] == [0.0, 15.0, 0.0, 7.5]


# --- recorded


def test_every_episode_is_written_when_it_ends(tmp_path: Path) -> None:
    session = Session(Hall(), Settings(seed=3, player="Ada", level="mixed", reveal=True), Folder(tmp_path, "hall"))
    for number in range(3):
        played(session, [RIGHT])
        assert len(list(tmp_path.glob("episodes-*.parquet"))) == number
        session.act(RIGHT)
        assert len(list(tmp_path.glob("episodes-*.parquet"))) == number + 1
    files = sorted(tmp_path.glob("episodes-*.parquet"))
    assert [file.name for file in files] == [f"episodes-{n:05d}.parquet" for n in range(3)]
    episodes = Episodes.concatenate(Episodes.read(file) for file in files)
    assert episodes.returns().tolist() == session.scores
    assert episodes.info["number"].tolist() == [0, 1, 2]
    for name, value in {"player": "Ada", "environment": "hall", "level": "mixed", "seed": 3, "revealed": True}.items():
        assert episodes.info[name].tolist() == [value] * 3
    assert (episodes.info["seconds"] > 0).all()


def test_nobody_meets_the_same_episode_twice(tmp_path: Path) -> None:
    first = Session(Hall(), Settings(), Folder(tmp_path, "hall"))
    played(first, [RIGHT, RIGHT])
    first.begin()  # and left
    second = Session(Hall(), Settings(), Folder(tmp_path, "hall"))
    played(second, [RIGHT, RIGHT])
    first.act(RIGHT)
    first.act(RIGHT)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *(f"begun-{n:05d}.json" for n in range(3)),
        *(f"episodes-{n:05d}.parquet" for n in range(3)),
    ]
    assert Episodes.read(tmp_path / "episodes-00002.parquet").returns().tolist() == second.scores


def test_a_number_taken_by_another_program_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path, "hall")
    assert folder.claim({}) == 0
    listed = list(tmp_path.iterdir())
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(listed))  # both look before either of them writes
    assert [folder.claim({}), folder.claim({})] == [1, 2]


def test_a_folder_of_another_environment_is_refused(tmp_path: Path) -> None:
    Folder(tmp_path, "hall").claim({})
    (tmp_path / "begun-00001.json").write_text('{"environ')  # torn
    (tmp_path / "begun-00002.json").write_text("[]")
    Folder(tmp_path, "hall")
    with pytest.raises(UserError, match="holds episodes of 'hall'; choose another folder for 'heaven' with --out"):
        Folder(tmp_path, "heaven")
    with pytest.raises(UserError, match="a file is in the way"):
        Folder(tmp_path / "begun-00000.json", "hall")


def test_an_episode_that_cannot_be_written_is_kept_until_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(Hall(), Settings(episodes=1), Folder(tmp_path, "hall"))
    with monkeypatch.context() as full:
        full.setattr(Episodes, "write", lambda *_: (_ for _ in ()).throw(UserError("no space left")))
        with pytest.raises(UserError, match="no space left"):
            played(session, [RIGHT, RIGHT])
        with pytest.raises(UserError, match="no space left"):
            session.begin()
        assert session.stage == Stage.ENDED  # not over: it is not recorded
    session.save()
    assert session.stage == Stage.OVER
    assert Episodes.read(tmp_path / "episodes-00000.parquet").returns().tolist() == session.scores
