"""What then where: 100,000 drawn trials counted in NumPy against the rules of the specification (§3.4), and what each stage shows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import stats

from unseen.environments.memory_suite import digits
from unseen.environments.memory_suite.screen import COMPASS, GREEN, HIDDEN, PLAIN, RED
from unseen.environments.memory_suite.what_then_where import SCALES, WhatThenWhere

TASK = WhatThenWhere()
EPISODES = 2_000
LISTS = {"train": (4, 8, 32, 128), "interpolate": (16, 64), "extrapolate": (130, 150, 200, 250)}
draw = jit(jax.vmap(TASK.draw, (0, None)))


@lru_cache
def episodes(scale: str = "train", holdout: bool = False) -> Any:
    return jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(11), EPISODES), SCALES[scale].params(holdout)))


def test_five_classes_four_distinct_digits_target_and_side_uniform() -> None:
    drawn = episodes()
    digit, side = drawn.digit.reshape(-1, 4).astype(int), drawn.side.ravel().astype(int)
    ordered = np.sort(digit, axis=1)
    assert (ordered[:, 1:] != ordered[:, :-1]).all()  # the three others are different from it and from each other
    assert (digit.min(), digit.max()) == (0, 4)
    target = digit[np.arange(len(side)), side]
    assert stats.chisquare(np.bincount(4 * target + side, minlength=20)).pvalue > 1e-4
    # Which class is missing, given the target: uniform over the other four.
    missing = 10 - digit.sum(axis=1)
    for which in range(5):
        counts = np.bincount(missing[target == which], minlength=5)
        assert counts[which] == 0
        assert stats.chisquare(np.delete(counts, which)).pvalue > 1e-4
    # The three others are in random order.
    others = np.array([np.delete(row, k) for row, k in zip(digit[:20_000], side[:20_000], strict=True)])
    assert stats.chisquare(np.bincount(np.argmax(others, axis=1), minlength=3)).pvalue > 1e-4


@pytest.mark.parametrize("scale", LISTS)
def test_the_two_delays_are_independent_draws_from_the_list(scale: str) -> None:
    delay, delays = episodes(scale).delay.reshape(-1, 2), LISTS[scale]
    assert set(np.unique(delay)) == set(delays)
    first, second = (np.searchsorted(delays, delay[:, k]) for k in (0, 1))
    assert stats.chisquare(np.bincount(len(delays) * first + second, minlength=len(delays) ** 2)).pvalue > 1e-4


@pytest.mark.parametrize("holdout", [False, True])
def test_what_each_stage_shows(holdout: bool) -> None:
    """The target in the middle, nothing, four digits, nothing, a disc, buttons; an exemplar is class, slant and width."""
    drawn = episodes("train", holdout)
    styles = digits.HOLDOUT if holdout else digits.TRAIN
    named = lambda digit: [digit + 1, *(part + 1 for part in styles[digit])]  # noqa: E731
    for e in range(3):
        episode = jax.tree.map(lambda x, e=e: jnp.asarray(x[e]), drawn)
        for t in (0, 49):
            trial = TASK.trial(episode, TASK.begin(episode)._replace(trial=jnp.int32(t)))
            digit, side = drawn.digit[e, t].tolist(), int(drawn.side[e, t])
            assert int(trial.correct) == side
            assert trial.frames.tolist() == [0, 25, int(drawn.delay[e, t, 0]), 25, int(drawn.delay[e, t, 1]), 0, 0, 0]
            for stage in range(8):
                shown = np.asarray(TASK.shown(trial, jnp.int32(stage))).reshape(5, 3)
                expected = np.zeros((5, 3), int)
                if stage == 1:
                    expected[0] = named(digit[side])
                elif stage == 3:
                    expected[1:] = [named(d) for d in digit]
                np.testing.assert_array_equal(shown, expected)
            told = TASK.hidden(episode, TASK.begin(episode), trial)
            assert int(told["target"]) == digit[side]
            assert told["digits"].tolist() == digit
            for chosen in (side, (side + 1) % 4):
                looks = [TASK.tints(trial, jnp.int32(stage), jnp.int32(chosen)).tolist() for stage in range(8)]
                assert looks[:6] == [[HIDDEN] * 4] * 6
                assert looks[6] == [PLAIN] * 4
                assert looks[7] == [(GREEN if chosen == side else RED) if k == chosen else PLAIN for k in range(4)]


def test_exemplars_held_out_share_none_with_training_but_every_style_is_familiar() -> None:
    train, holdout = set(enumerate(digits.TRAIN)), set(enumerate(digits.HOLDOUT))
    assert len(train) == len(holdout) == 5
    assert not train & holdout
    for part in (0, 1):
        assert {style[part] for style in digits.HOLDOUT} <= {style[part] for style in digits.TRAIN}


def test_the_buttons_lie_as_in_the_original() -> None:
    """§2: squares of side 0.1 centred at (0.5, 0.05), (0.5, 0.95), (0.05, 0.5), (0.95, 0.5); "east" is on the left."""
    assert TASK.buttons == COMPASS
    centres = {b.name: ((b.left + b.right) / 960, (b.top + b.bottom) / 960) for b in COMPASS}
    assert centres == {"north": (0.5, 0.05), "south": (0.5, 0.95), "east": (0.05, 0.5), "west": (0.95, 0.5)}
    assert {(b.right - b.left, b.bottom - b.top) for b in COMPASS} == {(48, 48)}
