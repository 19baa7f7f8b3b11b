"""Arbitrary visuomotor mapping against the staircase of the specification (§3.1) played in plain Python, from the same draw."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import stats

from unseen.environments.memory_suite.screen import DULL_GREEN, DULL_RED, GREEN, HIDDEN, PLAIN, RED
from unseen.environments.memory_suite.visuomotor import SCALES, VisuomotorMapping

TASK = VisuomotorMapping()
EPISODES, TRIALS = 64, 75


draw = jit(jax.vmap(TASK.draw, (0, None)))


def drawn(count: int, holdout: bool = False, seed: int = 0) -> Any:
    """`count` of 2,000 draws: one compiled program for all tests."""
    episodes = draw(jax.random.split(jax.random.key(seed), 2_000), SCALES["extrapolate"].params(holdout))
    return jax.tree.map(lambda x: np.asarray(x[:count]), episodes)


@jit
@jax.vmap
def play(episode: Any, guesses: Any) -> Any:
    """75 trials; an answer is right where `guesses` says so. What came in each trial, and how far the episode was before it."""

    def one(progress: Any, guess: Any) -> Any:
        trial = TASK.trial(episode, progress)
        return TASK.answered(episode, progress, guess), (progress, trial)

    return jax.lax.scan(one, TASK.begin(episode), guesses)[1]


def simulated(order: np.ndarray, right: np.ndarray) -> list[tuple[int, bool, int]]:
    """§3.1 in Python: (pair, first presentation?, K) of every trial, the rounds shuffled as `order` says."""
    happened: list[tuple[int, bool, int]] = []
    met: set[int] = set()
    pairs, round_ = 1, 0
    while len(happened) < len(right):
        flawless = True
        for pair in [p for p in order[round_] if p < pairs]:
            if len(happened) == len(right):
                break
            flawless &= bool(right[len(happened)])
            happened.append((int(pair), pair not in met, pairs))
            met.add(pair)
        pairs += flawless
        round_ += 1
    return happened


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.9, 0.98, 1.0])
def test_every_trial_is_that_of_the_simulated_staircase(chance: float) -> None:
    episodes = drawn(EPISODES)
    right = np.random.default_rng(0).random((EPISODES, TRIALS)) < chance
    progress, trial = jax.tree.map(np.asarray, play(episodes, jnp.asarray(right)))
    most = 0
    for e in range(EPISODES):
        expected = simulated(np.asarray(episodes.order[e]), right[e])
        happened = list(zip(trial.content.pair[e].tolist(), trial.content.first[e].tolist(), progress.pairs[e].tolist(), strict=True))
        assert happened == expected
        pairs = [pair for pair, _, _ in expected]
        np.testing.assert_array_equal(trial.content.image[e], np.asarray(episodes.image[e])[pairs])
        np.testing.assert_array_equal(trial.correct[e], np.asarray(episodes.direction[e])[pairs])
        most = max(most, *(k for _, _, k in expected))
    assert most == {0.0: 1, 1.0: 12}.get(chance, most)
    assert progress.trial.tolist() == [list(range(TRIALS))] * EPISODES


def test_every_round_shows_each_of_its_pairs_once() -> None:
    episodes = drawn(EPISODES, seed=1)
    right = np.random.default_rng(1).random((EPISODES, TRIALS)) < 0.9
    progress, trial = jax.tree.map(np.asarray, play(episodes, jnp.asarray(right)))
    whole = 0
    for e in range(EPISODES):
        for round_ in range(int(progress.round[e, -1])):  # the last one may be cut
            here = progress.round[e] == round_
            (pairs,) = set(progress.pairs[e][here].tolist())
            assert sorted(trial.content.pair[e][here].tolist()) == list(range(pairs))
            assert progress.place[e][here].tolist() == list(range(pairs))
            whole += pairs > 1
    assert whole > 500


@pytest.mark.parametrize(("trials", "pairs"), [(50, 10), (40, 9), (75, 12)])
def test_a_perfect_memory_gets_as_many_pairs_as_derived(trials: int, pairs: int) -> None:
    progress, _ = play(drawn(EPISODES), jnp.ones((EPISODES, TRIALS), bool))
    assert np.asarray(progress.pairs)[:, trials - 1].tolist() == [pairs] * EPISODES


def test_who_only_reads_the_shown_answers_lands_on_the_derived_mark() -> None:
    """14.7 / 12.1 / 21.1 of 50 / 40 / 75 (§3.1): right at a first presentation, else with probability 1/4."""
    count = 2_000

    @jit
    @jax.vmap
    def memoryless(episode: Any, lucky: Any) -> Any:
        def one(progress: Any, luck: Any) -> Any:
            right = TASK.trial(episode, progress).content.first | luck
            return TASK.answered(episode, progress, right), right

        return jax.lax.scan(one, TASK.begin(episode), lucky)[1]

    lucky = np.random.default_rng(2).random((count, TRIALS)) < 0.25
    right = np.asarray(memoryless(drawn(count, seed=2), jnp.asarray(lucky)))
    for trials, mark in ((50, 14.7), (40, 12.1), (75, 21.1)):
        score = right[:, :trials].sum(axis=1)
        error = score.std() / np.sqrt(count)
        assert abs(score.mean() - mark) < 3 * error + 0.05  # marks have one digit after the point


def test_images_are_even_or_odd_by_split_distinct_and_uniform() -> None:
    images = {holdout: np.asarray(drawn(2_000, holdout, seed=3).image) for holdout in (False, True)}
    for holdout, ids in images.items():
        assert set(np.unique(ids % 2)) == {int(holdout)}
        assert ids.min() >= 1
        assert ids.max() <= 2_400
        assert all(len(set(row)) == 12 for row in ids.tolist())
        assert len(np.unique(ids)) == 1_200
        assert stats.chisquare(np.bincount((ids[:, 0] - 1) // 100, minlength=24)).pvalue > 1e-4
    assert not set(images[False].ravel().tolist()) & set(images[True].ravel().tolist())


def test_directions_and_orders_are_uniform() -> None:
    episodes = drawn(2_000, seed=4)
    assert stats.chisquare(np.bincount(episodes.direction.ravel(), minlength=4)).pvalue > 1e-4
    pairs = np.bincount(4 * episodes.direction[:, 0] + episodes.direction[:, 1], minlength=16)
    assert stats.chisquare(pairs).pvalue > 1e-4
    assert (np.sort(episodes.order, axis=-1) == np.arange(12)).all()
    for k in (0, 6, 11):
        assert stats.chisquare(np.bincount(np.argmax(episodes.order[:, :20] == k, axis=-1).ravel(), minlength=12)).pvalue > 1e-4


@pytest.mark.parametrize("chosen", range(4))
def test_what_the_buttons_look_like(chosen: int) -> None:
    """First presentation: the answer is shown in dull colours; later black; feedback on all four, whichever was chosen."""
    episode = jax.tree.map(lambda x: jnp.asarray(x[0]), drawn(1, seed=5))
    begun = TASK.begin(episode)
    first = TASK.trial(episode, begun)
    later = TASK.trial(episode, TASK.answered(episode, begun, jnp.asarray(False)))
    assert bool(first.content.first)
    assert not bool(later.content.first)
    at = int(first.correct)
    tints = lambda trial, stage: TASK.tints(trial, jnp.int32(stage), jnp.int32(chosen)).tolist()  # noqa: E731
    assert tints(first, 0) == tints(later, 0) == [HIDDEN] * 4
    assert tints(first, 1) == [DULL_GREEN if k == at else DULL_RED for k in range(4)]
    assert tints(later, 1) == [PLAIN] * 4
    assert tints(first, 2) == tints(later, 2) == [GREEN if k == at else RED for k in range(4)]


def test_what_must_be_remembered_is_told_as_soon_as_it_was_shown() -> None:
    """Signal "pairs": images and directions of exactly the pairs that have been presented before this trial."""
    episodes = drawn(EPISODES, seed=6)
    right = np.random.default_rng(6).random((EPISODES, TRIALS)) < 0.95
    progress, trial = play(episodes, jnp.asarray(right))
    told = np.asarray(jax.vmap(jax.vmap(lambda d, p, t: TASK.hidden(d, p, t)["pairs"], (None, 0, 0)))(episodes, progress, trial))
    told = told.reshape(EPISODES, TRIALS, 12, 5)
    for e in range(8):
        met: dict[int, int] = {}
        for t in range(TRIALS):
            assert {k: int(row[4]) - 1 for k, row in enumerate(told[e, t]) if row.any()} == met
            assert all((row > 0).all() for row in told[e, t] if row.any())
            met[int(trial.content.pair[e, t])] = int(trial.correct[e, t])
