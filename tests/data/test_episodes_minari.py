import builtins
import dataclasses
import warnings

import gymnasium
import minari
import numpy as np
import pytest
from recordings import simple

from unseen.data import Episodes
from unseen.errors import UserError


@pytest.fixture(autouse=True)
def datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def test_minari_gives_back_what_it_has_a_place_for():
    episodes = Episodes.from_list(simple(3, 1, 4, terminated=False))
    dataset = episodes.to_minari("unseen-test/plain-v0")
    assert dataset.total_episodes == 3
    assert dataset.total_steps == 8
    for source in (dataset, "unseen-test/plain-v0"):
        back = Episodes.from_minari(source)
        assert back.identical(episodes)


def test_named_observations_images_vectors_and_scalar_signals():
    rng = np.random.default_rng(0)
    recorded = [
        {
            "observations": {
                "camera": rng.integers(0, 256, (t + 1, 8, 8, 3), dtype=np.uint8),
                "joints": rng.normal(size=(t + 1, 2)).astype(np.float32),
            },
            "actions": rng.normal(size=(t, 2)).astype(np.float32),
            "rewards": rng.normal(size=t),
            "terminated": True,
            "truncated": False,
            "signals": {"speed": rng.normal(size=t + 1).astype(np.float32)},
        }
        for t in (2, 5)
    ]
    episodes = Episodes.from_list(recorded)
    spaces = gymnasium.spaces.Dict(
        camera=gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8), joints=gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    )
    dataset = episodes.to_minari("unseen-test/dict-v0", observation_space=spaces, author="nobody")
    assert Episodes.from_minari(dataset).identical(episodes)


def test_a_dataset_that_merges_both_endings_counts_as_terminated():
    buffer = minari.data_collector.EpisodeBuffer(
        id=0,
        observations=np.zeros((3, 1), np.float32),
        actions=np.zeros(2, np.int64),
        rewards=[0.0, 1.0],
        terminations=[False, True],
        truncations=[False, True],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = minari.create_dataset_from_buffers(
            "unseen-test/both-v0",
            [buffer],
            observation_space=gymnasium.spaces.Box(-1, 1, (1,), np.float32),
            action_space=gymnasium.spaces.Discrete(2),
            data_format="arrow",
        )
    episodes = Episodes.from_minari(dataset)
    assert episodes.terminated.tolist() == [False, True]
    assert episodes.truncated.tolist() == [False, False]


def test_what_minari_cannot_hold_is_refused():
    episodes = Episodes.from_list(simple(2, 2))
    with pytest.raises(UserError, match="episode 1 is neither"):
        dataclasses.replace(episodes, terminated=np.array([False, True, False, False])).to_minari("unseen-test/open-v0")
    with pytest.raises(UserError, match="at least one episode"):
        episodes.select([]).to_minari("unseen-test/none-v0")
    with pytest.raises(UserError, match="refused"):
        episodes.to_minari("not an id")
    episodes.to_minari("unseen-test/once-v0")
    with pytest.raises(UserError, match="refused 'unseen-test/once-v0'"):
        episodes.to_minari("unseen-test/once-v0")
    with pytest.raises(UserError, match="no local Minari dataset"):
        Episodes.from_minari("unseen-test/never-v0")


def test_without_minari_the_error_says_how_to_install_it(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.split(".")[0] == "minari":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UserError, match=r'pip install "unseen\[minari\]"'):
        Episodes.from_minari("unseen-test/any-v0")
