"""Continuous recognition: the stream of images against the rule of the specification (§3.2), counted in plain Python."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import stats

from unseen.environments.memory_suite.recognition import NEW, OLD, SCALES, ContinuousRecognition
from unseen.environments.memory_suite.screen import GREEN, HIDDEN, PLAIN, RED

TASK = ContinuousRecognition()
TRIALS = 75


COUNT = 3_000
draw = jit(jax.vmap(TASK.draw, (0, None)))


def drawn(holdout: bool = False, seed: int = 0) -> Any:
    return jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(seed), COUNT), SCALES["extrapolate"].params(holdout)))


def test_old_means_that_the_image_occurred_before() -> None:
    episodes = drawn()
    for images, old in zip(episodes.image[:500].tolist(), episodes.old[:500].tolist(), strict=True):
        assert old == [image in images[:k] for k, image in enumerate(images)]
        assert not old[0]


def test_later_images_are_new_with_probability_one_half_each_independently() -> None:
    old = drawn(seed=1).old[:, 1:]
    total = old.size
    assert abs(int(old.sum()) - total / 2) < 5 * np.sqrt(total) / 2
    by_trial = old.sum(axis=0)
    assert (abs(by_trial - COUNT / 2) < 5 * np.sqrt(COUNT) / 2).all()
    twice = int((old[:, 1:] & old[:, :-1]).sum())
    assert abs(twice - COUNT * 73 / 4) < 5 * np.sqrt(COUNT * 73 * 5 / 16)


def test_an_old_image_is_uniform_over_the_distinct_ones_shown_so_far() -> None:
    """By how many were shown: which of them, in the order of their first showing, came again."""
    episodes = drawn(seed=2)
    counts: dict[int, np.ndarray] = {}
    for images, old in zip(episodes.image.tolist(), episodes.old.tolist(), strict=True):
        met: list[int] = []
        for image, again in zip(images, old, strict=True):
            if again:
                counts.setdefault(len(met), np.zeros(len(met), int))[met.index(image)] += 1
            else:
                met.append(image)
    checked = 0
    for number, count in counts.items():
        if number > 1 and count.sum() >= 20 * number:
            assert stats.chisquare(count).pvalue > 1e-5
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("holdout", [False, True])
def test_images_by_split(holdout: bool) -> None:
    images = drawn(holdout, seed=3).image
    assert set(np.unique(images % 2)) == {int(holdout)}
    assert images.min() >= 1
    assert images.max() <= 2_400
    assert len(np.unique(images)) == 1_200


@pytest.mark.parametrize(("trials", "distinct"), [(50, 25.5), (40, 20.5), (75, 38.0)])
def test_distinct_images_and_a_constant_answer_are_as_derived(trials: int, distinct: float) -> None:
    """Always "new" scores as much as there are distinct images (§3.2)."""
    new = ~drawn(seed=4).old[:, :trials]
    assert abs(new.sum(axis=1).mean() - distinct) < 3 * np.sqrt(trials / 4 / COUNT) + 0.01


def test_answers_and_buttons() -> None:
    episode = jax.tree.map(lambda x: jnp.asarray(x[0]), drawn(seed=5))
    progress = TASK.begin(episode)
    for t in range(TRIALS):
        trial = TASK.trial(episode, progress)
        right = OLD if episode.old[t] else NEW
        assert int(trial.correct) == right
        assert int(TASK.hidden(episode, progress, trial)["old"]) == int(episode.old[t])
        if t < 6:
            for chosen in (NEW, OLD):
                tints = lambda stage, trial=trial, chosen=chosen: TASK.tints(trial, jnp.int32(stage), jnp.int32(chosen)).tolist()  # noqa: E731
                assert tints(0) == [HIDDEN] * 2
                assert tints(1) == [PLAIN] * 2
                assert tints(2)[chosen] == (GREEN if chosen == right else RED)
                assert tints(2)[1 - chosen] == PLAIN
        progress = TASK.answered(episode, progress, jnp.asarray(t % 2 == 0))
    left, right_button = TASK.buttons
    assert (left.name, right_button.name) == ("new", "old")
    assert (left.left, left.right) == (0, 48)  # x 0 to 0.1 of 480, y 0.45 to 0.55
    assert (right_button.left, right_button.right) == (432, 480)
    assert {(b.top, b.bottom) for b in TASK.buttons} == {(216, 264)}
