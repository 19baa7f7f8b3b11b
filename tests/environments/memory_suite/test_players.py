"""How reference players are measured, and those of the screens against the marks of §3: closed forms, a staircase in plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quickly import jit

from unseen.environments import make
from unseen.environments.contract import Step
from unseen.environments.memory_suite.players import measure, screens
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import Played, play, played
from unseen.environments.memory_suite.players.player import Player, Uniform, gaze_of, look, place_of
from unseen.environments.memory_suite.suite import TASKS
from unseen.environments.memory_suite.walker import Pose
from unseen.errors import UserError

AVM, RECOGNITION, CHANGE, WHERE = [name for name, (family, *_) in TASKS.items() if family == "screen"]
TRIALS = {"train": 50, "holdout_interpolate": 40, "holdout_extrapolate": 75, "interpolate": 40, "extrapolate": 75, "holdout_train": 50}


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "_batch", jit(measure._batch.__wrapped__, static_argnums=(0, 1)))
        yield


# ---- measuring ---------------------------------------------------------------------------------------------------------


class Ticks(NamedTuple):
    time: Any
    visits: Any


class Clockwork:
    """Pays 1 at every step; ends after `ends` steps; the horizon is the level's."""

    name = "clockwork"
    levels: Mapping[str, Any] = {"train": ((0.25, (jnp.int32(3),)), (0.75, (jnp.int32(7),))), "long": ((1.0, (jnp.int32(900),)),)}

    def __init__(self, ends: int = 1_000):
        self.ends = ends

    def horizon(self, params: Any) -> int:
        return int(params[0])

    def observe(self, state: Ticks) -> Any:
        return jnp.zeros((1,), jnp.int32)

    def reset(self, key: Any, params: Any) -> Any:
        return jnp.zeros((1,), jnp.int32), Ticks(jnp.int32(0), jnp.int32(0))

    def step(self, key: Any, state: Ticks, action: Any, params: Any) -> Step:
        after = Ticks(state.time + 1, state.visits + 1)
        return Step(jnp.zeros((1,), jnp.int32), after, jnp.float32(1), after.time >= self.ends)


def test_episodes_are_cut_at_each_entrys_horizon_and_mixed_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 400, the last of them filled up, count as 1,000 episodes."""
    monkeypatch.setattr(measure, "BATCH", 400)
    result = played(Clockwork(), "train", Uniform(2), 1_000, jax.random.key(0))
    assert result.returns.shape == result.trials.shape == (1_000,)
    np.testing.assert_array_equal(result.returns, result.trials)
    assert set(result.returns) == {3.0, 7.0}
    assert abs((result.returns == 7).mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 1_000)
    assert result.score.mean == pytest.approx(result.returns.mean())
    assert result.score.standard_error == pytest.approx(result.returns.std(ddof=1) / np.sqrt(1_000))


def test_what_follows_a_terminal_step_is_not_counted() -> None:
    np.testing.assert_array_equal(play(Clockwork(ends=5), "long", Uniform(2), 6, jax.random.key(0)), np.full(6, 5.0))


def test_what_cannot_be_played_is_refused() -> None:
    environment = make(f"memory/{WHERE}")
    with pytest.raises(UserError, match="train"):
        play(environment, "trian", players(environment)["random"], 3, jax.random.key(0))
    with pytest.raises(UserError, match="episodes=0"):
        play(environment, "train", players(environment)["random"], 0, jax.random.key(0))


@given(st.integers(0, 2**31 - 1))
def test_no_key_of_training_is_one_of_evaluation(number: int) -> None:
    """For one key, different numbers fold to different keys: Threefry permutes them."""
    key = jax.random.key(3)
    same = jnp.array_equal(
        jax.random.key_data(jax.random.fold_in(key, number)), jax.random.key_data(jax.random.fold_in(key, measure.EVALUATION))
    )
    assert bool(same) == (number == measure.EVALUATION)


@pytest.mark.parametrize("task", TASKS)
def test_every_environment_has_its_players_and_none_but_the_oracle_reads_the_state(task: str) -> None:
    for embodiment in ("memory", "memory-fp"):
        cast = players(make(f"{embodiment}/{task}"))
        assert [*cast] == ["random", "memoryless", *(["lit_counter"] if task == "transitive-inference" else []), "perfect_memory", "oracle"]
        assert all(isinstance(player, Player) and hash(player) == hash(player) for player in cast.values())
        assert {name for name, player in cast.items() if player.reads == "state"} == {"oracle"}
        assert jax.tree.leaves(cast["random"].begin()) == []
        # Who chooses the left pedestal without looking may know where it stands and still knows nothing.
        assert cast["memoryless"].reads == ("place" if task == "transitive-inference" else "observation")


def test_what_is_seen_in_the_compact_embodiment_is_the_observation_and_no_more() -> None:
    environment = make(f"memory/{WHERE}")
    observation, state = jit(environment.reset)(jax.random.key(0), environment.levels["train"][0][1])
    seen = look(environment, "observation", state, jnp.float32(1))
    np.testing.assert_array_equal(seen.words, observation)
    assert (seen.gaze, seen.place, seen.reward) == (None, None, None)
    assert look(environment, "state", state, jnp.float32(1)) is state


class Body(NamedTuple):
    x: Any
    y: Any
    heading: Any

    @property
    def pose(self) -> Pose:
        return Pose(*self)


@pytest.mark.parametrize(("turned", "off"), [(0.1, 0.1), (-0.1, -0.1), (np.pi / 2 + 0.2, 0.2), (2 * np.pi - 0.3, -0.3)])
def test_the_gaze_in_a_world_is_what_words_leave_out_of_the_pose(turned: float, off: float) -> None:
    """Metres from the middle of the cell, radians from the nearest heading, also just below a full turn."""
    body = Body(jnp.float32(3.2), jnp.float32(7.9), jnp.float32(turned))
    np.testing.assert_allclose(gaze_of(body), [-0.3, 0.4, off], atol=1e-5)
    assert place_of(body) == body.pose


# ---- marks of §3 -------------------------------------------------------------------------------------------------------


@lru_cache
def of(name: str, who: str, level: str, episodes: int) -> Played:
    environment = make(name)
    return played(environment, level, players(environment)[who], episodes, jax.random.key(77))


def staircase(trials: int, episodes: int, seed: int) -> np.ndarray:
    """Right answers of an episode without memory, by the words of §3.1: shown answers are right, others with probability 1/4."""
    rng = np.random.default_rng(seed)
    scores = np.zeros(episodes)
    for episode in range(episodes):
        pairs, shown, left = 1, set[int](), [0]
        flawless = True
        for _ in range(trials):
            pair = left.pop()
            right = pair not in shown or rng.random() < 0.25
            shown.add(pair)
            flawless &= right
            scores[episode] += right
            if not left:
                pairs += flawless
                left, flawless = [int(k) for k in rng.permutation(pairs)], True
    return scores


@pytest.mark.parametrize(("level", "mark"), [("train", 14.7), ("holdout_interpolate", 12.1), ("holdout_extrapolate", 21.1)])
def test_reading_shown_answers_lands_on_the_staircases_mark(level: str, mark: float) -> None:
    """Against a staircase in plain Python, and against the rounded mark of §3.1."""
    slow, fast = staircase(TRIALS[level], 4_000, 1), of(f"memory/{AVM}", "memoryless", level, 2_000)
    error = np.hypot(slow.std() / np.sqrt(4_000), fast.score.standard_error)
    assert abs(fast.score.mean - slow.mean()) < 3 * error
    assert abs(fast.score.mean - mark) < 3 * fast.score.standard_error + 0.05


@pytest.mark.parametrize("level", ["train", "holdout_interpolate", "holdout_extrapolate"])
def test_always_new_scores_one_and_half_of_the_rest(level: str) -> None:
    """1 + (n - 1) / 2 right on average, the variance that of n - 1 coins."""
    n, result = TRIALS[level], of(f"memory/{RECOGNITION}", "memoryless", level, 2_000)
    assert abs(result.returns.mean() - (1 + 0.5 * (n - 1))) < 3 * np.sqrt((n - 1) / 4 / 2_000)
    assert result.returns.var() == pytest.approx((n - 1) / 4, rel=0.15)


@pytest.mark.parametrize(("task", "who", "part"), [(CHANGE, "memoryless", 0.5), (WHERE, "memoryless", 0.25), (AVM, "random", 0.25)])
def test_who_cannot_know_is_right_by_chance(task: str, who: str, part: float) -> None:
    result = of(f"memory/{task}", who, "train", 1_000)
    trials = 50 if task == AVM else 10
    np.testing.assert_array_equal(result.trials, trials)
    assert abs(result.returns.mean() - part * trials) < 3 * np.sqrt(trials * part * (1 - part) / 1_000)


@pytest.mark.parametrize("level", TRIALS)
@pytest.mark.parametrize("task", [AVM, RECOGNITION, CHANGE, WHERE])
def test_perfect_memory_reaches_the_ceiling_on_every_level(task: str, level: str) -> None:
    ceiling = TRIALS[level] if task in (AVM, RECOGNITION) else 10
    np.testing.assert_array_equal(of(f"memory/{task}", "perfect_memory", level, 40).returns, ceiling)


# ---- what they keep in mind --------------------------------------------------------------------------------------------


def test_a_memory_of_images_tells_all_2400_apart() -> None:
    from unseen.environments.memory_suite import images

    every = jax.vmap(images.categories)(jnp.arange(1, 2401, dtype=jnp.int32))
    numbers = jax.vmap(lambda categories: screens.number_of(categories, images.FEATURES))(every)
    assert len(set(np.asarray(numbers).tolist())) == 2400
    assert int(jnp.max(numbers)) < int(np.prod(images.FEATURES))


def test_change_is_noticed_though_the_blank_was_too_short_to_be_seen() -> None:
    """Study array, then at once the test array with buttons: what is remembered is the first array since the cross."""
    environment = make(f"memory-fp/{CHANGE}")
    mind = players(environment)["perfect_memory"].mind
    cross, study, test = np.zeros(39, np.int32), np.zeros(39, np.int32), np.zeros(39, np.int32)
    study[0] = test[0] = 1
    study[3:7], test[3:7], test[1:3] = (1, 2, 3, 4), (1, 2, 3, 5), 1
    for last, answer in ((test, 0), (np.where(np.arange(39) < 3, test, study), 1)):
        memory = mind.begin()
        for words in (cross, study, study, last):
            memory, button = mind.answer(memory, screens.read(environment.task, jnp.asarray(words)))
        assert int(button) == answer
